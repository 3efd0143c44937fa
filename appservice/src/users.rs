//! Our users on the homeserver, as our database knows them.

use doorward_base::{Clock, Database, StoreError};
use ruma::{DeviceId, OwnedDeviceId, UserId};
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

    /// Writes down that the homeserver is about to be asked. Returns the device to use: `device_id` if this is the first
    /// attempt, else that of the attempt whose end is not known.
    pub(crate) async fn begin(&self, user: &UserId, device_id: &DeviceId) -> Result<OwnedDeviceId, StoreError> {
        let mut tx = self.database.write().await?;
        // The update changes nothing; without it, the row that is there would not be returned.
        let row = sqlx::query(
            "INSERT INTO virtual_user (user_id, state, device_id) VALUES ($1, 'registering', $2) \
             ON CONFLICT (user_id) DO UPDATE SET device_id = virtual_user.device_id RETURNING device_id",
        )
        .bind(user.as_str())
        .bind(device_id.as_str())
        .fetch_one(tx.connection())
        .await?;
        tx.commit().await?;
        let device_id: String = row.try_get(0)?;
        Ok(device_id.into())
    }

    /// The homeserver has it. The row is written anew if an attempt made at the same time has abandoned it.
    pub(crate) async fn registered(&self, user: &UserId, device_id: &DeviceId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO virtual_user (user_id, state, device_id, registered_at) VALUES ($1, 'registered', $2, $3) \
             ON CONFLICT (user_id) DO UPDATE SET state = excluded.state, device_id = excluded.device_id, \
             registered_at = excluded.registered_at",
        )
        .bind(user.as_str())
        .bind(device_id.as_str())
        .bind(self.clock.now().as_millis())
        .execute(tx.connection())
        .await?;
        tx.commit().await
    }

    /// Certainly no account was made by us: the homeserver was not asked, refused, or the name is someone else's.
    pub(crate) async fn abandon(&self, user: &UserId) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        sqlx::query("DELETE FROM virtual_user WHERE user_id = $1 AND state = 'registering'")
            .bind(user.as_str())
            .execute(tx.connection())
            .await?;
        tx.commit().await
    }
}
