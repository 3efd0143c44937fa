//! Invitations to us, and rooms that people leave.

use doorward_appservice::{HandlerError, Intent, IntentError, LeasedEvent};
use ruma::{RoomId, UserId};
use serde::Deserialize;

use super::joined;
use crate::agent::{Agent, AgentState};
use crate::content;
use crate::house::House;
use crate::place::Place;

#[derive(Deserialize)]
struct Member {
    membership: String,
}

/// Somebody's membership has changed.
pub(super) async fn changed(house: &House, event: &LeasedEvent, user: &str) -> Result<(), HandlerError> {
    let Ok(Member { membership }) = event.content() else { return Ok(()) };
    let Ok(user) = UserId::parse(user) else { return Ok(()) };
    match (membership.as_str(), house.appservice.owns(&user)) {
        ("invite", true) => invited(house, event, &user).await,
        ("leave" | "ban", false) => leave_if_no_human_is_left(house, &event.room_id).await,
        _ => Ok(()),
    }
}

async fn invited(house: &House, event: &LeasedEvent, user: &UserId) -> Result<(), HandlerError> {
    let Ok(intent) = house.appservice.intent(user) else { return Ok(()) };
    let agent = house.roster.by_user(user).await?;
    let by_us = event.sender == *house.appservice.sender().user_id();
    // Nobody bears that name: a stranger shall not have us make an account in order to decline.
    if agent.is_none() && !house.access.is_human(&event.sender) {
        return Ok(());
    }
    let stays = |agent: &Agent| agent.state != AgentState::Removing;
    let Some(agent) = agent.filter(|agent| stays(agent) && (by_us || house.access.is_human(&event.sender))) else {
        tracing::info!(room = %event.room_id, by = %event.sender, "an invitation was declined");
        return passing(intent.leave(&event.room_id).await);
    };
    match intent.join(&event.room_id).await {
        Ok(()) => {}
        Err(error) if error.is_retryable() => return passing(Err(error)),
        // Taken back meanwhile, most likely.
        Err(error) => {
            tracing::warn!(%error, room = %event.room_id, agent = %agent.name, "a room cannot be joined");
            return Ok(());
        }
    }
    if by_us { Ok(()) } else { greet(house, event, &intent, &agent).await }
}

async fn greet(house: &House, event: &LeasedEvent, intent: &Intent, agent: &Agent) -> Result<(), HandlerError> {
    let encrypted = match intent.state_event(&event.room_id, "m.room.encryption", "").await {
        Ok(state) => state.is_some(),
        Err(error) => return passing(Err(error)),
    };
    let place = Place::room(event.room_id.clone());
    let mut tx = house.database.write().await?;
    house.enqueue(&mut tx, &agent.user_id, &place, content::notice(&greeting(agent, encrypted))).await?;
    event.complete(&mut tx).await?;
    tx.commit().await?;
    house.appservice.outbox().wake();
    Ok(())
}

fn greeting(agent: &Agent, encrypted: bool) -> String {
    if encrypted {
        return "Hello! This room is encrypted, and I cannot read encrypted messages yet. Please invite me to a room without \
                encryption: in Element, switch \"Enable end-to-end encryption\" off when you make it."
            .to_owned();
    }
    if agent.name.is_manager() {
        return "Hello, I am the manager. Tell me what you need, for example: **Create a worker alice who writes Rust**. \
                Or type `!worker create alice`. Each worker has a room of its own, where you see what it does, step by step, and can step \
                in by typing. `!help` shows all commands."
            .to_owned();
    }
    format!("Hello, I am {}. Mention me (`{}`) and I work. `!help` says more.", agent.name, agent.user_id)
}

async fn leave_if_no_human_is_left(house: &House, room: &RoomId) -> Result<(), HandlerError> {
    let Some(joined) = joined(house, room).await? else { return Ok(()) };
    if joined.iter().any(|user| !house.appservice.owns(user)) {
        return Ok(());
    }
    house.roster.forget_home(room).await?;
    for user in joined {
        if let Ok(intent) = house.appservice.intent(&user) {
            passing(intent.leave(room).await)?;
        }
    }
    tracing::info!(%room, "a room without humans was left");
    Ok(())
}

/// What may work later is tried again; what cannot is logged once.
fn passing(result: Result<(), IntentError>) -> Result<(), HandlerError> {
    match result {
        Err(error) if error.is_retryable() => {
            Err(HandlerError::Retry { reason: error.to_string(), after: error.retry_after() })
        }
        Err(error) => {
            tracing::warn!(%error, "the homeserver refused");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
