//! Events waiting to be handled. What the homeserver was told that we have is here before it is told.

mod dispatcher;
mod receive;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Random, StoreError, Tx};
use sqlx::Row;
use tokio::sync::Semaphore;

use crate::handler::CompleteError;
use crate::queue::{Lost, RoomLease, RoomQueue, Step};

pub(crate) use dispatcher::Dispatcher;

/// Events marked as handled at the same time.
const ENDINGS: usize = 2;

/// The durable inbox.
#[derive(Clone)]
pub(crate) struct Inbox {
    database: Database,
    clock: Arc<dyn Clock>,
    queue: RoomQueue,
    /// Endings wait here for each other, so that a transaction of the homeserver does not wait at the database behind all of them.
    endings: Arc<Semaphore>,
}

/// The oldest waiting event of a room.
pub(crate) struct Waiting {
    pub(crate) seq: i64,
    pub(crate) event_id: String,
    pub(crate) raw: String,
    pub(crate) attempts: u32,
    pub(crate) panics: u32,
}

impl Inbox {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        let queue = RoomQueue::new("inbox", database.clone(), Arc::clone(&clock), random);
        Self { database, clock, queue, endings: Arc::new(Semaphore::new(ENDINGS)) }
    }

    pub(crate) fn queue(&self) -> &RoomQueue {
        &self.queue
    }

    async fn oldest(&self, lease: &RoomLease) -> Result<Option<Waiting>, StoreError> {
        let row = sqlx::query(
            "SELECT seq, event_id, raw, attempts, panics FROM inbox \
             WHERE room_id = $1 AND state = 'waiting' ORDER BY seq LIMIT 1",
        )
        .bind(lease.room_id.as_str())
        .fetch_optional(self.database.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Waiting {
            seq: row.try_get("seq")?,
            event_id: row.try_get("event_id")?,
            raw: row.try_get("raw")?,
            attempts: count(row.try_get("attempts")?),
            panics: count(row.try_get("panics")?),
        }))
    }

    async fn is_waiting(&self, seq: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT seq FROM inbox WHERE seq = $1 AND state = 'waiting'")
            .bind(seq)
            .fetch_optional(self.database.reader())
            .await?;
        Ok(row.is_some())
    }

    /// Marks an event handled: its row stays, to know it by if it comes again; its text goes.
    pub(crate) async fn complete(&self, tx: &mut Tx, lease: &RoomLease, seq: i64) -> Result<(), CompleteError> {
        self.end(tx, seq, "handled").await?;
        self.queue.finish_one(tx, lease).await?.map_err(|Lost| CompleteError::LeaseLost)
    }

    /// The same in a transaction of its own, when the handler has returned.
    async fn complete_and_release(&self, lease: &RoomLease, seq: i64) -> Result<Step, CompleteError> {
        let _permit = self.endings.acquire().await.expect("this semaphore is never closed");
        let mut tx = self.database.write().await?;
        self.end(&mut tx, seq, "handled").await?;
        self.finish(tx, lease).await
    }

    async fn quarantine(&self, lease: &RoomLease, event: &Waiting, reason: &str) -> Result<Step, CompleteError> {
        let mut tx = self.database.write().await?;
        self.end(&mut tx, event.seq, "quarantined").await?;
        let room_id = Some(lease.room_id.as_str());
        receive::set_aside(&mut tx, &event.event_id, room_id, &event.raw, reason, self.clock.now()).await?;
        self.finish(tx, lease).await
    }

    async fn finish(&self, mut tx: Tx, lease: &RoomLease) -> Result<Step, CompleteError> {
        let finished = self.queue.finish_one_and_release(&mut tx, lease).await?;
        let step = finished.map_err(|Lost| CompleteError::LeaseLost)?;
        tx.commit().await?;
        Ok(step)
    }

    async fn end(&self, tx: &mut Tx, seq: i64, state: &str) -> Result<(), CompleteError> {
        let ended =
            sqlx::query("UPDATE inbox SET state = $1, raw = NULL, ended_at = $2 WHERE seq = $3 AND state = 'waiting'")
                .bind(state)
                .bind(self.clock.now().as_millis())
                .bind(seq)
                .execute(tx.connection())
                .await
                .map_err(StoreError::from)?;
        if ended.rows_affected() == 1 { Ok(()) } else { Err(CompleteError::LeaseLost) }
    }

    /// Counts an attempt that failed. An event that was completed all the same is left alone.
    async fn count_attempt(&self, seq: i64, panics: i64) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "UPDATE inbox SET attempts = attempts + 1, panics = panics + $1 WHERE seq = $2 AND state = 'waiting'",
        )
        .bind(panics)
        .bind(seq)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inbox")
    }
}

/// One second at first, doubled at each attempt, never more than `most`.
pub(crate) fn backoff(attempts: u32, most: Duration) -> Duration {
    Duration::from_secs(1).saturating_mul(1 << attempts.min(16)).min(most)
}

fn count(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}
