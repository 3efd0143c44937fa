//! Our users on the homeserver, as our database knows them.

use doorward_base::{Clock, Database, StoreError};
use ruma::{OwnedDeviceId, UserId};
use sqlx::Row;
use std::sync::Arc;

/// The table of virtual users.
#[derive(Clone)]
pub(crate) struct VirtualUsers {
    database: Database,
    clock: Arc<dyn Clock>,
}

/// One of our users.
#[derive(Clone, Debug)]
pub(crate) struct VirtualUser {
    pub(crate) device_id: OwnedDeviceId,
    /// The homeserver has it, with device and marker.
    pub(crate) registered: bool,
}

impl VirtualUsers {
    pub(crate) fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock }
    }

    pub(crate) async fn get(&self, user: &UserId) -> Result<Option<VirtualUser>, StoreError> {
        let row = sqlx::query("SELECT state, device_id FROM virtual_user WHERE user_id = $1")
            .bind(user.as_str())
            .fetch_optional(self.database.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (state, device_id): (String, String) = (row.try_get("state")?, row.try_get("device_id")?);
        Ok(Some(VirtualUser { device_id: device_id.into(), registered: state == "registered" }))
    }

    /// Writes down that the homeserver is about to be asked. Returns whether that is the first time.
    pub(crate) async fn begin(&self, user: &UserId, device_id: &str) -> Result<bool, StoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query(
            "INSERT INTO virtual_user (user_id, state, device_id) VALUES ($1, 'registering', $2) \
             ON CONFLICT (user_id) DO NOTHING",
        )
        .bind(user.as_str())
        .bind(device_id)
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    pub(crate) async fn registered(&self, user: &UserId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("UPDATE virtual_user SET state = 'registered', registered_at = $1 WHERE user_id = $2")
            .bind(self.clock.now().as_millis())
            .bind(user.as_str())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }

    /// The name turned out to be someone else's.
    pub(crate) async fn abandon(&self, user: &UserId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("DELETE FROM virtual_user WHERE user_id = $1 AND state = 'registering'")
            .bind(user.as_str())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}
