//! Every credential that no answer may carry, whichever upstream it belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::cache::VALID_FOR;
use super::{Credentials, Keys};
use crate::credential::Credential;

/// What was replaced or cannot be read any more is guarded for so long: requests under way still use it, and a provider may
/// take it for a while.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);

/// Watches the credentials of all upstreams.
#[derive(Debug)]
pub(crate) struct Known {
    credentials: Credentials,
    upstreams: Vec<Arc<Keys>>,
    state: Mutex<State>,
    generation: AtomicU64,
}

/// The credentials at one time.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Another number means other credentials: what was compiled from them has to be compiled again.
    pub(crate) generation: u64,
    /// The values of all sources that could be read, private keys of apps and their installation tokens, and `user:password`
    /// where a credential is sent as a pair.
    pub(crate) credentials: Arc<[Credential]>,
}

#[derive(Debug, Default)]
struct State {
    looked: Option<Looked>,
    remembered: Vec<(Credential, Instant)>,
    current: Arc<[Credential]>,
}

#[derive(Clone, Copy, Debug)]
struct Looked {
    at: Instant,
    changes: u64,
}

impl Known {
    pub(crate) fn new(credentials: Credentials, upstreams: Vec<Arc<Keys>>) -> Self {
        Self { credentials, upstreams, state: Mutex::default(), generation: AtomicU64::new(0) }
    }

    /// The credentials, at most a second old. A source that cannot be read takes nothing away: what was once known stays.
    pub(crate) async fn snapshot(&self) -> Snapshot {
        self.snapshot_at(Instant::now()).await
    }

    /// The number of the last snapshot: cheap.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    async fn snapshot_at(&self, now: Instant) -> Snapshot {
        let mut state = self.state.lock().await;
        let changes = self.changes();
        if state.looked.is_none_or(|looked| looked.is_old(changes, now)) {
            let found = self.look().await;
            if state.remember(found, now) {
                self.generation.fetch_add(1, Ordering::Release);
            }
            state.looked = Some(Looked { at: now, changes });
        }
        Snapshot { generation: self.generation(), credentials: state.current.clone() }
    }

    /// Grows with what shows without reading any source.
    fn changes(&self) -> u64 {
        let upstreams: u64 = self.upstreams.iter().map(|keys| keys.generation()).sum();
        self.credentials.changes() + upstreams
    }

    async fn look(&self) -> Vec<Credential> {
        let mut found = Vec::new();
        for keys in &self.upstreams {
            found.extend(keys.guarded(&self.credentials).await);
        }
        found
    }
}

impl State {
    /// Whether the credentials are others now.
    fn remember(&mut self, found: Vec<Credential>, now: Instant) -> bool {
        for credential in found {
            match self.remembered.iter_mut().find(|(known, _)| known.expose() == credential.expose()) {
                Some((_, seen)) => *seen = now,
                None => self.remembered.push((credential, now)),
            }
        }
        self.remembered.retain(|(_, seen)| now.saturating_duration_since(*seen) < REMEMBERED_FOR);
        let same = |(known, _): &(Credential, Instant), current: &Credential| known.expose() == current.expose();
        let unchanged = self.remembered.len() == self.current.len()
            && self.remembered.iter().zip(&*self.current).all(|(known, current)| same(known, current));
        if !unchanged {
            self.current = self.remembered.iter().map(|(credential, _)| credential.clone()).collect();
        }
        !unchanged
    }
}

impl Looked {
    fn is_old(self, changes: u64, now: Instant) -> bool {
        self.changes != changes || now.saturating_duration_since(self.at) >= VALID_FOR
    }
}

#[cfg(test)]
#[path = "tests/known.rs"]
mod tests;
