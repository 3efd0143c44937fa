//! A room event as the homeserver sent it: its head read, its bytes kept.

use std::fmt;

use doorward_base::Timestamp;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// An id longer than this is none; a homeserver never sends one, and an index could not hold it.
pub(crate) const ID_MAX_BYTES: usize = 255;

/// One event of a room. [Client-Server API, "Room event format"](https://spec.matrix.org/v1.16/client-server-api/#room-event-format)
#[derive(Clone)]
pub struct RoomEvent {
    /// The event's own id.
    pub event_id: OwnedEventId,
    /// The room it was sent to; opaque.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// For example `m.room.message`.
    pub event_type: String,
    /// There exactly if this is a state event, whatever its type.
    pub state_key: Option<String>,
    /// When the sender's server says it was sent.
    pub origin_server_ts: Timestamp,
    /// The whole event, byte for byte.
    pub raw: Box<RawValue>,
}

/// Why an event could not be read; never the event itself.
#[derive(Debug, thiserror::Error)]
#[error("the event cannot be read: {0}")]
pub struct MalformedEvent(String);

#[derive(Deserialize)]
struct Head<'a> {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: Option<String>,
    origin_server_ts: i64,
    #[serde(borrow)]
    content: &'a RawValue,
}

#[derive(Deserialize)]
struct WithContent<T> {
    content: T,
}

#[derive(Default, Deserialize)]
struct Redaction {
    redacts: Option<OwnedEventId>,
    #[serde(default)]
    content: RedactionContent,
}

#[derive(Default, Deserialize)]
struct RedactionContent {
    redacts: Option<OwnedEventId>,
}

impl RoomEvent {
    /// Reads an event.
    pub fn parse(raw: Box<RawValue>) -> Result<Self, MalformedEvent> {
        let head: Head<'_> = serde_json::from_str(raw.get()).map_err(|error| MalformedEvent(describe(&error)))?;
        if ![head.event_id.as_str(), head.room_id.as_str(), head.sender.as_str()].into_iter().all(can_be_a_key) {
            return Err(MalformedEvent("its event_id, room_id or sender is too long, or holds a NUL".to_owned()));
        }
        if !head.content.get().starts_with('{') {
            return Err(MalformedEvent("its content is no object".to_owned()));
        }
        Ok(Self {
            event_id: head.event_id,
            room_id: head.room_id,
            sender: head.sender,
            event_type: head.event_type,
            state_key: head.state_key,
            origin_server_ts: Timestamp::from_millis(head.origin_server_ts),
            raw,
        })
    }

    /// The content as a type of the caller's.
    pub fn content<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str::<WithContent<T>>(self.raw.get()).map(|event| event.content)
    }

    /// Whether this is a state event.
    pub fn is_state(&self) -> bool {
        self.state_key.is_some()
    }

    /// What a redaction redacts: in the content since room version 11, beside it before.
    pub fn redacts(&self) -> Option<OwnedEventId> {
        if self.event_type != "m.room.redaction" {
            return None;
        }
        let redaction: Redaction = serde_json::from_str(self.raw.get()).ok()?;
        redaction.content.redacts.or(redaction.redacts)
    }
}

/// Without the content, which belongs in no log.
impl fmt::Debug for RoomEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomEvent")
            .field("event_id", &self.event_id)
            .field("room_id", &self.room_id)
            .field("sender", &self.sender)
            .field("event_type", &self.event_type)
            .finish_non_exhaustive()
    }
}

/// PostgreSQL stores no NUL. An id that the database refused would hold up the homeserver's queue for ever.
pub(crate) fn can_be_a_key(id: &str) -> bool {
    id.len() <= ID_MAX_BYTES && !id.contains('\0')
}

/// What serde says is about keys and types; values that it quotes are cut to a length that fits a reason.
fn describe(error: &serde_json::Error) -> String {
    error.to_string().chars().filter(|character| *character != '\0').take(200).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(event: &Value) -> Result<RoomEvent, MalformedEvent> {
        RoomEvent::parse(serde_json::value::to_raw_value(event).unwrap())
    }

    fn message() -> Value {
        json!({"event_id": "$one", "room_id": "!room", "sender": "@a:b.c", "type": "m.room.message",
            "origin_server_ts": 5, "content": {"body": "hi"}})
    }

    #[test]
    fn an_event_is_state_if_it_has_a_state_key_whatever_its_type() {
        let mut event = message();
        assert!(!parse(&event).unwrap().is_state());
        event["state_key"] = json!("");
        assert!(parse(&event).unwrap().is_state());
    }

    #[test]
    fn ids_are_opaque_and_a_room_of_version_12_has_no_server_part() {
        let event = parse(&message()).unwrap();
        assert_eq!(event.room_id.as_str(), "!room");
        assert_eq!(event.content::<Value>().unwrap(), json!({"body": "hi"}));
    }

    #[test]
    fn whatever_lacks_a_part_of_its_head_is_malformed() {
        for key in ["event_id", "room_id", "sender", "type", "origin_server_ts", "content"] {
            let mut event = message();
            event.as_object_mut().unwrap().remove(key);
            let error = parse(&event).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        let mut long = message();
        long["event_id"] = json!(format!("${}", "x".repeat(300)));
        assert!(parse(&long).is_err());
        let mut nul = message();
        nul["event_id"] = json!("$\u{0}");
        assert!(parse(&nul).is_err());
        assert!(parse(&json!("no object")).is_err());
    }

    #[test]
    fn a_redaction_names_its_target_in_either_place() {
        let mut event = message();
        event["redacts"] = json!("$beside");
        assert_eq!(parse(&event).unwrap().redacts(), None);
        event["type"] = json!("m.room.redaction");
        assert_eq!(parse(&event).unwrap().redacts().unwrap(), "$beside");
        event["content"] = json!({"redacts": "$inside"});
        assert_eq!(parse(&event).unwrap().redacts().unwrap(), "$inside");
    }

    #[test]
    fn an_event_in_a_log_shows_no_content() {
        assert!(!format!("{:?}", parse(&message()).unwrap()).contains("hi"));
    }
}
