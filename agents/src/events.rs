//! What happens in rooms, one event at a time: each is turned into rows, and marked handled in the same transaction.

mod membership;
mod message;

use doorward_appservice::{HandlerError, LeasedEvent};
use ruma::{OwnedUserId, RoomId};

use crate::agent::Agent;
use crate::house::House;

/// Handles one event.
pub(crate) async fn handle(house: &House, event: LeasedEvent) -> Result<(), HandlerError> {
    match (event.event_type.as_str(), event.state_key.as_deref()) {
        ("m.room.member", Some(user)) => membership::changed(house, &event, user).await,
        ("m.room.message", None) => message::said(house, &event).await,
        ("m.room.redaction", None) => taken_back(house, &event).await,
        _ => Ok(()),
    }
}

async fn taken_back(house: &House, event: &LeasedEvent) -> Result<(), HandlerError> {
    let Some(redacted) = event.redacts() else { return Ok(()) };
    let mut tx = house.database.write().await?;
    house.sessions.forget(&mut tx, &event.room_id, &redacted).await?;
    event.complete(&mut tx).await?;
    tx.commit().await?;
    house.wake_all();
    Ok(())
}

/// Who of us is in a room, and how many are in it.
#[derive(Default)]
struct Room {
    agents: Vec<Agent>,
    members: usize,
}

async fn room(house: &House, room: &RoomId) -> Result<Room, HandlerError> {
    let Some(joined) = joined(house, room).await? else { return Ok(Room::default()) };
    let mut agents = Vec::new();
    for user in joined.iter().filter(|user| house.appservice.owns(user)) {
        agents.extend(house.roster.by_user(user).await?);
    }
    Ok(Room { agents, members: joined.len() })
}

/// Who is joined; `None` if the homeserver does not tell us, because none of us is there any more. To ask again for ever would
/// hold up the room for good.
async fn joined(house: &House, room: &RoomId) -> Result<Option<Vec<OwnedUserId>>, HandlerError> {
    match house.appservice.members().joined(room).await {
        Ok(joined) => Ok(Some(joined)),
        Err(error) if error.is_retryable() => {
            Err(HandlerError::Retry { reason: error.to_string(), after: error.retry_after() })
        }
        Err(error) => {
            tracing::info!(%error, %room, "a room is closed to us");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
