//! What the admin interface reads and shows.

use std::time::Duration;

use doorward_base::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::HumanDuration;
use crate::tokens::{MintedToken, Rotation};

const DEFAULT_TTL_SECONDS: u64 = 60 * 60;
const DEFAULT_OVERLAP_SECONDS: u64 = 60;
const LONGEST_TTL_SECONDS: u64 = 10 * 366 * 24 * 60 * 60;
const DEFAULT_ROWS: u32 = 100;

/// `POST /admin/v1/tokens`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MintRequest {
    pub(super) consumer: String,
    #[serde(default)]
    pub(super) grants: Vec<String>,
    #[serde(default = "default_ttl")]
    ttl_seconds: u64,
}

fn default_ttl() -> u64 {
    DEFAULT_TTL_SECONDS
}

impl MintRequest {
    pub(super) fn ttl(&self) -> Result<Duration, &'static str> {
        ttl(self.ttl_seconds)
    }
}

fn ttl(seconds: u64) -> Result<Duration, &'static str> {
    match seconds {
        1..=LONGEST_TTL_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err("ttl_seconds is from 1 second to 10 years"),
    }
}

/// `POST /admin/v1/tokens/{id}/rotate`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RotateRequest {
    overlap_seconds: u64,
    ttl_seconds: Option<u64>,
}

impl Default for RotateRequest {
    fn default() -> Self {
        Self { overlap_seconds: DEFAULT_OVERLAP_SECONDS, ttl_seconds: None }
    }
}

impl RotateRequest {
    pub(super) fn rotation(&self) -> Result<Rotation, &'static str> {
        let overlap = Duration::from_secs(self.overlap_seconds);
        Ok(Rotation { overlap, ttl: self.ttl_seconds.map(ttl).transpose()? })
    }
}

/// `GET /admin/v1/audit`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    consumer: Option<String>,
    #[serde(default = "default_rows")]
    pub(super) limit: u32,
}

fn default_rows() -> u32 {
    DEFAULT_ROWS
}

/// `GET /admin/v1/usage`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    consumer: Option<String>,
    since: Option<String>,
}

impl AuditQuery {
    pub(super) fn consumer(&self) -> Option<&str> {
        given(self.consumer.as_ref())
    }
}

/// `?consumer=` asks for all of them, as a form with an empty field does.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

impl UsageQuery {
    pub(super) fn consumer(&self) -> Option<&str> {
        given(self.consumer.as_ref())
    }

    /// A time in RFC 3339, or a duration before now; the beginning of time if nothing is said.
    pub(super) fn since(&self, now: Timestamp) -> Result<Timestamp, &'static str> {
        let Some(since) = given(self.since.as_ref()) else { return Ok(Timestamp::from_millis(0)) };
        if let Ok(before) = since.parse::<HumanDuration>() {
            let millis = i64::try_from(before.0.as_millis()).unwrap_or(i64::MAX);
            return Ok(Timestamp::from_millis(now.as_millis().saturating_sub(millis)));
        }
        let time: jiff::Timestamp =
            since.parse().map_err(|_| "since is a time such as 2026-01-31T00:00:00Z, or a duration such as 24h")?;
        Ok(Timestamp::from_millis(time.as_millisecond()))
    }
}

/// `{"id", "token", "consumer", "grants", "expires_at"}`, as the contract has it for every command that mints.
impl Serialize for MintedToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("MintedToken", 5)?;
        object.serialize_field("id", &self.record.id)?;
        object.serialize_field("token", self.token.expose())?;
        object.serialize_field("consumer", &self.record.consumer)?;
        object.serialize_field("grants", &self.record.grants)?;
        object.serialize_field("expires_at", &self.record.expires_at.to_string())?;
        object.end()
    }
}
