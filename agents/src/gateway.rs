//! The gateway as agents meet it: over HTTP, on its consumer paths as any agent would, on its admin paths for tokens.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::agent::Agent;

const TOKEN_TTL: Duration = Duration::from_secs(60 * 60);
/// A token is used until this long before it expires.
const TOKEN_MARGIN: Duration = Duration::from_secs(5 * 60);
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Less than the gateway keeps an idle connection, so that no request goes out on one that is just being closed.
const KEPT_IDLE: Duration = Duration::from_secs(20);

/// Where the gateway is.
#[derive(Clone, Debug)]
pub struct GatewayEndpoint {
    /// Its consumer listener, such as `http://127.0.0.1:9010`.
    pub consumer_url: Url,
    /// Its admin listener.
    pub admin_url: Url,
    /// The file with the operator's token.
    pub admin_token_file: PathBuf,
    /// Which certificates are trusted; as everywhere on this machine if not given.
    pub tls: Option<rustls::ClientConfig>,
}

/// Why the gateway did not do what we asked on its admin interface.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// It does not answer.
    #[error("the gateway does not answer at {url}: is it running?")]
    Unreachable {
        /// Its admin listener.
        url: Url,
    },
    /// The operator's token is not there.
    #[error("the operator's token cannot be read from {}: {source}", path.display())]
    AdminToken {
        /// `gateway.admin_token_file`
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It said no.
    #[error("{message}")]
    Refused {
        /// Its own sentence.
        message: String,
        /// Its status.
        status: StatusCode,
    },
}

impl GatewayError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            // The gateway writes the file when it first starts.
            Self::Unreachable { .. } | Self::AdminToken { .. } => true,
            Self::Refused { status, .. } => status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// A consumer token in the hands of one agent.
#[derive(Clone, Debug)]
pub struct ConsumerToken {
    token: SecretString,
    expires_at: Timestamp,
}

impl ConsumerToken {
    /// What is shown to the gateway; to nobody else.
    pub(crate) fn expose(&self) -> &str {
        self.token.expose_secret()
    }

    #[cfg(test)]
    pub(crate) fn for_test(token: &str, expires_at: Timestamp) -> Self {
        Self { token: token.into(), expires_at }
    }
}

/// What a consumer used, as the gateway counted it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Usage {
    pub(crate) consumer: String,
    pub(crate) model: Option<String>,
    pub(crate) requests: i64,
    pub(crate) prompt_tokens: Option<i64>,
    pub(crate) completion_tokens: Option<i64>,
}

/// Mints a short-lived token for each agent, keeps it in memory only, and renews it before it expires.
#[derive(Clone, Debug)]
pub struct Gateway {
    endpoint: GatewayEndpoint,
    client: Client,
    clock: Arc<dyn Clock>,
    tokens: Arc<Mutex<HashMap<String, Slot>>>,
}

/// The token of one agent, locked while it is minted, so that an agent with several turns gets one.
type Slot = Arc<Mutex<Option<ConsumerToken>>>;

impl Gateway {
    /// A client of the gateway; talks to nobody yet.
    ///
    /// # Panics
    /// If the TLS library cannot be set up.
    pub fn new(endpoint: GatewayEndpoint, clock: Arc<dyn Clock>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A token goes to the gateway and nowhere else: to no proxy, and not where an answer points to.
        let builder = Client::builder().no_proxy().redirect(Policy::none());
        let mut client = builder.pool_idle_timeout(KEPT_IDLE);
        if let Some(tls) = &endpoint.tls {
            client = client.tls_backend_preconfigured(tls.clone());
        }
        let client = client.build().expect("an HTTP client can be built");
        Self { endpoint, client, clock, tokens: Arc::default() }
    }

    /// The HTTP client that agents' calls go through.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A URL on the consumer listener.
    pub(crate) fn consumer_url(&self, path: &str) -> String {
        format!("{}{path}", self.endpoint.consumer_url.as_str().trim_end_matches('/'))
    }

    /// The agent's token: the one it has, or a new one.
    pub(crate) async fn token_for(&self, agent: &Agent) -> Result<ConsumerToken, GatewayError> {
        let slot = self.slot(agent).await;
        let mut kept = slot.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| self.clock.now().plus(TOKEN_MARGIN) < token.expires_at) {
            return Ok(token.clone());
        }
        let token = self.mint(agent).await?;
        *kept = Some(token.clone());
        Ok(token)
    }

    /// The agent's slot. Those of agents that have not worked for as long as a token lives are cleared away.
    async fn slot(&self, agent: &Agent) -> Slot {
        let now = self.clock.now();
        let mut slots = self.tokens.lock().await;
        slots.retain(|id, slot| {
            let free = slot.try_lock().map(|kept| kept.as_ref().is_none_or(|token| token.expires_at <= now));
            *id == agent.id || Arc::strong_count(slot) > 1 || !free.unwrap_or(false)
        });
        Arc::clone(slots.entry(agent.id.clone()).or_default())
    }

    /// Forgets a token that the gateway does not accept any more.
    pub(crate) async fn discard_token(&self, agent: &Agent) {
        self.tokens.lock().await.remove(&agent.id);
    }

    /// Takes every token of the agent back.
    pub(crate) async fn revoke(&self, agent: &Agent) -> Result<(), GatewayError> {
        self.discard_token(agent).await;
        match self.admin(reqwest::Method::DELETE, &format!("tokens/{}", agent.consumer()), None).await {
            // It never had one.
            Err(GatewayError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(()),
            other => other.map(drop),
        }
    }

    /// What each consumer used since the gateway began to count.
    pub(crate) async fn usage(&self) -> Result<Vec<Usage>, GatewayError> {
        let answer = self.admin(reqwest::Method::GET, "usage", None).await?;
        serde_json::from_value(answer["usage"].clone()).map_err(|_| unreadable())
    }

    async fn mint(&self, agent: &Agent) -> Result<ConsumerToken, GatewayError> {
        let body = json!({"consumer": agent.consumer(), "grants": [agent.grant], "ttl_seconds": TOKEN_TTL.as_secs()});
        let answer = self.admin(reqwest::Method::POST, "tokens", Some(body)).await?;
        let token = answer["token"].as_str().ok_or_else(unreadable)?;
        Ok(ConsumerToken { token: token.into(), expires_at: self.clock.now().plus(TOKEN_TTL) })
    }

    async fn admin(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> Result<Value, GatewayError> {
        let file = &self.endpoint.admin_token_file;
        let token = tokio::fs::read_to_string(file).await;
        let token = token.map_err(|source| GatewayError::AdminToken { path: file.clone(), source })?;
        let url = format!("{}/admin/v1/{path}", self.endpoint.admin_url.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url).bearer_auth(token.trim()).timeout(ADMIN_TIMEOUT);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let unreachable = || GatewayError::Unreachable { url: self.endpoint.admin_url.clone() };
        let answer = request.send().await.map_err(|_| unreachable())?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let message = body["error"].as_str().unwrap_or("the gateway refused without a reason").to_owned();
        Err(GatewayError::Refused { message, status })
    }
}

fn unreadable() -> GatewayError {
    let message = "the gateway gave an answer that cannot be read: is it the same version?".to_owned();
    GatewayError::Refused { message, status: StatusCode::BAD_GATEWAY }
}

#[cfg(test)]
mod tests;
