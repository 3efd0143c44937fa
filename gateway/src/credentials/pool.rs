//! Several credentials for one upstream: which one a request takes, and how long one rests that the upstream turned away.
//!
//! Providers keep prompt caches per account, so requests are spread by consumer and not in turns: a consumer keeps the same
//! credential for as long as that one is ready (rendezvous hashing over the ready ones). When a credential rests, only its own
//! consumers move, and they come back to it. Every replica chooses alike.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, StatusCode};
use doorward_base::{Random, Timestamp};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// No upstream's `Retry-After` makes a credential rest for longer.
const LONGEST_RATE_LIMIT: Duration = Duration::from_secs(600);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// How long a key rests that its upstream refused.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The credentials of one upstream, by number. Clones are the same pool.
#[derive(Clone, Debug)]
pub(crate) struct Pool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    upstream: String,
    members: Vec<Member>,
    random: Random,
}

#[derive(Debug)]
struct Member {
    /// Where it comes from, for the log.
    source: String,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// In a row.
    failures: u32,
    rest: Option<Rest>,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Instant,
    until: Instant,
}

/// The right to use one credential for one request. Say with [`Lease::report`] how the upstream took it.
#[derive(Debug)]
#[must_use]
pub(crate) struct Lease {
    pool: Pool,
    number: usize,
    taken_at: Instant,
}

/// How an upstream took a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The credential works, whatever became of the request.
    Fine,
    /// Too many requests; what the upstream said about when to come back.
    RateLimited { retry_after: Option<Duration> },
    /// The upstream is in trouble, at least for this account.
    ServerError,
    /// The upstream does not take this credential.
    Refused,
    /// There was no answer.
    Unreachable,
    /// The credential cannot be fetched: it is not set, or does not open.
    Missing,
}

/// All credentials rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoneReady {
    /// After this time the first of them is back.
    pub(crate) retry_after: Duration,
}

impl Outcome {
    /// What the head of an answer says about the credential. A 403 tells nothing about it, unless it is GitHub's way to say "too
    /// many requests": otherwise an agent could put a key to rest by asking for what the key may not see.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Self {
        let exhausted = || headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        match status {
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { retry_after: retry_after(headers, now) },
            StatusCode::FORBIDDEN if headers.contains_key(RETRY_AFTER) || exhausted() => {
                Self::RateLimited { retry_after: retry_after(headers, now) }
            }
            StatusCode::UNAUTHORIZED => Self::Refused,
            status if status.is_server_error() => Self::ServerError,
            _ => Self::Fine,
        }
    }
}

/// `retry-after-ms` (OpenAI), `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), `x-ratelimit-reset` (GitHub).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |name: &str| text(name).and_then(|value| value.parse::<u64>().ok());
    let until = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000)).since(now);
    let date = || jiff::fmt::rfc2822::parse(text("retry-after")?).ok().map(|date| until(date.timestamp().as_second()));
    let reset = || text("x-ratelimit-reset").and_then(|value| value.parse().ok()).map(until);
    number("retry-after-ms")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
        .or_else(date)
        .or_else(reset)
}

impl Pool {
    /// `sources` are the names of the credentials' places for the log, in the order of their numbers; there is at least one.
    pub(crate) fn new(upstream: &str, sources: impl IntoIterator<Item = String>, random: Random) -> Self {
        let member = |source| Member { source, health: Mutex::default() };
        let members: Vec<_> = sources.into_iter().map(member).collect();
        Self(Arc::new(Inner { upstream: upstream.to_owned(), members, random }))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.members.len()
    }

    /// How many rest.
    pub(crate) fn resting(&self, now: Instant) -> usize {
        (0..self.len()).filter(|number| !self.wait(*number, now).is_zero()).count()
    }

    /// The credential for a request of this consumer.
    pub(crate) fn pick(&self, consumer: &str, now: Instant) -> Result<Lease, NoneReady> {
        let numbers = || 0..self.len();
        let ready = numbers().filter(|number| self.wait(*number, now).is_zero());
        match ready.max_by_key(|number| self.score(consumer, *number)) {
            Some(number) => Ok(self.lease(number, now)),
            None => Err(NoneReady {
                retry_after: numbers().map(|number| self.wait(number, now)).min().unwrap_or(LONGEST_BACKOFF),
            }),
        }
    }

    /// The credential that is back first, although it may still rest: for a caller without an alternative, whom the upstream's own
    /// answer tells more than ours would.
    pub(crate) fn soonest(&self, now: Instant) -> Lease {
        let number = (0..self.len()).min_by_key(|number| self.wait(*number, now)).unwrap_or_default();
        self.lease(number, now)
    }

    fn lease(&self, number: usize, now: Instant) -> Lease {
        Lease { pool: self.clone(), number, taken_at: now }
    }

    fn wait(&self, number: usize, now: Instant) -> Duration {
        let rest = self.0.members[number].health().rest;
        rest.map_or(Duration::ZERO, |rest| rest.until.saturating_duration_since(now))
    }

    /// Depends on the names alone, so that it is the same after a restart and on another machine.
    fn score(&self, consumer: &str, number: usize) -> [u8; 32] {
        if self.len() == 1 {
            return [0; 32];
        }
        let source = &self.0.members[number].source;
        Sha256::new().chain_update(consumer).chain_update([0]).chain_update(source).finalize().into()
    }

    /// How long a credential rests. One that has no substitute rests only when the upstream said so: it would turn trouble of one
    /// request into refusals of all others.
    fn rest_after(&self, outcome: Outcome, failures: u32) -> Option<Duration> {
        let backoff = || {
            let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(failures));
            self.0.random.jitter(doubled.min(LONGEST_BACKOFF)).min(LONGEST_BACKOFF)
        };
        match outcome {
            Outcome::Fine => None,
            Outcome::RateLimited { retry_after: Some(wait) } => Some(wait.min(LONGEST_RATE_LIMIT)),
            Outcome::RateLimited { retry_after: None } => Some(backoff()),
            _ if self.len() == 1 => None,
            Outcome::ServerError | Outcome::Unreachable => Some(backoff()),
            Outcome::Refused => Some(REFUSED_FOR),
            Outcome::Missing => Some(FIRST_BACKOFF),
        }
    }
}

impl Member {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Which of the upstream's credentials.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// How the upstream took the credential. What was sent before the credential began to rest tells nothing new: a hundred failures
    /// at once count as one.
    pub(crate) fn report(&self, outcome: Outcome, now: Instant) {
        let inner = &self.pool.0;
        let member = &inner.members[self.number];
        let mut health = member.health();
        if health.rest.is_some_and(|rest| rest.since > self.taken_at) {
            return;
        }
        let Some(rest) = self.pool.rest_after(outcome, health.failures) else {
            if outcome == Outcome::Fine {
                *health = Health::default();
            } else {
                inner.warn(member, outcome, None);
            }
            return;
        };
        health.failures = health.failures.saturating_add(1);
        health.rest = Some(Rest { since: now, until: now + rest });
        inner.warn(member, outcome, Some(rest));
    }
}

impl Inner {
    fn warn(&self, member: &Member, outcome: Outcome, rest: Option<Duration>) {
        let (upstream, credential) = (&self.upstream, &member.source);
        let why = match outcome {
            Outcome::Fine => return,
            Outcome::RateLimited { .. } => "the upstream had too many requests of this credential",
            Outcome::ServerError => "the upstream is in trouble with this credential",
            Outcome::Refused => "the upstream refuses this credential: set a valid one",
            Outcome::Unreachable => "the upstream cannot be reached with this credential",
            Outcome::Missing => "this credential cannot be fetched: set it",
        };
        let rests_for_seconds = rest.map(|rest| rest.as_secs());
        tracing::warn!(%upstream, %credential, rests_for_seconds, "{why}");
    }
}

#[cfg(test)]
#[path = "tests/pool.rs"]
mod tests;
