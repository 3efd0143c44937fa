//! The beginning of a string that may yet turn out to be a link.

use super::{Base, Kind, Links, may_follow};

/// What was read of it so far. Never longer than the longest beginning of a link, each slash escaped, and one more.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    kind: Kind,
    /// As it came, without the quote.
    raw: Vec<u8>,
    /// With `\/` read as a slash.
    plain: Vec<u8>,
    escaped: bool,
    found: Option<Found>,
}

/// The longest beginning that fits so far.
#[derive(Clone, Copy, Debug)]
struct Found {
    length: usize,
    base: usize,
}

impl Candidate {
    pub(super) fn new(kind: Kind) -> Self {
        Self { kind, raw: Vec::new(), plain: Vec::new(), escaped: false, found: None }
    }

    /// Takes one more byte of the string; `false` if the next ones cannot change anything.
    pub(super) fn take(&mut self, byte: u8, links: &Links) -> bool {
        let before = self.raw.len() - usize::from(self.escaped);
        self.raw.push(byte);
        match (self.escaped, byte) {
            (false, b'\\') => {
                self.escaped = true;
                return true;
            }
            (true, byte) if byte != b'/' => return false,
            _ => self.escaped = false,
        }
        let bases = links.of(self.kind);
        if may_follow(byte) {
            self.find(bases, before);
        }
        self.plain.push(byte);
        bases.iter().any(|base| base.from.as_bytes().starts_with(&self.plain))
    }

    /// The string ends here.
    pub(super) fn close(&mut self, links: &Links) {
        if !self.escaped {
            self.find(links.of(self.kind), self.raw.len());
        }
    }

    fn find(&mut self, bases: &[Base], length: usize) {
        let fits = bases.iter().position(|base| base.from.as_bytes() == self.plain);
        self.found = fits.map(|base| Found { length, base }).or(self.found);
    }

    /// Whether the next byte belongs to an escape that began here.
    pub(super) fn is_escaped(&self) -> bool {
        self.escaped
    }

    /// What takes the place of the beginning, and what follows of that which was read.
    pub(super) fn replacement<'a>(&'a self, links: &'a Links) -> Option<(&'a str, &'a [u8])> {
        let found = self.found?;
        Some((&links.of(self.kind)[found.base].to, &self.raw[found.length..]))
    }

    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }
}
