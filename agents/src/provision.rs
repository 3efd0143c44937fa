//! Makes workers and takes them away: each step may be repeated, so that a restart finishes what was begun.

use std::time::Duration;

use doorward_appservice::{CreateRoom, Intent, IntentError, Preset};
use doorward_base::StoreError;
use futures_util::StreamExt;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::Map;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, AgentName, AgentState};
use crate::avatar;
use crate::content;
use crate::gateway::GatewayError;
use crate::house::House;
use crate::place::Place;
use crate::roster::Errand;

/// One process has so long for an errand before another may take it.
const LEASE: Duration = Duration::from_secs(120);
const IDLE_POLL: Duration = Duration::from_secs(1);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(60);
const SIDE_BY_SIDE: usize = 8;
/// Of the creation content of a worker's room: whose it is.
const ROOM_OF: &str = "org.doorward.worker";

/// Why an errand was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Homeserver(#[from] IntentError),
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0} is not one of the appservice's users: the namespaces of the registration do not cover it")]
    NotOurs(OwnedUserId),
}

impl Trouble {
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Homeserver(error) => error.is_retryable(),
            Self::Gateway(error) => error.is_retryable(),
            Self::Store(_) => true,
            Self::NotOurs(_) => false,
        }
    }
}

/// Carries errands out until `stop`.
pub(crate) async fn run(house: &House, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match house.roster.due().await {
            Ok(errands) => {
                let all = futures_util::stream::iter(errands);
                all.for_each_concurrent(SIDE_BY_SIDE, |errand| carry_out(house, errand)).await;
            }
            Err(error) => tracing::error!(%error, "the roster cannot be read"),
        }
        tokio::select! {
            () = house.errands.notified() => {}
            () = tokio::time::sleep(IDLE_POLL) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Waits until an errand about `name` is done, and says what became of it.
pub(crate) async fn wait(house: &House, name: &AgentName, longest: Duration) -> Result<String, StoreError> {
    let deadline = tokio::time::Instant::now() + longest;
    loop {
        let agent = house.roster.find(name).await?;
        let done = match &agent {
            None => Some(format!("{name} is gone.")),
            Some(Agent { trouble: Some(trouble), .. }) => Some(format!("{name} is not ready: {trouble}")),
            Some(agent) if agent.state == AgentState::Active => Some(there(agent)),
            Some(_) => None,
        };
        if let Some(text) = done {
            return Ok(text);
        }
        if tokio::time::Instant::now() > deadline {
            return Ok(format!("{name} is not ready yet; this goes on."));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn carry_out(house: &House, errand: Errand) {
    match house.roster.take(&errand, LEASE).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::error!(%error, "an errand cannot be taken"),
    }
    let result = match errand.agent.state {
        AgentState::Removing => remove(house, &errand).await,
        _ => create(house, &errand).await,
    };
    if let Err(trouble) = result
        && let Err(error) = postpone(house, &errand, &trouble).await
    {
        tracing::error!(%error, agent = %errand.agent.name, "an errand cannot be put aside");
    }
    house.wake_all();
}

async fn postpone(house: &House, errand: &Errand, trouble: &Trouble) -> Result<(), StoreError> {
    let (name, passing) = (&errand.agent.name, trouble.is_passing());
    tracing::warn!(agent = %name, %trouble, passing, "a worker is not ready");
    let back_off = Duration::from_secs(1) * 2_u32.pow(u32::try_from(errand.attempts).unwrap_or(6).min(6));
    let wait = passing.then(|| house.random.jitter(back_off.min(LONGEST_BACK_OFF)));
    let told = errand.reply_to.as_ref().filter(|_| errand.attempts == 0 || !passing);
    let cure = if passing { "I keep trying." } else { "`!worker remove` makes the name free again." };
    let speaker = speaker_at(house, told).await;
    let mut tx = house.database.write().await?;
    house.roster.postpone(&mut tx, errand, &trouble.to_string(), wait).await?;
    if let Some(place) = told {
        let notice = content::notice(&format!("{name} is not ready: {trouble}. {cure}"));
        house.enqueue(&mut tx, &speaker, place, notice).await?;
    }
    tx.commit().await
}

async fn create(house: &House, errand: &Errand) -> Result<(), Trouble> {
    let agent = &errand.agent;
    let worker = intent(house, &agent.user_id)?;
    worker.ensure_registered().await?;
    dress(house, &worker, agent).await?;
    let room = home(house, errand).await?;
    let manager = house.appservice.sender();
    if !house.appservice.members().joined(&room).await?.contains(&agent.user_id) {
        // Refused if it is invited already: then the join shows whether that is so.
        let _ = manager.invite(&room, &agent.user_id).await;
        worker.join(&room).await?;
    }
    let speaker = speaker_at(house, errand.reply_to.as_ref()).await;
    let mut tx = house.database.write().await?;
    if house.roster.created(&mut tx, agent).await? {
        let hello = content::notice(&greeting(agent));
        house.enqueue(&mut tx, &agent.user_id, &Place::room(room), hello).await?;
        if let Some(place) = &errand.reply_to {
            house.enqueue(&mut tx, &speaker, place, content::notice(&there(agent))).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// Registers the manager and gives it its name and picture: what [`crate::Agents::run`] begins with.
pub(crate) async fn introduce_manager(house: &House) -> Result<(), Trouble> {
    let manager = house.appservice.sender();
    manager.ensure_registered().await?;
    match house.roster.find(&AgentName::manager()).await? {
        Some(agent) => dress(house, &manager, &agent).await,
        None => Ok(()),
    }
}

/// Display name and avatar, once: people may change them later.
async fn dress(house: &House, intent: &Intent, agent: &Agent) -> Result<(), Trouble> {
    if house.roster.is_dressed(agent).await? {
        return Ok(());
    }
    let name = if agent.name.is_manager() { "Manager" } else { agent.name.as_str() };
    intent.set_display_name(name).await?;
    let picture = intent.upload(avatar::png(agent.name.as_str()), "image/png", "avatar.png").await?;
    intent.set_avatar_url(&picture).await?;
    Ok(house.roster.set_dressed(agent).await?)
}

/// The worker's room, made once: a first try may have died between making it and remembering it.
async fn home(house: &House, errand: &Errand) -> Result<OwnedRoomId, Trouble> {
    let agent = &errand.agent;
    if let Some(room) = &agent.home_room {
        return Ok(room.clone());
    }
    let manager = house.appservice.sender();
    let found = if errand.attempts > 0 { find_room(&manager, agent).await? } else { None };
    let room = match found {
        Some(room) => room,
        None => manager.create_room(new_room(agent)).await?,
    };
    house.roster.set_home_room(agent, &room).await?;
    Ok(room)
}

fn new_room(agent: &Agent) -> CreateRoom {
    CreateRoom {
        name: Some(agent.name.to_string()),
        topic: Some(if agent.description.is_empty() {
            format!("The worker {}", agent.name)
        } else {
            agent.description.clone()
        }),
        invite: vec![agent.created_by.clone()],
        // The person who asked may do in it what the manager may.
        preset: Preset::TrustedPrivateChat,
        creation_content: Map::from_iter([(ROOM_OF.to_owned(), agent.id.clone().into())]),
        ..CreateRoom::default()
    }
}

async fn find_room(manager: &Intent, agent: &Agent) -> Result<Option<OwnedRoomId>, IntentError> {
    for room in manager.joined_rooms().await? {
        let created = manager.state_event(&room, "m.room.create", "").await?;
        if created.is_some_and(|content| content[ROOM_OF] == agent.id.as_str()) {
            return Ok(Some(room));
        }
    }
    Ok(None)
}

async fn remove(house: &House, errand: &Errand) -> Result<(), Trouble> {
    let agent = &errand.agent;
    house.gateway.revoke(agent).await?;
    let worker = intent(house, &agent.user_id)?;
    worker.ensure_registered().await?;
    for room in worker.joined_rooms().await? {
        worker.leave(&room).await?;
    }
    let speaker = speaker_at(house, errand.reply_to.as_ref()).await;
    let mut tx = house.database.write().await?;
    if house.roster.removed(&mut tx, agent).await?
        && let Some(place) = &errand.reply_to
    {
        let notice = content::notice(&format!("{} is gone. Its files stay in its workspace folder.", agent.name));
        house.enqueue(&mut tx, &speaker, place, notice).await?;
    }
    Ok(tx.commit().await?)
}

fn intent(house: &House, user: &OwnedUserId) -> Result<Intent, Trouble> {
    house.appservice.intent(user).map_err(|_| Trouble::NotOurs(user.clone()))
}

fn greeting(agent: &Agent) -> String {
    let purpose =
        if agent.description.is_empty() { String::new() } else { format!(" I am here for: {}.", agent.description) };
    format!(
        "Hello, I am {}.{purpose} Mention me (`{}`) and I work; you see each step here. `!stop` ends what I am doing, `!help` says more.",
        agent.name, agent.user_id
    )
}

fn there(agent: &Agent) -> String {
    format!(
        "{} is there: {}, in a room of its own to which {} is invited.",
        agent.name, agent.user_id, agent.created_by
    )
}

/// Who of us speaks in a room: the manager if it is there, else whoever is.
pub(crate) async fn speaker(house: &House, room: &RoomId) -> OwnedUserId {
    let manager = house.appservice.sender().user_id().to_owned();
    let joined = house.appservice.members().joined(room).await.unwrap_or_default();
    if joined.contains(&manager) {
        return manager;
    }
    joined.into_iter().find(|user| house.appservice.owns(user)).unwrap_or(manager)
}

async fn speaker_at(house: &House, place: Option<&Place>) -> OwnedUserId {
    match place {
        Some(place) => speaker(house, &place.room).await,
        None => house.appservice.sender().user_id().to_owned(),
    }
}
