//! What thinks: a [`Runtime`] gets one turn at a time and gives the answer.

pub mod builtin;

use std::time::Duration;

use async_trait::async_trait;
use doorward_base::StoreError;

use crate::gateway::GatewayError;
use crate::session::SessionError;
use crate::turn::TurnContext;

/// Thinks for agents. A runtime that is dropped in the middle of [`Runtime::react`] stops at once, its model call with it.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Works on one turn until there is an answer; journals each step through `turn`, so that another call for the same turn,
    /// after a crash, continues it.
    async fn react(&self, turn: &TurnContext) -> Result<String, TurnError>;
}

/// Why a turn did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Worth another try.
    #[error("{reason}")]
    Retry {
        /// One sentence for the room, should the last try fail too.
        reason: String,
        /// How long the other side asks us to wait.
        after: Option<Duration>,
    },
    /// Trying again would not help.
    #[error("{reason}")]
    Fail {
        /// One sentence for the room: what is wrong, and what to do.
        reason: String,
    },
    /// Another process works on the session now.
    #[error("another process has taken the session over")]
    LeaseLost,
}

impl TurnError {
    /// Worth another try.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// Trying again would not help.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail { reason: reason.into() }
    }
}

impl From<SessionError> for TurnError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::LeaseLost => Self::LeaseLost,
            SessionError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for TurnError {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a turn could not use the database");
        Self::retry("My memory does not answer just now; the operator finds the reason in the log.")
    }
}

impl From<GatewayError> for TurnError {
    fn from(error: GatewayError) -> Self {
        if error.is_retryable() {
            Self::retry(format!("I got no key for the door: {error}."))
        } else {
            Self::fail(format!("I got no key for the door: {error}."))
        }
    }
}
