//! Who is there: the manager and the workers, as rows. What is asked for here is carried out by [`crate::provision`],
//! in this process or in another one on the same database.

mod errand;

use std::sync::Arc;

use doorward_base::{Clock, Database, Migrations, Random, StoreError, Timestamp, Tx};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::agent::{Agent, AgentName, AgentState};
use crate::place::Place;

pub(crate) use errand::Errand;
use errand::NEVER;

/// The schema of this crate.
fn migrations() -> Migrations {
    Migrations {
        table: "_migrations_agents",
        sqlite: sqlx::migrate!("../migrations/agents/sqlite"),
        postgres: sqlx::migrate!("../migrations/agents/postgres"),
    }
}

/// What a new worker is to be.
#[derive(Clone, Debug)]
pub struct NewWorker {
    /// Its name.
    pub name: AgentName,
    /// Its virtual user.
    pub user_id: OwnedUserId,
    /// What it is for.
    pub description: String,
    /// What thinks for it.
    pub runtime: String,
    /// The model it asks for.
    pub model: String,
    /// What the gateway lets it do.
    pub grant: String,
    /// Who asked for it, and is invited to its room.
    pub created_by: OwnedUserId,
    /// Where the answer goes, if it was asked for in a room.
    pub reply_to: Option<Place>,
}

/// A change to a worker that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The name is taken.
    #[error("there is a worker {0} already: choose another name, or remove it first")]
    Exists(AgentName),
    /// Nobody bears the name.
    #[error("there is no worker {0}")]
    Unknown(AgentName),
    /// The manager stays.
    #[error("the manager cannot be removed")]
    Manager,
    /// The worker is not in a state in which that can be done.
    #[error("{name} is {state} just now: try again when that is done")]
    Busy {
        /// The worker.
        name: AgentName,
        /// Its state.
        state: AgentState,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RosterError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The rows of the agents.
#[derive(Clone, Debug)]
pub struct Roster {
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
}

const COLUMNS: &str = "SELECT name, id, user_id, description, runtime, model, grant_name, state, created_by, created_at, home_room, trouble FROM agent";

macro_rules! select {
    ($rest:literal) => {
        sqlx::AssertSqlSafe(format!("{COLUMNS} {}", $rest))
    };
}

impl Roster {
    /// Opens the roster in a database, and brings its schema up to date.
    pub async fn open(database: Database, clock: Arc<dyn Clock>, random: Random) -> Result<Self, StoreError> {
        database.migrate(&migrations()).await?;
        Ok(Self { database, clock, random })
    }

    /// Everyone, the manager first.
    pub async fn list(&self) -> Result<Vec<Agent>, StoreError> {
        let sql = select!("ORDER BY CASE WHEN name = 'manager' THEN 0 ELSE 1 END, name");
        sqlx::query(sql).fetch_all(self.database.reader()).await?.iter().map(agent).collect()
    }

    /// One agent.
    pub async fn find(&self, name: &AgentName) -> Result<Option<Agent>, StoreError> {
        let row =
            sqlx::query(select!("WHERE name = $1")).bind(name.as_str()).fetch_optional(self.database.reader()).await?;
        row.as_ref().map(agent).transpose()
    }

    /// One agent, or the error that says that nobody bears the name.
    pub async fn get(&self, name: &AgentName) -> Result<Agent, RosterError> {
        self.find(name).await?.ok_or_else(|| RosterError::Unknown(name.clone()))
    }

    /// The agent that has this id.
    pub(crate) async fn by_id(&self, id: &str) -> Result<Option<Agent>, StoreError> {
        let row = sqlx::query(select!("WHERE id = $1")).bind(id).fetch_optional(self.database.reader()).await?;
        row.as_ref().map(agent).transpose()
    }

    /// The agent whose virtual user `user` is.
    pub async fn by_user(&self, user: &UserId) -> Result<Option<Agent>, StoreError> {
        let row = sqlx::query(select!("WHERE user_id = $1"))
            .bind(user.as_str())
            .fetch_optional(self.database.reader())
            .await?;
        row.as_ref().map(agent).transpose()
    }

    /// Makes sure that there is a manager, and that it uses what the configuration says now.
    pub async fn ensure_manager(
        &self,
        user_id: &UserId,
        model: &str,
        runtime: &str,
        grant: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO agent (name, id, user_id, description, runtime, model, grant_name, state, created_by, created_at, attempts, retry_at)
             VALUES ('manager', $1, $2, '', $3, $4, $5, 'active', $2, $6, 0, 0)
             ON CONFLICT (name) DO UPDATE SET user_id = excluded.user_id, runtime = excluded.runtime, model = excluded.model,
             grant_name = excluded.grant_name",
        )
        .bind(self.random.id())
        .bind(user_id.as_str())
        .bind(runtime)
        .bind(model)
        .bind(grant)
        .bind(self.clock.now().as_millis())
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Asks for a worker.
    pub async fn create(&self, tx: &mut Tx, new: &NewWorker) -> Result<(), RosterError> {
        let inserted = sqlx::query(
            "INSERT INTO agent (name, id, user_id, description, runtime, model, grant_name, state, created_by, created_at,
             reply_room, reply_thread, attempts, retry_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'creating', $8, $9, $10, $11, 0, 0) ON CONFLICT DO NOTHING",
        )
        .bind(new.name.as_str())
        .bind(self.random.id())
        .bind(new.user_id.as_str())
        .bind(&new.description)
        .bind(&new.runtime)
        .bind(&new.model)
        .bind(&new.grant)
        .bind(new.created_by.as_str())
        .bind(self.clock.now().as_millis())
        .bind(new.reply_to.as_ref().map(|place| place.room.to_string()))
        .bind(new.reply_to.as_ref().and_then(|place| place.thread.as_ref().map(ToString::to_string)))
        .execute(tx.connection())
        .await?;
        if inserted.rows_affected() == 0 { Err(RosterError::Exists(new.name.clone())) } else { Ok(()) }
    }

    /// Pauses an active agent; one that is paused already stays so.
    pub async fn pause(&self, tx: &mut Tx, name: &AgentName) -> Result<(), RosterError> {
        self.change(tx, name, AgentState::Active, AgentState::Paused).await
    }

    /// Lets a paused agent work again; an active one goes on.
    pub async fn resume(&self, tx: &mut Tx, name: &AgentName) -> Result<(), RosterError> {
        self.change(tx, name, AgentState::Paused, AgentState::Active).await
    }

    async fn change(&self, tx: &mut Tx, name: &AgentName, from: AgentState, to: AgentState) -> Result<(), RosterError> {
        let changed = sqlx::query("UPDATE agent SET state = $1 WHERE name = $2 AND state IN ($1, $3)")
            .bind(to.as_str())
            .bind(name.as_str())
            .bind(from.as_str())
            .execute(tx.connection())
            .await?;
        if changed.rows_affected() == 1 { Ok(()) } else { Err(self.why_not(tx, name).await?) }
    }

    /// Asks for the removal of a worker, in any state; once more if that came to nothing.
    pub async fn remove(&self, tx: &mut Tx, name: &AgentName, reply_to: Option<&Place>) -> Result<(), RosterError> {
        if name.is_manager() {
            return Err(RosterError::Manager);
        }
        let changed = sqlx::query(
            "UPDATE agent SET state = 'removing', reply_room = $1, reply_thread = $2, attempts = 0, retry_at = 0, trouble = NULL
             WHERE name = $3 AND (state <> 'removing' OR retry_at = $4)",
        )
        .bind(reply_to.map(|place| place.room.to_string()))
        .bind(reply_to.and_then(|place| place.thread.as_ref().map(ToString::to_string)))
        .bind(name.as_str())
        .bind(NEVER)
        .execute(tx.connection())
        .await?;
        if changed.rows_affected() == 1 { Ok(()) } else { Err(self.why_not(tx, name).await?) }
    }

    async fn why_not(&self, tx: &mut Tx, name: &AgentName) -> Result<RosterError, StoreError> {
        let row = sqlx::query("SELECT state FROM agent WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(tx.connection())
            .await?;
        Ok(match row {
            Some(row) => RosterError::Busy { name: name.clone(), state: state(&row, 0)? },
            None => RosterError::Unknown(name.clone()),
        })
    }

    /// Remembers the room that was made for a worker.
    pub(crate) async fn set_home_room(&self, agent: &Agent, room: &RoomId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE agent SET home_room = $1 WHERE id = $2")
            .bind(room.as_str())
            .bind(&agent.id)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// The worker whose room this was has none any more: nobody is left there.
    pub(crate) async fn forget_home(&self, room: &RoomId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE agent SET home_room = NULL WHERE home_room = $1")
            .bind(room.as_str())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Whether the virtual user has its display name and avatar.
    pub(crate) async fn is_dressed(&self, agent: &Agent) -> Result<bool, StoreError> {
        let dressed: Option<i64> = sqlx::query_scalar("SELECT dressed FROM agent WHERE id = $1")
            .bind(&agent.id)
            .fetch_optional(self.database.reader())
            .await?;
        Ok(dressed == Some(1))
    }

    /// Remembers that the virtual user has its display name and avatar.
    pub(crate) async fn set_dressed(&self, agent: &Agent) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE agent SET dressed = 1 WHERE id = $1").bind(&agent.id).execute(tx.connection()).await?;
        tx.commit().await
    }

    /// The worker is there. Whether it was still being created.
    pub(crate) async fn created(&self, tx: &mut Tx, agent: &Agent) -> Result<bool, StoreError> {
        let changed =
            sqlx::query("UPDATE agent SET state = 'active', trouble = NULL WHERE id = $1 AND state = 'creating'")
                .bind(&agent.id)
                .execute(tx.connection())
                .await?;
        Ok(changed.rows_affected() == 1)
    }

    /// The worker is gone, and with it what it remembered. Whether it was there.
    pub(crate) async fn removed(&self, tx: &mut Tx, agent: &Agent) -> Result<bool, StoreError> {
        for sql in [
            // First, so that a turn that is writing its journal is waited for, and then finds its session gone.
            "UPDATE session SET lease_token = NULL WHERE agent = $1",
            "DELETE FROM session_input WHERE session_id IN (SELECT id FROM session WHERE agent = $1)",
            "DELETE FROM session_entry WHERE session_id IN (SELECT id FROM session WHERE agent = $1)",
            "DELETE FROM turn WHERE session_id IN (SELECT id FROM session WHERE agent = $1)",
            "DELETE FROM session WHERE agent = $1",
        ] {
            sqlx::query(sql).bind(&agent.id).execute(tx.connection()).await?;
        }
        let deleted = sqlx::query("DELETE FROM agent WHERE id = $1").bind(&agent.id).execute(tx.connection()).await?;
        Ok(deleted.rows_affected() == 1)
    }
}

fn agent(row: &AnyRow) -> Result<Agent, StoreError> {
    let home: Option<String> = row.try_get("home_room")?;
    Ok(Agent {
        name: AgentName::stored(row.try_get("name")?),
        id: row.try_get("id")?,
        user_id: user(row, "user_id")?,
        description: row.try_get("description")?,
        runtime: row.try_get("runtime")?,
        model: row.try_get("model")?,
        grant: row.try_get("grant_name")?,
        state: state(row, "state")?,
        created_by: user(row, "created_by")?,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        home_room: home
            .map(|room| OwnedRoomId::try_from(room).map_err(|error| corrupt("room id", error)))
            .transpose()?,
        trouble: row.try_get("trouble")?,
    })
}

fn user(row: &AnyRow, column: &str) -> Result<OwnedUserId, StoreError> {
    let text: String = row.try_get(column)?;
    OwnedUserId::try_from(text).map_err(|error| corrupt("user id", error))
}

fn state<I: sqlx::ColumnIndex<AnyRow>>(row: &AnyRow, column: I) -> Result<AgentState, StoreError> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|()| corrupt("state of an agent", text))
}

pub(crate) fn corrupt(what: &'static str, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what, detail: detail.to_string() }
}
