//! Keeps the commits of a pack while it is read, with their content, which deltas may be against.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::path::Path;

use tempfile::SpooledTempFile;

use super::commits::{Commits, parents_of};
use super::{BadPack, Base, Limits};
use crate::object_id::{Hasher, ObjectFormat};

/// So much content is held in memory, in bytes.
const IN_MEMORY: usize = 256 << 10;

/// The commits that were seen so far.
pub(super) struct Collector {
    format: ObjectFormat,
    limits: Limits,
    commits: Commits,
    /// Where in the pack a commit begins, in the order of the pack.
    entries: Vec<(u64, u32)>,
    /// By number; `None` for what is not in the pack.
    contents: Vec<Option<Content>>,
    scratch: SpooledTempFile,
    written: u64,
}

/// Where in the scratch file the content of a commit stands.
#[derive(Clone, Copy)]
pub(super) struct Content {
    start: u64,
    length: NonZeroU32,
}

impl Collector {
    pub(super) fn new(format: ObjectFormat, limits: Limits, scratch: &Path) -> Self {
        let scratch = tempfile::spooled_tempfile_in(IN_MEMORY, scratch);
        let (commits, entries, contents) = (Commits::default(), Vec::new(), Vec::new());
        Self { format, limits, commits, entries, contents, scratch, written: 0 }
    }

    pub(super) fn finish(self) -> Commits {
        self.commits
    }

    /// The commit that a delta is against, if it is one that was seen.
    pub(super) fn find(&self, base: &Base) -> Option<Content> {
        let number = match base {
            Base::Id(id) => self.commits.number(id)?,
            Base::Offset(offset) => {
                let found = self.entries.binary_search_by_key(offset, |(offset, _)| *offset).ok()?;
                self.entries[found].1
            }
        };
        *self.contents.get(number as usize)?
    }

    pub(super) fn content(&mut self, at: Content) -> io::Result<Vec<u8>> {
        let mut content = vec![0; at.length.get() as usize];
        self.scratch.seek(SeekFrom::Start(at.start))?;
        self.scratch.read_exact(&mut content)?;
        Ok(content)
    }

    /// Adds the commit whose entry begins at `offset`. What is not formed as a commit is passed over.
    pub(super) fn add(&mut self, offset: u64, content: &[u8]) -> Result<(), BadPack> {
        let Some(parents) = parents_of(content, self.format) else { return Ok(()) };
        let mut hash = Hasher::new(self.format);
        hash.update(format!("commit {}\0", content.len()).as_bytes());
        hash.update(content);
        let number = self.commits.add(hash.finish(), &parents);
        let too_many_parents = self.commits.parent_count() > self.limits.commits.saturating_mul(4);
        if self.entries.len() >= self.limits.commits || too_many_parents {
            return Err(BadPack::TooManyCommits(self.limits.commits));
        }
        self.entries.push((offset, number));
        self.keep(number as usize, content)
    }

    fn keep(&mut self, number: usize, content: &[u8]) -> Result<(), BadPack> {
        let length = u32::try_from(content.len()).ok().and_then(NonZeroU32::new);
        let length = length.expect("a commit has a tree, and is not longer than the longest");
        let kept = Content { start: self.written, length };
        self.written += u64::from(length.get());
        if self.written > self.limits.commit_bytes {
            return Err(BadPack::CommitsTooLarge(self.limits.commit_bytes));
        }
        self.scratch.seek(SeekFrom::Start(kept.start))?;
        self.scratch.write_all(content)?;
        if self.contents.len() <= number {
            self.contents.resize(number + 1, None);
        }
        self.contents[number] = Some(kept);
        Ok(())
    }
}
