//! The requests that this process holds, in memory.

use std::collections::{HashMap, HashSet};
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
    table: Mutex<Table>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<ApprovalId, Entry>,
    /// Approved, and about to be sent.
    handed: HashSet<ApprovalId>,
    /// Approved, and never to be sent; their rows do not say so yet.
    unsent: HashSet<ApprovalId>,
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

    /// Of a place that was told of a yes: what is left to be said is whether the request is sent.
    pub(super) fn into_handed(self) -> Handed {
        Handed { waiting: self.waiting.clone(), id: self.id.clone() }
    }
}

/// An approved request before it is sent. Dropping it before [`Handed::is_sent`] has its row say that it was not.
#[derive(Debug)]
pub(super) struct Handed {
    waiting: Waiting,
    id: ApprovalId,
}

impl Handed {
    /// Notes that it is about to be sent; false if it was before.
    pub(super) fn is_sent(&self) -> bool {
        self.waiting.lock().handed.remove(&self.id)
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if self.waiting.lock().gives_up(&self.id) {
            self.waiting.wake();
        }
    }
}

impl Table {
    /// What was handed on and not sent never will be. Whether it was so.
    fn gives_up(&mut self, id: &ApprovalId) -> bool {
        self.handed.remove(id) && self.unsent.insert(id.clone())
    }
}

impl Waiting {
    /// A place for a request; none if the id is in use.
    pub(super) fn open(&self, id: ApprovalId, expires_at: Timestamp) -> Option<Place> {
        let (sender, outcome) = oneshot::channel();
        let mut table = self.lock();
        if table.waiting.contains_key(&id) || table.handed.contains(&id) || table.unsent.contains(&id) {
            return None;
        }
        table.waiting.insert(id.clone(), Entry { expires_at, outcome: sender });
        drop(table);
        self.wake();
        Some(Place { waiting: self.clone(), id, outcome })
    }

    pub(super) fn holds(&self, id: &ApprovalId) -> bool {
        self.lock().waiting.contains_key(id)
    }

    /// Whether nothing waits, and nothing is about to be sent.
    pub(super) fn is_empty(&self) -> bool {
        let table = self.lock();
        table.waiting.is_empty() && table.handed.is_empty()
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.lock().unsent.is_empty()
    }

    /// An approved request of which has to be written down that it was not sent.
    pub(super) fn first_unsent(&self) -> Option<ApprovalId> {
        self.lock().unsent.iter().next().cloned()
    }

    /// That it was not sent stands in its row.
    pub(super) fn is_written(&self, id: &ApprovalId) {
        self.lock().unsent.remove(id);
    }

    /// Ends the waiting of a request; one that has been withdrawn meanwhile does not hear it.
    pub(super) fn end(&self, id: &ApprovalId, outcome: Outcome) {
        let mut table = self.lock();
        if matches!(outcome, Outcome::Approved { .. }) {
            table.handed.insert(id.clone());
        }
        // Sent under the lock, under which a place is dropped too: it hears the outcome, or is not there.
        let heard = table.waiting.remove(id).is_some_and(|entry| entry.outcome.send(outcome).is_ok());
        if !heard && table.gives_up(id) {
            drop(table);
            self.wake();
        }
    }

    /// Ends the waiting of those whose time has been over for `late`, whatever their rows say.
    pub(super) fn end_overdue(&self, now: Timestamp, late: Duration) {
        for (_, entry) in self.lock().waiting.extract_if(|_, entry| entry.expires_at.plus(late) <= now) {
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

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.waiting.lock();
        let waited = table.waiting.remove(&self.id).is_some();
        // A yes that came, and that nobody will read any more.
        let unread = matches!(self.outcome.try_recv(), Ok(Outcome::Approved { .. })) && table.gives_up(&self.id);
        drop(table);
        if waited || unread {
            self.waiting.wake();
        }
    }
}
