//! The commits of a pack (gitformat-pack), found in one pass that keeps nothing else.
//!
//! A commit is named by its content, parents included, so what a pack says of its commits needs no trust. Every entry is inflated,
//! because the format does not say where one ends; all but commits go nowhere. A delta is a commit if its base is one, and
//! git writes a base before its deltas: a delta whose base is not known when it comes is not known as a commit.

mod collector;
mod commits;
mod delta;
mod inflate;
mod input;
#[cfg(test)]
mod tests;

use std::io::{self, Read};
use std::path::Path;

pub use commits::Commits;

use self::collector::Collector;
use self::inflate::Inflater;
use self::input::Input;
use crate::object_id::{ObjectFormat, ObjectId};

/// The longest commit that is looked at, in bytes. A longer one is not known as a commit.
pub const LONGEST_COMMIT: usize = 1 << 20;

/// What the reading of one pack may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commits, each of which takes about 120 bytes of memory.
    pub commits: usize,
    /// The content of all commits together, which is kept on disk beyond the first 256 KiB, in bytes.
    pub commit_bytes: u64,
    /// All that is inflated, against a small pack that becomes a large one, in bytes.
    pub inflated: u64,
}

impl Default for Limits {
    /// 50,000 commits of 256 MiB together, 8 GiB inflated: less than 10 MiB of memory, and less than 2 MiB if there are few commits.
    fn default() -> Self {
        Self { commits: 50_000, commit_bytes: 256 << 20, inflated: 8 << 30 }
    }
}

/// A pack that is refused, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadPack {
    /// The file, or the disk for commits.
    #[error("the pack could not be read from disk")]
    Io(#[from] io::Error),
    /// It ends too early.
    #[error("the pack was cut off")]
    Truncated,
    /// It does not begin with `PACK` and version 2 or 3.
    #[error("this is no pack of version 2 or 3")]
    Header,
    /// An entry has a kind, length or base that cannot be.
    #[error("the pack has an entry that cannot be read")]
    Entry,
    /// An entry is not compressed as zlib does, or is not as long as it says.
    #[error("the pack has an entry that cannot be inflated")]
    Inflate,
    /// A delta against a commit does not fit it.
    #[error("the pack has a delta that does not fit its base")]
    Delta,
    /// The hash at its end is another.
    #[error("the pack's checksum is wrong")]
    Checksum,
    /// Something follows its end.
    #[error("bytes follow the pack's end")]
    TrailingBytes,
    /// More than [`Limits::commits`], or four times as many parents.
    #[error("the push has more than {0} commits to look through")]
    TooManyCommits(usize),
    /// More than [`Limits::commit_bytes`].
    #[error("the push has commits of more than {0} bytes to look through")]
    CommitsTooLarge(u64),
    /// More than [`Limits::inflated`].
    #[error("the push has more than {0} bytes when it is unpacked")]
    InflatesTooFar(u64),
}

/// Reads a whole pack, from `PACK` to the end of `source`, and returns the commits in it. Commits beyond the first 256 KiB are kept in an
/// unnamed file in `scratch` meanwhile. Blocks: call it where blocking is allowed.
pub fn read_commits(
    source: impl Read,
    format: ObjectFormat,
    limits: Limits,
    scratch: &Path,
) -> Result<Commits, BadPack> {
    let mut reader = PackReader {
        input: Input::new(source, format),
        inflater: Inflater::new(limits.inflated),
        collector: Collector::new(format, limits, scratch),
        format,
        content: Vec::new(),
    };
    for _ in 0..reader.read_header()? {
        reader.read_entry()?;
    }
    reader.input.finish()?;
    Ok(reader.collector.finish())
}

struct PackReader<R> {
    input: Input<R>,
    inflater: Inflater,
    collector: Collector,
    format: ObjectFormat,
    /// Of the entry at hand, used again for the next.
    content: Vec<u8>,
}

/// What an entry is, as far as it matters here.
enum Kind {
    Commit,
    /// A tree, blob or tag.
    Other,
    DeltaTo(Base),
}

/// What a delta is against.
enum Base {
    /// The entry there in the pack.
    Offset(u64),
    Id(ObjectId),
}

impl<R: Read> PackReader<R> {
    /// The number of entries.
    fn read_header(&mut self) -> Result<u32, BadPack> {
        let [magic, version, entries] = [self.input.array()?, self.input.array()?, self.input.array()?];
        if magic != *b"PACK" || !matches!(u32::from_be_bytes(version), 2 | 3) {
            return Err(BadPack::Header);
        }
        Ok(u32::from_be_bytes(entries))
    }

    fn read_entry(&mut self) -> Result<(), BadPack> {
        let offset = self.input.offset();
        let (kind, length) = self.read_entry_header(offset)?;
        self.content.clear();
        match kind {
            Kind::Commit if length <= LONGEST_COMMIT as u64 => {
                self.inflater.inflate(&mut self.input, length, Some(&mut self.content))?;
                self.collector.add(offset, &self.content)
            }
            Kind::DeltaTo(base) if length <= LONGEST_COMMIT as u64 => match self.collector.find(&base) {
                Some(base) => {
                    self.inflater.inflate(&mut self.input, length, Some(&mut self.content))?;
                    let base = self.collector.content(base)?;
                    let Some(content) = delta::apply(&base, &self.content, LONGEST_COMMIT)? else { return Ok(()) };
                    self.inflater.spend(content.len() as u64)?;
                    self.collector.add(offset, &content)
                }
                None => self.inflater.inflate(&mut self.input, length, None),
            },
            Kind::Commit | Kind::Other | Kind::DeltaTo(_) => self.inflater.inflate(&mut self.input, length, None),
        }
    }

    /// The kind, and the length of what is deflated after the header.
    fn read_entry_header(&mut self, offset: u64) -> Result<(Kind, u64), BadPack> {
        let mut byte = self.input.byte()?;
        let kind = byte >> 4 & 7;
        let (mut length, mut shift) = (u64::from(byte & 15), 4);
        while byte & 0x80 != 0 {
            // Seven bits more than this could be lost at the top.
            if shift > 53 {
                return Err(BadPack::Entry);
            }
            byte = self.input.byte()?;
            length |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        let kind = match kind {
            1 => Kind::Commit,
            2..=4 => Kind::Other,
            6 => Kind::DeltaTo(Base::Offset(self.read_base_offset(offset)?)),
            7 => Kind::DeltaTo(Base::Id(self.read_base_id()?)),
            _ => return Err(BadPack::Entry),
        };
        Ok((kind, length))
    }

    /// Where the base begins, which is said by how far it is before the delta.
    fn read_base_offset(&mut self, offset: u64) -> Result<u64, BadPack> {
        let mut byte = self.input.byte()?;
        let mut distance = u64::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.input.byte()?;
            let bits = (distance + 1).checked_mul(1 << 7).ok_or(BadPack::Entry)?;
            distance = bits | u64::from(byte & 0x7f);
        }
        offset.checked_sub(distance).filter(|base| *base < offset).ok_or(BadPack::Entry)
    }

    fn read_base_id(&mut self) -> Result<ObjectId, BadPack> {
        let mut id = vec![0; self.format.bytes()];
        self.input.fill(&mut id)?;
        ObjectId::from_bytes(self.format, &id).map_err(|_| BadPack::Entry)
    }
}
