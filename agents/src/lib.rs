//! Who acts: the manager and its workers, as virtual users in Matrix rooms.
//!
//! An event from the [appservice](doorward_appservice) is a command, which is carried out, or something said to an agent, which joins a
//! session's queue. The turn engine takes up sessions that have something to do and has a [`runtime::Runtime`] work on them; each step is
//! journalled, so that a restart continues the turn, and what is to be seen lastingly goes to the outbox in the transaction that journals
//! it. Models and everything else outside are reached through the gateway, over HTTP and with a short-lived token: nothing here can
//! see a credential.

mod access;
mod agent;
mod avatar;
mod commands;
mod config;
mod content;
mod events;
mod gateway;
mod house;
mod place;
mod provision;
mod roster;
pub mod runtime;
mod session;
#[cfg(test)]
mod testing;
mod tools;
mod turn;
mod workers;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_appservice::{Appservice, EventHandler, HandlerError, LeasedEvent};
use doorward_base::{Clock, Random, StoreError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use access::{Access, AccessError};
pub use agent::{Agent, AgentName, AgentState, NameError};
pub use config::{AccessConfig, AgentsConfig};
pub use gateway::{ConsumerToken, Gateway, GatewayEndpoint, GatewayError};
pub use place::Place;
pub use roster::{NewWorker, Roster, RosterError};
pub use session::{SessionError, Step, ToolCall, Workload};
pub use turn::TurnContext;
pub use workers::{Wish, WishError, Workers, WorkersError};

use house::House;
use runtime::Runtime;
use runtime::builtin::Builtin;
use session::Sessions;
use turn::Engine;

/// Models that think take half a minute; longer than this, people wonder.
const PATIENCE: Duration = Duration::from_secs(45);

/// The agents cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// `[access]` cannot be read.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// `[agents] runtime` names none.
    #[error("agents.runtime: there is no runtime {0:?}; there is builtin")]
    Runtime(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The manager cannot be there: nothing works without it.
#[derive(Debug, thiserror::Error)]
#[error("the manager cannot begin: {0}")]
pub struct ManagerError(String);

/// Everything that [`Agents::open`] needs.
#[derive(Debug)]
pub struct Parts {
    /// The Matrix edge; its database holds the agents' rows too.
    pub appservice: Appservice,
    /// `[agents]`
    pub config: AgentsConfig,
    /// `[access]`
    pub access: AccessConfig,
    /// Where the gateway is.
    pub gateway: GatewayEndpoint,
    /// The folder that holds one workspace for each worker.
    pub workspaces: PathBuf,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// For ids.
    pub random: Random,
}

/// The manager and its workers.
#[derive(Clone)]
pub struct Agents {
    house: House,
}

impl Agents {
    /// Reads the access lists, brings the schema up to date and makes sure that there is a row for the manager. Talks to nobody.
    pub async fn open(parts: Parts) -> Result<Self, OpenError> {
        let Parts { appservice, config, access, gateway, workspaces, clock, random } = parts;
        let builtin: Arc<dyn Runtime> = Arc::new(Builtin);
        let runtimes = HashMap::from([("builtin".to_owned(), builtin)]);
        if !runtimes.contains_key(&config.runtime) {
            return Err(OpenError::Runtime(config.runtime));
        }
        let database = appservice.database().clone();
        let roster = Roster::open(database.clone(), Arc::clone(&clock), random.clone()).await?;
        let manager = appservice.sender().user_id().to_owned();
        roster.ensure_manager(&manager, &config.model, &config.runtime, &config.grant).await?;
        let house = House {
            access: Access::new(&access, appservice.clone())?,
            sessions: Sessions::new(database.clone(), Arc::clone(&clock), random.clone()),
            gateway: Gateway::new(gateway, Arc::clone(&clock)),
            runtimes: Arc::new(runtimes),
            turns: Arc::new(Notify::new()),
            interruptions: Arc::new(Notify::new()),
            errands: Arc::new(Notify::new()),
            appservice,
            database,
            random,
            config,
            roster,
            workspaces,
            patience: PATIENCE,
        };
        Ok(Self { house })
    }

    /// Works until `stop`: turns, and workers to be made or removed. Turns that are running then are put aside for the next start.
    ///
    /// # Errors
    /// When the manager cannot be there, a person owning its name for example. That the homeserver is away is no error: it is waited for.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), ManagerError> {
        if let Err(error) = self.forget_claims_of_the_dead().await {
            tracing::warn!(%error, "what an earlier process claimed is left to run out");
        }
        // Of its own, so that whoever waits for the end finds the reason there, and not `stop` without one.
        let stop = stop.child_token();
        let engine = Engine::new(self.house.clone());
        let work = async { tokio::join!(engine.run(stop.clone()), provision::run(&self.house, stop.clone())) };
        let (manager, _) = tokio::join!(self.prepare_manager(&stop), work);
        manager
    }

    async fn forget_claims_of_the_dead(&self) -> Result<(), StoreError> {
        self.house.sessions.forget_claims_of_the_dead().await?;
        self.house.roster.forget_claims_of_the_dead().await
    }

    /// What the command line asks of workers, whether or not anything runs.
    pub fn workers(&self) -> Workers<'_> {
        Workers { house: &self.house }
    }

    /// Registers and names the manager, as soon as the homeserver lets us.
    async fn prepare_manager(&self, stop: &CancellationToken) -> Result<(), ManagerError> {
        let mut wait = Duration::from_millis(200);
        loop {
            match provision::introduce_manager(&self.house).await {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_passing() => {
                    stop.cancel();
                    return Err(ManagerError(error.to_string()));
                }
                Err(error) => tracing::debug!(%error, "the manager waits for the homeserver"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.house.random.jitter(wait)) => {}
                () = stop.cancelled() => return Ok(()),
            }
            wait = (wait * 2).min(Duration::from_secs(5));
        }
    }
}

#[async_trait]
impl EventHandler for Agents {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        events::handle(&self.house, event).await
    }
}
