//! A request body on disk, so that memory does not grow with it.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// An unnamed file that takes a body piece by piece. The operating system removes it when it is dropped, or when the
/// process dies.
#[derive(Debug)]
pub struct Spool {
    file: File,
    length: u64,
    limit: u64,
}

/// A body could not be spooled.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The body is longer than allowed.
    #[error("the push is larger than {limit} bytes")]
    TooLarge {
        /// In bytes.
        limit: u64,
    },
    /// The disk is full, say.
    #[error("the push could not be spooled to disk")]
    Io(#[from] io::Error),
}

impl Spool {
    /// Makes the file in `directory`; it takes `limit` bytes at most.
    pub fn create(directory: &Path, limit: u64) -> Result<Self, SpoolError> {
        Ok(Self { file: tempfile::tempfile_in(directory)?, length: 0, limit })
    }

    /// Appends a piece, all of it or an error.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if length > self.limit {
            return Err(SpoolError::TooLarge { limit: self.limit });
        }
        self.file.write_all(bytes)?;
        self.length = length;
        Ok(())
    }

    /// What was written so far, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file, to be read from `offset` on. Whoever writes after this appends where reading stopped: so finish writing first.
    pub fn read_from(&mut self, offset: u64) -> io::Result<&mut File> {
        self.file.seek(SeekFrom::Start(offset))?;
        Ok(&mut self.file)
    }

    /// The file, to be read from its start.
    pub fn into_file(mut self) -> io::Result<File> {
        self.file.rewind()?;
        Ok(self.file)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn what_was_spooled_is_read_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path(), 100).unwrap();
        spool.write(b"commands").unwrap();
        spool.write(b"PACK").unwrap();
        let mut text = String::new();
        spool.read_from(8).unwrap().read_to_string(&mut text).unwrap();
        spool.into_file().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "PACKcommandsPACK");
        assert_eq!(directory.path().read_dir().unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn no_more_is_spooled_than_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path(), 5).unwrap();
        spool.write(b"12345").unwrap();
        let refused = spool.write(b"6").unwrap_err();
        assert!(matches!(refused, SpoolError::TooLarge { limit: 5 }), "{refused}");
        assert_eq!(spool.length(), 5);
    }
}
