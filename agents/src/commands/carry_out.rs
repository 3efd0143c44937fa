//! Carries a command out. What it changes, its answer and the mark that the event is handled become true in one transaction.

use doorward_appservice::{HandlerError, LeasedEvent};
use doorward_base::{StoreError, Tx};
use ruma::OwnedUserId;

use super::{Command, HELP};
use crate::agent::{Agent, AgentName};
use crate::content;
use crate::gateway::Usage;
use crate::house::House;
use crate::place::Place;
use crate::provision::speaker;
use crate::roster::RosterError;
use crate::session::Scope;
use crate::workers;

/// Who typed a command, and where.
pub(crate) struct Request<'a> {
    pub(crate) event: &'a LeasedEvent,
    pub(crate) place: Place,
    /// The agents of the room.
    pub(crate) agents: Vec<Agent>,
}

/// What a command says at once; what takes longer is said when it is done.
type Reply = Option<String>;

/// Carries the command out and answers.
pub(crate) async fn carry_out(house: &House, request: &Request<'_>, command: Command) -> Result<(), HandlerError> {
    // Asked before the transaction begins: nobody waits for another service while it holds the database.
    let said = look_up(house, &command).await?;
    let speaker = speaker(house, &request.place.room).await;
    let mut tx = house.database.write().await?;
    let reply = match said {
        Some(text) => Some(text),
        None => match change(house, request, &mut tx, &command).await {
            Ok(reply) => reply,
            Err(RosterError::Store(error)) => return Err(error.into()),
            Err(refusal) => Some(sentence(&refusal)),
        },
    };
    answer(house, request, &mut tx, &speaker, reply).await?;
    request.event.complete(&mut tx).await?;
    tx.commit().await?;
    house.wake_all();
    if let Command::Pause(name) = &command {
        for name in targets(request, name.as_ref()) {
            workers::paused(house, &name).await;
        }
    }
    Ok(())
}

/// Says one thing, and marks the event handled.
pub(crate) async fn reply(house: &House, request: &Request<'_>, text: String) -> Result<(), HandlerError> {
    let speaker = speaker(house, &request.place.room).await;
    let mut tx = house.database.write().await?;
    answer(house, request, &mut tx, &speaker, Some(text)).await?;
    request.event.complete(&mut tx).await?;
    tx.commit().await?;
    house.appservice.outbox().wake();
    Ok(())
}

async fn answer(
    house: &House,
    request: &Request<'_>,
    tx: &mut Tx,
    speaker: &OwnedUserId,
    reply: Reply,
) -> Result<(), StoreError> {
    for part in reply.iter().flat_map(|text| content::parts(text)) {
        house.enqueue(tx, speaker, &request.place, content::notice(&part)).await?;
    }
    Ok(())
}

/// What a person in a room is told of a refusal.
fn sentence(refusal: &RosterError) -> String {
    match refusal {
        RosterError::Unknown(_) => format!("{refusal}; `!worker list` shows who is there."),
        _ => format!("{refusal}."),
    }
}

/// Commands that change nothing.
async fn look_up(house: &House, command: &Command) -> Result<Reply, StoreError> {
    Ok(match command {
        Command::Help => Some(HELP.to_owned()),
        Command::List => Some(workers::overview(house).await?),
        Command::Status => Some(status(house).await?),
        Command::Show(name) => Some(match house.roster.find(name).await? {
            Some(agent) => workers::describe(house, &agent).await?,
            None => sentence(&RosterError::Unknown(name.clone())),
        }),
        Command::Stop(Some(name)) if house.roster.find(name).await?.is_none() => {
            Some(sentence(&RosterError::Unknown(name.clone())))
        }
        Command::Usage => Some(match house.gateway.usage().await {
            Ok(usage) => usage_table(&usage),
            Err(error) => format!("{error}."),
        }),
        _ => None,
    })
}

async fn change(house: &House, request: &Request<'_>, tx: &mut Tx, command: &Command) -> Result<Reply, RosterError> {
    match command {
        Command::Create { name, wish } => {
            let reply_to = Some(request.place.clone());
            match workers::plan(house, name, wish.clone(), &request.event.sender, reply_to) {
                Ok(new) => house.roster.create(tx, &new).await.map(|()| None),
                Err(refusal) => Ok(Some(format!("{refusal}."))),
            }
        }
        Command::Remove(name) => house.roster.remove(tx, name, Some(&request.place)).await.map(|()| None),
        Command::Pause(name) => {
            let (mut done, mut said) = (Vec::new(), Vec::new());
            for name in targets(request, name.as_ref()) {
                note(house.roster.pause(tx, &name).await, name, &mut done, &mut said)?;
            }
            if !done.is_empty() {
                said.push(format!("{} paused. What you say is kept and answered after `!resume`.", are(&done)));
            }
            Ok(Some(said.join(" ")))
        }
        Command::Resume(name) => {
            let (mut done, mut said) = (Vec::new(), Vec::new());
            for name in targets(request, name.as_ref()) {
                note(house.roster.resume(tx, &name).await, name, &mut done, &mut said)?;
            }
            if !done.is_empty() {
                said.push(format!("{} at work again.", are(&done)));
            }
            Ok(Some(said.join(" ")))
        }
        Command::Stop(name) => {
            let scope = match name {
                Some(name) => Scope::Agent(name),
                None => Scope::Room(&request.place.room),
            };
            let stopped = house.sessions.request_stop(tx, &scope).await?;
            // The turns that end say so themselves.
            Ok((stopped == 0).then(|| "Nothing is being done here that could be stopped.".to_owned()))
        }
        Command::Help | Command::List | Command::Show(_) | Command::Status | Command::Usage => Ok(None),
    }
}

/// One agent of several was changed, or refused to be: the others are changed all the same.
fn note(
    result: Result<(), RosterError>,
    name: AgentName,
    done: &mut Vec<AgentName>,
    said: &mut Vec<String>,
) -> Result<(), RosterError> {
    match result {
        Ok(()) => done.push(name),
        Err(RosterError::Store(error)) => return Err(error.into()),
        Err(refusal) => said.push(sentence(&refusal)),
    }
    Ok(())
}

/// The agent that is named; else the workers of the room, else its manager.
fn targets(request: &Request<'_>, name: Option<&AgentName>) -> Vec<AgentName> {
    if let Some(name) = name {
        return vec![name.clone()];
    }
    let (managers, workers): (Vec<_>, Vec<_>) =
        request.agents.iter().map(|agent| agent.name.clone()).partition(AgentName::is_manager);
    if workers.is_empty() { managers } else { workers }
}

fn are(names: &[AgentName]) -> String {
    let all = names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if names.len() == 1 { format!("{all} is") } else { format!("{all} are") }
}

async fn status(house: &House) -> Result<String, StoreError> {
    let mut lines = Vec::new();
    for agent in house.roster.list().await? {
        lines.push(format!("- {}", workers::describe(house, &agent).await?));
    }
    Ok(lines.join("\n"))
}

fn usage_table(usage: &[Usage]) -> String {
    if usage.is_empty() {
        return "No model was asked yet.".to_owned();
    }
    let tokens = |count: Option<i64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let rows = usage.iter().map(|row| {
        let model = row.model.as_deref().unwrap_or("–");
        let (prompt, completion) = (tokens(row.prompt_tokens), tokens(row.completion_tokens));
        format!("- {}, {model}: {} requests, {prompt} tokens in, {completion} tokens out", row.consumer, row.requests)
    });
    rows.collect::<Vec<_>>().join("\n")
}
