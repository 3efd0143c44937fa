use std::path::Path;

use doorward_testkit::on_both_engines;
use sqlx::Row;

use super::*;

async fn with_table(url: DatabaseUrl) -> Database {
    let database = Database::open(&url).await.unwrap();
    sqlx::query("CREATE TABLE note (id TEXT PRIMARY KEY, body TEXT)").execute(database.reader()).await.unwrap();
    database
}

async fn insert(tx: &mut Tx, id: &str) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO note (id, body) VALUES ($1, $2)")
        .bind(id)
        .bind(None::<String>)
        .execute(tx.connection())
        .await?;
    Ok(())
}

async fn count(database: &Database) -> i64 {
    sqlx::query("SELECT COUNT(*) FROM note").fetch_one(database.reader()).await.unwrap().get(0)
}

#[tokio::test]
async fn a_transaction_that_is_not_committed_changes_nothing() {
    on_both_engines(async |url| {
        let database = with_table(DatabaseUrl::try_from(url).unwrap()).await;
        let mut tx = database.write().await.unwrap();
        insert(&mut tx, "a").await.unwrap();
        drop(tx);
        assert_eq!(count(&database).await, 0);
        let mut tx = database.write().await.unwrap();
        insert(&mut tx, "a").await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(count(&database).await, 1);
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_second_row_with_the_same_key_is_told_apart_from_other_errors() {
    on_both_engines(async |url| {
        let database = with_table(DatabaseUrl::try_from(url).unwrap()).await;
        let mut tx = database.write().await.unwrap();
        insert(&mut tx, "a").await.unwrap();
        assert!(insert(&mut tx, "a").await.unwrap_err().is_unique_violation());
        drop(tx);
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn writers_wait_for_each_other_and_none_is_refused() {
    on_both_engines(async |url| {
        let database = with_table(DatabaseUrl::try_from(url).unwrap()).await;
        let writers = (0..32).map(|number| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut tx = database.write().await.unwrap();
                insert(&mut tx, &number.to_string()).await.unwrap();
                tx.commit().await.unwrap();
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(count(&database).await, 32);
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_clear_sentence() {
    on_both_engines(async |url| {
        let database = with_table(DatabaseUrl::try_from(url).unwrap()).await;
        let none = Migrations {
            table: "_migrations_note",
            sqlite: sqlx::migrate::Migrator::with_migrations(Vec::new()),
            postgres: sqlx::migrate::Migrator::with_migrations(Vec::new()),
        };
        database.migrate(&none).await.unwrap();
        sqlx::query("INSERT INTO _migrations_note (version, description, success, checksum, execution_time) VALUES (99, 'later', TRUE, $1, 0)")
            .bind(vec![0_u8])
            .execute(database.reader())
            .await
            .unwrap();
        let error = database.migrate(&none).await.unwrap_err().to_string();
        assert!(error.contains("version 99") && error.contains("newer doorward"), "{error}");
        database.close().await;
    })
    .await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_database_file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let database = Database::open(&DatabaseUrl::sqlite(&path)).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    database.close().await;
}

#[tokio::test]
async fn a_database_may_lie_in_a_folder_with_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["my dir@100%", "what?", "a#b%20c", "deep/../beside"] {
        let inner = folder.path().join(name);
        std::fs::create_dir_all(&inner).unwrap();
        with_table(DatabaseUrl::sqlite(&inner.join("x.db"))).await.close().await;
        assert!(std::fs::metadata(inner.join("x.db")).unwrap().len() > 0, "{name}");
    }
}

#[tokio::test]
async fn a_relative_path_may_have_a_space() {
    let folder = tempfile::Builder::new().prefix("my dir@100%").tempdir_in(".").unwrap();
    let path = Path::new(folder.path().file_name().unwrap()).join("x.db");
    let url = DatabaseUrl::try_from(format!("sqlite://{}?mode=rwc", path.display())).unwrap();
    with_table(url).await.close().await;
    assert!(std::fs::metadata(&path).unwrap().len() > 0);
}
