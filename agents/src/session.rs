//! Sessions: one agent in one room or thread. What was said to it waits in a queue; what happened is one append-only history,
//! and the tail of that history is the journal of the open turn, which a restart continues.

mod claim;
mod journal;

use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Random, StoreError, Tx};
use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use crate::agent::{Agent, AgentName};
use crate::place::Place;

pub(crate) use claim::{Claim, Pulse};
pub(crate) use journal::{Turn, TurnState};

/// How long a claimed session stays claimed without a sign of life.
pub(crate) const LEASE: Duration = Duration::from_secs(30);

/// Something that was said to an agent.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// The event that said it.
    pub(crate) event_id: OwnedEventId,
    /// Who said it.
    pub(crate) sender: OwnedUserId,
    /// What was said.
    pub(crate) body: String,
    /// How many agents woke each other before it; 0 when a human said it.
    pub(crate) hops: i64,
}

/// A call of a tool that a model asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments as the model wrote them: JSON, if the model kept to it.
    pub arguments: String,
}

/// One step of a session's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Step {
    /// Something was said to the agent.
    Input {
        /// Who said it.
        sender: OwnedUserId,
        /// What was said.
        body: String,
    },
    /// The model answered.
    Model {
        /// What it said.
        text: String,
        /// What it wants done.
        calls: Vec<ToolCall>,
    },
    /// A tool was about to run: from here to its result, the outcome is unknown.
    ToolStarted {
        /// The call.
        call_id: String,
    },
    /// A tool has run.
    ToolResult {
        /// The call.
        call_id: String,
        /// What it gave.
        text: String,
    },
}

impl Step {
    fn kind(&self) -> &'static str {
        match self {
            Self::Input { .. } => "input",
            Self::Model { .. } => "model",
            Self::ToolStarted { .. } => "tool_started",
            Self::ToolResult { .. } => "tool_result",
        }
    }
}

/// Work on a session that somebody else has taken over, or an error of the database.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The lease ran out and another process works on the session.
    #[error("another process has taken the session over")]
    LeaseLost,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for SessionError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Whose turns a command is about.
#[derive(Clone, Debug)]
pub(crate) enum Scope<'a> {
    /// One agent, wherever it is.
    Agent(&'a AgentName),
    /// Everyone in a room.
    Room(&'a RoomId),
}

impl Scope<'_> {
    /// A query for the ids of the sessions, and its one parameter.
    fn sessions(&self) -> (&'static str, &str) {
        match self {
            Self::Agent(name) => {
                ("SELECT s.id FROM session s JOIN agent a ON a.id = s.agent WHERE a.name = $1", name.as_str())
            }
            Self::Room(room) => ("SELECT id FROM session WHERE room_id = $1", room.as_str()),
        }
    }
}

/// The rows of the sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
}

impl Sessions {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self { database, clock, random }
    }

    /// Queues what was said to an agent; the same event a second time changes nothing. How many messages wait in the session now.
    pub(crate) async fn hear(
        &self,
        tx: &mut Tx,
        agent: &Agent,
        place: &Place,
        input: &Input,
    ) -> Result<i64, StoreError> {
        let now = self.clock.now().as_millis();
        let Some(session) = self.ensure(tx, agent, place, now).await? else { return Ok(0) };
        let latest: i64 =
            sqlx::query_scalar("SELECT COALESCE(MAX(received_at), 0) FROM session_input WHERE session_id = $1")
                .bind(&session)
                .fetch_one(tx.connection())
                .await?;
        sqlx::query(
            "INSERT INTO session_input (session_id, event_id, sender, body, hops, received_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
        )
        .bind(&session)
        .bind(input.event_id.as_str())
        .bind(input.sender.as_str())
        .bind(&input.body)
        .bind(input.hops)
        // Never at the same time or before: a clock may stand still or go back, and the order is what counts.
        .bind(now.max(latest + 1))
        .execute(tx.connection())
        .await?;
        sqlx::query(
            "UPDATE session SET ready = 1, not_before = CASE WHEN ready = 1 THEN not_before ELSE $1 END WHERE id = $2",
        )
        .bind(now)
        .bind(&session)
        .execute(tx.connection())
        .await?;
        let waiting = sqlx::query_scalar("SELECT COUNT(*) FROM session_input WHERE session_id = $1");
        Ok(waiting.bind(&session).fetch_one(tx.connection()).await?)
    }

    /// The session of an agent at a place; `None` if the agent was removed meanwhile.
    async fn ensure(&self, tx: &mut Tx, agent: &Agent, place: &Place, now: i64) -> Result<Option<String>, StoreError> {
        sqlx::query(
            "INSERT INTO session (id, agent, room_id, thread, created_at, ready, not_before, lease_until)
             SELECT $1, id, $3, $4, $5, 0, $5, 0 FROM agent WHERE id = $2 ON CONFLICT DO NOTHING",
        )
        .bind(self.random.id())
        .bind(&agent.id)
        .bind(place.room.as_str())
        .bind(place.thread_column())
        .bind(now)
        .execute(tx.connection())
        .await?;
        let id = sqlx::query_scalar("SELECT id FROM session WHERE agent = $1 AND room_id = $2 AND thread = $3")
            .bind(&agent.id)
            .bind(place.room.as_str())
            .bind(place.thread_column())
            .fetch_optional(tx.connection())
            .await?;
        Ok(id)
    }

    /// Asks the open turns in `scope` to end, and lets go of what waits to be answered there. How many turns it reached.
    pub(crate) async fn request_stop(&self, tx: &mut Tx, scope: &Scope<'_>) -> Result<u64, StoreError> {
        let (sessions, key) = scope.sessions();
        // First, so that a turn that is just being opened is waited for, and reached.
        let hold = format!("UPDATE session SET ready = ready WHERE id IN ({sessions})");
        sqlx::query(AssertSqlSafe(hold)).bind(key).execute(tx.connection()).await?;
        let stop = format!("UPDATE turn SET stop_requested = 1 WHERE state = 'open' AND session_id IN ({sessions})");
        let reached = sqlx::query(AssertSqlSafe(stop)).bind(key).execute(tx.connection()).await?.rows_affected();
        let forget = format!("DELETE FROM session_input WHERE session_id IN ({sessions})");
        sqlx::query(AssertSqlSafe(forget)).bind(key).execute(tx.connection()).await?;
        Ok(reached)
    }

    /// Forgets a message that was taken back in its room: out of the queue and the history, and the turn that it began ends.
    pub(crate) async fn forget(&self, tx: &mut Tx, room: &RoomId, event: &EventId) -> Result<(), StoreError> {
        for sql in [
            "UPDATE session SET ready = ready WHERE room_id = $2 AND id IN (SELECT session_id FROM session_entry WHERE event_id = $1
             UNION SELECT session_id FROM session_input WHERE event_id = $1)",
            "UPDATE turn SET stop_requested = 1 WHERE state = 'open' AND id IN (SELECT turn_id FROM session_entry WHERE event_id = $1)
             AND session_id IN (SELECT id FROM session WHERE room_id = $2)",
            "DELETE FROM session_entry WHERE event_id = $1 AND session_id IN (SELECT id FROM session WHERE room_id = $2)",
            "DELETE FROM session_input WHERE event_id = $1 AND session_id IN (SELECT id FROM session WHERE room_id = $2)",
        ] {
            sqlx::query(sql).bind(event.as_str()).bind(room.as_str()).execute(tx.connection()).await?;
        }
        Ok(())
    }

    /// What an agent is doing: its open turns and what waits for it.
    pub(crate) async fn workload(&self, agent: &Agent) -> Result<Workload, StoreError> {
        let count = async |sql: &'static str| -> Result<i64, StoreError> {
            Ok(sqlx::query_scalar(sql).bind(&agent.id).fetch_one(self.database.reader()).await?)
        };
        Ok(Workload {
            turns: count("SELECT COUNT(*) FROM turn t JOIN session s ON s.id = t.session_id WHERE s.agent = $1 AND t.state = 'open'")
                .await?,
            waiting: count("SELECT COUNT(*) FROM session_input i JOIN session s ON s.id = i.session_id WHERE s.agent = $1").await?,
        })
    }

    /// Counts that an agent woke another one in a room; how often that has happened since a human last spoke there.
    pub(crate) async fn count_wake(&self, tx: &mut Tx, room: &RoomId) -> Result<i64, StoreError> {
        sqlx::query("INSERT INTO agent_wakes (room_id, wakes) VALUES ($1, 1) ON CONFLICT (room_id) DO UPDATE SET wakes = agent_wakes.wakes + 1")
            .bind(room.as_str())
            .execute(tx.connection())
            .await?;
        let wakes = sqlx::query_scalar("SELECT wakes FROM agent_wakes WHERE room_id = $1");
        Ok(wakes.bind(room.as_str()).fetch_one(tx.connection()).await?)
    }

    /// A human has spoken in the room.
    pub(crate) async fn reset_wakes(&self, tx: &mut Tx, room: &RoomId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM agent_wakes WHERE room_id = $1").bind(room.as_str()).execute(tx.connection()).await?;
        Ok(())
    }
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Turns that are running or about to go on.
    pub turns: i64,
    /// Messages that no turn has taken yet.
    pub waiting: i64,
}

#[cfg(test)]
mod tests;
