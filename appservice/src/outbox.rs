//! Sends waiting to go out. Each has a transaction id that never changes, so that a homeserver that had it already says so.

mod deliverer;
mod replacement;

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_base::{Clock, Database, Random, StoreError, Tx};
use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedTransactionId, OwnedUserId, TransactionId, UserId};
use serde_json::{Value, json};
use sqlx::Row;

use crate::queue::{Finished, Lost, RoomLease, RoomQueue, Step};

pub(crate) use deliverer::Deliverer;
pub use replacement::replacement;

/// The durable outbox: exactly once, in order per room.
#[derive(Clone)]
pub struct Outbox {
    database: Database,
    clock: Arc<dyn Clock>,
    queue: RoomQueue,
}

/// One event to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// One of our users.
    pub sender: OwnedUserId,
    /// Where to.
    pub room_id: OwnedRoomId,
    /// For example `m.room.message`.
    pub event_type: String,
    /// Its content.
    pub content: Value,
}

/// A row of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxId(i64);

/// What has become of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It waits for its turn or for the homeserver.
    Waiting,
    /// The homeserver has it.
    Delivered(OwnedEventId),
    /// The homeserver refused it for good.
    Failed {
        /// What it said.
        reason: String,
    },
}

impl Outgoing {
    /// An `m.room.message`.
    pub fn message(sender: OwnedUserId, room_id: OwnedRoomId, content: Value) -> Self {
        Self { sender, room_id, event_type: "m.room.message".to_owned(), content }
    }

    /// A redaction. It goes out like any event, in order and once.
    pub fn redaction(sender: OwnedUserId, room_id: OwnedRoomId, redacts: &EventId, reason: Option<&str>) -> Self {
        let mut content = json!({ "redacts": redacts });
        if let Some(reason) = reason {
            content["reason"] = reason.into();
        }
        Self { sender, room_id, event_type: "m.room.redaction".to_owned(), content }
    }
}

impl OutboxId {
    /// As stored.
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// From what [`OutboxId::as_i64`] gave.
    pub fn from_i64(id: i64) -> Self {
        Self(id)
    }
}

/// The oldest waiting send of a room.
struct Waiting {
    seq: i64,
    transaction_id: OwnedTransactionId,
    send: Outgoing,
    replaces: Option<OutboxId>,
    attempts: u32,
}

impl Outbox {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        let queue = RoomQueue::new("outbox", database.clone(), Arc::clone(&clock), random);
        Self { database, clock, queue }
    }

    pub(crate) fn queue(&self) -> &RoomQueue {
        &self.queue
    }

    /// Queues an event to be sent as `sender`, exactly once and in order per room, if `tx` is committed. Call [`Outbox::wake`]
    /// then, or the deliverer finds it at its next look, within a second.
    pub async fn enqueue(&self, tx: &mut Tx, send: Outgoing) -> Result<OutboxId, StoreError> {
        self.insert(tx, send, None).await
    }

    /// Queues an edit of what `replaced` became in the same room: its event's id is filled in when both have their turn. If the
    /// homeserver refused the original for good, the content goes out as an event of its own.
    pub async fn enqueue_replacement(
        &self,
        tx: &mut Tx,
        send: Outgoing,
        replaced: OutboxId,
    ) -> Result<OutboxId, StoreError> {
        self.insert(tx, send, Some(replaced)).await
    }

    async fn insert(&self, tx: &mut Tx, send: Outgoing, replaces: Option<OutboxId>) -> Result<OutboxId, StoreError> {
        let row = sqlx::query(
            "INSERT INTO outbox (txn_id, sender, room_id, event_type, content, replaces, state, enqueued_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7) RETURNING seq",
        )
        .bind(self.queue.random().id())
        .bind(send.sender.as_str())
        .bind(send.room_id.as_str())
        .bind(send.event_type.as_str())
        .bind(send.content.to_string())
        .bind(replaces.map(OutboxId::as_i64))
        .bind(self.clock.now().as_millis())
        .fetch_one(tx.connection())
        .await?;
        self.queue.add(tx, &BTreeMap::from([(send.room_id.to_string(), 1)])).await?;
        Ok(OutboxId(row.try_get(0)?))
    }

    /// Says that something was queued and committed.
    pub fn wake(&self) {
        self.queue.wake();
    }

    /// What has become of a send; `None` if there is no such row.
    pub async fn delivery(&self, id: OutboxId) -> Result<Option<Delivery>, StoreError> {
        let row = sqlx::query("SELECT state, event_id, reason FROM outbox WHERE seq = $1")
            .bind(id.0)
            .fetch_optional(self.database.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (state, reason): (String, Option<String>) = (row.try_get("state")?, row.try_get("reason")?);
        let event_id: Option<String> = row.try_get("event_id")?;
        Ok(Some(match (state.as_str(), event_id) {
            ("delivered", Some(id)) => Delivery::Delivered(EventId::parse(&id).map_err(|e| corrupt("event id", &e))?),
            ("failed", _) => Delivery::Failed { reason: reason.unwrap_or_default() },
            _ => Delivery::Waiting,
        }))
    }

    async fn oldest(&self, lease: &RoomLease) -> Result<Option<Waiting>, StoreError> {
        let row = sqlx::query(
            "SELECT seq, txn_id, sender, event_type, content, replaces, attempts FROM outbox \
             WHERE room_id = $1 AND state = 'waiting' ORDER BY seq LIMIT 1",
        )
        .bind(lease.room_id.as_str())
        .fetch_optional(self.database.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (sender, content): (String, String) = (row.try_get("sender")?, row.try_get("content")?);
        Ok(Some(Waiting {
            seq: row.try_get("seq")?,
            transaction_id: <&TransactionId>::from(row.try_get::<String, _>("txn_id")?.as_str()).to_owned(),
            send: Outgoing {
                sender: UserId::parse(&sender).map_err(|error| corrupt("user id", &error))?,
                room_id: lease.room_id.clone(),
                event_type: row.try_get("event_type")?,
                content: serde_json::from_str(&content).map_err(|error| corrupt("content", &error))?,
            },
            replaces: row.try_get::<Option<i64>, _>("replaces")?.map(OutboxId),
            attempts: u32::try_from(row.try_get::<i64, _>("attempts")?).unwrap_or(u32::MAX),
        }))
    }

    async fn end(&self, lease: &RoomLease, seq: i64, delivery: &Delivery) -> Result<Finished, StoreError> {
        let (state, event_id, reason) = match delivery {
            Delivery::Waiting => return Ok(Ok(Step::Worked)),
            Delivery::Delivered(event_id) => ("delivered", Some(event_id.as_str()), None),
            Delivery::Failed { reason } => ("failed", None, Some(reason.replace('\0', ""))),
        };
        let mut tx = self.database.write().await?;
        let ended = sqlx::query(
            "UPDATE outbox SET state = $1, event_id = $2, reason = $3, ended_at = $4 \
             WHERE seq = $5 AND state = 'waiting'",
        )
        .bind(state)
        .bind(event_id)
        .bind(reason)
        .bind(self.clock.now().as_millis())
        .bind(seq)
        .execute(tx.connection())
        .await?;
        let finished = self.queue.finish_one_and_release(&mut tx, lease).await?;
        if ended.rows_affected() == 0 || finished.is_err() {
            return Ok(Err(Lost));
        }
        tx.commit().await?;
        Ok(finished)
    }

    async fn count_attempt(&self, seq: i64) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE outbox SET attempts = attempts + 1 WHERE seq = $1 AND state = 'waiting'")
            .bind(seq)
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox")
    }
}

fn corrupt(what: &'static str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what, detail: error.to_string() }
}
