//! The gateway's database: its schema, and how rows that hold text become types.

use doorward_base::{Database, DatabaseUrl, Engine, Migrations, StoreError, Tx};

/// Opens the gateway's database and brings its schema up to date. The command line does the same, gateway running or not.
pub async fn open_database(url: &DatabaseUrl) -> Result<Database, StoreError> {
    let database = Database::open(url).await?;
    database.migrate(&migrations()).await?;
    Ok(database)
}

fn migrations() -> Migrations {
    Migrations {
        table: "_migrations_gateway",
        sqlite: sqlx::migrate!("../migrations/gateway/sqlite"),
        postgres: sqlx::migrate!("../migrations/gateway/postgres"),
    }
}

/// Begins a writing transaction that runs alone among those that name the same `what`, so that it can count rows before it adds one.
/// On SQLite every writing transaction runs alone.
pub(crate) async fn write_alone(database: &Database, what: &str) -> Result<Tx, StoreError> {
    let mut tx = database.write().await?;
    if database.engine() == Engine::Postgres {
        sqlx::query("SELECT CAST(pg_advisory_xact_lock(hashtextextended($1, 0)) AS TEXT)")
            .bind(what)
            .execute(tx.connection())
            .await?;
    }
    Ok(tx)
}

/// Times leave the gateway in RFC 3339.
pub(crate) mod rfc3339 {
    use doorward_base::Timestamp;
    use serde::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(crate) mod option {
        use super::{Serializer, Timestamp};

        #[expect(clippy::ref_option, reason = "serde gives a reference")]
        pub(crate) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => super::serialize(time, serializer),
                None => serializer.serialize_none(),
            }
        }
    }
}
