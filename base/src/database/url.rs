//! Where a database is, with its password kept out of sight.

use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::StoreError;

/// The two engines that Doorward runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One file on one machine.
    Sqlite,
    /// A server, for more than one machine.
    Postgres,
}

/// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST/NAME`. Printing it leaves the password out.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl {
    engine: Engine,
    url: SecretString,
}

impl DatabaseUrl {
    /// A SQLite database at `path`.
    pub fn sqlite(path: &Path) -> Self {
        Self { engine: Engine::Sqlite, url: format!("sqlite://{}", path.display()).into() }
    }

    /// The engine that the scheme names.
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The same database, a relative SQLite path taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self.sqlite_path() {
            Some(path) if path.is_relative() => Self::sqlite(&folder.join(path)),
            _ => self,
        }
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let rest = self.url.expose_secret().strip_prefix("sqlite://")?;
        Some(PathBuf::from(rest.split('?').next().unwrap_or(rest)))
    }

    pub(super) fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// Creates the file of a SQLite database with mode 0600, which SQLite itself would make readable for everyone.
    pub(super) fn create_file(&self) -> Result<(), StoreError> {
        let Some(path) = self.sqlite_path() else { return Ok(()) };
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(&path);
        opened.map(drop).map_err(|source| StoreError::File { path, source })
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = StoreError;

    fn try_from(url: String) -> Result<Self, StoreError> {
        let engine = match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("sqlite") => Engine::Sqlite,
            Some("postgres" | "postgresql") => Engine::Postgres,
            _ => return Err(StoreError::Url { url: "the database setting".to_owned() }),
        };
        Ok(Self { engine, url: url.into() })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.url.expose_secret().rsplit_once('@') {
            Some((_, place)) => write!(f, "postgres://…@{}", place.split('?').next().unwrap_or(place)),
            None => f.write_str(self.url.expose_secret().split('?').next().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_url_has_no_password() {
        let url = DatabaseUrl::try_from("postgres://me:hunter2@db/doorward?password=hunter2".to_owned()).unwrap();
        assert_eq!(url.to_string(), "postgres://…@db/doorward");
        assert!(!format!("{url:?}").contains("hunter2"));
    }

    #[test]
    fn a_relative_sqlite_path_is_taken_from_the_folder_of_the_configuration() {
        let url = DatabaseUrl::try_from("sqlite://doorward.db".to_owned()).unwrap();
        let moved = url.relative_to(Path::new("/srv/doorward"));
        assert_eq!(moved.sqlite_path().unwrap(), Path::new("/srv/doorward/doorward.db"));
    }

    #[test]
    fn another_scheme_is_refused_with_the_two_that_work() {
        let error = DatabaseUrl::try_from("mysql://me:hunter2@db/x".to_owned()).unwrap_err().to_string();
        assert!(error.contains("sqlite://") && error.contains("postgres://") && !error.contains("hunter2"), "{error}");
    }
}
