//! The tables `room_member` and `member_list`.

use std::sync::Arc;

use doorward_base::{Database, StoreError, Tx};
use ruma::{OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use sqlx::{AssertSqlSafe, Row};

use crate::event::{RoomEvent, can_be_a_key};
use crate::sql::placeholders;

const ROWS: usize = 100;

type Ours = dyn Fn(&UserId) -> bool + Send + Sync;

/// What the database knows of members.
#[derive(Clone)]
pub(crate) struct MemberStore {
    database: Database,
    ours: Arc<Ours>,
}

#[derive(Deserialize)]
struct Content {
    membership: String,
}

impl MemberStore {
    pub(crate) fn new(database: Database, ours: Arc<Ours>) -> Self {
        Self { database, ours }
    }

    /// Takes a membership event into account; other events do nothing.
    pub(crate) async fn apply(&self, event: &RoomEvent) -> Result<(), StoreError> {
        let Some((user, joined)) = membership(event) else { return Ok(()) };
        let mut tx = self.database.write().await?;
        // Without one of ours in the room no more events come, and the list grows stale.
        let stale = !joined && (self.ours)(&user);
        count_change(&mut tx, &event.room_id, stale).await?;
        if joined {
            insert(&mut tx, &event.room_id, &[user]).await?;
        } else {
            remove(&mut tx, &event.room_id, &user).await?;
        }
        tx.commit().await
    }

    /// One of ours has joined; the event is on its way, but who asks for the members before it comes shall find one who may ask.
    pub(crate) async fn note_joined(&self, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        insert(&mut tx, room, &[user.to_owned()]).await?;
        tx.commit().await
    }

    /// The members of a room whose list was loaded.
    pub(crate) async fn loaded(&self, room: &RoomId) -> Result<Option<Vec<OwnedUserId>>, StoreError> {
        let row = sqlx::query("SELECT room_id FROM member_list WHERE room_id = $1 AND loaded = 1")
            .bind(room.as_str())
            .fetch_optional(self.database.reader())
            .await?;
        if row.is_none() { Ok(None) } else { self.known(room).await.map(Some) }
    }

    /// Those known to be joined, whether or not the list is whole.
    pub(crate) async fn known(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, StoreError> {
        let rows = sqlx::query("SELECT user_id FROM room_member WHERE room_id = $1 ORDER BY user_id")
            .bind(room.as_str())
            .fetch_all(self.database.reader())
            .await?;
        let ids = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<Result<Vec<_>, _>>()?;
        Ok(ids.iter().filter_map(|id| UserId::parse(id).ok()).collect())
    }

    /// How many changes the room has seen before its list is asked for.
    pub(crate) async fn begin_load(&self, room: &RoomId) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT changes FROM member_list WHERE room_id = $1")
            .bind(room.as_str())
            .fetch_optional(self.database.reader())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    /// Stores a whole list, unless membership events came since [`MemberStore::begin_load`]. Returns whether it did.
    pub(crate) async fn store(&self, room: &RoomId, changes: i64, members: &[OwnedUserId]) -> Result<bool, StoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "INSERT INTO member_list (room_id, loaded, changes) VALUES ($1, 1, $2) \
             ON CONFLICT (room_id) DO UPDATE SET loaded = 1 WHERE member_list.changes = $2",
        )
        .bind(room.as_str())
        .bind(changes)
        .execute(tx.connection())
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM room_member WHERE room_id = $1").bind(room.as_str()).execute(tx.connection()).await?;
        insert(&mut tx, room, members).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The list of a room is asked for again when it is next needed.
    pub(crate) async fn forget(&self, room: &RoomId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        count_change(&mut tx, room, true).await?;
        tx.commit().await
    }
}

fn membership(event: &RoomEvent) -> Option<(OwnedUserId, bool)> {
    if event.event_type != "m.room.member" {
        return None;
    }
    let user = UserId::parse(event.state_key.as_deref().filter(|id| can_be_a_key(id))?).ok()?;
    let content: Content = event.content().ok()?;
    Some((user, content.membership == "join"))
}

async fn count_change(tx: &mut Tx, room: &RoomId, stale: bool) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO member_list (room_id, loaded, changes) VALUES ($1, 0, 1) \
         ON CONFLICT (room_id) DO UPDATE SET changes = member_list.changes + 1, \
         loaded = CASE WHEN $2 = 1 THEN 0 ELSE member_list.loaded END",
    )
    .bind(room.as_str())
    .bind(i64::from(stale))
    .execute(tx.connection())
    .await?;
    Ok(())
}

async fn insert(tx: &mut Tx, room: &RoomId, users: &[OwnedUserId]) -> Result<(), StoreError> {
    for users in users.chunks(ROWS) {
        let statement = format!(
            "INSERT INTO room_member (room_id, user_id) VALUES {} ON CONFLICT (room_id, user_id) DO NOTHING",
            placeholders(users.len(), 2)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for user in users {
            query = query.bind(room.as_str()).bind(user.as_str());
        }
        query.execute(tx.connection()).await?;
    }
    Ok(())
}

async fn remove(tx: &mut Tx, room: &RoomId, user: &UserId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM room_member WHERE room_id = $1 AND user_id = $2")
        .bind(room.as_str())
        .bind(user.as_str())
        .execute(tx.connection())
        .await?;
    Ok(())
}
