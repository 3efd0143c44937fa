//! The manager's tools. They do what the `!worker` commands do, in the name of the person who asked.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Caller, Effect, Outcome, ToolError, arguments, spec, unknown};
use crate::agent::{AgentName, AgentState};
use crate::content;
use crate::place::Place;
use crate::provision;
use crate::session::ToolCall;
use crate::workers::{self, Wish};

/// The model waits so long for a worker to be there before it is told that this goes on.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

pub(super) fn specs() -> Vec<Value> {
    let name = json!({"type": "string", "description": "the worker's name, such as alice"});
    vec![
        spec(
            "create_worker",
            "Creates a worker and a room for it with the person who asked and you. Waits until it is there.",
            &json!({"name": name, "description": {"type": "string", "description": "what the worker is for, in one sentence"},
                "model": {"type": "string", "description": "only if the person names one"}}),
            &["name", "description"],
        ),
        spec("list_workers", "Lists the workers, what each is for and what it is doing.", &json!({}), &[]),
        spec("worker_state", "Tells how one worker is, and what it is doing.", &json!({"worker": name}), &["worker"]),
        spec(
            "assign_job",
            "Hands a job to a worker. It works in its own room, where people watch; you do not get the result.",
            &json!({"worker": name, "job": {"type": "string", "description": "everything that the worker needs to know"}}),
            &["worker", "job"],
        ),
        spec(
            "pause_worker",
            "A paused worker keeps what is said to it until it is resumed.",
            &json!({"worker": name}),
            &["worker"],
        ),
        spec("resume_worker", "Lets a paused worker work again.", &json!({"worker": name}), &["worker"]),
        spec(
            "remove_worker",
            "Removes a worker for good. Its files stay on disk.",
            &json!({"worker": name}),
            &["worker"],
        ),
    ]
}

#[derive(Deserialize)]
struct Create {
    name: String,
    #[serde(default)]
    description: String,
    model: Option<String>,
}

#[derive(Deserialize)]
struct Worker {
    worker: String,
}

#[derive(Deserialize)]
struct Job {
    worker: String,
    job: String,
}

pub(super) async fn run(caller: &Caller<'_>, call: &ToolCall) -> Result<Outcome, ToolError> {
    match call.name.as_str() {
        "create_worker" => create(caller, arguments(call)?).await,
        "list_workers" => Ok(Outcome::text(workers::overview(caller.house).await?)),
        "worker_state" => state(caller, &arguments::<Worker>(call)?).await,
        "assign_job" => assign(caller, &arguments(call)?).await,
        "pause_worker" => pause(caller, &arguments(call)?).await,
        "resume_worker" => resume(caller, &arguments(call)?).await,
        "remove_worker" => remove(caller, &arguments(call)?).await,
        _ => Err(unknown(call)),
    }
}

async fn create(caller: &Caller<'_>, wanted: Create) -> Result<Outcome, ToolError> {
    caller.for_a_person()?;
    let house = caller.house;
    let wish = Wish { description: Some(wanted.description), model: wanted.model, ..Wish::default() };
    let new = workers::plan(house, &wanted.name, wish, &caller.requester, None)?;
    let mut tx = house.database.write().await?;
    house.roster.create(&mut tx, &new).await?;
    tx.commit().await?;
    house.wake_all();
    Ok(Outcome::text(provision::wait(house, &new.name, LONGEST_WAIT).await?.into_sentence()))
}

async fn state(caller: &Caller<'_>, wanted: &Worker) -> Result<Outcome, ToolError> {
    let agent = caller.house.roster.get(&AgentName::worker(&wanted.worker)?).await?;
    Ok(Outcome::text(workers::describe(caller.house, &agent).await?))
}

async fn assign(caller: &Caller<'_>, wanted: &Job) -> Result<Outcome, ToolError> {
    let worker = caller.house.roster.get(&AgentName::worker(&wanted.worker)?).await?;
    let Some(room) = worker.home_room.clone().filter(|_| worker.state != AgentState::Removing) else {
        return Err(ToolError(match worker.state {
            AgentState::Creating => format!("{} has no room yet: try again in a moment", worker.name),
            AgentState::Removing => format!("{} is being removed", worker.name),
            _ => format!("every person has left the room of {}: it can only be removed and made again", worker.name),
        }));
    };
    if content::parts(&wanted.job).len() > 1 {
        return Err(ToolError("the job is too long for one message: say it in less than 8,000 characters".to_owned()));
    }
    let content = content::mention(&wanted.job, &worker.user_id, caller.hops + 1);
    let paused = if worker.state == AgentState::Paused { " It is paused, and begins when it is resumed." } else { "" };
    Ok(Outcome {
        text: format!("The job stands in the room of {}.{paused}", worker.name),
        effects: vec![Effect { place: Place::room(room), content }],
    })
}

async fn pause(caller: &Caller<'_>, wanted: &Worker) -> Result<Outcome, ToolError> {
    caller.for_a_person()?;
    let name = AgentName::worker(&wanted.worker)?;
    let mut tx = caller.house.database.write().await?;
    caller.house.roster.pause(&mut tx, &name).await?;
    tx.commit().await?;
    workers::paused(caller.house, &name).await;
    Ok(Outcome::text(format!("{name} is paused.")))
}

async fn resume(caller: &Caller<'_>, wanted: &Worker) -> Result<Outcome, ToolError> {
    caller.for_a_person()?;
    let name = AgentName::worker(&wanted.worker)?;
    let mut tx = caller.house.database.write().await?;
    caller.house.roster.resume(&mut tx, &name).await?;
    tx.commit().await?;
    caller.house.wake_all();
    Ok(Outcome::text(format!("{name} works again.")))
}

async fn remove(caller: &Caller<'_>, wanted: &Worker) -> Result<Outcome, ToolError> {
    caller.for_a_person()?;
    let name = AgentName::worker(&wanted.worker)?;
    let mut tx = caller.house.database.write().await?;
    caller.house.roster.remove(&mut tx, &name, None).await?;
    tx.commit().await?;
    caller.house.wake_all();
    Ok(Outcome::text(provision::wait(caller.house, &name, LONGEST_WAIT).await?.into_sentence()))
}
