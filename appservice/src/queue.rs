//! Rooms waiting to be worked: what inbox and outbox have in common.
//!
//! A room, not a row, is what is leased. So rows of one room are worked in order and by one process at a time, and a claim
//! costs the same however many rows wait or have been handled.

mod runner;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Engine, Random, StoreError, Timestamp, Tx};
use ruma::{OwnedRoomId, RoomId};
use sqlx::{AssertSqlSafe, Row};
use tokio::sync::Notify;

use crate::sql::placeholders;

pub(crate) use runner::{Step, Work, run};

/// How long a room stays claimed by a process that has died.
const LEASE: Duration = Duration::from_secs(15);
/// Rows of one statement: below the number of parameters that SQLite takes.
const ROWS: usize = 100;

/// Rooms are locked in the order of time, unlike in [`RoomQueue::add`]. So on PostgreSQL a claim must never wait for a room that
/// another transaction holds: it leaves that room to a later claim. The rooms are chosen before the update, and once: as
/// a subquery, they could be chosen again for each row.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "WITH ready AS MATERIALIZED (\
                SELECT room_id FROM room_queue WHERE queue = $3 AND waiting > 0 AND ready_at <= $4 \
                ORDER BY ready_at LIMIT $5",
            $lock,
            ") UPDATE room_queue SET lease_token = $1, ready_at = $2 \
             WHERE queue = $3 AND waiting > 0 AND ready_at <= $4 AND room_id IN (SELECT room_id FROM ready) \
             RETURNING room_id"
        )
    };
}

/// One of the queues over `room_queue`.
#[derive(Clone)]
pub(crate) struct RoomQueue {
    name: &'static str,
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
    wake: Arc<Notify>,
}

/// A room that we may work in until the lease ends or is renewed.
#[derive(Clone, Debug)]
pub(crate) struct RoomLease {
    pub(crate) room_id: OwnedRoomId,
    token: String,
}

/// Another process has taken the room over.
#[derive(Debug)]
pub(crate) struct Lost;

/// Whether the room has more to do.
pub(crate) type Finished = Result<Step, Lost>;

impl RoomQueue {
    pub(crate) fn new(name: &'static str, database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self { name, database, clock, random, wake: Arc::new(Notify::new()) }
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Says that rows were added and committed.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Counts new rows, in the transaction that adds them. Rooms are locked in the order of the map, so two transactions that
    /// add once each cannot wait for each other; nor can one and [`RoomQueue::claim`], which waits for no room.
    pub(crate) async fn add(&self, tx: &mut Tx, rooms: &BTreeMap<String, i64>) -> Result<(), StoreError> {
        let rooms: Vec<(&String, &i64)> = rooms.iter().collect();
        for rooms in rooms.chunks(ROWS) {
            let statement = format!(
                "INSERT INTO room_queue (queue, room_id, waiting, ready_at) VALUES {} \
                 ON CONFLICT (queue, room_id) DO UPDATE SET waiting = room_queue.waiting + excluded.waiting, \
                 ready_at = CASE WHEN room_queue.waiting = 0 AND room_queue.lease_token IS NULL \
                 THEN excluded.ready_at ELSE room_queue.ready_at END",
                placeholders(rooms.len(), 4)
            );
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (room_id, count) in rooms {
                query = query.bind(self.name).bind(room_id.as_str()).bind(**count).bind(self.now());
            }
            query.execute(tx.connection()).await?;
        }
        Ok(())
    }

    /// When the first room can be claimed; `None` if nothing waits.
    pub(crate) async fn next_ready(&self) -> Result<Option<Timestamp>, StoreError> {
        let row =
            sqlx::query("SELECT ready_at FROM room_queue WHERE queue = $1 AND waiting > 0 ORDER BY ready_at LIMIT 1")
                .bind(self.name)
                .fetch_optional(self.database.reader())
                .await?;
        row.map(|row| Ok(Timestamp::from_millis(row.try_get(0)?))).transpose()
    }

    /// Leases up to `limit` rooms, those that have waited longest first.
    pub(crate) async fn claim(&self, limit: usize) -> Result<Vec<RoomLease>, StoreError> {
        let token = self.random.id();
        let mut tx = self.database.write().await?;
        let rows = sqlx::query(match self.database.engine() {
            Engine::Sqlite => claim!(""),
            Engine::Postgres => claim!(" FOR UPDATE SKIP LOCKED"),
        })
        .bind(token.as_str())
        .bind(self.clock.now().plus(LEASE).as_millis())
        .bind(self.name)
        .bind(self.now())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(tx.connection())
        .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok(RoomLease { room_id: room_id(row.try_get(0)?)?, token: token.clone() })).collect()
    }

    /// Extends a lease, so that no one else takes the room over.
    pub(crate) async fn renew(&self, lease: &RoomLease) -> Result<Result<(), Lost>, StoreError> {
        let mut tx = self.database.write().await?;
        let done =
            sqlx::query("UPDATE room_queue SET ready_at = $1 WHERE queue = $2 AND room_id = $3 AND lease_token = $4")
                .bind(self.clock.now().plus(LEASE).as_millis())
                .bind(self.name)
                .bind(lease.room_id.as_str())
                .bind(lease.token.as_str())
                .execute(tx.connection())
                .await?;
        tx.commit().await?;
        Ok(if done.rows_affected() == 1 { Ok(()) } else { Err(Lost) })
    }

    /// Gives the room back, to be claimed again when `after` has passed. A lease that was lost changes nothing.
    pub(crate) async fn release(&self, lease: &RoomLease, after: Duration) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "UPDATE room_queue SET ready_at = $1, lease_token = NULL \
             WHERE queue = $2 AND room_id = $3 AND lease_token = $4",
        )
        .bind(self.clock.now().plus(after).as_millis())
        .bind(self.name)
        .bind(lease.room_id.as_str())
        .bind(lease.token.as_str())
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Counts one row of the room as worked, in the transaction that says so in the row itself.
    pub(crate) async fn finish_one(&self, tx: &mut Tx, lease: &RoomLease) -> Result<Result<(), Lost>, StoreError> {
        let done = sqlx::query(
            "UPDATE room_queue SET waiting = waiting - 1 WHERE queue = $1 AND room_id = $2 AND lease_token = $3",
        )
        .bind(self.name)
        .bind(lease.room_id.as_str())
        .bind(lease.token.as_str())
        .execute(tx.connection())
        .await?;
        Ok(if done.rows_affected() == 1 { Ok(()) } else { Err(Lost) })
    }

    /// Counts one row of the room as worked and, if it was the last, gives the room back in the same transaction: one write less.
    /// Only for work that has nothing left to do then.
    pub(crate) async fn finish_one_and_release(&self, tx: &mut Tx, lease: &RoomLease) -> Result<Finished, StoreError> {
        let row = sqlx::query(
            "UPDATE room_queue SET waiting = waiting - 1, \
             ready_at = CASE WHEN waiting = 1 THEN $1 ELSE ready_at END, \
             lease_token = CASE WHEN waiting = 1 THEN NULL ELSE lease_token END \
             WHERE queue = $2 AND room_id = $3 AND lease_token = $4 RETURNING waiting",
        )
        .bind(self.now())
        .bind(self.name)
        .bind(lease.room_id.as_str())
        .bind(lease.token.as_str())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(Err(Lost)) };
        Ok(Ok(if row.try_get::<i64, _>(0)? == 0 { Step::WorkedLast } else { Step::Worked }))
    }

    /// What a process that has died left claimed can be claimed at once. One process at a time works on a SQLite database, so
    /// at its start no lease is anyone's; on PostgreSQL they end by themselves.
    pub(crate) async fn forget_leases_of_the_dead(&self) -> Result<(), StoreError> {
        if self.database.engine() == Engine::Postgres {
            return Ok(());
        }
        let mut tx = self.database.write().await?;
        sqlx::query(
            "UPDATE room_queue SET ready_at = $1, lease_token = NULL WHERE queue = $2 AND lease_token IS NOT NULL",
        )
        .bind(self.now())
        .bind(self.name)
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    fn now(&self) -> i64 {
        self.clock.now().as_millis()
    }
}

fn room_id(text: &str) -> Result<OwnedRoomId, StoreError> {
    RoomId::parse(text).map_err(|error| StoreError::Corrupt { what: "room id", detail: error.to_string() })
}

#[cfg(test)]
mod tests;
