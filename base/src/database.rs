//! The one door to the database: SQLite or PostgreSQL behind the same SQL text.
//!
//! Columns are TEXT, BIGINT and BLOB/BYTEA alone, because [`sqlx::Any`] reads nothing else on both engines. Parameters are
//! written `$1`, which both understand. A claim repeats its condition outside of the subquery.

mod error;
mod migrations;
mod url;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, ConnectOptions, Executor};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use error::StoreError;
pub use migrations::Migrations;
pub use url::{DatabaseUrl, Engine};

const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

/// A pool of connections to one database.
#[derive(Clone, Debug)]
pub struct Database {
    pool: AnyPool,
    engine: Engine,
    /// SQLite has one writer: waiting here is fair and costs no CPU, unlike waiting for its file lock.
    writer: Option<Arc<Semaphore>>,
}

impl Database {
    /// Opens the database, and creates the file of a SQLite database (mode 0600) that is not there yet.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let engine = url.engine();
        url.create_file()?;
        let options: AnyConnectOptions = url.expose().parse().map_err(|_| StoreError::Url { url: url.to_string() })?;
        let pool = AnyPoolOptions::new()
            .max_connections(if engine == Engine::Sqlite { 4 } else { 10 })
            .acquire_timeout(ACQUIRE_TIMEOUT)
            // A file does not go away as a server does: asking whether it is there costs as much as a question.
            .test_before_acquire(engine == Engine::Postgres)
            .after_connect(move |connection, _| Box::pin(prepare(connection, engine)))
            .connect_with(options.disable_statement_logging())
            .await
            .map_err(|source| StoreError::Open { url: url.to_string(), source })?;
        let writer = (engine == Engine::Sqlite).then(|| Arc::new(Semaphore::new(1)));
        Ok(Self { pool, engine, writer })
    }

    /// Which engine this is, for the few statements that cannot be written in one way.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// Brings the schema of one crate up to date.
    pub async fn migrate(&self, migrations: &Migrations) -> Result<(), StoreError> {
        let _permit = self.writer_permit().await;
        migrations.run(&self.pool, self.engine).await
    }

    /// For single reading statements.
    pub fn reader(&self) -> &AnyPool {
        &self.pool
    }

    /// Begins a writing transaction; dropped without [`Tx::commit`], it changes nothing.
    pub async fn write(&self) -> Result<Tx, StoreError> {
        let permit = self.writer_permit().await;
        let transaction = match self.engine {
            // A transaction that read first could not become a writer later: SQLite would answer SQLITE_BUSY at once.
            Engine::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Engine::Postgres => self.pool.begin().await?,
        };
        Ok(Tx { transaction, _permit: permit })
    }

    /// Closes every connection; a SQLite database is then one file again.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn writer_permit(&self) -> Option<OwnedSemaphorePermit> {
        let writer = self.writer.clone()?;
        Some(writer.acquire_owned().await.expect("the semaphore of the writer is never closed"))
    }
}

/// A writing transaction. Where it spans parts of the program (a turn ends and its effects go to the outbox), each part takes `&mut Tx`.
#[derive(Debug)]
pub struct Tx {
    transaction: sqlx::Transaction<'static, sqlx::Any>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Tx {
    /// What statements are executed on.
    pub fn connection(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }

    /// Makes everything done in this transaction durable.
    pub async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}

async fn prepare(connection: &mut AnyConnection, engine: Engine) -> Result<(), sqlx::Error> {
    if engine == Engine::Sqlite {
        // FULL: a commit that was answered with a 200 survives a power cut.
        for pragma in [
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
            "PRAGMA foreign_keys = ON",
        ] {
            connection.execute(pragma).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
