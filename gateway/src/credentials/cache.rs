//! What was fetched from a source, kept for at most a second: a stored secret costs a read and a decryption, a file a read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::CredentialSource;
use crate::credential::Credential;

/// A changed credential holds everywhere within this time.
pub(super) const VALID_FOR: Duration = Duration::from_secs(1);

/// The fetched credentials by source.
#[derive(Debug, Default)]
pub(super) struct Cache {
    cells: Mutex<HashMap<CredentialSource, Arc<Cell>>>,
}

/// Locked while its source is read, so that many requests at once read it once.
type Cell = tokio::sync::Mutex<Option<Kept>>;

#[derive(Debug)]
struct Kept {
    credential: Credential,
    read_at: Instant,
    changes: u64,
}

impl Cache {
    /// The credential as it was kept, or else as `fetch` gives it. `changes` is the number of changes of stored secrets, see
    /// [`Secrets::changes`](crate::Secrets::changes), from before the call. An error is not kept: what it asks for helps at once.
    pub(super) async fn get<E>(
        &self,
        source: &CredentialSource,
        changes: u64,
        now: Instant,
        fetch: impl Future<Output = Result<Credential, E>>,
    ) -> Result<Credential, E> {
        let cell = self.cell(source);
        let mut kept = cell.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.holds(changes, now)) {
            return Ok(kept.credential.clone());
        }
        let credential = fetch.await?;
        *kept = Some(Kept { credential: credential.clone(), read_at: now, changes });
        Ok(credential)
    }

    fn cell(&self, source: &CredentialSource) -> Arc<Cell> {
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cell) = cells.get(source) {
            return cell.clone();
        }
        cells.entry(source.clone()).or_default().clone()
    }
}

impl Kept {
    fn holds(&self, changes: u64, now: Instant) -> bool {
        self.changes >= changes && now.saturating_duration_since(self.read_at) < VALID_FOR
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Store {
        reads: AtomicUsize,
    }

    impl Store {
        async fn read(&self) -> Result<Credential, Infallible> {
            let read = self.reads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(credential(&format!("key {read}")))
        }
    }

    fn credential(text: &str) -> Credential {
        Credential::from_input(text.as_bytes()).unwrap()
    }

    fn source() -> CredentialSource {
        CredentialSource::Secret("openai".to_owned())
    }

    async fn get(cache: &Cache, store: &Store, changes: u64, now: Instant) -> String {
        cache.get(&source(), changes, now, store.read()).await.unwrap().expose().to_owned()
    }

    #[tokio::test]
    async fn a_credential_is_read_again_after_a_second_and_not_before() {
        let (cache, store, start) = (Cache::default(), Store::default(), Instant::now());
        assert_eq!(get(&cache, &store, 0, start).await, "key 0");
        assert_eq!(get(&cache, &store, 0, start + Duration::from_millis(999)).await, "key 0");
        assert_eq!(get(&cache, &store, 0, start + Duration::from_secs(1)).await, "key 1");
    }

    #[tokio::test]
    async fn a_change_in_this_process_holds_at_once() {
        let (cache, store, start) = (Cache::default(), Store::default(), Instant::now());
        assert_eq!(get(&cache, &store, 0, start).await, "key 0");
        assert_eq!(get(&cache, &store, 1, start).await, "key 1");
        assert_eq!(get(&cache, &store, 1, start).await, "key 1");
    }

    #[tokio::test]
    async fn many_requests_at_once_read_once() {
        let (cache, store, start) = (Cache::default(), Store::default(), Instant::now());
        let all = futures_util::future::join_all((0..20).map(|_| get(&cache, &store, 0, start))).await;
        assert!(all.iter().all(|key| key == "key 0"));
        assert_eq!(store.reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_error_is_not_kept() {
        let (cache, start) = (Cache::default(), Instant::now());
        assert_eq!(cache.get(&source(), 0, start, async { Err("missing") }).await.unwrap_err(), "missing");
        let found = cache.get(&source(), 0, start, async { Ok::<_, &str>(credential("key")) }).await;
        assert_eq!(found.unwrap().expose(), "key");
    }
}
