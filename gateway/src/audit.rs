//! The audit log: one row for every request to the consumer listener, but no more than 61 a minute of requests without a good token. No
//! bodies, no queries, no tokens.

mod filter;
mod strangers;
mod writer;

use doorward_base::{Database, StoreError, Timestamp};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::config::Usd;
use crate::store::rfc3339;

pub use filter::{AuditFilter, BadFilter, Moment, PathPattern, Pattern, StatusFilter, UsageBy};
pub(crate) use writer::{AuditReader, AuditWriter, Reservation, channel};

const MOST_ROWS: u32 = 10_000;
/// So many old rows go at a time, so that nobody waits long for the database.
const PURGED_AT_ONCE: i64 = 5_000;
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What became of one request.
#[derive(Clone, Debug, Serialize)]
pub struct AuditRow {
    /// When it came.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// Who asked, if the token was good.
    pub consumer: Option<String>,
    /// The public id of the token.
    pub token_id: Option<String>,
    /// The HTTP method; `*` in the row that stands for many requests without a good token, which has the reason `unauthenticated`.
    pub method: String,
    /// The path, without its query; `*` likewise.
    pub path: String,
    /// The model asked for.
    pub model: Option<String>,
    /// What it would do, as far as the gateway read it: `pulls:merge on acme/widgets`, the tools of an MCP server, tools that a
    /// provider runs itself. At most 512 bytes. Where the row stands for many requests, how many.
    pub effects: Option<String>,
    /// The upstream that was chosen.
    pub upstream: Option<String>,
    /// The grant that it counts under, if it is certain which one that is.
    pub grant: Option<String>,
    /// The human who said yes, if one had to.
    pub approved_by: Option<String>,
    /// Whether the policy let it through.
    pub decision: Decision,
    /// The error code of the answer, if it was ours.
    pub reason: Option<String>,
    /// The HTTP status of the answer; 499 if the client went away before there was one.
    pub status: u16,
    /// How the answer ended.
    pub ending: Ending,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body that were passed on.
    pub response_bytes: u64,
    /// As the upstream counted; none if it did not say.
    pub prompt_tokens: Option<u64>,
    /// As the upstream counted; none if it did not say.
    pub completion_tokens: Option<u64>,
    /// Those of the prompt that the provider had in its cache.
    pub cached_tokens: Option<u64>,
    /// What the counted tokens cost, in US dollars; none if nothing was counted or the model has no known price.
    pub usd: Option<Usd>,
    /// Until the last byte was passed on.
    pub latency_ms: u64,
}

/// Whether the policy let a request through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Decision {
    Allowed,
    Refused,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It was passed on whole.
    Complete,
    /// The client went away.
    ClientGone,
    /// The token was revoked or expired, or the gateway stopped.
    Cut,
    /// The upstream broke off.
    UpstreamBroke,
}

impl Decision {
    /// As it stands in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Refused => "refused",
        }
    }

    fn from_stored(text: &str) -> Option<Self> {
        [Self::Allowed, Self::Refused].into_iter().find(|decision| decision.as_str() == text)
    }
}

impl Ending {
    /// As it stands in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::Cut => "cut",
            Self::UpstreamBroke => "upstream_broke",
        }
    }

    fn from_stored(text: &str) -> Option<Self> {
        [Self::Complete, Self::ClientGone, Self::Cut, Self::UpstreamBroke]
            .into_iter()
            .find(|ending| ending.as_str() == text)
    }
}

/// What was used, summed by what was asked for ([`UsageBy`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// The day in UTC, such as `2026-01-31`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The consumer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The model, as it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How many requests the upstream answered with success.
    pub requests: u64,
    /// The sum of what the upstream counted.
    pub prompt_tokens: u64,
    /// Those of them that came from the provider's cache.
    pub cached_tokens: u64,
    /// The sum of what the upstream counted.
    pub completion_tokens: u64,
    /// What it cost, as far as prices are known.
    pub usd: Usd,
}

/// Reads the audit log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    database: Database,
}

/// Every column, and the conditions that [`AuditLog::list`] binds behind the first, in this order.
macro_rules! list {
    ($first:literal) => {
        list!("", $first)
    };
    ($before:literal, $first:literal) => {
        concat!(
            $before,
            "SELECT at, consumer, token_id, method, path, model, effects, upstream, grant_name, approved_by, decision, reason, \
             status, ending, request_bytes, response_bytes, prompt_tokens, completion_tokens, cached_tokens, picodollars, \
             latency_ms FROM audit WHERE ",
            $first,
            " AND at >= $2 AND at < $3 AND (CAST($4 AS TEXT) IS NULL OR decision = $5) AND status >= $6 AND status <= $7 \
             AND (CAST($8 AS TEXT) IS NULL OR LOWER(model) LIKE $9 ESCAPE '\\') \
             AND (CAST($10 AS TEXT) IS NULL OR upstream = $11) \
             AND (CAST($12 AS TEXT) IS NULL OR LOWER(path) LIKE $13 ESCAPE '\\') \
             ORDER BY at DESC, seq DESC LIMIT $14"
        )
    };
}

/// Two texts, because a condition that may be absent is one that no index helps with.
const LIST_ALL: &str = list!("CAST($1 AS TEXT) IS NULL");
const LIST_OF_CONSUMER: &str = list!("consumer = $1");

impl AuditLog {
    /// Over a database that [`open_database`](crate::open_database) opened.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The newest rows first; at most `limit`, and never more than 10,000.
    pub async fn list(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let decision = filter.decision.map(Decision::as_str);
        let model = filter.model.as_ref().map(Pattern::as_like);
        let path = filter.path.as_ref().map(PathPattern::as_like);
        let (first, last) = filter.status.map_or((0, i64::MAX), |status| (status.first.into(), status.last.into()));
        let rows = sqlx::query(if filter.consumer.is_some() { LIST_OF_CONSUMER } else { LIST_ALL })
            .bind(filter.consumer.as_deref())
            .bind(filter.since.map_or(i64::MIN, Timestamp::as_millis))
            .bind(filter.until.map_or(i64::MAX, Timestamp::as_millis))
            .bind(decision)
            .bind(decision)
            .bind(first)
            .bind(last)
            .bind(model)
            .bind(model)
            .bind(filter.upstream.as_deref())
            .bind(filter.upstream.as_deref())
            .bind(path)
            .bind(path)
            .bind(i64::from(limit.min(MOST_ROWS)))
            .fetch_all(self.database.reader())
            .await?;
        rows.iter().map(row_of).collect()
    }

    /// What was used since a time, of one consumer or of all.
    pub async fn usage(
        &self,
        consumer: Option<&str>,
        since: Timestamp,
        by: UsageBy,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT CASE WHEN CAST($1 AS BIGINT) = 1 THEN at / $2 END AS day, \
             CASE WHEN CAST($3 AS BIGINT) = 1 THEN consumer END AS consumer, \
             CASE WHEN CAST($4 AS BIGINT) = 1 THEN model END AS model, \
             COUNT(*) AS requests, \
             CAST(COALESCE(SUM(prompt_tokens), 0) AS BIGINT) AS prompt_tokens, \
             CAST(COALESCE(SUM(cached_tokens), 0) AS BIGINT) AS cached_tokens, \
             CAST(COALESCE(SUM(completion_tokens), 0) AS BIGINT) AS completion_tokens, \
             CAST(COALESCE(SUM(picodollars), 0) AS BIGINT) AS picodollars \
             FROM audit WHERE at >= $5 AND (CAST($6 AS TEXT) IS NULL OR consumer = $7) \
             AND consumer IS NOT NULL AND model IS NOT NULL AND decision = 'allowed' AND status < 400 \
             GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        )
        .bind(i64::from(by.day))
        .bind(DAY_MILLIS)
        .bind(i64::from(by.consumer))
        .bind(i64::from(by.model))
        .bind(since.as_millis())
        .bind(consumer)
        .bind(consumer)
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(usage_of).collect()
    }

    /// Forgets what came before a time. Gives the number of rows.
    pub(crate) async fn purge(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let mut tx = self.database.write().await?;
            let done = sqlx::query(
                "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE at < $1 ORDER BY at, seq LIMIT $2)",
            )
            .bind(before.as_millis())
            .bind(PURGED_AT_ONCE)
            .execute(tx.connection())
            .await?;
            tx.commit().await?;
            purged += done.rows_affected();
            if done.rows_affected() < PURGED_AT_ONCE.unsigned_abs() {
                return Ok(purged);
            }
        }
    }
}

fn row_of(row: &AnyRow) -> Result<AuditRow, StoreError> {
    let corrupt = |what| StoreError::Corrupt { what, detail: "it is none of the known words".to_owned() };
    let (decision, ending): (String, String) = (row.try_get("decision")?, row.try_get("ending")?);
    Ok(AuditRow {
        at: Timestamp::from_millis(row.try_get("at")?),
        consumer: row.try_get("consumer")?,
        token_id: row.try_get("token_id")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        model: row.try_get("model")?,
        effects: row.try_get("effects")?,
        upstream: row.try_get("upstream")?,
        grant: row.try_get("grant_name")?,
        approved_by: row.try_get("approved_by")?,
        decision: Decision::from_stored(&decision).ok_or_else(|| corrupt("decision"))?,
        reason: row.try_get("reason")?,
        status: u16::try_from(row.try_get::<i64, _>("status")?).unwrap_or(0),
        ending: Ending::from_stored(&ending).ok_or_else(|| corrupt("ending"))?,
        request_bytes: count(row.try_get("request_bytes")?),
        response_bytes: count(row.try_get("response_bytes")?),
        prompt_tokens: row.try_get::<Option<i64>, _>("prompt_tokens")?.map(count),
        completion_tokens: row.try_get::<Option<i64>, _>("completion_tokens")?.map(count),
        cached_tokens: row.try_get::<Option<i64>, _>("cached_tokens")?.map(count),
        usd: row.try_get::<Option<i64>, _>("picodollars")?.map(Usd::from_picodollars),
        latency_ms: count(row.try_get("latency_ms")?),
    })
}

fn usage_of(row: &AnyRow) -> Result<UsageRow, StoreError> {
    let day = |days: i64| {
        let time = Timestamp::from_millis(days.saturating_mul(DAY_MILLIS)).to_string();
        time.split('T').next().unwrap_or_default().to_owned()
    };
    Ok(UsageRow {
        day: row.try_get::<Option<i64>, _>("day")?.map(day),
        consumer: row.try_get("consumer")?,
        model: row.try_get("model")?,
        requests: count(row.try_get("requests")?),
        prompt_tokens: count(row.try_get("prompt_tokens")?),
        cached_tokens: count(row.try_get("cached_tokens")?),
        completion_tokens: count(row.try_get("completion_tokens")?),
        usd: Usd::from_picodollars(row.try_get("picodollars")?),
    })
}

fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests;
