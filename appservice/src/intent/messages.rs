//! Sending: with the user's device, under the caller's transaction id, once.

use std::time::Duration;

use reqwest::Method;
use ruma::{EventId, OwnedDeviceId, OwnedEventId, RoomId, TransactionId};
use serde_json::{Value, json};

use super::Intent;
use crate::homeserver::IntentError;
use crate::outbox::replacement;

impl Intent {
    /// Sends an event. The same `transaction` again gives the same event, even after a restart of the homeserver, for 24 hours.
    /// The id must be unique over all our users: a homeserver may take equal ids of two of them for one event.
    ///
    /// A user who is not in the room joins it and tries once more, and so does one whose device is gone.
    /// [`PUT /rooms/{roomId}/send/{eventType}/{txnId}`](https://spec.matrix.org/v1.16/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid)
    pub async fn send(
        &self,
        room: &RoomId,
        transaction: &TransactionId,
        event_type: &str,
        content: &Value,
    ) -> Result<OwnedEventId, IntentError> {
        self.put_event(room, &["send", event_type, transaction.as_str()], content).await
    }

    /// Gives a message that this user sent before another content, under the same rules as [`Intent::send`].
    /// [Event replacements](https://spec.matrix.org/v1.16/client-server-api/#event-replacements)
    pub async fn edit(
        &self,
        room: &RoomId,
        event: &EventId,
        transaction: &TransactionId,
        content: &Value,
    ) -> Result<OwnedEventId, IntentError> {
        self.send(room, transaction, "m.room.message", &replacement(content, event)).await
    }

    /// Redacts an event, under the same rules as [`Intent::send`].
    /// [`PUT /rooms/{roomId}/redact/{eventId}/{txnId}`](https://spec.matrix.org/v1.16/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid)
    pub async fn redact(
        &self,
        room: &RoomId,
        event: &EventId,
        transaction: &TransactionId,
        reason: Option<&str>,
    ) -> Result<OwnedEventId, IntentError> {
        let body = reason.map_or_else(|| json!({}), |reason| json!({ "reason": reason }));
        self.put_event(room, &["redact", event.as_str(), transaction.as_str()], &body).await
    }

    async fn put_event(&self, room: &RoomId, path: &[&str], body: &Value) -> Result<OwnedEventId, IntentError> {
        let device = self.device().await?;
        let refused = match self.try_put_event(room, path, body, &device).await {
            Err(error) if is_about_the_device(&error) && self.shared.registration.msc4190 => {
                self.put_device(&device).await?;
                return self.try_put_event(room, path, body, &device).await;
            }
            Err(error) if error.is("M_FORBIDDEN") => error,
            answer => return answer,
        };
        self.shared.members.forget(room).await?;
        match self.try_join(room).await {
            Ok(()) => self.try_put_event(room, path, body, &device).await,
            Err(error) if error.is_retryable() => Err(error),
            Err(_) => Err(refused),
        }
    }

    async fn try_put_event(
        &self,
        room: &RoomId,
        path: &[&str],
        body: &Value,
        device: &OwnedDeviceId,
    ) -> Result<OwnedEventId, IntentError> {
        let segments: Vec<&str> = ["rooms", room.as_str()].iter().chain(path).copied().collect();
        let mut call = self.client(Method::PUT, &segments);
        if self.shared.registration.msc4190 {
            call = call.query("device_id", device.as_str());
        }
        event_id(&call.json(body).send().await?)
    }

    /// Shows that this user is typing, for `time`, or not any more.
    pub async fn typing(&self, room: &RoomId, time: Option<Duration>) -> Result<(), IntentError> {
        let body = match time {
            Some(time) => json!({ "typing": true, "timeout": u64::try_from(time.as_millis()).unwrap_or(u64::MAX) }),
            None => json!({ "typing": false }),
        };
        let path = ["rooms", room.as_str(), "typing", self.user.as_str()];
        self.client(Method::PUT, &path).json(&body).send().await.map(drop)
    }

    /// Shows that this user has read up to `event`.
    pub async fn read_receipt(&self, room: &RoomId, event: &EventId) -> Result<(), IntentError> {
        let path = ["rooms", room.as_str(), "receipt", "m.read", event.as_str()];
        self.client(Method::POST, &path).json(&json!({})).send().await.map(drop)
    }

    /// One event of a room; `None` if this user may not see it or there is none.
    pub async fn event(&self, room: &RoomId, event: &EventId) -> Result<Option<Value>, IntentError> {
        let answer = self.client(Method::GET, &["rooms", room.as_str(), "event", event.as_str()]).send().await;
        super::rooms::or_none(answer)
    }
}

/// `M_UNKNOWN_DEVICE` on Synapse, `M_INVALID_PARAM` on Tuwunel.
fn is_about_the_device(error: &IntentError) -> bool {
    error.is("M_UNKNOWN_DEVICE") || error.is("M_INVALID_PARAM")
}

pub(super) fn event_id(answer: &Value) -> Result<OwnedEventId, IntentError> {
    let id = answer["event_id"].as_str().and_then(|id| EventId::parse(id).ok());
    id.ok_or(IntentError::Answer("event_id"))
}
