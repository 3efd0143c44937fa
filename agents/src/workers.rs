//! What people and the manager ask about workers, and what they are told.

use doorward_base::StoreError;
use ruma::UserId;

use crate::agent::{Agent, AgentName, AgentState, NameError};
use crate::house::House;
use crate::place::Place;
use crate::provision::Awaited;
use crate::roster::{NewWorker, RosterError};
use crate::session::Workload;

/// What somebody wants of a new worker; what is not said comes from the configuration.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// What the worker is for.
    pub description: Option<String>,
    /// What thinks for it.
    pub runtime: Option<String>,
    /// The model it asks for.
    pub model: Option<String>,
    /// What the gateway lets it do. Only an owner may ask for another than the default.
    pub grant: Option<String>,
}

/// Of a description or the name of a model, in bytes.
const LONGEST_TEXT: usize = 1_000;

/// A wish that cannot be fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// The name cannot be a worker's.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A grant is power.
    #[error("only an owner may choose a grant: leave grant= out, and {0} is used")]
    Grant(String),
    /// No such runtime.
    #[error("there is no runtime {0:?}; there is {1}")]
    Runtime(String, String),
    /// The homeserver would refuse it as the topic of a room.
    #[error("{0} is too long: use at most {LONGEST_TEXT} bytes")]
    TooLong(&'static str),
    /// The homeserver's name and the worker's make no user id.
    #[error("{0:?} makes no Matrix user id")]
    UserId(String),
}

/// Makes a plan out of a wish, or says why not.
pub(crate) fn plan(
    house: &House,
    name: &str,
    wish: Wish,
    requester: &UserId,
    reply_to: Option<Place>,
) -> Result<NewWorker, WishError> {
    let name = AgentName::worker(name)?;
    // A model may write anything; PostgreSQL has no text with a NUL in it.
    let clean = |text: Option<String>| text.map(|text| text.replace('\0', ""));
    let wish = Wish { description: clean(wish.description), model: clean(wish.model), ..wish };
    for (what, text) in [("the description", &wish.description), ("the model's name", &wish.model)] {
        if text.as_ref().is_some_and(|text| text.len() > LONGEST_TEXT) {
            return Err(WishError::TooLong(what));
        }
    }
    let config = &house.config;
    let grant = wish.grant.unwrap_or_else(|| config.grant.clone());
    if grant != config.grant && !house.access.is_owner(requester) {
        return Err(WishError::Grant(config.grant.clone()));
    }
    let runtime = wish.runtime.unwrap_or_else(|| config.runtime.clone());
    if !house.runtimes.contains_key(&runtime) {
        let mut known: Vec<_> = house.runtimes.keys().cloned().collect();
        known.sort();
        return Err(WishError::Runtime(runtime, known.join(", ")));
    }
    let user_id = house.appservice.user_id(&name.localpart()).map_err(|_| WishError::UserId(name.localpart()))?;
    Ok(NewWorker {
        name,
        user_id,
        description: wish.description.unwrap_or_default(),
        runtime,
        model: wish.model.unwrap_or_else(|| config.model.clone()),
        grant,
        created_by: requester.to_owned(),
        reply_to,
    })
}

/// Everyone, a line each, in Markdown.
pub(crate) async fn overview(house: &House) -> Result<String, StoreError> {
    let mut lines = Vec::new();
    for agent in house.roster.list().await?.iter().filter(|agent| !agent.name.is_manager()) {
        lines.push(format!("- {}", describe(house, agent).await?));
    }
    if lines.is_empty() {
        return Ok("There are no workers yet. `!worker create alice` makes one.".to_owned());
    }
    Ok(lines.join("\n"))
}

/// One agent in one line, in Markdown.
pub(crate) async fn describe(house: &House, agent: &Agent) -> Result<String, StoreError> {
    let load = house.sessions.workload(agent).await?;
    let doing = match (agent.state, load.turns) {
        (AgentState::Active, 0) => "idle".to_owned(),
        (AgentState::Active, 1) => "working".to_owned(),
        (AgentState::Active, turns) => format!("working on {turns} things"),
        (state, _) => state.to_string(),
    };
    let mut line = format!("**{}** ({}, {}, {}): {doing}", agent.name, agent.user_id, agent.runtime, agent.model);
    if load.waiting > 0 {
        line.push_str(&format!(", {} waiting", messages(load.waiting)));
    }
    if !agent.description.is_empty() {
        line.push_str(&format!(". Job: {}", agent.description));
    }
    if let Some(trouble) = &agent.trouble {
        line.push_str(&format!(". Trouble: {trouble}"));
    }
    Ok(line)
}

fn messages(count: i64) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

/// An agent was paused: its turns are put aside, and its tokens are taken back.
pub(crate) async fn paused(house: &House, name: &AgentName) {
    house.wake_all();
    if let Ok(Some(agent)) = house.roster.find(name).await
        && let Err(error) = house.gateway.revoke(&agent).await
    {
        tracing::warn!(%error, agent = %name, "the tokens of a paused agent could not be revoked; they expire within the hour");
    }
}

/// What the command line asks of workers. What takes a homeserver is carried out by the doorward that runs on the same database.
pub struct Workers<'a> {
    pub(crate) house: &'a House,
}

/// What the command line cannot have.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// A worker's room needs a person in it.
    #[error(
        "access.owners names no person in full, such as \"@you:example.org\": add one, so that the worker's room has somebody in it"
    )]
    NoOwner,
    /// Something is in the way of what was asked for; it is kept, and tried again where that may help.
    #[error("{0}")]
    NotReady(String),
    /// The wish cannot be fulfilled.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// Nobody bears the name.
    #[error("there is no worker {0}; `doorward worker list` shows who is there")]
    Unknown(AgentName),
    /// The roster refused.
    #[error(transparent)]
    Roster(RosterError),
}

impl From<RosterError> for WorkersError {
    fn from(error: RosterError) -> Self {
        match error {
            RosterError::Unknown(name) => Self::Unknown(name),
            error => Self::Roster(error),
        }
    }
}

impl From<StoreError> for WorkersError {
    fn from(error: StoreError) -> Self {
        Self::Roster(error.into())
    }
}

impl Workers<'_> {
    /// Asks for a worker, for the first owner that is named in full.
    pub async fn create(&self, name: &str, wish: Wish) -> Result<AgentName, WorkersError> {
        let owner = self.house.access.first_owner().ok_or(WorkersError::NoOwner)?;
        let new = plan(self.house, name, wish, owner, None)?;
        let mut tx = self.house.database.write().await?;
        self.house.roster.create(&mut tx, &new).await?;
        tx.commit().await?;
        self.house.wake_all();
        Ok(new.name)
    }

    /// Waits until what was asked for `name` is done, at most `longest`; one sentence that says what became of it.
    pub async fn wait(&self, name: &AgentName, longest: std::time::Duration) -> Result<String, WorkersError> {
        match crate::provision::wait(self.house, name, longest).await? {
            Awaited::Fine(sentence) => Ok(sentence),
            Awaited::Trouble(sentence) => Err(WorkersError::NotReady(sentence)),
        }
    }

    /// The workers, with what each is doing.
    pub async fn list(&self) -> Result<Vec<(Agent, Workload)>, WorkersError> {
        let mut found = Vec::new();
        for agent in self.house.roster.list().await?.into_iter().filter(|agent| !agent.name.is_manager()) {
            let load = self.house.sessions.workload(&agent).await?;
            found.push((agent, load));
        }
        Ok(found)
    }

    /// One agent, with what it is doing.
    pub async fn show(&self, name: &AgentName) -> Result<(Agent, Workload), WorkersError> {
        let agent = self.house.roster.get(name).await?;
        let load = self.house.sessions.workload(&agent).await?;
        Ok((agent, load))
    }

    /// Pauses an agent, and takes its tokens back.
    pub async fn pause(&self, name: &AgentName) -> Result<(), WorkersError> {
        let mut tx = self.house.database.write().await?;
        self.house.roster.pause(&mut tx, name).await?;
        tx.commit().await?;
        paused(self.house, name).await;
        Ok(())
    }

    /// Lets an agent work again.
    pub async fn resume(&self, name: &AgentName) -> Result<(), WorkersError> {
        let mut tx = self.house.database.write().await?;
        self.house.roster.resume(&mut tx, name).await?;
        tx.commit().await?;
        self.house.wake_all();
        Ok(())
    }

    /// Asks for the removal of a worker.
    pub async fn remove(&self, name: &AgentName) -> Result<(), WorkersError> {
        let mut tx = self.house.database.write().await?;
        self.house.roster.remove(&mut tx, name, None).await?;
        tx.commit().await?;
        self.house.wake_all();
        Ok(())
    }
}
