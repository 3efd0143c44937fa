//! Claims: which process works on a session, and for how long without a sign of life.

use doorward_base::{Engine, StoreError, Tx};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{LEASE, SessionError, Sessions};
use crate::agent::AgentState;
use crate::place::Place;

/// The right to work on one session, until the lease runs out.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) session_id: String,
    /// The id of the agent: a name may pass to another one.
    pub(crate) agent_id: String,
    pub(crate) place: Place,
    token: String,
}

/// What the world wants of a turn that is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pulse {
    /// Go on.
    Steady,
    /// Somebody said `!stop`, or took the request back.
    Stop,
    /// The agent was paused or is being removed: put the turn aside.
    Suspend,
    /// Another process works on the session now.
    Lost,
}

impl Sessions {
    /// Claims the session that has waited longest, if its agent works. What is to be stopped ends at once, also if its agent is paused
    /// or it waits for another try.
    pub(crate) async fn claim(&self) -> Result<Option<Claim>, StoreError> {
        let (now, token) = (self.clock.now(), self.random.id());
        let mut tx = self.database.write().await?;
        let row = sqlx::query(
            "UPDATE session SET lease_token = $1, lease_until = $2
             WHERE id = (SELECT s.id FROM session s JOIN agent a ON a.id = s.agent
                         WHERE s.ready = 1 AND s.lease_until <= $3 AND (s.not_before <= $3 AND a.state = 'active' OR EXISTS
                         (SELECT 1 FROM turn t WHERE t.session_id = s.id AND t.state = 'open' AND t.stop_requested = 1))
                         ORDER BY s.not_before, s.id LIMIT 1)
             AND ready = 1 AND lease_until <= $3
             RETURNING id, agent, room_id, thread",
        )
        .bind(&token)
        .bind(now.plus(LEASE).as_millis())
        .bind(now.as_millis())
        .fetch_optional(tx.connection())
        .await?;
        tx.commit().await?;
        row.map(|row| claim(&row, token)).transpose()
    }

    /// What a process that has died left claimed can be claimed at once. One process at a time works on a SQLite database, so at
    /// its start no claim is anyone's; on PostgreSQL they end by themselves.
    pub(crate) async fn forget_claims_of_the_dead(&self) -> Result<(), StoreError> {
        if self.database.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE session SET lease_token = NULL, lease_until = 0 WHERE lease_token IS NOT NULL")
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// Makes sure, at the beginning of a transaction, that the claim still holds.
    pub(crate) async fn guard(&self, tx: &mut Tx, claim: &Claim) -> Result<(), SessionError> {
        let held = sqlx::query("UPDATE session SET lease_until = $1 WHERE id = $2 AND lease_token = $3")
            .bind(self.clock.now().plus(LEASE).as_millis())
            .bind(&claim.session_id)
            .bind(&claim.token)
            .execute(tx.connection())
            .await?;
        if held.rows_affected() == 1 { Ok(()) } else { Err(SessionError::LeaseLost) }
    }

    /// A sign of life; what the world wants meanwhile.
    pub(crate) async fn pulse(&self, claim: &Claim) -> Result<Pulse, StoreError> {
        let row = sqlx::query(
            "SELECT s.lease_token, s.lease_until, a.state, t.stop_requested FROM session s
             LEFT JOIN agent a ON a.id = s.agent LEFT JOIN turn t ON t.session_id = s.id AND t.state = 'open' WHERE s.id = $1",
        )
        .bind(&claim.session_id)
        .fetch_optional(self.database.reader())
        .await?;
        let Some(row) = row else { return Ok(Pulse::Lost) };
        if row.try_get::<Option<String>, _>("lease_token")?.as_ref() != Some(&claim.token) {
            return Ok(Pulse::Lost);
        }
        self.renew_if_half_gone(claim, row.try_get("lease_until")?).await?;
        let active = row.try_get::<Option<String>, _>("state")?.as_deref() == Some(AgentState::Active.as_str());
        Ok(match row.try_get::<Option<i64>, _>("stop_requested")? {
            Some(1) => Pulse::Stop,
            _ if active => Pulse::Steady,
            _ => Pulse::Suspend,
        })
    }

    async fn renew_if_half_gone(&self, claim: &Claim, until: i64) -> Result<(), StoreError> {
        if until > self.clock.now().plus(LEASE / 2).as_millis() {
            return Ok(());
        }
        let mut tx = self.database.write().await?;
        match self.guard(&mut tx, claim).await {
            Ok(()) => tx.commit().await,
            // The next pulse says so.
            Err(SessionError::LeaseLost) => Ok(()),
            Err(SessionError::Store(error)) => Err(error),
        }
    }

    /// Whether this process still works on the session.
    pub(crate) async fn holds(&self, claim: &Claim) -> Result<bool, StoreError> {
        let token: Option<Option<String>> = sqlx::query_scalar("SELECT lease_token FROM session WHERE id = $1")
            .bind(&claim.session_id)
            .fetch_optional(self.database.reader())
            .await?;
        Ok(token.flatten().as_ref() == Some(&claim.token))
    }

    /// Gives the session back without ending its turn, to be taken up again after `wait`.
    pub(crate) async fn release(&self, claim: &Claim, wait: std::time::Duration) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        self.give_back(&mut tx, claim, wait).await?;
        tx.commit().await
    }

    pub(super) async fn give_back(
        &self,
        tx: &mut Tx,
        claim: &Claim,
        wait: std::time::Duration,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE session SET lease_token = NULL, lease_until = 0, not_before = $1 WHERE id = $2 AND lease_token = $3")
            .bind(self.clock.now().plus(wait).as_millis())
            .bind(&claim.session_id)
            .bind(&claim.token)
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

fn claim(row: &AnyRow, token: String) -> Result<Claim, StoreError> {
    Ok(Claim {
        session_id: row.try_get("id")?,
        agent_id: row.try_get("agent")?,
        place: Place::stored(row.try_get("room_id")?, row.try_get("thread")?)?,
        token,
    })
}
