//! `doorward worker …`: works on the agents' database. What takes a homeserver is carried out by the doorward that runs on it,
//! or by the next one that does.

use std::time::Duration;

use doorward_agents::{Agent, AgentName, Agents, Wish, Workload};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::Context;
use crate::cli::WorkerCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::serve;
use crate::terminal;

/// A worker is made in about a second; whoever waits longer is told that it goes on.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `show` prints, in this order.
const SHOWN: [&str; 12] = [
    "name",
    "state",
    "trouble",
    "turns",
    "waiting",
    "description",
    "user_id",
    "runtime",
    "model",
    "grant",
    "home_room",
    "created_at",
];

pub(super) async fn run(command: WorkerCommand, context: &Context<'_>) -> Result<(), Failure> {
    let config = context.config()?;
    let appservice = serve::appservice(&config, context.world).await?;
    let agents = serve::agents(&config, appservice, context.world).await?;
    let workers = agents.workers();
    match command {
        WorkerCommand::Create { name, runtime, model, grant } => {
            let name = workers.create(&name, Wish { description: None, runtime, model, grant }).await?;
            outcome(&agents, &name, &config, context).await
        }
        WorkerCommand::Remove { name } => {
            let name = AgentName::worker(&name)?;
            workers.remove(&name).await?;
            outcome(&agents, &name, &config, context).await
        }
        WorkerCommand::List => {
            list(&workers.list().await?, context.json);
            Ok(())
        }
        WorkerCommand::Show { name } => {
            let (agent, load) = workers.show(&AgentName::any(&name)?).await?;
            show(&agent, load, context.json);
            Ok(())
        }
        WorkerCommand::Pause { name } => {
            let name = AgentName::any(&name)?;
            workers.pause(&name).await?;
            told(
                &name,
                &format!("{name} is paused: what is said to it is kept until `doorward worker resume {name}`"),
                context.json,
            );
            Ok(())
        }
        WorkerCommand::Resume { name } => {
            let name = AgentName::any(&name)?;
            workers.resume(&name).await?;
            told(&name, &format!("{name} goes on"), context.json);
            Ok(())
        }
    }
}

/// Says what became of a wish, if a doorward runs that can fulfil it.
async fn outcome(agents: &Agents, name: &AgentName, config: &Config, context: &Context<'_>) -> Result<(), Failure> {
    if TcpStream::connect(config.appservice.listen).await.is_err() {
        told(name, &format!("noted for {name}; it is done as soon as doorward runs"), context.json);
        return Ok(());
    }
    let sentence = agents.workers().wait(name, PATIENCE).await?;
    told(name, &sentence, context.json);
    Ok(())
}

fn told(name: &AgentName, sentence: &str, json: bool) {
    if json {
        terminal::say_json(&json!({"name": name, "message": sentence}));
    } else {
        terminal::say(sentence);
    }
}

fn list(workers: &[(Agent, Workload)], json: bool) {
    if json {
        let workers: Vec<Value> = workers.iter().map(|(agent, load)| described(agent, *load)).collect();
        return terminal::say_json(&json!({"workers": workers}));
    }
    let row = |(agent, load): &(Agent, Workload)| {
        vec![
            agent.name.to_string(),
            agent.state.to_string(),
            load.turns.to_string(),
            load.waiting.to_string(),
            agent.runtime.clone(),
            agent.model.clone(),
            agent.grant.clone(),
            agent.trouble.clone().unwrap_or_default(),
        ]
    };
    let header = ["NAME", "STATE", "TURNS", "WAITING", "RUNTIME", "MODEL", "GRANT", "TROUBLE"];
    terminal::say_table(&header, &workers.iter().map(row).collect::<Vec<_>>());
}

fn show(agent: &Agent, load: Workload, json: bool) {
    let described = described(agent, load);
    if json {
        return terminal::say_json(&described);
    }
    for key in SHOWN {
        match &described[key] {
            Value::Null => {}
            Value::String(text) => terminal::say(format_args!("{key:<12} {text}")),
            other => terminal::say(format_args!("{key:<12} {other}")),
        }
    }
}

fn described(agent: &Agent, load: Workload) -> Value {
    let mut described = json!(agent);
    described["turns"] = json!(load.turns);
    described["waiting"] = json!(load.waiting);
    described
}
