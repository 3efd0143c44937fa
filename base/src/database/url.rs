//! Where a database is, with its password kept out of sight.

use std::borrow::Cow;
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
///
/// The path is written as it is: a space or a `%` stands for itself, and only the first `?` begins options.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseUrl(Place);

#[derive(Clone, Debug)]
enum Place {
    Sqlite { path: PathBuf, options: Option<String> },
    Postgres(SecretString),
}

impl DatabaseUrl {
    /// A SQLite database at `path`.
    pub fn sqlite(path: &Path) -> Self {
        Self(Place::Sqlite { path: path.to_owned(), options: None })
    }

    /// The engine that the scheme names.
    pub fn engine(&self) -> Engine {
        match self.0 {
            Place::Sqlite { .. } => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }

    /// The same database, a relative SQLite path taken from `folder`.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self.0 {
            // `join` takes an absolute path as it is.
            Place::Sqlite { path, options } => Self(Place::Sqlite { path: folder.join(path), options }),
            Place::Postgres(_) => self,
        }
    }

    /// The file of a SQLite database.
    pub fn sqlite_path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite { path, .. } => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// As sqlx wants it: a proper URL, whose path it decodes.
    pub(super) fn expose(&self) -> Cow<'_, str> {
        match &self.0 {
            Place::Sqlite { path, options: None } => format!("sqlite://{}", encoded(path)).into(),
            Place::Sqlite { path, options: Some(options) } => format!("sqlite://{}?{options}", encoded(path)).into(),
            Place::Postgres(url) => url.expose_secret().into(),
        }
    }

    /// Creates the file of a SQLite database with mode 0600, which SQLite itself would make readable for everyone.
    pub(super) fn create_file(&self) -> Result<(), StoreError> {
        let Some(path) = self.sqlite_path() else { return Ok(()) };
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let opened = options.open(path);
        opened.map(drop).map_err(|source| StoreError::File { path: path.to_owned(), source })
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = StoreError;

    fn try_from(url: String) -> Result<Self, StoreError> {
        match url.split_once("://") {
            Some(("sqlite", rest)) => {
                let (path, options) =
                    rest.split_once('?').map_or((rest, None), |(path, options)| (path, Some(options)));
                Ok(Self(Place::Sqlite { path: path.into(), options: options.map(str::to_owned) }))
            }
            Some(("postgres" | "postgresql", _)) => Ok(Self(Place::Postgres(url.into()))),
            _ => Err(StoreError::Url { url: "the database setting".to_owned() }),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match &self.0 {
            Place::Sqlite { path, .. } => return write!(f, "sqlite://{}", path.display()),
            Place::Postgres(url) => url.expose_secret(),
        };
        match url.rsplit_once('@') {
            Some((_, place)) => write!(f, "postgres://…@{}", place.split('?').next().unwrap_or(place)),
            None => f.write_str(url.split('?').next().unwrap_or(url)),
        }
    }
}

/// Every byte but letters and digits percent-encoded. Were a `/` left alone, the parser of URLs would resolve `..` itself, and
/// take the first folder of a relative path for a host.
fn encoded(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    let encode = |byte: &u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    bytes.map(encode).collect()
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
    fn a_path_is_printed_and_kept_as_it_was_written() {
        let url = DatabaseUrl::try_from("sqlite://my dir@100%/a.db?mode=ro".to_owned()).unwrap();
        assert_eq!(url.to_string(), "sqlite://my dir@100%/a.db");
        let moved = url.relative_to(Path::new("what?"));
        assert_eq!(moved.sqlite_path().unwrap(), Path::new("what?/my dir@100%/a.db"));
        assert_eq!(moved.expose(), "sqlite://what%3F%2Fmy%20dir%40100%25%2Fa%2Edb?mode=ro");
    }

    #[test]
    fn another_scheme_is_refused_with_the_two_that_work() {
        let error = DatabaseUrl::try_from("mysql://me:hunter2@db/x".to_owned()).unwrap_err().to_string();
        assert!(error.contains("sqlite://") && error.contains("postgres://") && !error.contains("hunter2"), "{error}");
    }
}
