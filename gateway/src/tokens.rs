//! Consumers and their tokens: minting, listing, rotating, revoking, and who it is that calls.
//!
//! One public id may have several texts after a rotation: a row for each. The row of a text that was replaced is refused from the end of
//! the overlap on, a time that may be still to come, and which each replica reads off its own clock. What is revoked at once has a flag
//! instead: a replica whose clock is behind honours it as soon as the others do. Its time is for people only.

mod cache;
mod rotation;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Random, StoreError, Timestamp, Tx};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::store::{rfc3339, write_alone};
use crate::token::{ConsumerToken, TokenDigest};
use cache::Cache;

pub use rotation::{RotateError, Rotation};

const ID_PREFIX: &str = "tok_";
const ID_LENGTH: usize = 16;
/// For so long an expired token is kept, in milliseconds.
const KEPT: i64 = 30 * 24 * 60 * 60 * 1000;
/// Rotating and revoking do not happen at the same time: a revocation must see the token that a rotation is about to add.
const CHANGING_TOKENS: &str = "changing tokens";

/// Who calls the gateway: a worker, a script, a person. One consumer may have several tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct ConsumerName(Arc<str>);

/// A name that cannot be a consumer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a consumer's name has 1 to 200 visible characters without spaces or slashes, and does not begin with tok_")]
pub struct BadConsumerName;

impl ConsumerName {
    /// Checks the name.
    pub fn new(name: &str) -> Result<Self, BadConsumerName> {
        let visible = name.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/');
        // A name that looked like the id of another consumer's token would revoke that one too.
        if !(1..=200).contains(&name.len()) || !visible || TokenId::is_named_by(name) {
            return Err(BadConsumerName);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConsumerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public id of a token: it may stand in lists, logs and the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct TokenId(Arc<str>);

impl TokenId {
    /// Whether `text` names one token, rather than a consumer with all of its tokens.
    pub fn is_named_by(text: &str) -> bool {
        text.starts_with(ID_PREFIX)
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a token besides its text. Printing it gives the id.
#[derive(Clone, Debug, Serialize)]
pub struct TokenRecord {
    /// Its public id.
    pub id: TokenId,
    /// Whose it is.
    pub consumer: ConsumerName,
    /// The names of its grants.
    pub grants: Vec<String>,
    /// When its text was made: at the minting, or at the last rotation.
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
    /// Since when it is refused, if it was revoked.
    #[serde(with = "rfc3339::option")]
    pub revoked_at: Option<Timestamp>,
    /// Until when the text before the last rotation is good as well; none if it is not.
    #[serde(with = "rfc3339::option")]
    pub old_text_until: Option<Timestamp>,
    /// Whether it is refused already, whatever the time.
    #[serde(skip)]
    revoked: bool,
}

impl TokenRecord {
    /// From when on this text is refused, for whichever reason.
    fn good_until(&self) -> Timestamp {
        if self.revoked {
            return Timestamp::from_millis(0);
        }
        self.revoked_at.map_or(self.expires_at, |revoked_at| revoked_at.min(self.expires_at))
    }
}

impl fmt::Display for TokenRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// A token just minted; the only time that its text is known.
#[derive(Clone, Debug)]
pub struct MintedToken {
    /// The token.
    pub token: ConsumerToken,
    /// What the database keeps of it.
    pub record: TokenRecord,
}

/// A caller whose token was found good.
#[derive(Clone, Debug)]
pub(crate) struct Consumer {
    pub(crate) name: ConsumerName,
    pub(crate) token_id: TokenId,
    pub(crate) grants: Vec<String>,
    pub(crate) digest: TokenDigest,
    pub(crate) expires_at: Timestamp,
}

/// Why a well-formed token is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenRefused {
    #[error("this consumer token is unknown to the gateway")]
    Unknown,
    #[error("this consumer token has expired")]
    Expired,
    #[error("this consumer token was revoked, or replaced by a rotation")]
    Revoked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tokens of all consumers.
#[derive(Clone, Debug)]
pub struct Tokens {
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
    cache: Cache,
}

impl Tokens {
    /// Over a database that [`open_database`](crate::open_database) opened.
    pub fn new(database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        Self { database, clock, random, cache: Cache::default() }
    }

    /// Makes a token for `consumer` that is good for `ttl`. Whether the grants exist is the caller's to check
    /// ([`check_known`](crate::config::check_known)): a name without a grant allows nothing.
    pub async fn mint(
        &self,
        consumer: ConsumerName,
        grants: Vec<String>,
        ttl: Duration,
    ) -> Result<MintedToken, StoreError> {
        let token = ConsumerToken::generate(&self.random);
        let created_at = self.clock.now();
        let id = TokenId(format!("{ID_PREFIX}{}", self.random.text(ID_LENGTH)).into());
        let expires_at = created_at.plus(ttl);
        let record = TokenRecord {
            id,
            consumer,
            grants,
            created_at,
            expires_at,
            revoked_at: None,
            old_text_until: None,
            revoked: false,
        };
        let mut tx = self.database.write().await?;
        insert(&mut tx, &token, &record).await?;
        tx.commit().await?;
        Ok(MintedToken { token, record })
    }

    /// Every token, newest first, the expired and revoked ones among them. Of one that was rotated, its newest text.
    pub async fn list(&self) -> Result<Vec<TokenRecord>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, consumer, grants, created_at, expires_at, revoked_at, revoked FROM token \
             ORDER BY created_at DESC, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, id",
        )
        .fetch_all(self.database.reader())
        .await?;
        let rows = rows.iter().map(record_of).collect::<Result<Vec<_>, _>>()?;
        Ok(rotation::one_for_each_id(rows, self.clock.now()))
    }

    /// Revokes a token by its public id, or all tokens of a consumer by its name, with every text that a rotation left good; how many
    /// tokens were still unrevoked. Holds on every replica within a second, open streams included.
    pub async fn revoke(&self, id_or_consumer: &str) -> Result<u64, StoreError> {
        let now = self.clock.now().as_millis();
        let mut tx = write_alone(&self.database, CHANGING_TOKENS).await?;
        // A text whose overlap is over by this clock may still be good by another's, so it is taken too, and keeps its time.
        let rows = sqlx::query(
            "UPDATE token SET revoked = 1, revoked_at = CASE WHEN revoked_at < $1 THEN revoked_at ELSE $2 END \
             WHERE (id = $3 OR consumer = $4) AND revoked = 0 RETURNING id",
        )
        .bind(now)
        .bind(now)
        .bind(id_or_consumer)
        .bind(id_or_consumer)
        .fetch_all(tx.connection())
        .await?;
        let ids = rows.iter().map(|row| row.try_get::<String, _>("id")).collect::<Result<HashSet<_>, _>>()?;
        tx.commit().await?;
        self.cache.forget_all();
        Ok(ids.len() as u64)
    }

    /// Forgets the tokens that expired more than thirty days ago; how many rows that were.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        let mut tx = self.database.write().await?;
        let done = sqlx::query("DELETE FROM token WHERE expires_at < $1")
            .bind(self.clock.now().as_millis().saturating_sub(KEPT))
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected())
    }

    /// Whose token this is. The only thing that reaches the database is the digest, as a bound parameter. What the database said is
    /// believed for half a second.
    pub(crate) async fn authenticate(&self, token: &ConsumerToken) -> Result<Consumer, TokenRefused> {
        let digest = token.digest();
        if let Some(record) = self.cache.get(&digest) {
            return consumer_of(&record, digest, self.clock.now());
        }
        let reading = self.cache.begin_reading();
        let record = self.find(digest).await?.ok_or(TokenRefused::Unknown)?;
        let consumer = consumer_of(&record, digest, self.clock.now())?;
        self.cache.put(digest, record, reading);
        Ok(consumer)
    }

    async fn find(&self, digest: TokenDigest) -> Result<Option<TokenRecord>, StoreError> {
        let row = sqlx::query(
            "SELECT id, consumer, grants, created_at, expires_at, revoked_at, revoked FROM token WHERE digest = $1",
        )
        .bind(digest.as_bytes().to_vec())
        .fetch_optional(self.database.reader())
        .await?;
        row.map(|row| record_of(&row)).transpose()
    }

    /// The texts that were revoked, or whose overlap is over, and that would otherwise still be good: few, and found whatever the clock
    /// of the machine that revoked them says.
    pub(crate) async fn revoked(&self) -> Result<HashSet<TokenDigest>, StoreError> {
        let now = self.clock.now().as_millis();
        let rows = sqlx::query(
            "SELECT digest FROM token \
             WHERE revoked_at IS NOT NULL AND (revoked = 1 OR revoked_at <= $1) AND expires_at > $2",
        )
        .bind(now)
        .bind(now)
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(digest_of).collect()
    }
}

/// The caller who shows the token of `record`, if the token is good `now`.
fn consumer_of(record: &TokenRecord, digest: TokenDigest, now: Timestamp) -> Result<Consumer, TokenRefused> {
    if record.revoked || record.revoked_at.is_some_and(|end| end <= now) {
        return Err(TokenRefused::Revoked);
    }
    if record.expires_at <= now {
        return Err(TokenRefused::Expired);
    }
    let expires_at = record.good_until();
    let TokenRecord { id, consumer, grants, .. } = record.clone();
    Ok(Consumer { name: consumer, token_id: id, grants, digest, expires_at })
}

/// A new row, for a token minted or rotated.
async fn insert(tx: &mut Tx, token: &ConsumerToken, record: &TokenRecord) -> Result<(), StoreError> {
    let grants = serde_json::Value::from(record.grants.clone()).to_string();
    sqlx::query(
        "INSERT INTO token (digest, id, consumer, grants, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(token.digest().as_bytes().to_vec())
    .bind(record.id.as_str())
    .bind(record.consumer.as_str())
    .bind(grants)
    .bind(record.created_at.as_millis())
    .bind(record.expires_at.as_millis())
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn digest_of(row: &AnyRow) -> Result<TokenDigest, StoreError> {
    let bytes: Vec<u8> = row.try_get("digest")?;
    let corrupt = || StoreError::Corrupt { what: "token digest", detail: format!("it has {} bytes", bytes.len()) };
    TokenDigest::from_stored(&bytes).ok_or_else(corrupt)
}

fn record_of(row: &AnyRow) -> Result<TokenRecord, StoreError> {
    let grants: String = row.try_get("grants")?;
    let grants = serde_json::from_str(&grants)
        .map_err(|error| StoreError::Corrupt { what: "list of grants", detail: error.to_string() })?;
    Ok(TokenRecord {
        id: TokenId(row.try_get::<String, _>("id")?.into()),
        consumer: ConsumerName(row.try_get::<String, _>("consumer")?.into()),
        grants,
        created_at: Timestamp::from_millis(row.try_get("created_at")?),
        expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
        revoked_at: row.try_get::<Option<i64>, _>("revoked_at")?.map(Timestamp::from_millis),
        old_text_until: None,
        revoked: row.try_get::<i64, _>("revoked")? != 0,
    })
}

#[cfg(test)]
mod tests;
