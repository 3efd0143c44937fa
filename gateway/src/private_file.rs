//! Files that hold a secret of the gateway itself: created whole, mode 0600, and refused when others can read them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use doorward_base::Random;
use secrecy::{ExposeSecret, SecretString};

/// A file with a secret cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// Others can read it.
    #[error("{} can be read by others than its owner: run `chmod 600 {0}`, and replace it if others are not trusted", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `created`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It is there and holds something else.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
}

/// The text of the file without white space around it; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<SecretString>, PrivateFileError> {
    let failed = |source| PrivateFileError::Io { path: path.to_owned(), doing: "read", source };
    let mut file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if is_exposed(&file.metadata().map_err(failed)?) {
        return Err(PrivateFileError::Exposed { path: path.to_owned() });
    }
    let mut text = String::new();
    io::Read::read_to_string(&mut file, &mut text).map_err(failed)?;
    Ok(Some(SecretString::from(text.trim())))
}

/// Reads the file, or creates it with what `make` gives. Of two processes that create it at once, one wins and both read the same.
pub(crate) fn read_or_create(
    path: &Path,
    random: &Random,
    make: impl FnOnce() -> SecretString,
) -> Result<SecretString, PrivateFileError> {
    if let Some(text) = read(path)? {
        return Ok(text);
    }
    create(path, random, &make()).map_err(|source| PrivateFileError::Io {
        path: path.to_owned(),
        doing: "created",
        source,
    })?;
    let gone = || PrivateFileError::Io { path: path.to_owned(), doing: "read", source: io::ErrorKind::NotFound.into() };
    read(path)?.ok_or_else(gone)
}

/// Writes beside the file and links it into place, so that nobody ever reads half of it.
fn create(path: &Path, random: &Random, text: &SecretString) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", random.id()));
    let draft = PathBuf::from(draft);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&draft)?;
    let written = writeln!(file, "{}", text.expose_secret()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_: &fs::Metadata) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_created_once_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let random = Random::seeded(1);
        let first = read_or_create(&path, &random, || "one".into()).unwrap();
        let second = read_or_create(&path, &random, || "two".into()).unwrap();
        assert_eq!((first.expose_secret(), second.expose_secret()), ("one", "one"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "open-secret").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && !error.contains("open-secret"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_no_error() {
        assert!(read(Path::new("/nowhere/key")).unwrap().is_none());
    }
}
