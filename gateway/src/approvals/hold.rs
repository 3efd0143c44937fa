//! Holding a request.

use std::time::Duration;

use doorward_base::{StoreError, Timestamp};
use serde_json::Value;
use sqlx::Row;

use super::digest::RequestDigest;
use super::mask::visible_path;
use super::record::ApprovalId;
use super::summary::Summary;
use super::waiting::{Handed, Outcome, Place};
use super::{Approvals, LEASE};
use crate::store::write_alone;
use crate::tokens::{ConsumerName, TokenId};

/// So many requests of one consumer may wait at a time, on all replicas together.
const MOST_HELD: i64 = 20;

/// So much of a path is kept for people.
const LONGEST_PATH: usize = 2000;

/// A request to be held.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Who asks.
    pub(crate) consumer: ConsumerName,
    /// With which token.
    pub(crate) token_id: TokenId,
    /// What it would do, such as `pulls:merge on acme/widgets`.
    pub(crate) effects: Vec<String>,
    /// The HTTP method.
    pub(crate) method: String,
    /// The path, without its query.
    pub(crate) path: String,
    /// The name of the upstream.
    pub(crate) upstream: String,
    /// What a human is shown.
    pub(crate) summary: Summary,
    /// Of exactly what will be forwarded.
    pub(crate) digest: RequestDigest,
}

/// The proof that a human approved one request. Only [`Approvals::hold`] makes one. Dropped before it was sent with, it has the row say so.
#[derive(Debug)]
pub(crate) struct Approved {
    digest: RequestDigest,
    by: String,
    handed: Handed,
}

impl Approved {
    /// Whether this is the request that was approved, to the byte. Asked when it is about to be sent: after one yes it counts as sent,
    /// and is let through no more.
    pub(crate) fn lets_through(&self, digest: &RequestDigest) -> bool {
        self.digest == *digest && self.handed.is_sent()
    }

    /// Who said yes.
    pub(crate) fn by(&self) -> &str {
        &self.by
    }
}

/// Why a held request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotApproved {
    /// 403.
    #[error("{by} said no{}", because(reason.as_deref()))]
    Denied { by: String, reason: Option<String> },
    /// 408.
    #[error("this needs a human's approval, and none came within {0:?}")]
    Expired(Duration),
    /// 429.
    #[error("{MOST_HELD} requests of this consumer wait for a human's approval already: wait until some are answered")]
    TooMany,
    /// 503.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(": {reason}")).unwrap_or_default()
}

/// What became of an attempt to add a row.
enum Added {
    Yes,
    IdInUse,
    TooMany,
}

impl Approvals {
    /// Stores the request and waits for a human, for at most the time-out. Dropping the future withdraws the request.
    /// [`Approvals::run`] has to be running.
    pub(crate) async fn hold(&self, held: Held) -> Result<Approved, NotApproved> {
        let mut place = self.add(&held).await?;
        match place.outcome().await {
            Outcome::Approved { by } => Ok(Approved { digest: held.digest, by, handed: place.into_handed() }),
            Outcome::Denied { by, reason } => Err(NotApproved::Denied { by, reason }),
            Outcome::Unanswered => Err(NotApproved::Expired(self.timeout)),
        }
    }

    async fn add(&self, held: &Held) -> Result<Place, NotApproved> {
        loop {
            let (id, now) = (ApprovalId::generate(&self.random), self.now().await?);
            // The place is taken before the row is there: a caller who goes away in between leaves a row without a place, which is
            // closed when it is seen.
            let Some(place) = self.waiting.open(id, self.clock.now().plus(self.timeout)) else { continue };
            match self.insert(place.id(), held, now).await? {
                Added::Yes => return Ok(place),
                Added::IdInUse => {}
                Added::TooMany => return Err(NotApproved::TooMany),
            }
        }
    }

    async fn insert(&self, id: &ApprovalId, held: &Held, now: Timestamp) -> Result<Added, StoreError> {
        let consumer = held.consumer.as_str();
        let mut tx = write_alone(&self.database, &format!("approval of {consumer}")).await?;
        let row = sqlx::query(
            "SELECT COUNT(*) FROM approval WHERE consumer = $1 AND state = 'open' AND expires_at > $2 AND lease_until > $3",
        )
        .bind(consumer)
        .bind(now.as_millis())
        .bind(now.as_millis())
        .fetch_one(tx.connection())
        .await?;
        if row.try_get::<i64, _>(0)? >= MOST_HELD {
            return Ok(Added::TooMany);
        }
        let effects: Value = held.effects.iter().map(|effect| visible_path(effect, LONGEST_PATH)).collect();
        let done = sqlx::query(
            "INSERT INTO approval (id, consumer, token_id, effects, method, path, upstream, summary, digest, created_at, \
             expires_at, state, holder, lease_until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', $12, $13) ON CONFLICT (id) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(consumer)
        .bind(held.token_id.as_str())
        .bind(effects.to_string())
        .bind(visible_path(&held.method, LONGEST_PATH))
        .bind(visible_path(&held.path, LONGEST_PATH))
        .bind(held.upstream.as_str())
        .bind(held.summary.as_str())
        .bind(held.digest.to_string())
        .bind(now.as_millis())
        .bind(now.plus(self.timeout).as_millis())
        .bind(&*self.holder)
        .bind(now.plus(LEASE).as_millis())
        .execute(tx.connection())
        .await?;
        tx.commit().await?;
        Ok(if done.rows_affected() == 1 { Added::Yes } else { Added::IdInUse })
    }
}
