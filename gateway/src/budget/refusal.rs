//! Why a request finds no room. Each is a sentence for the caller.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// No grant that allows the request has room for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grant `{grant}` {lack}")]
pub(crate) struct OverBudget {
    pub(super) grant: Arc<str>,
    pub(super) lack: Lack,
}

impl OverBudget {
    /// When to try again; none if nothing but another configuration helps.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match &self.lack {
            Lack::Rate { retry_after, .. } | Lack::Spent { retry_after, .. } => Some(*retry_after),
            Lack::Price { .. } => None,
        }
    }

    /// `Retry-After` (RFC 9110, section 10.2.3): whole seconds, at least one. A rate frees up within 60, unless the clock of another
    /// replica is ahead; the clients of OpenAI and Anthropic heed no more than 60 and would try again at once.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let seconds = self.retry_after().map(|wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0))?.max(1);
        Some(if matches!(self.lack, Lack::Rate { .. }) { seconds.min(60) } else { seconds })
    }

    /// Of two refusals the one that ends sooner.
    pub(super) fn or_sooner(self, other: Self) -> Self {
        let ends = |refused: &Self| refused.retry_after().unwrap_or(Duration::MAX);
        if ends(&other) < ends(&self) { other } else { self }
    }
}

/// What one grant lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    Rate {
        per_minute: u64,
        retry_after: Duration,
    },
    Spent {
        shortage: Shortage,
        wait: Wait,
        retry_after: Duration,
    },
    /// There is a budget in money, and nobody knows what the model costs.
    Price {
        model: Arc<str>,
    },
}

/// What has to happen before there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Running,
    Day,
    Never,
}

/// A limit that does not fit a request, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shortage {
    limit: String,
    left: String,
    need: String,
}

impl Shortage {
    pub(super) fn new(
        limit: &impl fmt::Display,
        left: &impl fmt::Display,
        need: &impl fmt::Display,
        daily: bool,
    ) -> Self {
        let limit = format!("{limit} {}", if daily { "a day" } else { "in all" });
        Self { limit, left: left.to_string(), need: need.to_string() }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { per_minute, .. } => write!(f, "allows {per_minute} requests per minute, and they are used up"),
            Self::Spent { shortage: Shortage { limit, left, need }, wait, .. } => {
                write!(f, "allows {limit}: {left} left, and this request may use {need}; ")?;
                f.write_str(match wait {
                    Wait::Running => "requests that are still running hold the rest",
                    Wait::Day => "the budget is renewed at 00:00 UTC",
                    Wait::Never => "this budget is not renewed, an operator has to raise it",
                })
            }
            Self::Price { model } => write!(
                f,
                "has a budget in money, and the price of the model `{model}` is unknown: an operator has to add it under \
                 [gateway.prices]"
            ),
        }
    }
}
