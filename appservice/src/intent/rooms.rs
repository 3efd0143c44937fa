//! Rooms: making, joining, leaving, and what can be seen in them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::Intent;
use super::messages::event_id;
use crate::homeserver::IntentError;

/// How long [`Intent::join`] keeps trying.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// A join over federation can take long.
const JOIN_TIMEOUT: Duration = Duration::from_mins(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A room to be made. `CreateRoom::default()` is a private room without a name.
/// [`POST /createRoom`](https://spec.matrix.org/v1.16/client-server-api/#post_matrixclientv3createroom)
#[derive(Clone, Debug, Default, Serialize)]
pub struct CreateRoom {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Who is invited.
    pub invite: Vec<OwnedUserId>,
    /// Whether the invited see it as a direct chat.
    pub is_direct: bool,
    /// What the rules of the room are.
    pub preset: Preset,
    /// The localpart of an alias.
    #[serde(rename = "room_alias_name", skip_serializing_if = "Option::is_none")]
    pub alias_localpart: Option<String>,
    /// More of the content of `m.room.create`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub creation_content: Map<String, Value>,
    /// State events to begin with, each with `type`, `state_key` and `content`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub initial_state: Vec<Value>,
    /// Changes to the content of `m.room.power_levels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_level_content_override: Option<Value>,
}

/// The rules of a new room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Only the invited join.
    #[default]
    PrivateChat,
    /// Only the invited join, and all of them may do everything.
    TrustedPrivateChat,
    /// Anyone joins.
    PublicChat,
}

#[derive(Deserialize)]
struct JoinedMembers {
    joined: BTreeMap<String, Profile>,
}

#[derive(Deserialize)]
struct Profile {
    #[serde(default)]
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct JoinedRooms {
    joined_rooms: Vec<OwnedRoomId>,
}

impl Intent {
    /// Makes a room. Not repeatable: after an error without an answer the room may be there.
    pub async fn create_room(&self, room: CreateRoom) -> Result<OwnedRoomId, IntentError> {
        self.device().await?;
        let body = serde_json::to_value(room).map_err(|_| IntentError::Answer("room"))?;
        let answer = self.client(Method::POST, &["createRoom"]).json(&body).send().await?;
        let id = answer["room_id"].as_str().and_then(|id| RoomId::parse(id).ok());
        let room_id = id.ok_or(IntentError::Answer("room_id"))?;
        self.shared.members.note_joined(&room_id, &self.user).await?;
        Ok(room_id)
    }

    /// Joins a room, for up to 20 seconds: see [`Intent::join_within`].
    pub async fn join(&self, room: &RoomId) -> Result<(), IntentError> {
        self.join_within(room, JOIN_PATIENCE).await
    }

    /// Joins a room. Right after an invitation a homeserver may refuse for a while: so refusals and errors of the server are
    /// taken for temporary, and the join is tried again with growing pauses until `patience` has passed.
    pub async fn join_within(&self, room: &RoomId, patience: Duration) -> Result<(), IntentError> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(250);
        loop {
            let error = match self.try_join(room).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let rest = error.retry_after().unwrap_or_default().max(self.shared.jitter(pause));
            let temporary = error.is_retryable() || error.is("M_FORBIDDEN");
            if !temporary || Instant::now() + rest > deadline {
                return Err(error);
            }
            sleep(rest).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    pub(super) async fn try_join(&self, room: &RoomId) -> Result<(), IntentError> {
        self.device().await?;
        let call = self.client(Method::POST, &["rooms", room.as_str(), "join"]).json(&json!({}));
        call.within(JOIN_TIMEOUT).send().await?;
        Ok(self.shared.members.note_joined(room, &self.user).await?)
    }

    /// Leaves a room, or declines the invitation to it.
    pub async fn leave(&self, room: &RoomId) -> Result<(), IntentError> {
        self.device().await?;
        let call = self.client(Method::POST, &["rooms", room.as_str(), "leave"]).json(&json!({}));
        call.within(JOIN_TIMEOUT).send().await.map(drop)
    }

    /// Invites `user`; one who is there already is no error.
    pub async fn invite(&self, room: &RoomId, user: &UserId) -> Result<(), IntentError> {
        self.device().await?;
        let call = self.client(Method::POST, &["rooms", room.as_str(), "invite"]).json(&json!({ "user_id": user }));
        match call.within(JOIN_TIMEOUT).send().await {
            Err(error) if error.is("M_FORBIDDEN") && self.is_there(room, user).await => Ok(()),
            answer => answer.map(drop),
        }
    }

    async fn is_there(&self, room: &RoomId, user: &UserId) -> bool {
        let member = self.state_event(room, "m.room.member", user.as_str()).await;
        matches!(member, Ok(Some(content)) if content["membership"] == "join")
    }

    /// Sets the state of a room. The same again is harmless, so it takes no transaction id.
    pub async fn set_state(
        &self,
        room: &RoomId,
        event_type: &str,
        state_key: &str,
        content: &Value,
    ) -> Result<ruma::OwnedEventId, IntentError> {
        self.device().await?;
        event_id(&self.client(Method::PUT, &state_path(room, event_type, state_key)).json(content).send().await?)
    }

    /// The content of a state event; `None` if there is none.
    pub async fn state_event(
        &self,
        room: &RoomId,
        event_type: &str,
        state_key: &str,
    ) -> Result<Option<Value>, IntentError> {
        or_none(self.client(Method::GET, &state_path(room, event_type, state_key)).send().await)
    }

    /// Who is joined, with their display names.
    pub async fn joined_members(&self, room: &RoomId) -> Result<BTreeMap<OwnedUserId, Option<String>>, IntentError> {
        let answer = self.client(Method::GET, &["rooms", room.as_str(), "joined_members"]).send().await?;
        let members: JoinedMembers = serde_json::from_value(answer).map_err(|_| IntentError::Answer("joined"))?;
        let named = members.joined.into_iter();
        Ok(named.filter_map(|(user, profile)| Some((UserId::parse(user).ok()?, profile.display_name))).collect())
    }

    /// The rooms that this user is joined to.
    pub async fn joined_rooms(&self) -> Result<Vec<OwnedRoomId>, IntentError> {
        let answer = self.client(Method::GET, &["joined_rooms"]).send().await?;
        let rooms: JoinedRooms = serde_json::from_value(answer).map_err(|_| IntentError::Answer("joined_rooms"))?;
        Ok(rooms.joined_rooms)
    }
}

/// Without an empty last segment, which not every proxy leaves alone.
fn state_path<'a>(room: &'a RoomId, event_type: &'a str, state_key: &'a str) -> Vec<&'a str> {
    let path = ["rooms", room.as_str(), "state", event_type];
    path.into_iter().chain((!state_key.is_empty()).then_some(state_key)).collect()
}

pub(super) fn or_none(answer: Result<Value, IntentError>) -> Result<Option<Value>, IntentError> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is("M_NOT_FOUND") => Ok(None),
        Err(error) => Err(error),
    }
}
