//! A set of secrets, prepared for the search.

use std::fmt;

use crate::anchors::Anchors;
use crate::automaton::Automaton;
use crate::relevance::Relevance;
use crate::renderings;
use crate::scanner::Scanner;

/// The renderings of a set of secrets, prepared for the search: about 300 bytes for each byte of a secret, and four
/// times as many for one of several lines. Made once for each set and
/// shared by all streams. What it holds of the secrets is overwritten when it goes; it prints nothing of them.
pub struct Secrets(Option<Prepared>);

pub(crate) struct Prepared {
    pub(crate) automaton: Automaton,
    pub(crate) anchors: Anchors,
    pub(crate) relevance: Relevance,
}

impl Secrets {
    /// Prepares the secrets. White space around a secret is no part of it; one of less than 8 bytes is no secret but a word.
    ///
    /// # Panics
    ///
    /// If the secrets are longer than 10 megabytes together.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let patterns: Vec<_> = secrets.into_iter().flat_map(renderings::of).collect();
        if patterns.is_empty() {
            return Self(None);
        }
        Self(Some(Prepared {
            automaton: Automaton::new(&patterns),
            anchors: Anchors::new(&patterns),
            relevance: Relevance::new(patterns.iter().map(|pattern| pattern.as_slice())),
        }))
    }

    /// Whether there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Whether a secret stands in the bytes, as a whole value such as that of a header.
    pub fn are_in(&self, bytes: &[u8]) -> bool {
        let Some(prepared) = &self.0 else { return false };
        let mut scanner = Scanner::default();
        scanner.scan(prepared, bytes);
        scanner.finish(prepared);
        scanner.found() > 0
    }

    pub(crate) fn prepared(&self) -> Option<&Prepared> {
        self.0.as_ref()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secrets").finish_non_exhaustive()
    }
}
