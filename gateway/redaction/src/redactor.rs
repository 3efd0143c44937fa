//! One stream, with the secrets in it overwritten.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::scanner::Scanner;
use crate::secrets::Secrets;

/// What a byte of a secret is replaced by. The length of the stream stays as it is.
const REDACTED: u8 = b'*';

/// Overwrites the secrets in one stream with `*`, whatever they are written as and wherever the stream is cut into chunks. It holds no
/// more of the stream than the longest rendering of a secret has, and nothing that can no longer become one.
pub struct Redactor {
    secrets: Arc<Secrets>,
    scanner: Scanner,
    held: VecDeque<u8>,
    /// How many bytes were given away.
    given: u64,
}

impl Redactor {
    /// A redactor at the start of a stream.
    pub fn new(secrets: Arc<Secrets>) -> Self {
        Self { secrets, scanner: Scanner::default(), held: VecDeque::new(), given: 0 }
    }

    /// Takes the next chunk, and gives all of the stream that is certain now: the very same chunk, uncopied, if nothing of it is a secret
    /// or could become one.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let Some(prepared) = self.secrets.prepared() else { return chunk };
        self.scanner.scan(prepared, &chunk);
        let ready = usize::try_from(self.scanner.certain() - self.given).unwrap_or(usize::MAX);
        self.give(chunk, ready)
    }

    /// The stream is over: gives the rest of it.
    pub fn finish(&mut self) -> Bytes {
        let Some(prepared) = self.secrets.prepared() else { return Bytes::new() };
        self.scanner.finish(prepared);
        self.give(Bytes::new(), self.held.len())
    }

    /// How many times a secret was found in the stream so far.
    pub fn found(&self) -> u64 {
        self.scanner.found()
    }

    /// Gives the first bytes, `ready` of them, of what is held and the chunk behind it, and holds the others.
    fn give(&mut self, mut chunk: Bytes, ready: usize) -> Bytes {
        let from_held = ready.min(self.held.len());
        let from_chunk = chunk.split_to(ready - from_held);
        let out = if from_held == 0 {
            from_chunk
        } else {
            let mut out = BytesMut::with_capacity(ready);
            out.extend(self.held.drain(..from_held));
            out.extend_from_slice(&from_chunk);
            out.freeze()
        };
        self.held.extend(&chunk);
        let out = self.overwrite(out);
        self.given += ready as u64;
        out
    }

    fn overwrite(&mut self, bytes: Bytes) -> Bytes {
        let range = self.given..self.given + bytes.len() as u64;
        let marks = self.scanner.marks_from(range.start);
        if marks.iter().all(|mark| mark.start >= range.end) {
            return bytes;
        }
        let mut bytes = BytesMut::from(bytes);
        for mark in marks.iter().filter(|mark| mark.start < range.end) {
            bytes[within(mark, &range)].fill(REDACTED);
        }
        bytes.freeze()
    }
}

/// The part of the mark that lies in the range, counted from the start of the range.
fn within(mark: &Range<u64>, range: &Range<u64>) -> Range<usize> {
    let place = |offset: u64| usize::try_from(offset.clamp(range.start, range.end) - range.start).unwrap_or(usize::MAX);
    place(mark.start)..place(mark.end)
}

impl fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redactor").field("found", &self.found()).finish_non_exhaustive()
    }
}
