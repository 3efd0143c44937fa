//! The encrypted secret store: real credentials by name, sealed at rest.

mod seal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use doorward_base::{Clock, Database, Random, StoreError, Timestamp};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::credential::Credential;
use crate::private_file::PrivateFileError;
use crate::store::rfc3339;
use seal::{MasterKey, Place};

/// The name of a stored secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SecretName(String);

/// A name that cannot be a secret's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret's name has 1 to 128 letters, digits, `-`, `_` and `.`")]
pub struct BadSecretName;

impl SecretName {
    /// Checks the name.
    pub fn new(name: &str) -> Result<Self, BadSecretName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = (1..=128).contains(&name.len()) && name.bytes().all(allowed);
        if good { Ok(Self(name.to_owned())) } else { Err(BadSecretName) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn place(&self) -> Place<'_> {
        Place { table: "secret", row: &self.0, column: "sealed" }
    }
}

/// What may be shown of a secret.
#[derive(Clone, Debug, Serialize)]
pub struct SecretRecord {
    /// Its name.
    pub name: SecretName,
    /// When it was first set.
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    /// When it was last set.
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

/// The secret store does not answer.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The master key's file.
    #[error(transparent)]
    MasterKey(#[from] PrivateFileError),
    /// Secrets are there, their key is not.
    #[error("the master key {} is missing: put back the file that sealed the secrets", path.display())]
    NoMasterKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key is there and does not fit.
    #[error("the secret `{name}` does not open with the master key {}: put back the right key, or set it again", path.display())]
    DoesNotOpen {
        /// The secret.
        name: String,
        /// Where the key was read.
        path: PathBuf,
    },
}

/// The secret store.
#[derive(Clone)]
pub struct Secrets {
    database: Database,
    key: Arc<KeyFile>,
    clock: Arc<dyn Clock>,
    random: Random,
    changes: Arc<AtomicU64>,
}

struct KeyFile {
    path: PathBuf,
    read: OnceLock<MasterKey>,
}

impl Secrets {
    /// Over a database that [`open_database`](crate::open_database) opened. The master key is read when first needed.
    pub fn new(database: Database, master_key_file: PathBuf, clock: Arc<dyn Clock>, random: Random) -> Self {
        let key = Arc::new(KeyFile { path: master_key_file, read: OnceLock::new() });
        Self { database, key, clock, random, changes: Arc::default() }
    }

    /// Keeps `value` under `name`, in place of what was there; creates the master key if there is none.
    pub async fn set(&self, name: &SecretName, value: &Credential) -> Result<(), SecretsError> {
        let key = self.key_for_sealing().await?;
        let sealed = key.seal(name.place(), value, &self.random);
        let now = self.clock.now().as_millis();
        let mut tx = self.database.write().await?;
        sqlx::query(
            "INSERT INTO secret (name, sealed, created_at, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at",
        )
        .bind(name.as_str())
        .bind(sealed)
        .bind(now)
        .bind(now)
        .execute(tx.connection())
        .await
        .map_err(StoreError::from)?;
        let done = tx.commit().await;
        self.count_change();
        Ok(done?)
    }

    /// The names, in order.
    pub async fn list(&self) -> Result<Vec<SecretRecord>, StoreError> {
        let rows = sqlx::query("SELECT name, created_at, updated_at FROM secret ORDER BY name")
            .fetch_all(self.database.reader())
            .await?;
        rows.iter().map(record_of).collect()
    }

    /// Forgets a secret; whether there was one.
    pub async fn remove(&self, name: &SecretName) -> Result<bool, StoreError> {
        let mut tx = self.database.write().await?;
        let done =
            sqlx::query("DELETE FROM secret WHERE name = $1").bind(name.as_str()).execute(tx.connection()).await?;
        let committed = tx.commit().await;
        self.count_change();
        committed?;
        Ok(done.rows_affected() > 0)
    }

    /// Grows whenever a secret may have been changed by this process. What was read under an older number may be out of date;
    /// what other processes change shows only in the database.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Whether or not the commit was confirmed: a lost answer may hide one.
    fn count_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The secret itself, if it is there.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Credential>, SecretsError> {
        let row = sqlx::query("SELECT sealed FROM secret WHERE name = $1")
            .bind(name)
            .fetch_optional(self.database.reader())
            .await
            .map_err(StoreError::from)?;
        let Some(row) = row else { return Ok(None) };
        let sealed: Vec<u8> = row.try_get("sealed").map_err(StoreError::from)?;
        let place = Place { table: "secret", row: name, column: "sealed" };
        let opened = self.key_for_opening()?.open(place, &sealed);
        opened.map(Some).map_err(|_| SecretsError::DoesNotOpen { name: name.to_owned(), path: self.key.path.clone() })
    }

    /// Whether every stored secret can be used: the database answers, and the master key opens one.
    pub(crate) async fn check(&self) -> Result<(), SecretsError> {
        let first = sqlx::query("SELECT name FROM secret ORDER BY name LIMIT 1")
            .fetch_optional(self.database.reader())
            .await
            .map_err(StoreError::from)?;
        if let Some(row) = first {
            self.get(&row.try_get::<String, _>("name").map_err(StoreError::from)?).await?;
        }
        Ok(())
    }

    /// A new key is made only where nothing was sealed by an older one.
    async fn key_for_sealing(&self) -> Result<&MasterKey, SecretsError> {
        if self.key.read.get().is_none() && !self.list().await?.is_empty() {
            return self.key_for_opening();
        }
        self.key.get_or_read(|path| Ok(MasterKey::read_or_create(path, &self.random)?))
    }

    fn key_for_opening(&self) -> Result<&MasterKey, SecretsError> {
        let missing = |path: &Path| SecretsError::NoMasterKey { path: path.to_owned() };
        self.key.get_or_read(|path| MasterKey::read(path)?.ok_or_else(|| missing(path)))
    }
}

impl KeyFile {
    fn get_or_read(
        &self,
        read: impl FnOnce(&Path) -> Result<MasterKey, SecretsError>,
    ) -> Result<&MasterKey, SecretsError> {
        if let Some(key) = self.read.get() {
            return Ok(key);
        }
        let key = read(&self.path)?;
        Ok(self.read.get_or_init(|| key))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("master_key_file", &self.key.path).finish_non_exhaustive()
    }
}

fn record_of(row: &AnyRow) -> Result<SecretRecord, StoreError> {
    Ok(SecretRecord {
        name: SecretName(row.try_get("name")?),
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        updated_at: Timestamp::from_millis(row.try_get("updated_at")?),
    })
}

#[cfg(test)]
mod tests;
