//! Makes workers and takes them away: each step may be repeated, so that a restart finishes what was begun.

use std::sync::Arc;
use std::time::Duration;

use doorward_appservice::{CreateRoom, Intent, IntentError, Preset};
use doorward_base::StoreError;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::{Map, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::{Agent, AgentName, AgentState};
use crate::avatar;
use crate::content;
use crate::gateway::GatewayError;
use crate::house::House;
use crate::place::Place;
use crate::roster::Errand;

/// A process that works on an errand says so three times in this time; otherwise another one takes it.
const LEASE: Duration = Duration::from_secs(30);
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

/// Carries errands out until `stop`, side by side: a slow one holds up no other.
pub(crate) async fn run(house: &House, stop: CancellationToken) {
    let (tasks, room) = (TaskTracker::new(), Arc::new(Semaphore::new(SIDE_BY_SIDE)));
    while !stop.is_cancelled() {
        match house.roster.due().await {
            Ok(errands) => {
                for errand in errands {
                    let Ok(permit) = Arc::clone(&room).try_acquire_owned() else { break };
                    let (house, stop) = (house.clone(), stop.clone());
                    tasks.spawn(async move {
                        carry_out(&house, errand, &stop).await;
                        drop(permit);
                        house.errands.notify_one();
                    });
                }
            }
            Err(error) => tracing::error!(%error, "the roster cannot be read"),
        }
        tokio::select! {
            () = house.errands.notified() => {}
            () = tokio::time::sleep(IDLE_POLL) => {}
            () = stop.cancelled() => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// What became of an errand, in one sentence.
#[derive(Debug)]
pub(crate) enum Awaited {
    /// It is done, or goes on.
    Fine(String),
    /// Something is in the way.
    Trouble(String),
}

impl Awaited {
    pub(crate) fn into_sentence(self) -> String {
        match self {
            Self::Fine(sentence) | Self::Trouble(sentence) => sentence,
        }
    }
}

/// Waits until an errand about `name` is done, and says what became of it.
pub(crate) async fn wait(house: &House, name: &AgentName, longest: Duration) -> Result<Awaited, StoreError> {
    let deadline = tokio::time::Instant::now() + longest;
    loop {
        let agent = house.roster.find(name).await?;
        let done = match &agent {
            None => Some(Awaited::Fine(format!("{name} is gone."))),
            Some(Agent { trouble: Some(trouble), .. }) => {
                Some(Awaited::Trouble(format!("{name} is not ready: {trouble}")))
            }
            Some(agent) if matches!(agent.state, AgentState::Active | AgentState::Paused) => {
                Some(Awaited::Fine(there(agent)))
            }
            Some(_) => None,
        };
        if let Some(awaited) = done {
            return Ok(awaited);
        }
        if tokio::time::Instant::now() > deadline {
            return Ok(Awaited::Fine(format!("{name} is not ready yet; this goes on.")));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn carry_out(house: &House, mut errand: Errand, stop: &CancellationToken) {
    match house.roster.take(&mut errand, LEASE).await {
        Ok(true) => {}
        Ok(false) => return,
        Err(error) => return tracing::error!(%error, "an errand cannot be taken"),
    }
    let begun = errand.clone();
    let result = tokio::select! {
        result = attempt(house, &begun) => result,
        // Each step may be dropped: whoever comes next repeats it.
        () = kept(house, &mut errand) => return,
        () = stop.cancelled() => {
            let _ = house.roster.give_back(&mut errand).await;
            return;
        }
    };
    if let Err(trouble) = result
        && let Err(error) = postpone(house, &errand, &trouble).await
    {
        tracing::error!(%error, agent = %errand.agent.name, "an errand cannot be put aside");
    }
    house.wake_all();
}

async fn attempt(house: &House, errand: &Errand) -> Result<(), Trouble> {
    match errand.agent.state {
        AgentState::Removing => remove(house, errand).await,
        _ => create(house, errand).await,
    }
}

/// Renews the lease; returns when the errand is not ours any more.
async fn kept(house: &House, errand: &mut Errand) {
    loop {
        tokio::time::sleep(LEASE / 3).await;
        match house.roster.keep(errand, LEASE).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, agent = %errand.agent.name, "an errand cannot be kept"),
        }
    }
}

async fn postpone(house: &House, errand: &Errand, trouble: &Trouble) -> Result<(), StoreError> {
    let (name, passing) = (&errand.agent.name, trouble.is_passing());
    tracing::warn!(agent = %name, %trouble, passing, "a worker is not ready");
    let back_off = Duration::from_secs(1) * 2_u32.pow(u32::try_from(errand.attempts).unwrap_or(6).min(6));
    let wait = passing.then(|| house.random.jitter(back_off.min(LONGEST_BACK_OFF)));
    let told = errand.reply_to.as_ref().filter(|_| errand.agent.trouble.is_none() || !passing);
    let text = format!("{name} {}: {trouble}. {}", unready(errand.agent.state), cure(errand.agent.state, passing));
    let speaker = speaker_at(house, told).await;
    let mut tx = house.database.write().await?;
    if house.roster.postpone(&mut tx, errand, &trouble.to_string(), wait).await?
        && let Some(place) = told
    {
        house.enqueue(&mut tx, &speaker, place, content::notice(&text)).await?;
    }
    tx.commit().await
}

fn unready(state: AgentState) -> &'static str {
    if state == AgentState::Removing { "is not gone yet" } else { "is not ready" }
}

fn cure(state: AgentState, passing: bool) -> &'static str {
    match (passing, state) {
        (true, _) => "I keep trying.",
        (false, AgentState::Removing) => "`!worker remove` tries again.",
        (false, _) => "`!worker remove` makes the name free again.",
    }
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
        unless_refused(manager.invite(&room, &agent.user_id).await)?;
        worker.join(&room).await?;
    }
    let speaker = speaker_at(house, errand.reply_to.as_ref()).await;
    let mut tx = house.database.write().await?;
    let created = house.roster.created(&mut tx, agent).await?;
    if created {
        let hello = content::notice(&greeting(agent));
        house.enqueue(&mut tx, &agent.user_id, &Place::room(room.clone()), hello).await?;
        if let Some(place) = &errand.reply_to {
            house.enqueue(&mut tx, &speaker, place, content::notice(&there(agent))).await?;
        }
    }
    tx.commit().await?;
    if !created && is_unwanted(house, agent).await? {
        unless_refused(worker.leave(&room).await)?;
    }
    Ok(())
}

/// Whether the worker was removed while it was being made: another process may have led it out of its rooms before it was in this one.
async fn is_unwanted(house: &House, agent: &Agent) -> Result<bool, StoreError> {
    let agent = house.roster.by_id(&agent.id).await?;
    Ok(agent.is_none_or(|agent| agent.state == AgentState::Removing))
}

/// What the homeserver refuses for good is no reason to stop; that it is away is.
fn unless_refused(result: Result<(), IntentError>) -> Result<(), IntentError> {
    match result {
        Err(error) if !error.is_retryable() => {
            tracing::debug!(%error, "a step was refused, and left out");
            Ok(())
        }
        other => other,
    }
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
    // A homeserver that allows no pictures has workers without pictures.
    unless_refused(put_on(intent, agent).await)?;
    Ok(house.roster.set_dressed(agent).await?)
}

async fn put_on(intent: &Intent, agent: &Agent) -> Result<(), IntentError> {
    let name = if agent.name.is_manager() { "Manager" } else { agent.name.as_str() };
    intent.set_display_name(name).await?;
    let picture = intent.upload(avatar::png(agent.name.as_str()), "image/png", "avatar.png").await?;
    intent.set_avatar_url(&picture).await
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
        initial_state: vec![json!({
            "type": "m.room.guest_access", "state_key": "", "content": {"guest_access": "forbidden"},
        })],
        creation_content: Map::from_iter([(ROOM_OF.to_owned(), agent.id.clone().into())]),
        ..CreateRoom::default()
    }
}

async fn find_room(manager: &Intent, agent: &Agent) -> Result<Option<OwnedRoomId>, IntentError> {
    for room in manager.joined_rooms().await? {
        let created = match manager.state_event(&room, "m.room.create", "").await {
            Err(error) if error.is_retryable() => return Err(error),
            answer => answer.ok().flatten(),
        };
        if created.is_some_and(|content| content[ROOM_OF] == agent.id.as_str()) {
            return Ok(Some(room));
        }
    }
    Ok(None)
}

async fn remove(house: &House, errand: &Errand) -> Result<(), Trouble> {
    let agent = &errand.agent;
    house.gateway.revoke(agent).await?;
    leave_all(house, agent).await?;
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

async fn leave_all(house: &House, agent: &Agent) -> Result<(), Trouble> {
    // A name that never was ours, or that a person has, is in no room of ours.
    let Ok(worker) = house.appservice.intent(&agent.user_id) else { return Ok(()) };
    match worker.ensure_registered().await {
        Err(IntentError::UserInUse { .. }) => return Ok(()),
        other => other?,
    }
    for room in worker.joined_rooms().await? {
        unless_refused(worker.leave(&room).await)?;
    }
    Ok(())
}

fn intent(house: &House, user: &OwnedUserId) -> Result<Intent, Trouble> {
    house.appservice.intent(user).map_err(|_| Trouble::NotOurs(user.clone()))
}

fn greeting(agent: &Agent) -> String {
    let purpose = if agent.description.is_empty() {
        String::new()
    } else {
        format!(" My job: {}.", agent.description.trim_end_matches('.'))
    };
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

#[cfg(test)]
mod tests;
