//! The requests that this process holds, in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_base::Timestamp;
use tokio::sync::{Notify, oneshot};

use super::record::ApprovalId;

/// How the waiting ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Approved { by: String },
    Denied { by: String, reason: Option<String> },
    Unanswered,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    table: Mutex<HashMap<ApprovalId, Entry>>,
    wake: Notify,
}

#[derive(Debug)]
struct Entry {
    expires_at: Timestamp,
    outcome: oneshot::Sender<Outcome>,
}

/// One request's end of it. Dropping it withdraws the request.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Waiting,
    id: ApprovalId,
    outcome: oneshot::Receiver<Outcome>,
}

impl Place {
    pub(super) fn id(&self) -> &ApprovalId {
        &self.id
    }

    pub(super) async fn outcome(&mut self) -> Outcome {
        // The sender leaves the table only by sending, so an error would mean that the table is gone.
        (&mut self.outcome).await.unwrap_or(Outcome::Unanswered)
    }
}

impl Waiting {
    /// A place for a request; none if the id is in use.
    pub(super) fn open(&self, id: ApprovalId, expires_at: Timestamp) -> Option<Place> {
        let (sender, outcome) = oneshot::channel();
        let mut table = self.lock();
        if table.contains_key(&id) {
            return None;
        }
        table.insert(id.clone(), Entry { expires_at, outcome: sender });
        drop(table);
        self.wake();
        Some(Place { waiting: self.clone(), id, outcome })
    }

    pub(super) fn holds(&self, id: &ApprovalId) -> bool {
        self.lock().contains_key(id)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Ends the waiting of a request; one that has been withdrawn meanwhile does not hear it.
    pub(super) fn end(&self, id: &ApprovalId, outcome: Outcome) {
        let entry = self.lock().remove(id);
        if let Some(entry) = entry {
            let _ = entry.outcome.send(outcome);
        }
    }

    /// Ends the waiting of those whose time has been over for `late`, whatever their rows say.
    pub(super) fn end_overdue(&self, now: Timestamp, late: Duration) {
        for (_, entry) in self.lock().extract_if(|_, entry| entry.expires_at.plus(late) <= now) {
            let _ = entry.outcome.send(Outcome::Unanswered);
        }
    }

    /// Has the rows looked at now.
    pub(super) fn wake(&self) {
        self.0.wake.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ApprovalId, Entry>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.waiting.lock().remove(&self.id).is_some() {
            self.waiting.wake();
        }
    }
}
