//! The audit log: one row for every request to the consumer listener. No bodies, no queries, no tokens.

mod writer;

use doorward_base::{Database, StoreError, Timestamp};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::store::rfc3339;

pub(crate) use writer::{AuditReader, AuditWriter, Reservation, channel};

const MOST_ROWS: u32 = 10_000;

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
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// The model asked for.
    pub model: Option<String>,
    /// The upstream that was chosen.
    pub upstream: Option<String>,
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

/// What one consumer used of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    /// The consumer.
    pub consumer: String,
    /// The model, as it was asked for.
    pub model: String,
    /// How many requests the upstream answered with success.
    pub requests: u64,
    /// The sum of what the upstream counted.
    pub prompt_tokens: u64,
    /// The sum of what the upstream counted.
    pub completion_tokens: u64,
}

/// Reads the audit log.
#[derive(Clone, Debug)]
pub struct AuditLog {
    database: Database,
}

impl AuditLog {
    /// Over a database that [`open_database`](crate::open_database) opened.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// The newest rows first, of one consumer or of all; at most `limit`, and never more than 10,000.
    pub async fn list(&self, consumer: Option<&str>, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, consumer, token_id, method, path, model, upstream, decision, reason, status, ending, \
             request_bytes, response_bytes, prompt_tokens, completion_tokens, latency_ms \
             FROM audit WHERE CAST($1 AS TEXT) IS NULL OR consumer = $2 ORDER BY seq DESC LIMIT $3",
        )
        .bind(consumer)
        .bind(consumer)
        .bind(i64::from(limit.min(MOST_ROWS)))
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(row_of).collect()
    }

    /// What was used since a time, of one consumer or of all.
    pub async fn usage(&self, consumer: Option<&str>, since: Timestamp) -> Result<Vec<UsageRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT consumer, model, COUNT(*) AS requests, \
             CAST(COALESCE(SUM(prompt_tokens), 0) AS BIGINT) AS prompt_tokens, \
             CAST(COALESCE(SUM(completion_tokens), 0) AS BIGINT) AS completion_tokens \
             FROM audit WHERE at >= $1 AND (CAST($2 AS TEXT) IS NULL OR consumer = $3) \
             AND consumer IS NOT NULL AND model IS NOT NULL AND decision = 'allowed' AND status < 400 \
             GROUP BY consumer, model ORDER BY consumer, model",
        )
        .bind(since.as_millis())
        .bind(consumer)
        .bind(consumer)
        .fetch_all(self.database.reader())
        .await?;
        rows.iter().map(usage_of).collect()
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
        upstream: row.try_get("upstream")?,
        decision: Decision::from_stored(&decision).ok_or_else(|| corrupt("decision"))?,
        reason: row.try_get("reason")?,
        status: u16::try_from(row.try_get::<i64, _>("status")?).unwrap_or(0),
        ending: Ending::from_stored(&ending).ok_or_else(|| corrupt("ending"))?,
        request_bytes: count(row.try_get("request_bytes")?),
        response_bytes: count(row.try_get("response_bytes")?),
        prompt_tokens: row.try_get::<Option<i64>, _>("prompt_tokens")?.map(count),
        completion_tokens: row.try_get::<Option<i64>, _>("completion_tokens")?.map(count),
        latency_ms: count(row.try_get("latency_ms")?),
    })
}

fn usage_of(row: &AnyRow) -> Result<UsageRow, StoreError> {
    Ok(UsageRow {
        consumer: row.try_get("consumer")?,
        model: row.try_get("model")?,
        requests: count(row.try_get("requests")?),
        prompt_tokens: count(row.try_get("prompt_tokens")?),
        completion_tokens: count(row.try_get("completion_tokens")?),
    })
}

fn count(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

#[cfg(test)]
mod tests;
