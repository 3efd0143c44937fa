//! What can go wrong with a database, sorted by what the caller can do about it.

use std::path::PathBuf;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The setting is no URL of a database that Doorward knows.
    #[error("{url} is not a database URL: write sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME")]
    Url {
        /// The URL without its password.
        url: String,
    },
    /// The file of a SQLite database cannot be created or opened.
    #[error("the database file {} cannot be opened: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The database does not answer.
    #[error("the database {url} cannot be opened: {source}")]
    Open {
        /// The URL without its password.
        url: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// A newer version of Doorward has been here.
    #[error(
        "the database has schema version {found}, which this version of doorward does not know: run the newer doorward that wrote it"
    )]
    NewerSchema {
        /// The version found.
        found: i64,
    },
    /// The schema could not be brought up to date.
    #[error("the database schema could not be brought up to date: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// What was read is not what this version writes.
    #[error("the database holds a {what} that cannot be read: {detail}")]
    Corrupt {
        /// The kind of value.
        what: &'static str,
        /// Why it cannot be read; never the value itself.
        detail: String,
    },
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Statement(#[from] sqlx::Error),
}

impl StoreError {
    /// Whether a row with the same key is there already.
    pub fn is_unique_violation(&self) -> bool {
        matches!(self, Self::Statement(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}
