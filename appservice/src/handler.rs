//! What a bot is made of: a handler of events.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorward_base::{StoreError, Tx};

use crate::event::RoomEvent;
use crate::homeserver::IntentError;
use crate::inbox::Inbox;
use crate::queue::RoomLease;

/// Gets every event that the homeserver sends.
#[async_trait]
pub trait EventHandler: Send + Sync + 'static {
    /// In order within a room, side by side across rooms; may be called again for the same event after a crash.
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError>;
}

/// What is to become of an event that was not handled.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// The same event again, later; the rest of its room waits, other rooms do not. There is no limit but the handler's own: see
    /// [`LeasedEvent::attempts`].
    #[error("to be tried again: {reason}")]
    Retry {
        /// Why, for the log.
        reason: String,
        /// When; `None` backs off, up to five minutes.
        after: Option<Duration>,
    },
    /// Never again: the event is set aside with its reason, and its room goes on.
    #[error("set aside: {reason}")]
    Quarantine {
        /// Why, for whoever looks at what was set aside.
        reason: String,
    },
}

/// Why an event could not be marked as handled.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// Another process has taken the event over: drop the transaction.
    #[error("another process has taken this event over")]
    LeaseLost,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<StoreError> for HandlerError {
    fn from(error: StoreError) -> Self {
        Self::Retry { reason: error.to_string(), after: None }
    }
}

impl From<CompleteError> for HandlerError {
    fn from(error: CompleteError) -> Self {
        Self::Retry { reason: error.to_string(), after: None }
    }
}

/// What may succeed later is tried again; for the rest, the event is set aside.
impl From<IntentError> for HandlerError {
    fn from(error: IntentError) -> Self {
        let reason = error.to_string();
        if error.is_retryable() {
            Self::Retry { reason, after: error.retry_after() }
        } else {
            Self::Quarantine { reason }
        }
    }
}

/// An event that is ours to handle; reads like its [`RoomEvent`].
#[derive(Clone, Debug)]
pub struct LeasedEvent {
    pub(crate) event: RoomEvent,
    pub(crate) seq: i64,
    pub(crate) attempts: u32,
    pub(crate) lease: RoomLease,
    pub(crate) inbox: Inbox,
    pub(crate) completed: Arc<AtomicBool>,
}

impl LeasedEvent {
    /// Marks the event handled within the caller's transaction, so that what was done and that it was done become true at once.
    ///
    /// A handler that returns `Ok` without it leaves the marking to the dispatcher, and may then see the event again after a crash
    /// between the two.
    pub async fn complete(&self, tx: &mut Tx) -> Result<(), CompleteError> {
        self.inbox.complete(tx, &self.lease, self.seq).await?;
        self.completed.store(true, Ordering::Release);
        Ok(())
    }

    /// How often this event was tried before.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
}

impl Deref for LeasedEvent {
    type Target = RoomEvent;

    fn deref(&self) -> &RoomEvent {
        &self.event
    }
}
