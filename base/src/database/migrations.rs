//! Migrations: one folder per crate and engine, forward only.

use sqlx::AnyPool;
use sqlx::migrate::{MigrateError, Migrator};

use super::{Engine, StoreError};

/// The migrations of one crate, for both engines.
#[derive(Debug)]
pub struct Migrations {
    /// The table that records what was applied: crates may share one database.
    pub table: &'static str,
    /// `sqlx::migrate!("../migrations/CRATE/sqlite")`
    pub sqlite: Migrator,
    /// `sqlx::migrate!("../migrations/CRATE/postgres")`
    pub postgres: Migrator,
}

impl Migrations {
    pub(super) async fn run(&self, pool: &AnyPool, engine: Engine) -> Result<(), StoreError> {
        let source = match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        };
        let mut migrator = Migrator::with_migrations(source.iter().cloned().collect());
        migrator.dangerous_set_table_name(self.table);
        migrator.run(pool).await.map_err(|error| match error {
            MigrateError::VersionMissing(found) => StoreError::NewerSchema { found },
            other => StoreError::Migration(other),
        })
    }
}
