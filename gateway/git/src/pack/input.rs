//! The bytes of a pack, counted and hashed as they are taken.

use std::io::{ErrorKind, Read};

use super::BadPack;
use crate::object_id::{Hasher, ObjectFormat};

const BUFFER: usize = 64 << 10;

/// A buffer over the pack's file.
pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    /// What of the buffer is not taken yet.
    rest: std::ops::Range<usize>,
    offset: u64,
    format: ObjectFormat,
    hash: Hasher,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R, format: ObjectFormat) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { source, buffer, rest: 0..0, offset: 0, format, hash: Hasher::new(format) }
    }

    /// How many bytes were taken.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Some bytes that are not taken yet; none at the end alone.
    pub(super) fn peek(&mut self) -> Result<&[u8], BadPack> {
        while self.rest.is_empty() {
            match self.source.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => self.rest = 0..length,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(&self.buffer[self.rest.clone()])
    }

    /// Takes so many of the bytes that were peeked at.
    pub(super) fn take(&mut self, length: usize) {
        let end = self.rest.start + length;
        self.hash.update(&self.buffer[self.rest.start..end]);
        self.rest.start = end;
        self.offset += length as u64;
    }

    pub(super) fn fill(&mut self, mut into: &mut [u8]) -> Result<(), BadPack> {
        while !into.is_empty() {
            let bytes = self.peek()?;
            if bytes.is_empty() {
                return Err(BadPack::Truncated);
            }
            let length = bytes.len().min(into.len());
            let (now, later) = into.split_at_mut(length);
            now.copy_from_slice(&bytes[..length]);
            into = later;
            self.take(length);
        }
        Ok(())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPack> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, BadPack> {
        Ok(self.array::<1>()?[0])
    }

    /// Compares the hash of all that was taken with the one that follows, after which nothing may come.
    pub(super) fn finish(&mut self) -> Result<(), BadPack> {
        let expected = self.hash.clone().finish();
        let mut found = vec![0; self.format.bytes()];
        self.fill(&mut found)?;
        if found != expected.as_bytes() {
            return Err(BadPack::Checksum);
        }
        if self.peek()?.is_empty() { Ok(()) } else { Err(BadPack::TrailingBytes) }
    }
}
