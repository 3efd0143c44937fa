//! What the admin interface reads and shows.

use std::str::FromStr;
use std::time::Duration;

use doorward_base::Timestamp;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::audit::{AuditFilter, BadFilter, Moment, UsageBy};
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

/// `GET /admin/v1/audit`. A key without a value asks for everything, as a form with an empty field does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    consumer: Option<String>,
    since: Option<String>,
    until: Option<String>,
    decision: Option<String>,
    status: Option<String>,
    model: Option<String>,
    upstream: Option<String>,
    path: Option<String>,
    #[serde(default = "default_rows")]
    pub(super) limit: u32,
}

fn default_rows() -> u32 {
    DEFAULT_ROWS
}

impl AuditQuery {
    pub(super) fn filter(&self, now: Timestamp) -> Result<AuditFilter, BadFilter> {
        Ok(AuditFilter {
            consumer: given(self.consumer.as_ref()).map(str::to_owned),
            since: parsed::<Moment>(self.since.as_ref())?.map(|moment| moment.at(now)),
            until: parsed::<Moment>(self.until.as_ref())?.map(|moment| moment.at(now)),
            decision: parsed(self.decision.as_ref())?,
            status: parsed(self.status.as_ref())?,
            model: given(self.model.as_ref()).map(Into::into),
            upstream: given(self.upstream.as_ref()).map(str::to_owned),
            path: given(self.path.as_ref()).map(Into::into),
        })
    }
}

fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}

fn parsed<T: FromStr<Err = BadFilter>>(value: Option<&String>) -> Result<Option<T>, BadFilter> {
    given(value).map(str::parse).transpose()
}

/// `GET /admin/v1/usage`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageQuery {
    consumer: Option<String>,
    since: Option<String>,
    by: Option<String>,
}

impl UsageQuery {
    pub(super) fn consumer(&self) -> Option<&str> {
        given(self.consumer.as_ref())
    }

    /// The beginning of time if nothing is said.
    pub(super) fn since(&self, now: Timestamp) -> Result<Timestamp, BadFilter> {
        let since: Option<Moment> = parsed(self.since.as_ref())?;
        Ok(since.map_or(Timestamp::from_millis(0), |moment| moment.at(now)))
    }

    pub(super) fn by(&self) -> Result<UsageBy, BadFilter> {
        Ok(parsed(self.by.as_ref())?.unwrap_or_default())
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
