//! The pass over a body, in constant memory.

use std::sync::Arc;

use bytes::Bytes;
use memchr::memchr2;

use super::candidate::Candidate;
use super::{Kind, Links};

/// Rewrites the links of one JSON body.
///
/// It reads no more of JSON than where strings begin and end and which of them follow a colon, and so passes every body:
/// what is no JSON comes out as it went in.
#[derive(Debug)]
pub struct LinkRewriter {
    links: Arc<Links>,
    place: Place,
    name: Name,
}

#[derive(Debug)]
enum Place {
    /// Outside of strings; whether a colon was the last that was no blank.
    Between { after_colon: bool },
    /// In a string that follows no colon: a name, or an element of a list.
    InName { escaped: bool },
    /// In a value that is no link.
    InText { escaped: bool },
    /// At the beginning of a value that may be one.
    InCandidate(Candidate),
}

/// The end of the last name, one byte longer than the longest that decides.
#[derive(Debug, Default)]
struct Name(Vec<u8>);

impl Name {
    const LENGTH: usize = b"clone_url".len() + 1;

    fn extend(&mut self, run: &[u8]) {
        self.0.extend_from_slice(&run[run.len().saturating_sub(Self::LENGTH)..]);
        let excess = self.0.len().saturating_sub(Self::LENGTH);
        self.0.drain(..excess);
    }

    fn kind(&self) -> Option<Kind> {
        match self.0.as_slice() {
            b"clone_url" => Some(Kind::Clone),
            b"url" | b"href" => Some(Kind::Api),
            name if name.ends_with(b"_url") => Some(Kind::Api),
            _ => None,
        }
    }
}

/// What becomes of one chunk: parts of it as they are, and what is put between them.
struct Output<'a> {
    chunk: &'a Bytes,
    /// What is decided, up to the first part that is not.
    done: Vec<u8>,
    /// From here on the chunk is not in `done` yet.
    from: usize,
    /// Where in the chunk the candidate began, if not before it.
    candidate_from: Option<usize>,
}

impl LinkRewriter {
    /// For one body.
    pub fn new(links: Arc<Links>) -> Self {
        Self { links, place: Place::Between { after_colon: false }, name: Name::default() }
    }

    /// What can be given on after this chunk; the chunk itself if nothing in it changes.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        let mut output = Output { chunk: &chunk, done: Vec::new(), from: 0, candidate_from: None };
        let mut at = 0;
        while at < chunk.len() {
            at = self.step(at, &mut output);
        }
        let (from, end) = match (&self.place, output.candidate_from) {
            (Place::InCandidate(_), Some(began)) => (output.from, began),
            // It began before this chunk, and has taken the whole of it.
            (Place::InCandidate(_), None) => (chunk.len(), chunk.len()),
            _ => (output.from, chunk.len()),
        };
        let mut done = output.done;
        if done.is_empty() && (from, end) == (0, chunk.len()) {
            return chunk;
        }
        if done.is_empty() {
            return chunk.slice(from..end);
        }
        done.extend_from_slice(&chunk[from..end]);
        Bytes::from(done)
    }

    /// What was held back, when the body has ended.
    pub fn finish(&mut self) -> Bytes {
        match std::mem::replace(&mut self.place, Place::Between { after_colon: false }) {
            Place::InCandidate(candidate) => Bytes::copy_from_slice(candidate.raw()),
            _ => Bytes::new(),
        }
    }

    /// Reads some bytes; gives the index of the next.
    fn step(&mut self, at: usize, output: &mut Output<'_>) -> usize {
        let byte = output.chunk[at];
        match &mut self.place {
            Place::Between { after_colon } => {
                match (byte, *after_colon) {
                    (b'"', true) => self.begin_value(at + 1, output),
                    (b'"', false) => {
                        self.name = Name::default();
                        self.place = Place::InName { escaped: false };
                    }
                    (b' ' | b'\t' | b'\r' | b'\n', _) => {}
                    _ => *after_colon = byte == b':',
                }
                at + 1
            }
            Place::InName { escaped } => {
                let end = string_part(&output.chunk[at..], escaped) + at;
                self.name.extend(&output.chunk[at..end]);
                self.leave_at_quote(end, output)
            }
            Place::InText { escaped } => {
                let end = string_part(&output.chunk[at..], escaped) + at;
                self.leave_at_quote(end, output)
            }
            Place::InCandidate(candidate) if byte == b'"' && !candidate.is_escaped() => {
                candidate.close(&self.links);
                self.decide(at, output, Place::Between { after_colon: false });
                at + 1
            }
            Place::InCandidate(candidate) => {
                if !candidate.take(byte, &self.links) {
                    self.decide(at + 1, output, Place::InText { escaped: false });
                }
                at + 1
            }
        }
    }

    fn begin_value(&mut self, at: usize, output: &mut Output<'_>) {
        self.place = match self.name.kind() {
            Some(kind) => {
                output.candidate_from = Some(at);
                Place::InCandidate(Candidate::new(kind))
            }
            None => Place::InText { escaped: false },
        };
    }

    /// A string ends at the quote, if the chunk does not end before.
    fn leave_at_quote(&mut self, at: usize, output: &Output<'_>) -> usize {
        if at < output.chunk.len() {
            self.place = Place::Between { after_colon: false };
        }
        at + 1
    }

    /// The candidate, which ends before `at`, is a link or is none.
    fn decide(&mut self, at: usize, output: &mut Output<'_>, next: Place) {
        let Place::InCandidate(candidate) = std::mem::replace(&mut self.place, next) else { return };
        let began = output.candidate_from.take();
        match (candidate.replacement(&self.links), began) {
            (Some((to, rest)), began) => {
                output.done.extend_from_slice(&output.chunk[output.from..began.unwrap_or(output.from)]);
                output.done.extend_from_slice(to.as_bytes());
                output.done.extend_from_slice(rest);
                output.from = at;
            }
            (None, Some(_)) => {}
            (None, None) => {
                output.done.extend_from_slice(candidate.raw());
                output.from = at;
            }
        }
    }
}

/// How many bytes belong to the string before its closing quote, or before the end of what there is.
fn string_part(bytes: &[u8], escaped: &mut bool) -> usize {
    let mut at = 0;
    if *escaped && !bytes.is_empty() {
        *escaped = false;
        at = 1;
    }
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at..]) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        if at + 1 == bytes.len() {
            *escaped = true;
            return bytes.len();
        }
        at += 2;
    }
    bytes.len()
}
