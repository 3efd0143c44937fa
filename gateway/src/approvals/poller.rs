//! One task looks at the rows of all requests that this process holds.

use std::time::Duration;

use doorward_base::{StoreError, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;
use tokio_util::sync::CancellationToken;

use super::record::{ApprovalId, ApprovalState, is_stale};
use super::waiting::Outcome;
use super::{Approvals, LEASE};

/// How soon an answer that was given elsewhere is noticed.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Three tries before a lease ends.
const RENEW_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Poller<'a> {
    approvals: &'a Approvals,
    renewed_at: Timestamp,
    /// Whether the database failed the last time: it is logged once.
    failing: bool,
}

/// A row whose holder we are.
struct OwnRow {
    id: ApprovalId,
    state: ApprovalState,
    expires_at: Timestamp,
    answered_by: Option<String>,
    answered_at: Option<Timestamp>,
    reason: Option<String>,
}

impl<'a> Poller<'a> {
    pub(super) fn new(approvals: &'a Approvals) -> Self {
        Self { approvals, renewed_at: Timestamp::from_millis(0), failing: false }
    }

    /// Until `stop`, and until nothing is held any more.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let waiting = &self.approvals.waiting;
        loop {
            // What was not sent is told until it is written down, but no stop waits for that.
            let idle = waiting.is_empty() && (stop.is_cancelled() || !waiting.has_unsent());
            tokio::select! {
                // What was withdrawn before the stop is written down before the end.
                biased;
                () = waiting.woken() => {}
                () = tokio::time::sleep(LOOK_EVERY), if !idle => {}
                () = stop.cancelled(), if idle => return,
            }
            let looked = self.look().await;
            if let (Err(error), false) = (&looked, self.failing) {
                tracing::warn!(%error, "requests wait for a human, and the database does not say whether they were answered");
            }
            self.failing = looked.is_err();
            // A row whose time is over ends the waiting; this is for when the row cannot be read, and late enough to be sure of that.
            waiting.end_overdue(self.approvals.clock.now(), LEASE);
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        self.write_unsent().await?;
        let rows = sqlx::query(
            "SELECT id, state, expires_at, answered_by, answered_at, reason FROM approval WHERE holder = $1",
        )
        .bind(&*self.approvals.holder)
        .fetch_all(self.approvals.database.reader())
        .await?;
        // Later than what was read: how old an answer is, is not told by a look at the clock before it.
        let now = self.approvals.now().await?;
        self.renew(now).await?;
        for row in &rows {
            self.see_to(OwnRow::of(row)?, now).await?;
        }
        Ok(())
    }

    /// Writes down which approved requests were not sent.
    async fn write_unsent(&self) -> Result<(), StoreError> {
        let waiting = &self.approvals.waiting;
        while let Some(id) = waiting.first_unsent() {
            let mut tx = self.approvals.database.write().await?;
            sqlx::query("UPDATE approval SET state = 'approved_not_sent' WHERE id = $1 AND state = 'approved'")
                .bind(id.as_str())
                .execute(tx.connection())
                .await?;
            tx.commit().await?;
            waiting.is_written(&id);
        }
        Ok(())
    }

    async fn renew(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if now.since(self.renewed_at) < RENEW_EVERY {
            return Ok(());
        }
        let mut tx = self.approvals.database.write().await?;
        sqlx::query("UPDATE approval SET lease_until = $1 WHERE holder = $2 AND state = 'open'")
            .bind(now.plus(LEASE).as_millis())
            .bind(&*self.approvals.holder)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        self.renewed_at = now;
        Ok(())
    }

    async fn see_to(&self, row: OwnRow, now: Timestamp) -> Result<(), StoreError> {
        let waiting = &self.approvals.waiting;
        let waits = waiting.holds(&row.id);
        let closed = match row.state {
            ApprovalState::Open if !waits => ApprovalState::Withdrawn,
            ApprovalState::Open if row.expires_at <= now => ApprovalState::Expired,
            ApprovalState::Open => return Ok(()),
            ApprovalState::Approved if !waits || row.answered_at.is_none_or(|at| is_stale(at, now)) => {
                ApprovalState::ApprovedNotSent
            }
            answered => answered,
        };
        // If it was answered since it was read, the next look sees the answer.
        if self.let_go(&row.id, row.state, closed).await? {
            waiting.end(&row.id, row.outcome(closed));
        }
        Ok(())
    }

    /// Writes how the waiting ended, and that its holder knows; false if the row is not as it was read.
    async fn let_go(&self, id: &ApprovalId, read: ApprovalState, closed: ApprovalState) -> Result<bool, StoreError> {
        let mut tx = self.approvals.database.write().await?;
        let done =
            sqlx::query("UPDATE approval SET state = $1, holder = NULL WHERE id = $2 AND state = $3 AND holder = $4")
                .bind(closed.as_str())
                .bind(id.as_str())
                .bind(read.as_str())
                .bind(&*self.approvals.holder)
                .execute(tx.connection())
                .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}

impl OwnRow {
    fn of(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: ApprovalId::from_stored(row.try_get("id")?),
            state: ApprovalState::from_stored(&row.try_get::<String, _>("state")?)?,
            expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
            answered_by: row.try_get("answered_by")?,
            answered_at: row.try_get::<Option<i64>, _>("answered_at")?.map(Timestamp::from_millis),
            reason: row.try_get("reason")?,
        })
    }

    fn outcome(&self, closed: ApprovalState) -> Outcome {
        match (closed, &self.answered_by) {
            (ApprovalState::Approved, Some(by)) => Outcome::Approved { by: by.clone() },
            (ApprovalState::Denied, Some(by)) => Outcome::Denied { by: by.clone(), reason: self.reason.clone() },
            _ => Outcome::Unanswered,
        }
    }
}
