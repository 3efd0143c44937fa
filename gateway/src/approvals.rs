//! Requests that are held until a human has answered.
//!
//! A held request is a row; the answer is a change of that row, made by whoever can reach the database: the admin interface of
//! any replica, or the command line. The process that holds requests looks at its rows a few times in a second, and at once when it
//! was the one that was answered through. A row is answered once, and only while its holder lives: the holder renews a lease, so
//! that a request which died with its process cannot be approved.
//!
//! Replicas have clocks of their own, so on PostgreSQL the times of a row are read off the database's clock, by whoever writes and
//! compares them. On SQLite there is one machine. The process's own clock only ends what waits while the database does not answer.
//!
//! A yes is handed to the request that waits, which says when it is about to be sent. If it never says so, because its client left or
//! its credential is missing, the row tells that it was approved but not sent.

mod answer;
mod digest;
mod fields;
mod hold;
mod mask;
mod poller;
mod record;
mod summary;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Engine, Random, StoreError, Timestamp};
use tokio_util::sync::CancellationToken;

use poller::Poller;
use sqlx::Row;
use waiting::Waiting;

pub use answer::{Answer, AnswerError, BadAnswer, Verdict};
pub(crate) use digest::RequestDigest;
pub(crate) use hold::{Approved, Held, NotApproved};
pub use record::{ApprovalId, ApprovalRecord, ApprovalState, WhichApprovals};
pub(crate) use summary::{Content, Summary};

/// For so long a row can be answered after its holder was last seen alive.
const LEASE: Duration = Duration::from_millis(LEASE_MILLIS.unsigned_abs());
const LEASE_MILLIS: i64 = 15_000;
/// So many rows are listed at most.
const MOST_ROWS: i64 = 1000;
/// For so long a row is kept, in milliseconds.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;

/// The requests that wait for a human, and those that did. Clones are the same.
#[derive(Clone, Debug)]
pub struct Approvals {
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
    /// Whether the database's clock is the one that counts.
    clock_is_shared: bool,
    /// For so long a request waits.
    timeout: Duration,
    /// Names this process in the rows that it holds.
    holder: Arc<str>,
    waiting: Waiting,
}

impl Approvals {
    /// Over a database that [`open_database`](crate::open_database) opened. A held request is refused after `timeout`.
    pub fn new(database: Database, clock: Arc<dyn Clock>, random: Random, timeout: Duration) -> Self {
        let holder = random.id().into();
        let clock_is_shared = database.engine() == Engine::Postgres;
        Self { database, clock, random, clock_is_shared, timeout, holder, waiting: Waiting::default() }
    }

    /// With the clock that it was given on PostgreSQL too, so that a test can move it.
    #[cfg(test)]
    fn by_its_own_clock(self) -> Self {
        Self { clock_is_shared: false, ..self }
    }

    /// Requests, the newest first; at most a thousand.
    pub async fn list(&self, which: WhichApprovals) -> Result<Vec<ApprovalRecord>, StoreError> {
        let now = self.now().await?;
        let rows = sqlx::query(record::LIST)
            .bind(i64::from(which == WhichApprovals::All))
            .bind(now.as_millis())
            .bind(now.as_millis())
            .bind(MOST_ROWS)
            .fetch_all(self.database.reader())
            .await?;
        rows.iter().map(|row| ApprovalRecord::of(row, now)).collect()
    }

    /// One request, whatever became of it.
    pub async fn get(&self, id: &ApprovalId) -> Result<Option<ApprovalRecord>, StoreError> {
        let row = sqlx::query(record::GET).bind(id.as_str()).fetch_optional(self.database.reader()).await?;
        let now = self.now().await?;
        row.map(|row| ApprovalRecord::of(&row, now)).transpose()
    }

    /// Answers a request that waits. It is answered once: every later answer is told about the first.
    pub async fn answer(&self, id: &ApprovalId, answer: &Answer) -> Result<ApprovalRecord, AnswerError> {
        loop {
            let now = self.now().await?;
            let answered = self.write_answer(id, answer, now).await?;
            let record = self.get(id).await?.ok_or(AnswerError::Unknown)?;
            if answered {
                self.waiting.wake();
                return Ok(record);
            }
            match record.state_at(now) {
                // Its lease was renewed between the two statements.
                ApprovalState::Open => {}
                _ => return Err(AnswerError::of(record, now)),
            }
        }
    }

    async fn write_answer(&self, id: &ApprovalId, answer: &Answer, now: Timestamp) -> Result<bool, StoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "UPDATE approval SET state = $1, answered_by = $2, answered_at = $3, reason = $4 \
             WHERE id = $5 AND state = 'open' AND expires_at > $6 AND lease_until > $7",
        )
        .bind(answer.state().as_str())
        .bind(answer.by())
        .bind(now.as_millis())
        .bind(answer.reason())
        .bind(id.as_str())
        .bind(now.as_millis())
        .bind(now.as_millis())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets what is older than thirty days, and closes what dead processes left open; how many rows were forgotten.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        let now = self.now().await?;
        let mut tx = self.database.write().await?;
        // The holder stays in the row: if it lives after all, it hears of this.
        sqlx::query("UPDATE approval SET state = 'withdrawn' WHERE state = 'open' AND lease_until <= $1")
            .bind(now.as_millis())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "UPDATE approval SET state = 'approved_not_sent' \
             WHERE state = 'approved' AND holder IS NOT NULL AND answered_at < $1",
        )
        .bind(now.as_millis().saturating_sub(LEASE_MILLIS))
        .execute(tx.connection())
        .await?;
        let done = sqlx::query("DELETE FROM approval WHERE created_at < $1 AND state <> 'open'")
            .bind(now.as_millis().saturating_sub(KEPT))
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Sees to the requests that this process holds, until `stop` and until none is held any more. Held requests wait for ever
    /// where it does not run.
    pub(crate) async fn run(&self, stop: &CancellationToken) {
        if let Err(error) = self.close_those_of_earlier_processes().await {
            tracing::warn!(%error, "requests that an earlier process held are listed as open until their lease ends");
        }
        Poller::new(self).run(stop).await;
    }

    /// One process at a time works on a SQLite database, so at its start nobody waits; on PostgreSQL other replicas may.
    async fn close_those_of_earlier_processes(&self) -> Result<(), StoreError> {
        if self.database.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut tx = self.database.write().await?;
        sqlx::query(
            "UPDATE approval SET state = CASE state WHEN 'open' THEN 'withdrawn' ELSE 'approved_not_sent' END, holder = NULL \
             WHERE state IN ('open', 'approved') AND holder <> $1",
        )
        .bind(&*self.holder)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// By the clock that all replicas share.
    async fn now(&self) -> Result<Timestamp, StoreError> {
        if !self.clock_is_shared {
            return Ok(self.clock.now());
        }
        let row = sqlx::query("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(self.database.reader())
            .await?;
        Ok(Timestamp::from_millis(row.try_get(0)?))
    }
}

#[cfg(test)]
mod tests;
