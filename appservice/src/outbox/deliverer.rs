//! Sends what is in the outbox until the homeserver has it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_base::StoreError;
use ruma::{EventId, OwnedEventId};
use tracing::{error, warn};

use super::{Delivery, Outbox, Waiting, replacement};
use crate::homeserver::IntentError;
use crate::inbox::backoff;
use crate::intent::Intent;
use crate::queue::{RoomLease, Step, Work};
use crate::shared::Shared;

const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// What is added to the pause that the homeserver asks for, so that all rooms do not come back at once.
const SPREAD: Duration = Duration::from_millis(100);

/// The work on the outbox.
pub(crate) struct Deliverer {
    pub(crate) outbox: Outbox,
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl Work for Deliverer {
    async fn step(&self, lease: &RoomLease) -> Result<Step, StoreError> {
        let Some(mut waiting) = self.outbox.oldest(lease).await? else { return Ok(Step::Empty) };
        self.point_at_replaced(&mut waiting).await?;
        let delivery = match self.send(&waiting).await {
            Ok(event_id) => Delivery::Delivered(event_id),
            Err(error) if error.is_retryable() => return self.later(&waiting, &error).await,
            Err(error) => {
                let send = &waiting.send;
                error!(room_id = %send.room_id, sender = %send.sender, %error, "a send was refused for good");
                Delivery::Failed { reason: error.to_string() }
            }
        };
        Ok(self.outbox.end(lease, waiting.seq, &delivery).await?.unwrap_or(Step::Lost))
    }
}

impl Deliverer {
    /// Makes an edit out of the content, if it replaces what an earlier row became.
    async fn point_at_replaced(&self, waiting: &mut Waiting) -> Result<(), StoreError> {
        let Some(replaced) = waiting.replaces else { return Ok(()) };
        if let Some(Delivery::Delivered(event)) = self.outbox.delivery(replaced).await? {
            waiting.send.content = replacement(&waiting.send.content, &event);
        }
        Ok(())
    }

    async fn send(&self, waiting: &Waiting) -> Result<OwnedEventId, IntentError> {
        let Waiting { send, transaction_id, .. } = waiting;
        let intent = Intent::new(Arc::clone(&self.shared), send.sender.clone());
        if send.event_type == "m.room.redaction"
            && let Some(redacts) = send.content["redacts"].as_str().and_then(|id| EventId::parse(id).ok())
        {
            return intent.redact(&send.room_id, &redacts, transaction_id, send.content["reason"].as_str()).await;
        }
        intent.send(&send.room_id, transaction_id, &send.event_type, &send.content).await
    }

    async fn later(&self, waiting: &Waiting, error: &IntentError) -> Result<Step, StoreError> {
        let after = self.outbox.queue.random().jitter(backoff(waiting.attempts, LONGEST_BACKOFF));
        let after = error.retry_after().map_or(after, |asked| asked + self.outbox.queue.random().jitter(SPREAD));
        if waiting.attempts == 0 {
            warn!(room_id = %waiting.send.room_id, %error, "a send waits for the homeserver");
        }
        self.outbox.count_attempt(waiting.seq).await?;
        Ok(Step::Later(after))
    }
}
