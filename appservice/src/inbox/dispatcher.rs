//! Hands the events of the inbox to the handler.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorward_base::StoreError;
use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tracing::{error, warn};

use super::{Inbox, Waiting, backoff};
use crate::event::RoomEvent;
use crate::handler::{CompleteError, EventHandler, HandlerError, LeasedEvent};
use crate::members::MemberStore;
use crate::queue::{RoomLease, Step, Work};

const LONGEST_BACKOFF: Duration = Duration::from_mins(5);
/// A handler may panic over an event so often; then the event is set aside.
const PANICS: u32 = 3;

/// The work on the inbox.
pub(crate) struct Dispatcher {
    pub(crate) inbox: Inbox,
    pub(crate) members: MemberStore,
    pub(crate) handler: Arc<dyn EventHandler>,
}

#[async_trait]
impl Work for Dispatcher {
    async fn step(&self, lease: &RoomLease) -> Result<Step, StoreError> {
        let Some(waiting) = self.inbox.oldest(lease).await? else { return Ok(Step::Empty) };
        let event = match RawValue::from_string(waiting.raw.clone()).map(RoomEvent::parse) {
            Ok(Ok(event)) => event,
            Ok(Err(error)) => return self.set_aside(lease, &waiting, &error.to_string()).await,
            Err(error) => return self.set_aside(lease, &waiting, &error.to_string()).await,
        };
        self.members.apply(&event).await?;
        let completed = Arc::new(AtomicBool::new(false));
        let leased = LeasedEvent {
            event,
            seq: waiting.seq,
            attempts: waiting.attempts,
            lease: lease.clone(),
            inbox: self.inbox.clone(),
            completed: Arc::clone(&completed),
        };
        let outcome = AssertUnwindSafe(self.handler.handle(leased)).catch_unwind().await;
        match outcome {
            Ok(Ok(())) => self.complete(lease, &waiting, completed.load(Ordering::Acquire)).await,
            Ok(Err(error)) => self.failed(lease, &waiting, error).await,
            Err(panic) => self.panicked(lease, &waiting, &said(panic.as_ref())).await,
        }
    }
}

impl Dispatcher {
    /// What the handler completed may have been rolled back: the row knows.
    async fn complete(&self, lease: &RoomLease, waiting: &Waiting, said: bool) -> Result<Step, StoreError> {
        if said && !self.inbox.is_waiting(waiting.seq).await? {
            return Ok(Step::Worked);
        }
        match self.inbox.complete_and_release(lease, waiting.seq).await {
            Ok(step) => Ok(step),
            Err(CompleteError::LeaseLost) => Ok(Step::Lost),
            Err(CompleteError::Store(error)) => Err(error),
        }
    }

    async fn failed(&self, lease: &RoomLease, waiting: &Waiting, error: HandlerError) -> Result<Step, StoreError> {
        match error {
            HandlerError::Quarantine { reason } => self.set_aside(lease, waiting, &reason).await,
            HandlerError::Retry { reason, after } => {
                self.inbox.count_attempt(waiting.seq, 0).await?;
                let after = after.unwrap_or_else(|| self.jittered(waiting.attempts));
                warn!(event_id = waiting.event_id, reason, ?after, attempts = waiting.attempts + 1, "an event waits");
                Ok(Step::Later(after))
            }
        }
    }

    async fn panicked(&self, lease: &RoomLease, waiting: &Waiting, said: &str) -> Result<Step, StoreError> {
        let reason = format!("the handler panicked: {said}");
        if waiting.panics + 1 >= PANICS {
            return self.set_aside(lease, waiting, &reason).await;
        }
        error!(event_id = waiting.event_id, reason, "an event waits");
        self.inbox.count_attempt(waiting.seq, 1).await?;
        Ok(Step::Later(self.jittered(waiting.panics)))
    }

    async fn set_aside(&self, lease: &RoomLease, waiting: &Waiting, reason: &str) -> Result<Step, StoreError> {
        match self.inbox.quarantine(lease, waiting, reason).await {
            Ok(step) => {
                error!(event_id = waiting.event_id, room_id = %lease.room_id, reason, "an event was set aside");
                Ok(step)
            }
            Err(CompleteError::LeaseLost) if !self.inbox.is_waiting(waiting.seq).await? => Ok(Step::Worked),
            Err(CompleteError::LeaseLost) => Ok(Step::Lost),
            Err(CompleteError::Store(error)) => Err(error),
        }
    }

    fn jittered(&self, attempts: u32) -> Duration {
        self.inbox.queue.random().jitter(backoff(attempts, LONGEST_BACKOFF))
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
