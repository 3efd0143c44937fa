//! Workers to be made or removed, and who works on that.

use std::time::Duration;

use doorward_base::{Engine, StoreError, Tx};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Roster, agent};
use crate::agent::Agent;
use crate::place::Place;

/// When an errand is tried again that somebody has to do something about first.
pub(super) const NEVER: i64 = i64::MAX;

/// A worker to be made or removed.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    /// Whom it is about.
    pub(crate) agent: Agent,
    /// Where the answer goes.
    pub(crate) reply_to: Option<Place>,
    /// How often it was tried.
    pub(crate) attempts: i64,
    retry_at: i64,
}

impl Roster {
    /// What is asked for and due: workers to be made or removed, the longest waiting first.
    pub(crate) async fn due(&self) -> Result<Vec<Errand>, StoreError> {
        let sql = "SELECT name, id, user_id, description, runtime, model, grant_name, state, created_by, created_at, home_room, trouble,
                   reply_room, reply_thread, attempts, retry_at FROM agent
                   WHERE state IN ('creating', 'removing') AND retry_at <= $1 ORDER BY retry_at, created_at";
        let rows = sqlx::query(sql).bind(self.clock.now().as_millis()).fetch_all(self.database.reader()).await?;
        rows.iter().map(errand).collect()
    }

    /// Takes an errand for `lease`; false if another process was faster.
    pub(crate) async fn take(&self, errand: &mut Errand, lease: Duration) -> Result<bool, StoreError> {
        self.move_due(errand, lease, 1).await
    }

    /// Keeps an errand for another `lease`; false if it is not ours any more, or something else was asked for meanwhile.
    pub(crate) async fn keep(&self, errand: &mut Errand, lease: Duration) -> Result<bool, StoreError> {
        self.move_due(errand, lease, 0).await
    }

    /// What a process that has died had begun, or had put aside for a while, is due at once: see
    /// [`crate::session::Sessions::forget_claims_of_the_dead`].
    pub(crate) async fn forget_claims_of_the_dead(&self) -> Result<(), StoreError> {
        if self.database.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE agent SET retry_at = 0 WHERE state IN ('creating', 'removing') AND retry_at <> $1")
            .bind(NEVER)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Leaves an errand to whoever comes next.
    pub(crate) async fn give_back(&self, errand: &mut Errand) -> Result<bool, StoreError> {
        self.move_due(errand, Duration::ZERO, 0).await
    }

    async fn move_due(&self, errand: &mut Errand, lease: Duration, tries: i64) -> Result<bool, StoreError> {
        let until = self.clock.now().plus(lease).as_millis();
        let mut tx = self.database.write().await?;
        let moved = sqlx::query(
            "UPDATE agent SET attempts = attempts + $1, retry_at = $2 WHERE id = $3 AND state = $4 AND retry_at = $5",
        )
        .bind(tries)
        .bind(until)
        .bind(&errand.agent.id)
        .bind(errand.agent.state.as_str())
        .bind(errand.retry_at)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        errand.retry_at = until;
        Ok(moved.rows_affected() == 1)
    }

    /// Puts an errand aside for `wait`, or for good, with the reason that is shown meanwhile; false if it is not ours any more.
    pub(crate) async fn postpone(
        &self,
        tx: &mut Tx,
        errand: &Errand,
        trouble: &str,
        wait: Option<Duration>,
    ) -> Result<bool, StoreError> {
        let retry_at = wait.map_or(NEVER, |wait| self.clock.now().plus(wait).as_millis());
        let sql = "UPDATE agent SET retry_at = $1, trouble = $2 WHERE id = $3 AND state = $4 AND retry_at = $5";
        let changed = sqlx::query(sql)
            .bind(retry_at)
            .bind(trouble)
            .bind(&errand.agent.id)
            .bind(errand.agent.state.as_str())
            .bind(errand.retry_at)
            .execute(tx.connection())
            .await?;
        Ok(changed.rows_affected() == 1)
    }
}

fn errand(row: &AnyRow) -> Result<Errand, StoreError> {
    let room: Option<String> = row.try_get("reply_room")?;
    let thread: Option<String> = row.try_get("reply_thread")?;
    let reply_to = match room {
        Some(room) => Some(Place::stored(room, thread.unwrap_or_default())?),
        None => None,
    };
    Ok(Errand { agent: agent(row)?, reply_to, attempts: row.try_get("attempts")?, retry_at: row.try_get("retry_at")? })
}
