//! Whether the homeserver and we reach each other: asked at start, then as a heartbeat, which also makes it flush its queue.

use std::sync::Arc;
use std::time::Duration;

use doorward_base::Timestamp;
use reqwest::Method;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::homeserver::IntentError;
use crate::shared::Shared;

const HEARTBEAT: Duration = Duration::from_secs(30);
/// The first pause after a failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Whether the homeserver and we reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not asked yet.
    Unknown,
    /// The homeserver does not answer.
    Unreachable {
        /// One sentence.
        reason: String,
    },
    /// The homeserver answers, but will not have us, or does not reach us.
    Refused {
        /// One sentence, with what to do.
        reason: String,
    },
    /// Both reach each other.
    Ready {
        /// Since when.
        since: Timestamp,
    },
}

impl Health {
    /// What is wrong; `None` if nothing is.
    pub fn problem(&self) -> Option<&str> {
        match self {
            Self::Unknown => Some("the homeserver was not asked yet"),
            Self::Unreachable { reason } | Self::Refused { reason } => Some(reason),
            Self::Ready { .. } => None,
        }
    }
}

/// Pings until `stop`.
pub(crate) async fn keep_pinging(shared: Arc<Shared>, health: watch::Sender<Health>, stop: CancellationToken) {
    let mut pause = FIRST_PAUSE;
    loop {
        let answer = ping(&shared).await;
        let next = if answer.is_ok() { HEARTBEAT } else { pause };
        pause = if answer.is_ok() { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        note(&shared, &health, answer);
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(next) => {}
        }
    }
}

/// [`POST /_matrix/client/v1/appservice/{id}/ping`](https://spec.matrix.org/v1.16/application-service-api/#post_matrixclientv1appserviceappserviceidping)
pub(crate) async fn ping(shared: &Shared) -> Result<(), IntentError> {
    let path = ["_matrix", "client", "v1", "appservice", &shared.registration.id, "ping"];
    let body = json!({ "transaction_id": shared.random.id() });
    match shared.homeserver.call(Method::POST, &path).json(&body).send().await {
        Err(error) if has_reached_us(&error) => Ok(()),
        answer => answer.map(drop),
    }
}

/// Synapse 1.163 flushes its queue after our answer to its ping. If it is flushing it already, it stumbles over its own timer,
/// and says that the connection failed.
fn has_reached_us(error: &IntentError) -> bool {
    let IntentError::Matrix { errcode, message, .. } = error else { return false };
    errcode == "M_CONNECTION_FAILED"
        && ["AlreadyCalled", "AlreadyCancelled"].iter().any(|name| message.starts_with(name))
}

fn note(shared: &Shared, health: &watch::Sender<Health>, answer: Result<(), IntentError>) {
    let now = match answer {
        Ok(()) => Health::Ready { since: shared.clock.now() },
        Err(error) => explain(shared, &error),
    };
    health.send_if_modified(|before| {
        let changed = match (&*before, &now) {
            (Health::Ready { .. }, Health::Ready { .. }) => false,
            (before, now) => before != now,
        };
        if changed {
            if let Some(reason) = now.problem() {
                warn!("{reason}");
            } else {
                info!(homeserver = %shared.homeserver.url(), "the homeserver is ready");
            }
            *before = now;
        }
        changed
    });
}

fn explain(shared: &Shared, error: &IntentError) -> Health {
    let (id, url) = (&shared.registration.id, &shared.registration.url);
    let reason = match error {
        IntentError::Unreachable { .. }
        | IntentError::Foreign { .. }
        | IntentError::Store(_)
        | IntentError::Answer(_) => {
            return Health::Unreachable { reason: error.to_string() };
        }
        IntentError::UserInUse { .. } => error.to_string(),
        IntentError::Matrix { errcode, status, message, .. } => match errcode.as_str() {
            "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN" => format!(
                "the homeserver does not know the as_token of the registration `{id}`: install the registration file at the homeserver as it is here, and restart the homeserver"
            ),
            "M_FORBIDDEN" => format!(
                "the homeserver knows our as_token, but not the id `{id}` with it: install the registration file at the homeserver as it is here"
            ),
            "M_URL_NOT_SET" => format!(
                "the registration `{id}` at the homeserver has no url: set it to {url} there, and restart the homeserver"
            ),
            "M_BAD_STATUS" => format!(
                "the homeserver reaches something at {url} that refuses its hs_token or is not us ({message}): compare hs_token and url in both copies of the registration"
            ),
            "M_CONNECTION_FAILED" | "M_CONNECTION_TIMEOUT" => format!(
                "the homeserver does not reach us at {url} ({message}): correct `url` in its copy of the registration, or open the way there"
            ),
            "M_UNRECOGNIZED" => {
                "the homeserver does not know how to ping an application service: it must support Matrix 1.7 or newer"
                    .to_owned()
            }
            _ => format!("the homeserver refused our ping ({status} {errcode}): {message}"),
        },
    };
    Health::Refused { reason }
}
