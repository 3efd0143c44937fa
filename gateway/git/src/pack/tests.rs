use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;
use crate::ancestry::proves_fast_forward;
use crate::object_id::Hasher;

const SHA1: ObjectFormat = ObjectFormat::Sha1;
const COMMIT: u8 = 1;
const BLOB: u8 = 3;
const TO_OFFSET: u8 = 6;
const TO_ID: u8 = 7;

/// A pack, put together by hand.
struct Pack {
    bytes: Vec<u8>,
    entries: u32,
}

impl Pack {
    fn new() -> Self {
        Self { bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(), entries: 0 }
    }

    fn entry(&mut self, kind: u8, base: &[u8], content: &[u8]) -> u64 {
        self.entry_that_says(content.len(), kind, base, content)
    }

    fn entry_that_says(&mut self, length: usize, kind: u8, base: &[u8], content: &[u8]) -> u64 {
        let offset = self.bytes.len() as u64;
        let mut rest = length >> 4;
        self.bytes.push(kind << 4 | low(length, 15) | if rest > 0 { 0x80 } else { 0 });
        while rest > 0 {
            let byte = low(rest, 0x7f);
            rest >>= 7;
            self.bytes.push(byte | if rest > 0 { 0x80 } else { 0 });
        }
        self.bytes.extend_from_slice(base);
        let mut zlib = ZlibEncoder::new(&mut self.bytes, Compression::fast());
        zlib.write_all(content).unwrap();
        zlib.finish().unwrap();
        self.entries += 1;
        offset
    }

    fn commit(&mut self, commit: &TestCommit) -> u64 {
        self.entry(COMMIT, &[], &commit.content)
    }

    /// A delta against the entry at `base`.
    fn delta(&mut self, base: u64, base_content: &[u8], content: &[u8]) -> u64 {
        let distance = usize::try_from(self.bytes.len() as u64 - base).unwrap();
        assert!(distance < 128 + (127 << 7), "two bytes are enough here");
        let distance = match distance.checked_sub(128) {
            Some(rest) => vec![0x80 | low(rest >> 7, 0x7f), low(rest, 0x7f)],
            None => vec![low(distance, 0x7f)],
        };
        self.entry(TO_OFFSET, &distance, &delta(base_content, content))
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&self.entries.to_be_bytes());
        self.bytes.extend_from_slice(&[0; 20]);
        with_checksum(self.bytes)
    }
}

fn low(number: usize, mask: usize) -> u8 {
    u8::try_from(number & mask).unwrap()
}

/// A delta that copies nothing of its base.
fn delta(base: &[u8], content: &[u8]) -> Vec<u8> {
    let length = |length: usize| [low(length, 0x7f) | 0x80, low(length >> 7, 0x7f)];
    let pieces = content.chunks(127).flat_map(|piece| [&[low(piece.len(), 0x7f)], piece].concat());
    length(base.len()).into_iter().chain(length(content.len())).chain(pieces).collect()
}

fn with_checksum(mut pack: Vec<u8>) -> Vec<u8> {
    let end = pack.len() - 20;
    let mut hash = Hasher::new(SHA1);
    hash.update(&pack[..end]);
    pack[end..].copy_from_slice(hash.finish().as_bytes());
    pack
}

struct TestCommit {
    id: ObjectId,
    content: Vec<u8>,
}

fn object(content: String) -> TestCommit {
    let mut hash = Hasher::new(SHA1);
    hash.update(format!("commit {}\0{content}", content.len()).as_bytes());
    TestCommit { id: hash.finish(), content: content.into_bytes() }
}

fn commit(parents: &[ObjectId], message: &str) -> TestCommit {
    let parents: String = parents.iter().map(|id| format!("parent {id}\n")).collect();
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    object(format!("tree {tree}\n{parents}author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{message}\n"))
}

fn read_within(pack: &[u8], limits: Limits) -> Result<Commits, BadPack> {
    read_commits(pack, SHA1, limits, Path::new("."))
}

fn read(pack: &[u8]) -> Result<Commits, BadPack> {
    read_within(pack, Limits::default())
}

fn id(digit: &str) -> ObjectId {
    ObjectId::from_hex(SHA1, digit.repeat(40).as_bytes()).unwrap()
}

#[test]
fn commits_are_found_among_other_things_whole_and_as_deltas() {
    let one = commit(&[id("a")], "one");
    let two = commit(&[one.id], "two");
    let three = commit(&[two.id, id("b")], "three");
    let mut pack = Pack::new();
    let first = pack.commit(&one);
    pack.entry(BLOB, &[], &[7; 300]);
    pack.delta(first, &one.content, &two.content);
    pack.entry(TO_ID, two.id.as_bytes(), &delta(&two.content, &three.content));
    let commits = read(&pack.finish()).unwrap();
    assert_eq!(commits.len(), 3);
    for old in [id("a"), one.id, two.id, id("b")] {
        assert!(proves_fast_forward(&old, &three.id, &commits), "{old}");
        assert!(!proves_fast_forward(&three.id, &old, &commits), "{old}");
    }
    assert!(!proves_fast_forward(&id("b"), &two.id, &commits));
    assert!(!proves_fast_forward(&id("c"), &three.id, &commits));
    assert!(!proves_fast_forward(&three.id, &three.id, &commits));
}

#[test]
fn a_chain_with_a_link_that_is_not_in_the_pack_proves_nothing() {
    let one = commit(&[id("a")], "one");
    let two = commit(&[one.id], "two");
    let three = commit(&[two.id], "three");
    let mut pack = Pack::new();
    pack.commit(&three);
    pack.commit(&one);
    let commits = read(&pack.finish()).unwrap();
    assert!(proves_fast_forward(&two.id, &three.id, &commits));
    assert!(!proves_fast_forward(&one.id, &three.id, &commits));
    assert!(!proves_fast_forward(&id("a"), &three.id, &commits));
}

#[test]
fn a_commit_of_which_the_base_comes_later_or_not_at_all_is_not_known() {
    let one = commit(&[id("a")], "one");
    let two = commit(&[one.id], "two");
    let mut pack = Pack::new();
    pack.entry(TO_ID, one.id.as_bytes(), &delta(&one.content, &two.content));
    pack.commit(&one);
    let commits = read(&pack.finish()).unwrap();
    assert!(commits.contains(&one.id) && !commits.contains(&two.id));
}

#[test]
fn a_parent_counts_only_where_git_reads_one() {
    let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
    let parent = format!("parent {}\n", id("a"));
    for content in [
        format!("tree {tree}\nauthor A <a@b> 1 +0000\n{parent}\n"),
        format!("tree {tree}\nauthor A <a@b> 1 +0000\n\n{parent}"),
        format!("{parent}tree {tree}\nauthor A <a@b> 1 +0000\n\n"),
        format!("tree {tree}\n{parent}"),
        format!("tree {tree}\n {parent}author A <a@b> 1 +0000\n\n"),
        format!("tree {tree}\nparent {}\n{parent}author A <a@b> 1 +0000\n\n", "a".repeat(39)),
        format!("tree {tree}\n{}author A <a@b> 1 +0000\n\n", parent.trim_end()),
    ] {
        let odd = object(content.clone());
        let mut pack = Pack::new();
        pack.commit(&odd);
        let commits = read(&pack.finish()).unwrap();
        assert!(!proves_fast_forward(&id("a"), &odd.id, &commits), "{content}");
    }
}

#[test]
fn a_blob_that_looks_like_a_commit_is_none_and_neither_is_a_delta_against_it() {
    let one = commit(&[id("a")], "one");
    let two = commit(&[one.id], "two");
    let mut pack = Pack::new();
    let blob = pack.entry(BLOB, &[], &one.content);
    pack.delta(blob, &one.content, &two.content);
    assert!(read(&pack.finish()).unwrap().is_empty());
}

#[test]
fn a_commit_that_is_too_long_is_not_known() {
    let long = commit(&[id("a")], &"x".repeat(LONGEST_COMMIT));
    let short = commit(&[id("a")], "short");
    let mut pack = Pack::new();
    pack.commit(&long);
    pack.commit(&short);
    let commits = read(&pack.finish()).unwrap();
    assert!(!commits.contains(&long.id) && commits.contains(&short.id));
}

#[test]
fn many_commits_are_kept_on_disk_and_found_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut pack = Pack::new();
    let mut last = commit(&[id("a")], &"first".repeat(3000));
    for number in 0..200 {
        let offset = pack.commit(&last);
        let next = commit(&[last.id], &format!("{number}"));
        pack.delta(offset, &last.content, &next.content);
        last = commit(&[next.id], &"long".repeat(3000));
    }
    pack.commit(&last);
    let commits = read_commits(pack.finish().as_slice(), SHA1, Limits::default(), directory.path()).unwrap();
    assert_eq!(commits.len(), 401);
    assert!(proves_fast_forward(&id("a"), &last.id, &commits));
}

#[test]
fn no_limit_is_passed() {
    let one = commit(&[id("a")], "one");
    let two = commit(&[one.id], "two");
    let mut pack = Pack::new();
    let first = pack.commit(&one);
    pack.delta(first, &one.content, &two.content);
    pack.entry(BLOB, &[], &vec![0; 100_000]);
    let pack = pack.finish();
    let limits = Limits { commits: 2, commit_bytes: 1000, inflated: 110_000 };
    assert_eq!(read_within(&pack, limits).unwrap().len(), 2);
    let refused = |limits| read_within(&pack, limits).unwrap_err();
    assert!(matches!(refused(Limits { commits: 1, ..limits }), BadPack::TooManyCommits(1)));
    assert!(matches!(refused(Limits { commit_bytes: 200, ..limits }), BadPack::CommitsTooLarge(200)));
    assert!(matches!(refused(Limits { inflated: 100_000, ..limits }), BadPack::InflatesTooFar(100_000)));

    let made_by_delta = one.content.len() + delta(&one.content, &two.content).len() + two.content.len();
    let mut pack = Pack::new();
    let first = pack.commit(&one);
    pack.delta(first, &one.content, &two.content);
    let pack = pack.finish();
    let inflated = made_by_delta as u64;
    assert!(read_within(&pack, Limits { inflated, ..limits }).is_ok(), "what deltas make counts too");
    assert!(read_within(&pack, Limits { inflated: inflated - 1, ..limits }).is_err());
}

#[test]
fn a_commit_with_very_many_parents_counts_as_many() {
    let parents: Vec<_> = (0..100u8).map(|byte| ObjectId::from_bytes(SHA1, &[byte; 20]).unwrap()).collect();
    let mut pack = Pack::new();
    pack.commit(&commit(&parents, "octopus"));
    let limits = Limits { commits: 24, ..Limits::default() };
    assert!(matches!(read_within(&pack.finish(), limits), Err(BadPack::TooManyCommits(24))));
}

#[test]
fn a_malformed_pack_is_refused() {
    let refused = |pack: &[u8]| format!("{:?}", read(pack).unwrap_err());
    let one = commit(&[id("a")], "one");
    let good = || {
        let mut pack = Pack::new();
        pack.commit(&one);
        pack
    };
    let changed = |at: usize, byte: u8| {
        let mut pack = good().finish();
        pack[at] = byte;
        with_checksum(pack)
    };
    let with_entry = |kind: u8, base: &[u8]| {
        let mut pack = good();
        pack.entry(kind, base, b"abc");
        pack.finish()
    };
    assert_eq!(refused(b""), "Truncated");
    assert_eq!(refused(&changed(0, b'p')), "Header");
    assert_eq!(refused(&changed(7, 4)), "Header");
    assert_eq!(refused(&changed(14, 0)), "Inflate");
    assert_eq!(refused(&good().finish()[..60]), "Truncated");
    assert_eq!(refused(&good().finish()[..good().finish().len() - 1]), "Truncated");
    assert_eq!(refused(&[good().finish(), vec![0]].concat()), "TrailingBytes");
    let mut pack = good().finish();
    *pack.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&pack), "Checksum");

    let mut pack = good();
    pack.entries = 0;
    assert_eq!(refused(&pack.finish()), "Checksum");
    let mut pack = good();
    pack.entries = 9;
    assert!(read(&pack.finish()).is_err());

    for says in [2, 4] {
        let mut pack = good();
        pack.entry_that_says(says, BLOB, &[], b"abc");
        assert_eq!(refused(&pack.finish()), "Inflate");
    }
    for kind in [0, 5] {
        assert_eq!(refused(&with_entry(kind, &[])), "Entry");
    }
    for base in [[0].as_slice(), &[0x87, 0x7f], &[0xff; 12]] {
        assert_eq!(refused(&with_entry(TO_OFFSET, base)), "Entry", "{base:?}");
    }
    assert_eq!(refused(&with_entry(TO_ID, one.id.as_bytes())), "Delta");
    let mut pack = good();
    pack.bytes.extend_from_slice(&[0xff; 12]);
    pack.entries += 1;
    assert_eq!(refused(&pack.finish()), "Entry");
}

/// `new` is a child of `other` and not of `old`, of which a child is in the pack too.
fn forced() -> (Vec<u8>, ObjectId, ObjectId) {
    let (old, other) = (id("a"), id("b"));
    let child_of_old = commit(&[old], "kept");
    let one = commit(&[other], "one");
    let new = commit(&[one.id], "new");
    let mut pack = Pack::new();
    pack.commit(&child_of_old);
    let first = pack.commit(&one);
    pack.delta(first, &one.content, &new.content);
    (pack.finish(), old, new.id)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), entries in 0u8..5) {
        drop(read(&bytes));
        let headed = [b"PACK\0\0\0\x02\0\0\0", [entries].as_slice(), &bytes, &[0; 20]].concat();
        drop(read(&with_checksum(headed)));
    }

    #[test]
    fn a_changed_pack_proves_nothing_that_is_wrong(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut pack, old, new) = forced();
        for (at, byte) in changes {
            let at = at.index(pack.len());
            pack[at] = byte;
        }
        if let Some(cut) = cut {
            let length = pack.len();
            pack.drain(cut.index(length)..(cut.index(length) + 7).min(length));
        }
        if let Ok(commits) = read(&with_checksum(pack)) {
            prop_assert!(!proves_fast_forward(&old, &new, &commits));
        }
    }

    #[test]
    fn a_changed_commit_proves_nothing_about_the_id_that_it_had(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let (old, other) = (id("a"), id("b"));
        let new = commit(&[other], "new");
        let mut content = commit(&[old], "new").content;
        let at = at.index(content.len());
        content[at] = byte;
        let mut pack = Pack::new();
        pack.entry(COMMIT, &[], &content);
        pack.commit(&new);
        let commits = read(&pack.finish()).unwrap();
        prop_assert!(proves_fast_forward(&other, &new.id, &commits));
        prop_assert!(!proves_fast_forward(&old, &new.id, &commits));
    }
}
