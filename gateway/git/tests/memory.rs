//! A large pack takes little memory. A process of its own, with one test, because its peak is what is looked at.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

use std::io::{self, Read, Seek, Write};

use doorward_git::pack::{Limits, read_commits};
use doorward_git::spool::Spool;
use doorward_git::{ObjectFormat, ObjectId};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use sha1::{Digest, Sha1};

const MEGABYTES: u64 = 200;
const COMMITS: u32 = 50_000;
/// The promise in [`Limits`].
const MOST_KILOBYTES: u64 = 10 << 10;

fn write_header(out: &mut impl Write, entries: u32) -> io::Result<()> {
    out.write_all(b"PACK\0\0\0\x02")?;
    out.write_all(&entries.to_be_bytes())
}

/// The kind and the lowest four bits of the length, then seven bits a byte.
fn write_entry_header(out: &mut impl Write, kind: u8, length: u64) -> io::Result<()> {
    let (mut byte, mut rest) = (kind << 4 | u8::try_from(length & 15).unwrap(), length >> 4);
    while rest > 0 {
        out.write_all(&[byte | 0x80])?;
        (byte, rest) = (u8::try_from(rest & 0x7f).unwrap(), rest >> 7);
    }
    out.write_all(&[byte])
}

/// One blob of zeros, in zlib blocks that are stored as they are.
fn write_blob(out: &mut impl Write) -> io::Result<()> {
    let length = MEGABYTES << 20;
    write_header(out, 1)?;
    write_entry_header(out, 3, length)?;
    out.write_all(&[0x78, 0x01])?;
    let block = 32 << 10;
    let zeros = vec![0; 32 << 10];
    for number in 1..=length / block {
        let is_last = u8::from(number == length / block);
        out.write_all(&[is_last, 0x00, 0x80, 0xff, 0x7f])?;
        out.write_all(&zeros)?;
    }
    // Adler-32 of zeros: the first sum stays 1, the second counts them.
    let adler = u32::try_from(length % 65_521).unwrap() << 16 | 1;
    out.write_all(&adler.to_be_bytes())
}

/// A line of commits, with a merge of something else each.
fn write_commits(out: &mut impl Write) -> io::Result<()> {
    write_header(out, COMMITS)?;
    let mut parent = "0".repeat(40);
    for _ in 0..COMMITS {
        let content = format!("tree {0}\nparent {parent}\nparent {0}\nauthor A <a@b> 1 +0000\n\nx\n", "1".repeat(40));
        write_entry_header(out, 1, content.len() as u64)?;
        let mut zlib = ZlibEncoder::new(&mut *out, Compression::none());
        zlib.write_all(content.as_bytes())?;
        zlib.finish()?;
        let id = Sha1::digest(format!("commit {}\0{content}", content.len()));
        parent = ObjectId::from_bytes(ObjectFormat::Sha1, &id).unwrap().to_string();
    }
    Ok(())
}

struct Hashed<'a>(&'a mut Spool, Sha1);

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.update(bytes);
        self.0.write(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Counts what is read at once.
struct Watched<R> {
    source: R,
    most: usize,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.most = self.most.max(into.len());
        self.source.read(into)
    }
}

/// The most memory that the process ever had (`VmHWM` in proc(5)).
fn peak_in_kilobytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Spools a pack and reads it. Returns how many commits it has.
fn read(write: impl Fn(&mut Hashed) -> io::Result<()>) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let mut spool = Spool::create(directory.path(), 1 << 30).unwrap();
    let mut hashed = Hashed(&mut spool, Sha1::new());
    write(&mut hashed).unwrap();
    let checksum = hashed.1.finalize();
    spool.write(&checksum).unwrap();

    let mut watched = Watched { source: spool.read_from(0).unwrap(), most: 0 };
    let commits = read_commits(&mut watched, ObjectFormat::Sha1, Limits::default(), directory.path()).unwrap();
    assert_eq!(watched.most, 64 << 10);
    assert_eq!(watched.source.stream_position().unwrap(), spool.length());
    commits.len()
}

#[test]
fn a_pack_of_200_mb_or_of_50_000_commits_takes_less_than_10_mb() {
    let before = peak_in_kilobytes();
    assert_eq!(read(|out| write_blob(out)), 0);
    let grown = peak_in_kilobytes() - before;
    assert!(grown < MOST_KILOBYTES / 5, "{grown} kB for a large blob");
    assert_eq!(read(|out| write_commits(out)), COMMITS as usize);
    let grown = peak_in_kilobytes() - before;
    assert!(grown < MOST_KILOBYTES, "{grown} kB for many commits");
}
