//! Which escape sequences of a stream are worth a closer look.

use std::ops::Range;

use crate::anchors::ANCHOR;
use crate::escapes::{self, LONGEST, Sequence};

/// What may stand for an escape sequence's first byte is looked through as often; then the sequence is taken to matter.
const DEEPEST: usize = 3;
/// How far it is looked for the next escape sequence in small steps, before it is looked for in large ones.
const NEAR: usize = 64;

/// Which escape sequences can stand for one of the first [`ANCHOR`] characters of a rendering.
pub(crate) struct Relevance {
    bytes: [bool; 256],
    /// Whether a backslash before this byte needs more than this look.
    after_backslash: [bool; 256],
    /// Whether any of these characters is not of ASCII.
    beyond_ascii: bool,
}

/// What was seen at the beginning of an escape sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Look {
    /// Whether it can stand for one of the characters.
    relevant: bool,
    /// How many bytes are behind us.
    length: usize,
}

impl Relevance {
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut bytes = [false; 256];
        for &byte in patterns.flat_map(|pattern| pattern.iter().take(ANCHOR)) {
            bytes[usize::from(byte)] = true;
        }
        let needs_more = |byte: u8| match escapes::short(byte) {
            Some(meant) => bytes[usize::from(meant)] || byte == b'\\',
            None => matches!(byte, b'u' | b'x') || escapes::begins(byte),
        };
        let after_backslash = std::array::from_fn(|byte| u8::try_from(byte).is_ok_and(needs_more));
        Self { bytes, after_backslash, beyond_ascii: bytes[128..].contains(&true) }
    }

    /// The first escape sequence at `from` or after it that matters, as far as it was looked at.
    pub(crate) fn find(&self, bytes: &[u8], from: usize) -> Option<Range<usize>> {
        let mut at = from;
        while let Some(found) = next_beginning(bytes, at) {
            let look = self.look(&bytes[found..]);
            at = found + look.length;
            if look.relevant {
                return Some(found..(at + 1).min(bytes.len()));
            }
        }
        None
    }

    /// Looks at bytes that begin with what begins an escape sequence. In doubt it is relevant: where the bytes end too early, and where
    /// its own characters may be escaped in turn.
    fn look(&self, bytes: &[u8]) -> Look {
        match *bytes {
            [b'\\', next, ..] if !self.after_backslash[usize::from(next)] => Look { relevant: false, length: 2 },
            [b'\\', ..] => {
                let run = bytes.iter().take_while(|&&byte| byte == b'\\').count();
                let literal = run > 1 && self.bytes[usize::from(b'\\')];
                Look { relevant: literal || self.backslash_before(&bytes[run..], DEEPEST), length: run }
            }
            [first, ..] => Look { relevant: self.begun_before(first, &bytes[1..], DEEPEST), length: 1 },
            [] => Look { relevant: false, length: 0 },
        }
    }

    /// Whether it matters that the bytes stand behind the first byte of an escape sequence.
    fn begun_before(&self, first: u8, bytes: &[u8], depth: usize) -> bool {
        match first {
            _ if depth == 0 => true,
            b'%' => self.percent_before(bytes, depth),
            b'\\' => self.backslash_before(bytes, depth),
            _ => self.ampersand_before(bytes, depth),
        }
    }

    /// Whether it matters that an escape sequence stands for this byte, and the bytes stand behind it.
    fn meant(&self, byte: u8, bytes: &[u8], depth: usize) -> bool {
        self.bytes[usize::from(byte)] || (escapes::begins(byte) && self.begun_before(byte, bytes, depth - 1))
    }

    fn character(&self, character: char, bytes: &[u8], depth: usize) -> bool {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => self.meant(byte, bytes, depth),
            _ => self.beyond_ascii,
        }
    }

    fn percent_before(&self, bytes: &[u8], depth: usize) -> bool {
        match *bytes {
            [high, low, ref rest @ ..] if !escapes::begins(high) && !escapes::begins(low) => {
                let value = escapes::number(&[high, low], 16);
                value.is_some_and(|value| self.meant(value.to_le_bytes()[0], rest, depth))
            }
            [byte, ..] => escapes::begins(byte) || byte.is_ascii_hexdigit(),
            [] => true,
        }
    }

    fn backslash_before(&self, bytes: &[u8], depth: usize) -> bool {
        match *bytes {
            [b'u', b'0', b'0', ref rest @ ..] => self.beyond_ascii || self.percent_before(rest, depth),
            [b'u', high, low, ..] if !escapes::begins(high) && !escapes::begins(low) => self.beyond_ascii,
            [] | [b'u', ..] => true,
            [b'x', ref rest @ ..] => self.percent_before(rest, depth),
            [byte, ref rest @ ..] => {
                escapes::short(byte).map_or(escapes::begins(byte), |byte| self.meant(byte, rest, depth))
            }
        }
    }

    fn ampersand_before(&self, bytes: &[u8], depth: usize) -> bool {
        let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'#';
        let length = bytes.iter().take(LONGEST).take_while(is_part).count();
        let Some(&end) = bytes.get(length) else { return true };
        if end != b';' {
            return escapes::begins(end);
        }
        let (name, rest) = bytes.split_at(length + 1);
        match name.strip_prefix(b"#").map_or_else(|| escapes::named(name), escapes::numbered) {
            Sequence::Byte(byte) => self.meant(byte, rest, depth),
            Sequence::Character(character) => self.character(character, rest, depth),
            Sequence::Begun | Sequence::No => false,
        }
    }
}

/// Where the next byte stands that begins escape sequences. In JSON one follows close on another: those nearby are found without a call
/// of the search that is faster over long stretches.
fn next_beginning(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let (words, _) = rest[..rest.len().min(NEAR)].as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let found = beginnings(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(from + place * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let near = words.len() * 8;
    memchr::memchr3(b'\\', b'%', b'&', &rest[near..]).map(|place| from + near + place)
}

/// The high bit of each byte of the word that begins escape sequences; above the first of them, maybe of others too.
fn beginnings(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let equal = |byte: u8| {
        let zero = word ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    (equal(b'\\') | equal(b'%') | equal(b'&')) & (ONES << 7)
}
