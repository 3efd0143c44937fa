//! What the database said about tokens a moment ago, so that not every request asks it.
//!
//! Whether the token has expired is not remembered but decided at each use. An entry is believed for [`BELIEVED`] after its reading
//! began, and not at all once this process has rotated or revoked anything.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::TokenRecord;
use crate::token::TokenDigest;

/// A revocation through another replica has to hold within a second, and the reading takes time itself.
const BELIEVED: Duration = Duration::from_millis(500);
const MOST_ENTRIES: usize = 10_000;

/// The cache. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Cache(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    by_digest: HashMap<TokenDigest, Entry>,
    /// How often everything was forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Entry {
    record: Arc<TokenRecord>,
    read_at: Instant,
}

/// When a reading began; what it brings is not kept if everything was forgotten meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    at: Instant,
    forgotten: u64,
}

impl Cache {
    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Arc<TokenRecord>> {
        let entries = self.lock();
        let entry = entries.by_digest.get(digest)?;
        (entry.read_at.elapsed() < BELIEVED).then(|| entry.record.clone())
    }

    pub(super) fn begin_reading(&self) -> Reading {
        Reading { at: Instant::now(), forgotten: self.lock().forgotten }
    }

    pub(super) fn put(&self, digest: TokenDigest, record: TokenRecord, reading: Reading) {
        let mut entries = self.lock();
        if entries.forgotten != reading.forgotten {
            return;
        }
        if entries.by_digest.len() >= MOST_ENTRIES {
            entries.by_digest.clear();
        }
        entries.by_digest.insert(digest, Entry { record: Arc::new(record), read_at: reading.at });
    }

    pub(super) fn forget_all(&self) {
        let mut entries = self.lock();
        entries.by_digest.clear();
        entries.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
