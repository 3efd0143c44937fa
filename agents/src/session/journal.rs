//! The history of a session, and the turns within it.

use std::time::Duration;

use doorward_appservice::OutboxId;
use doorward_base::{StoreError, Tx};
use ruma::{OwnedEventId, OwnedUserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Claim, Input, SessionError, Sessions, Step};
use crate::roster::corrupt;

/// An open turn.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) id: String,
    /// How often it was tried in vain.
    pub(crate) failures: i64,
    /// How many agents woke each other before it.
    pub(crate) hops: i64,
    /// The message that was being written when it was last put down.
    pub(crate) live: Option<OutboxId>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnState {
    Done,
    Stopped,
    Failed,
}

impl TurnState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl Sessions {
    /// Takes up the open turn of a claimed session, or opens one for what was said; `None` when there is nothing to do.
    pub(crate) async fn take_up(&self, claim: &Claim) -> Result<Option<Turn>, SessionError> {
        let mut tx = self.database.write().await?;
        self.guard(&mut tx, claim).await?;
        let sql = "SELECT id, failures, hops, live_outbox_id FROM turn WHERE session_id = $1 AND state = 'open'";
        let row = sqlx::query(sql).bind(&claim.session_id).fetch_optional(tx.connection()).await?;
        let turn = match row {
            Some(row) => Some(turn(&row)?),
            None => self.open(&mut tx, claim).await?,
        };
        if turn.is_none() {
            self.settle(&mut tx, claim).await?;
        }
        tx.commit().await?;
        Ok(turn)
    }

    pub(super) async fn open(&self, tx: &mut Tx, claim: &Claim) -> Result<Option<Turn>, StoreError> {
        let turn = Turn { id: self.random.id(), failures: 0, hops: 0, live: None };
        let inputs = self.take_inputs(tx, claim, &turn).await?;
        let Some(hops) = inputs.iter().map(|input| input.hops).max() else { return Ok(None) };
        sqlx::query(
            "INSERT INTO turn (id, session_id, state, stop_requested, hops, failures, started_at) VALUES ($1, $2, 'open', 0, $3, 0, $4)",
        )
        .bind(&turn.id)
        .bind(&claim.session_id)
        .bind(hops)
        .bind(self.clock.now().as_millis())
        .execute(tx.connection())
        .await?;
        Ok(Some(Turn { hops, ..turn }))
    }

    /// Gives the session back after a try in vain, for another one after `wait`.
    pub(crate) async fn retry(&self, claim: &Claim, turn: &Turn, wait: Duration) -> Result<(), SessionError> {
        let mut tx = self.database.write().await?;
        self.guard(&mut tx, claim).await?;
        sqlx::query("UPDATE turn SET failures = failures + 1 WHERE id = $1")
            .bind(&turn.id)
            .execute(tx.connection())
            .await?;
        self.give_back(&mut tx, claim, wait).await?;
        Ok(tx.commit().await?)
    }

    /// Moves what was said since into the history of the turn. How many agents woke each other before the turn now.
    pub(crate) async fn absorb(&self, claim: &Claim, turn: &Turn) -> Result<i64, SessionError> {
        let waiting: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM session_input WHERE session_id = $1")
            .bind(&claim.session_id)
            .fetch_one(self.database.reader())
            .await?;
        if waiting == 0 {
            return Ok(turn.hops);
        }
        let mut tx = self.database.write().await?;
        self.guard(&mut tx, claim).await?;
        let inputs = self.take_inputs(&mut tx, claim, turn).await?;
        let hops = inputs.iter().map(|input| input.hops).max().unwrap_or_default();
        sqlx::query("UPDATE turn SET hops = $1 WHERE id = $2 AND hops < $1")
            .bind(hops)
            .bind(&turn.id)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(hops)
    }

    async fn take_inputs(&self, tx: &mut Tx, claim: &Claim, turn: &Turn) -> Result<Vec<Input>, StoreError> {
        let sql = "SELECT event_id, sender, body, hops FROM session_input WHERE session_id = $1 ORDER BY received_at, event_id";
        let rows = sqlx::query(sql).bind(&claim.session_id).fetch_all(tx.connection()).await?;
        let inputs = rows.iter().map(input).collect::<Result<Vec<_>, _>>()?;
        for input in &inputs {
            let step = Step::Input { sender: input.sender.clone(), body: input.body.clone() };
            self.append_with_event(tx, claim, turn, &step, Some(input.event_id.as_str())).await?;
            sqlx::query("DELETE FROM session_input WHERE session_id = $1 AND event_id = $2")
                .bind(&claim.session_id)
                .bind(input.event_id.as_str())
                .execute(tx.connection())
                .await?;
        }
        Ok(inputs)
    }

    /// Adds a step to the journal of the turn.
    pub(crate) async fn append(&self, tx: &mut Tx, claim: &Claim, turn: &Turn, step: &Step) -> Result<(), StoreError> {
        self.append_with_event(tx, claim, turn, step, None).await
    }

    async fn append_with_event(
        &self,
        tx: &mut Tx,
        claim: &Claim,
        turn: &Turn,
        step: &Step,
        event: Option<&str>,
    ) -> Result<(), StoreError> {
        let content = serde_json::to_string(step).map_err(|error| corrupt("step of a turn", error))?;
        sqlx::query(
            "INSERT INTO session_entry (session_id, seq, turn_id, kind, content, event_id, created_at)
             SELECT $1, COALESCE(MAX(seq), 0) + 1, $2, $3, $4, $5, $6 FROM session_entry WHERE session_id = $1",
        )
        .bind(&claim.session_id)
        .bind(&turn.id)
        .bind(step.kind())
        .bind(content)
        .bind(event)
        .bind(self.clock.now().as_millis())
        .execute(tx.connection())
        .await?;
        Ok(())
    }

    /// The latest `limit` steps of the session, in order.
    pub(crate) async fn history(&self, claim: &Claim, limit: i64) -> Result<Vec<Step>, StoreError> {
        let sql = "SELECT content FROM session_entry WHERE session_id = $1 ORDER BY seq DESC LIMIT $2";
        let rows: Vec<String> =
            sqlx::query_scalar(sql).bind(&claim.session_id).bind(limit).fetch_all(self.database.reader()).await?;
        let steps = rows.iter().rev().map(|content| serde_json::from_str(content));
        steps.collect::<Result<_, _>>().map_err(|error| corrupt("step of a turn", error))
    }

    /// Which message is being written.
    pub(crate) async fn live(&self, tx: &mut Tx, turn: &Turn) -> Result<Option<OutboxId>, StoreError> {
        let live: Option<i64> = sqlx::query_scalar("SELECT live_outbox_id FROM turn WHERE id = $1")
            .bind(&turn.id)
            .fetch_one(tx.connection())
            .await?;
        Ok(live.map(OutboxId::from_i64))
    }

    /// Remembers which message is being written, or that none is.
    pub(crate) async fn set_live(&self, tx: &mut Tx, turn: &Turn, live: Option<OutboxId>) -> Result<(), StoreError> {
        sqlx::query("UPDATE turn SET live_outbox_id = $1 WHERE id = $2")
            .bind(live.map(OutboxId::as_i64))
            .bind(&turn.id)
            .execute(tx.connection())
            .await?;
        Ok(())
    }

    /// Ends the turn and gives the session back, in the transaction that also queues what the turn wants seen.
    pub(crate) async fn close(
        &self,
        tx: &mut Tx,
        claim: &Claim,
        turn: &Turn,
        state: TurnState,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE turn SET state = $1, ended_at = $2, live_outbox_id = NULL WHERE id = $3")
            .bind(state.as_str())
            .bind(self.clock.now().as_millis())
            .bind(&turn.id)
            .execute(tx.connection())
            .await?;
        self.settle(tx, claim).await
    }

    /// Gives the session back; it is ready again at once if something was said meanwhile.
    async fn settle(&self, tx: &mut Tx, claim: &Claim) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE session SET lease_token = NULL, lease_until = 0, not_before = $1,
             ready = CASE WHEN EXISTS (SELECT 1 FROM session_input WHERE session_id = $2) THEN 1 ELSE 0 END WHERE id = $2",
        )
        .bind(self.clock.now().as_millis())
        .bind(&claim.session_id)
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}

fn turn(row: &AnyRow) -> Result<Turn, StoreError> {
    let live: Option<i64> = row.try_get("live_outbox_id")?;
    Ok(Turn {
        id: row.try_get("id")?,
        failures: row.try_get("failures")?,
        hops: row.try_get("hops")?,
        live: live.map(OutboxId::from_i64),
    })
}

fn input(row: &AnyRow) -> Result<Input, StoreError> {
    let (event, sender): (String, String) = (row.try_get("event_id")?, row.try_get("sender")?);
    Ok(Input {
        event_id: OwnedEventId::try_from(event).map_err(|error| corrupt("event id", error))?,
        sender: OwnedUserId::try_from(sender).map_err(|error| corrupt("user id", error))?,
        body: row.try_get("body")?,
        hops: row.try_get("hops")?,
    })
}
