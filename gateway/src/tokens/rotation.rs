//! Rotation: a new text under the same public id, while the old one stays good for an overlap.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use doorward_base::{StoreError, Timestamp, Tx};

use super::{CHANGING_TOKENS, MintedToken, TokenId, TokenRecord, Tokens, insert, record_of};
use crate::store::write_alone;
use crate::token::ConsumerToken;

/// How a token is rotated.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// For so long the old text stays good, if it would otherwise.
    pub overlap: Duration,
    /// For so long the new text is good; if none, for as long as the old one was when it was made.
    pub ttl: Option<Duration>,
}

/// A token that cannot be rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Nobody minted it.
    #[error("there is no token of the id or consumer `{0}`")]
    Unknown(String),
    /// What was taken away is not given back by a rotation.
    #[error("`{0}` was revoked: mint a new token")]
    Revoked(String),
    /// It is too late.
    #[error("`{0}` has expired: mint a new token")]
    Expired(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tokens {
    /// Gives a token of this public id a new text, or every good token of the consumer of this name. Ids, consumer and grants stay.
    pub async fn rotate(&self, id_or_consumer: &str, rotation: Rotation) -> Result<Vec<MintedToken>, RotateError> {
        let mut tx = write_alone(&self.database, CHANGING_TOKENS).await?;
        let now = self.clock.now();
        let rows = rows_of(&mut tx, id_or_consumer).await?;
        let newest = one_for_each_id(rows, now);
        let (good, refused): (Vec<_>, Vec<_>) = newest.into_iter().partition(|record| record.good_until() > now);
        if good.is_empty() {
            return Err(why_none(&refused, id_or_consumer));
        }
        let mut rotated = Vec::with_capacity(good.len());
        for record in good {
            replace(&mut tx, &record.id, rotation.overlap, now).await?;
            rotated.push(self.add_text(&mut tx, record, rotation, now).await?);
        }
        tx.commit().await?;
        self.cache.forget_all();
        Ok(rotated)
    }

    async fn add_text(
        &self,
        tx: &mut Tx,
        old: TokenRecord,
        Rotation { overlap, ttl }: Rotation,
        now: Timestamp,
    ) -> Result<MintedToken, StoreError> {
        let token = ConsumerToken::generate(&self.random);
        let ttl = ttl.unwrap_or_else(|| old.expires_at.since(old.created_at));
        let old_text_until = old.good_until().min(now.plus(overlap));
        // The newest text is known by its time, so it is not made before the old one by a clock that is behind.
        let created_at = now.max(old.created_at);
        let record = TokenRecord {
            created_at,
            expires_at: created_at.plus(ttl),
            old_text_until: (old_text_until > now).then_some(old_text_until),
            ..old
        };
        insert(tx, &token, &record).await?;
        Ok(MintedToken { token, record })
    }
}

/// The rows of one token or one consumer, the newest text of each id before the older ones.
async fn rows_of(tx: &mut Tx, id_or_consumer: &str) -> Result<Vec<TokenRecord>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, consumer, grants, created_at, expires_at, revoked_at, revoked FROM token WHERE id = $1 OR consumer = $2 \
         ORDER BY created_at DESC, CASE WHEN revoked_at IS NULL THEN 0 ELSE 1 END, id",
    )
    .bind(id_or_consumer)
    .bind(id_or_consumer)
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(record_of).collect()
}

/// Ends the texts of a token after the overlap, those without one at once. An end that comes sooner stays.
async fn replace(tx: &mut Tx, id: &TokenId, overlap: Duration, now: Timestamp) -> Result<(), StoreError> {
    let end = now.plus(overlap).as_millis();
    sqlx::query(
        "UPDATE token SET revoked = $1, revoked_at = CASE WHEN revoked_at < $2 THEN revoked_at ELSE $3 END \
         WHERE id = $4 AND revoked = 0",
    )
    .bind(i64::from(overlap.is_zero()))
    .bind(end)
    .bind(end)
    .bind(id.as_str())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Keeps the first, newest, row of each id, with what the others say about the old text.
pub(super) fn one_for_each_id(rows: Vec<TokenRecord>, now: Timestamp) -> Vec<TokenRecord> {
    let mut good_until: HashMap<TokenId, Timestamp> = HashMap::new();
    let mut seen = HashSet::new();
    let mut newest = Vec::new();
    for row in rows {
        if seen.insert(row.id.clone()) {
            newest.push(row);
        } else {
            let end = good_until.entry(row.id.clone()).or_insert(now);
            *end = row.good_until().max(*end);
        }
    }
    for record in &mut newest {
        record.old_text_until = good_until.get(&record.id).copied().filter(|end| *end > now);
    }
    newest
}

fn why_none(refused: &[TokenRecord], id_or_consumer: &str) -> RotateError {
    let name = id_or_consumer.to_owned();
    match refused.first() {
        None => RotateError::Unknown(name),
        Some(record) if record.revoked_at.is_some() => RotateError::Revoked(name),
        Some(_) => RotateError::Expired(name),
    }
}

#[cfg(test)]
mod tests;
