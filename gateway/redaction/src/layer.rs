//! One layer of escapes, taken off a stream.

use crate::escapes::{self, LONGEST, Sequence};

/// A byte of a view of the stream, and where in the stream it comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit {
    pub(crate) byte: u8,
    /// The offset in the stream of the first byte that it was read from.
    pub(crate) start: u64,
    /// The offset behind the last.
    pub(crate) end: u64,
}

/// Replaces escape sequences, of every kind, by what they stand for.
#[derive(Default)]
pub(crate) struct Layer {
    /// The beginning of an escape sequence.
    pending: Vec<Unit>,
}

impl Layer {
    /// Whether the byte is part of no escape sequence.
    pub(crate) fn lets_pass(&self, byte: u8) -> bool {
        self.pending.is_empty() && !escapes::begins(byte)
    }

    /// Where the escape sequence starts that has begun.
    pub(crate) fn pending_from(&self) -> Option<u64> {
        self.pending.first().map(|unit| unit.start)
    }

    /// Takes the next byte, and gives those that are certain now.
    pub(crate) fn push(&mut self, unit: Unit, out: &mut Vec<Unit>) {
        if self.lets_pass(unit.byte) {
            return out.push(unit);
        }
        self.pending.push(unit);
        let mut bytes = [0; LONGEST];
        for (byte, unit) in bytes.iter_mut().zip(&self.pending) {
            *byte = unit.byte;
        }
        match escapes::read(&bytes[..self.pending.len()]) {
            Sequence::Begun => {}
            Sequence::Byte(byte) => self.replace(&[byte], out),
            Sequence::Character(character) => self.replace(character.encode_utf8(&mut [0; 4]).as_bytes(), out),
            Sequence::No => self.give_up(out),
        }
    }

    fn replace(&mut self, bytes: &[u8], out: &mut Vec<Unit>) {
        if let (Some(first), Some(last)) = (self.pending.first(), self.pending.last()) {
            out.extend(bytes.iter().map(|&byte| Unit { byte, start: first.start, end: last.end }));
        }
        self.pending.clear();
    }

    /// The first byte begins no escape sequence after all; one of the others may.
    fn give_up(&mut self, out: &mut Vec<Unit>) {
        let pending = std::mem::take(&mut self.pending);
        let mut units = pending.into_iter();
        out.extend(units.next());
        units.for_each(|unit| self.push(unit, out));
    }

    /// The stream is over: what has begun is no escape sequence.
    pub(crate) fn finish(&mut self, out: &mut Vec<Unit>) {
        while !self.pending.is_empty() {
            self.give_up(out);
        }
    }
}

/// The bytes with one layer of escapes taken off.
pub(crate) fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut layer = Layer::default();
    let mut units = Vec::with_capacity(bytes.len() + LONGEST);
    for &byte in bytes {
        layer.push(Unit { byte, start: 0, end: 0 }, &mut units);
    }
    layer.finish(&mut units);
    units.iter().map(|unit| unit.byte).collect()
}
