//! What is kept, and shown, of a held request.

use std::fmt;

use doorward_base::{Random, StoreError, Timestamp};
use serde::Serialize;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::LEASE;
use crate::store::rfc3339;

/// Crockford's base 32: what looks like another of its characters is not in it.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ID_LENGTH: usize = 6;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, consumer, token_id, effects, method, path, upstream, summary, digest, created_at, expires_at, state, \
             answered_by, answered_at, reason, lease_until, holder FROM approval ",
            $rest
        )
    };
}

/// `$1` is 1 for all rows, 0 for those that can be answered now.
pub(super) const LIST: &str = select!(
    "WHERE CAST($1 AS BIGINT) = 1 OR (state = 'open' AND expires_at > $2 AND lease_until > $3) ORDER BY created_at DESC, id LIMIT $4"
);
pub(super) const GET: &str = select!("WHERE id = $1");

/// The id of a held request: six letters and digits that can be typed in a chat.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ApprovalId(String);

impl ApprovalId {
    /// Reads an id as people type it: in capitals, or with the letters that look like 0 and 1. None if it cannot be one.
    pub fn read(text: &str) -> Option<Self> {
        let meant = |c: char| match c.to_ascii_lowercase() {
            'o' => '0',
            'i' | 'l' => '1',
            other => other,
        };
        let id: String = text.trim().chars().map(meant).collect();
        let good = id.len() == ID_LENGTH && id.bytes().all(|byte| ALPHABET.contains(&byte));
        good.then_some(Self(id))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn generate(random: &Random) -> Self {
        let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
        Self(random.bytes::<ID_LENGTH>().map(letter).iter().collect())
    }

    pub(super) fn from_stored(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a held request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// It waits.
    Open,
    /// A human said yes.
    Approved,
    /// A human said yes, but the request was not sent: its client had gone by then, or the gateway could not send it.
    ApprovedNotSent,
    /// A human said no.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// Nobody waits for the answer any more: the client went away, its token stopped being good, or the gateway stopped.
    Withdrawn,
}

impl ApprovalState {
    const ALL: [Self; 6] =
        [Self::Open, Self::Approved, Self::ApprovedNotSent, Self::Denied, Self::Expired, Self::Withdrawn];

    /// As it stands in the database and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::ApprovedNotSent => "approved_not_sent",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// As it stands in a sentence.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::ApprovedNotSent => "approved, but not sent,",
            other => other.as_str(),
        }
    }

    pub(super) fn from_stored(text: &str) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "state of an approval", detail: "it is none of ours".to_owned() };
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(corrupt)
    }
}

/// Which requests are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichApprovals {
    /// Those that can be answered now.
    Open,
    /// All of the last thirty days.
    All,
}

/// A held request as people see it. Of its body and its query it has a few short values, masked.
#[derive(Clone, Debug, Serialize)]
pub struct ApprovalRecord {
    /// What is typed to answer it.
    pub id: ApprovalId,
    /// Who asked.
    pub consumer: String,
    /// The public id of the token.
    pub token_id: String,
    /// What it would do, such as `pulls:merge on acme/widgets`.
    pub effects: Vec<String>,
    /// The HTTP method.
    pub method: String,
    /// The path, without its query.
    pub path: String,
    /// Where it would go.
    pub upstream: String,
    /// A few lines for a human: no secrets, at most 2 KB.
    pub summary: String,
    /// Of the exact bytes that would be forwarded: SHA-256, in hex.
    pub digest: String,
    /// Since when it waits.
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    /// From when on it is refused.
    #[serde(with = "rfc3339")]
    pub expires_at: Timestamp,
    /// What became of it.
    pub state: ApprovalState,
    /// Who answered.
    pub answered_by: Option<String>,
    /// When.
    #[serde(with = "rfc3339::option")]
    pub answered_at: Option<Timestamp>,
    /// Why, if the human said.
    pub reason: Option<String>,
    #[serde(skip)]
    lease_until: Timestamp,
    /// Whether a process has yet to take notice of how the waiting ended.
    #[serde(skip)]
    is_held: bool,
}

impl ApprovalRecord {
    /// Reads a row; its state is what it is `now`, even if nobody was there to write that down.
    pub(super) fn of(row: &AnyRow, now: Timestamp) -> Result<Self, StoreError> {
        let effects: String = row.try_get("effects")?;
        let effects = serde_json::from_str(&effects)
            .map_err(|error| StoreError::Corrupt { what: "list of effects", detail: error.to_string() })?;
        let mut record = Self {
            id: ApprovalId::from_stored(row.try_get("id")?),
            consumer: row.try_get("consumer")?,
            token_id: row.try_get("token_id")?,
            effects,
            method: row.try_get("method")?,
            path: row.try_get("path")?,
            upstream: row.try_get("upstream")?,
            summary: row.try_get("summary")?,
            digest: row.try_get("digest")?,
            created_at: Timestamp::from_millis(row.try_get("created_at")?),
            expires_at: Timestamp::from_millis(row.try_get("expires_at")?),
            state: ApprovalState::from_stored(&row.try_get::<String, _>("state")?)?,
            answered_by: row.try_get("answered_by")?,
            answered_at: row.try_get::<Option<i64>, _>("answered_at")?.map(Timestamp::from_millis),
            reason: row.try_get("reason")?,
            lease_until: Timestamp::from_millis(row.try_get("lease_until")?),
            is_held: row.try_get::<Option<String>, _>("holder")?.is_some(),
        };
        record.state = record.state_at(now);
        Ok(record)
    }

    pub(super) fn state_at(&self, now: Timestamp) -> ApprovalState {
        match self.state {
            ApprovalState::Open if self.expires_at <= now => ApprovalState::Expired,
            ApprovalState::Open if self.lease_until <= now => ApprovalState::Withdrawn,
            // Its holder died with it, or will find the answer too old.
            ApprovalState::Approved if self.is_held && self.answered_at.is_some_and(|at| is_stale(at, now)) => {
                ApprovalState::ApprovedNotSent
            }
            state => state,
        }
    }
}

/// Whether a yes came too long ago to be acted on: a machine that slept since does not carry out hours later what was approved for then.
pub(super) fn is_stale(answered_at: Timestamp, now: Timestamp) -> bool {
    now.since(answered_at) > LEASE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_people_type_it() {
        let id = ApprovalId::generate(&Random::seeded(3));
        assert_eq!(ApprovalId::read(&format!(" {} ", id.as_str().to_uppercase())), Some(id));
        assert_eq!(ApprovalId::read("OIl0a1").unwrap().as_str(), "0110a1");
        for wrong in ["", "abcde", "abcdefg", "abcdeu", "abc'--", "äbcde"] {
            assert_eq!(ApprovalId::read(wrong), None, "{wrong}");
        }
    }
}
