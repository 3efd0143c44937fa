//! What is said in rooms: commands, requests of people, and mentions between agents.

use doorward_appservice::{HandlerError, LeasedEvent};
use ruma::{OwnedEventId, OwnedUserId};
use serde::Deserialize;

use super::{Room, room};
use crate::agent::{Agent, AgentState};
use crate::commands::{self, Command, CommandError, Request};
use crate::content;
use crate::house::House;
use crate::place::Place;
use crate::session::Input;

/// So many agents may wake each other in a row.
const MOST_HOPS: i64 = 6;
/// So often may agents wake agents in a room until a human speaks there. What an agent hands on for a human is not counted.
const MOST_WAKES: i64 = 24;

#[derive(Deserialize)]
struct Message {
    msgtype: String,
    body: String,
    #[serde(rename = "m.mentions", default)]
    mentions: Mentions,
    #[serde(rename = "m.relates_to")]
    relation: Option<Relation>,
    #[serde(rename = "org.doorward.hops", default)]
    hops: i64,
}

#[derive(Default, Deserialize)]
struct Mentions {
    #[serde(default)]
    user_ids: Vec<OwnedUserId>,
}

#[derive(Deserialize)]
struct Relation {
    rel_type: Option<String>,
    event_id: Option<OwnedEventId>,
}

impl Message {
    /// Notices wake nobody, and an edit changes what was said, not what was done.
    fn is_speech(&self) -> bool {
        let edit = self.relation.as_ref().is_some_and(|relation| relation.rel_type.as_deref() == Some("m.replace"));
        self.msgtype != "m.notice" && !edit
    }

    fn thread(&self) -> Option<OwnedEventId> {
        let relation = self.relation.as_ref().filter(|relation| relation.rel_type.as_deref() == Some("m.thread"))?;
        relation.event_id.clone()
    }
}

/// Somebody has said something.
pub(super) async fn said(house: &House, event: &LeasedEvent) -> Result<(), HandlerError> {
    let Ok(mut message) = event.content::<Message>() else { return Ok(()) };
    // PostgreSQL has no text with a NUL in it, and nobody types one.
    message.body = message.body.replace('\0', "\u{fffd}");
    if !message.is_speech() {
        return Ok(());
    }
    if house.appservice.owns(&event.sender) {
        return by_agent(house, event, &message).await;
    }
    if !house.access.is_human(&event.sender) {
        tracing::debug!(sender = %event.sender, "somebody who is not in access.humans was ignored");
        return Ok(());
    }
    by_human(house, event, &message).await
}

async fn by_human(house: &House, event: &LeasedEvent, message: &Message) -> Result<(), HandlerError> {
    let room = room(house, &event.room_id).await?;
    let place = Place { room: event.room_id.clone(), thread: message.thread() };
    if let Some(command) = Command::parse(&message.body) {
        return command_typed(house, Request { event, place, agents: room.agents }, room.members, command).await;
    }
    let addressed = addressed(&room, message);
    if addressed.is_empty() {
        return Ok(());
    }
    let mut tx = house.database.write().await?;
    for agent in &addressed {
        let body = without_mention(&message.body, agent);
        let input = Input { event_id: event.event_id.clone(), sender: event.sender.clone(), body, hops: 0 };
        let waiting = house.sessions.hear(&mut tx, agent, &place, &input).await?;
        // Said once: the person knows it then.
        if agent.state == AgentState::Paused && waiting == 1 {
            let kept = format!("{0} is paused. Your message is kept, and answered after `!resume {0}`.", agent.name);
            house.enqueue(&mut tx, &agent.user_id, &place, content::notice(&kept)).await?;
        }
    }
    house.sessions.reset_wakes(&mut tx, &event.room_id).await?;
    event.complete(&mut tx).await?;
    tx.commit().await?;
    house.wake_all();
    mark_read(house, event, &addressed);
    Ok(())
}

async fn command_typed(
    house: &House,
    request: Request<'_>,
    members: usize,
    command: Result<Command, CommandError>,
) -> Result<(), HandlerError> {
    if request.agents.is_empty() {
        return Ok(());
    }
    match command {
        Ok(command) => commands::carry_out(house, &request, command).await,
        // In a larger room it may be meant for another bot.
        Err(CommandError::Unknown(_)) if members > 3 => Ok(()),
        Err(error) => commands::reply(house, &request, format!("{error}.")).await,
    }
}

/// Whom a person speaks to: in a room of two the other one, else who is mentioned.
fn addressed(room: &Room, message: &Message) -> Vec<Agent> {
    let alone = room.members <= 2;
    let spoken_to =
        |agent: &&Agent| alone || message.mentions.user_ids.contains(&agent.user_id) || names(&message.body, agent);
    let stays = |agent: &&Agent| agent.state != AgentState::Removing;
    room.agents.iter().filter(stays).filter(spoken_to).cloned().collect()
}

/// Whether the text names the agent as a mention: `@worker-alice`, with or without the server. For clients without intentional mentions.
fn names(body: &str, agent: &Agent) -> bool {
    let sign = format!("@{}", agent.name.localpart());
    body.match_indices(&sign).any(|(start, _)| {
        let before = body[..start].chars().next_back();
        let after = &body[start + sign.len()..];
        let ends = match after.strip_prefix(':') {
            Some(server) if server.starts_with(|next: char| next.is_ascii_alphanumeric()) => {
                server.starts_with(agent.user_id.server_name().as_str())
            }
            _ => !after.starts_with(|next: char| next.is_ascii_alphanumeric() || "-_=/".contains(next)),
        };
        ends && before.is_none_or(|before| !before.is_alphanumeric())
    })
}

/// What was said, without the mention that it begins with.
fn without_mention(body: &str, agent: &Agent) -> String {
    let sign = format!("@{}", agent.name.localpart());
    let rest =
        body.trim().strip_prefix(agent.user_id.as_str()).or_else(|| body.trim().strip_prefix(&sign)).unwrap_or(body);
    let rest = rest.trim_start_matches([':', ',']).trim();
    if rest.is_empty() { body.to_owned() } else { rest.to_owned() }
}

/// Reading is shown at once; a receipt that does not arrive is no loss.
fn mark_read(house: &House, event: &LeasedEvent, agents: &[Agent]) {
    for intent in agents.iter().filter_map(|agent| house.appservice.intent(&agent.user_id).ok()) {
        let (room, id) = (event.room_id.clone(), event.event_id.clone());
        tokio::spawn(async move {
            let _ = intent.read_receipt(&room, &id).await;
        });
    }
}

/// Between agents only an intentional mention wakes one, and never without end.
async fn by_agent(house: &House, event: &LeasedEvent, message: &Message) -> Result<(), HandlerError> {
    let woken = message.mentions.user_ids.iter().filter(|user| **user != event.sender && house.appservice.owns(user));
    let mut agents = Vec::new();
    for user in woken {
        agents.extend(house.roster.by_user(user).await?);
    }
    if agents.is_empty() {
        return Ok(());
    }
    let place = Place { room: event.room_id.clone(), thread: message.thread() };
    let mut tx = house.database.write().await?;
    for agent in &agents {
        let for_human = message.hops == 1;
        let wakes = if for_human { 0 } else { house.sessions.count_wake(&mut tx, &event.room_id).await? };
        if message.hops > MOST_HOPS || wakes > MOST_WAKES {
            let notice = content::notice(
                "We agents have talked enough among ourselves; I wait for a human to say how to go on.",
            );
            house.enqueue(&mut tx, &agent.user_id, &place, notice).await?;
            continue;
        }
        let body = without_mention(&message.body, agent);
        let input = Input { event_id: event.event_id.clone(), sender: event.sender.clone(), body, hops: message.hops };
        house.sessions.hear(&mut tx, agent, &place, &input).await?;
    }
    event.complete(&mut tx).await?;
    tx.commit().await?;
    house.wake_all();
    Ok(())
}

#[cfg(test)]
mod tests;
