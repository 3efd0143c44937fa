//! The credentials of one upstream, compiled from its configuration: what a request takes from them, and what must not come back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Random};
use secrecy::zeroize::Zeroizing;
use tokio::time::Instant;

use super::app::{AppError, GithubApp, Scope};
use super::pool::{Lease, NoneReady, Outcome, Pool};
use super::{CredentialError, Credentials};
use crate::config::{CredentialSource, InjectConfig, UpstreamConfig};
use crate::credential::Credential;

/// What it takes to compile the credentials of an upstream.
#[derive(Clone)]
pub(crate) struct Tools {
    /// For minting; it must follow no redirects.
    pub(crate) client: reqwest::Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
}

/// The credentials of one upstream, at least one.
#[derive(Debug)]
pub(crate) struct Keys {
    upstream: String,
    pool: Pool,
    members: Vec<Key>,
    /// Where the credential is the password of a pair.
    basic_user: Option<String>,
}

#[derive(Debug)]
enum Key {
    /// Used as it is.
    Stored(CredentialSource),
    /// Gives tokens.
    App { app: Box<GithubApp>, private_key: CredentialSource },
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct For<'a> {
    /// The consumer's name.
    pub(crate) consumer: &'a str,
    /// What an installation token has to be good for; none where a request concerns no repository.
    pub(crate) scope: Option<&'a Scope>,
    /// Whether there is another upstream to fall back to. Without one, a credential that rests is used rather than none.
    pub(crate) can_fall_back: bool,
}

/// A credential for one request.
#[derive(Debug)]
#[must_use]
pub(crate) struct Taken {
    /// What goes into the request.
    pub(crate) credential: Credential,
    /// All that must not come back, the credential included.
    pub(crate) guarded: Vec<Credential>,
    lease: Lease,
    keys: Arc<Keys>,
    scope: Option<Scope>,
}

/// There is no credential for a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TakeError {
    /// All of them rest: time for the fallback.
    #[error("all credentials of upstream `{upstream}` rest after errors: try again in {} s", retry_after.as_secs())]
    NoneReady { upstream: String, retry_after: Duration },
    /// It cannot be fetched.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// GitHub gives no token.
    #[error(transparent)]
    App(#[from] AppError),
    /// A GitHub App acts on repositories only.
    #[error("this request concerns no repository, and a GitHub App acts on repositories only")]
    NoRepository,
}

impl Keys {
    /// `None` for an upstream that asks for no credential.
    pub(crate) fn compile(config: &UpstreamConfig, tools: &Tools) -> Option<Self> {
        let sources: Vec<_> = config.credential_sources().collect();
        if sources.is_empty() {
            return None;
        }
        let pool = Pool::new(&config.name, sources.iter().map(ToString::to_string), tools.random.clone());
        let basic_user = match &config.inject {
            Some(InjectConfig::BasicUser(user)) => Some(user.clone()),
            _ => None,
        };
        let members = sources.into_iter().map(|source| Key::compile(source, config, tools)).collect();
        Some(Self { upstream: config.name.clone(), pool, members, basic_user })
    }

    /// How many credentials there are: a request that one of them failed can be tried once with each.
    pub(crate) fn len(&self) -> usize {
        self.pool.len()
    }

    /// How many rest, because their upstream turned them away.
    pub(crate) fn resting(&self) -> usize {
        self.pool.resting(Instant::now())
    }

    /// The credential for a request. One that cannot be fetched is passed over while there are others.
    pub(crate) async fn take(self: &Arc<Self>, credentials: &Credentials, r#for: For<'_>) -> Result<Taken, TakeError> {
        let mut failed = None;
        for _ in 0..self.len() {
            let lease = match self.pool.pick(r#for.consumer, Instant::now()) {
                Ok(lease) => lease,
                // Why the last one failed says more than that none is left.
                Err(_) if failed.is_some() => break,
                Err(_) if !r#for.can_fall_back => self.pool.soonest(Instant::now()),
                Err(NoneReady { retry_after }) => {
                    return Err(TakeError::NoneReady { upstream: self.upstream.clone(), retry_after });
                }
            };
            match self.members[lease.number()].fetch(credentials, r#for.scope).await {
                Ok(credential) => return Ok(self.taken(credential, lease, r#for.scope)),
                Err(error @ (TakeError::Credential(_) | TakeError::App(_))) => {
                    lease.report(Outcome::Missing, Instant::now());
                    failed = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or(TakeError::NoRepository))
    }

    fn taken(self: &Arc<Self>, credential: Credential, lease: Lease, scope: Option<&Scope>) -> Taken {
        let guarded = self.pair(&credential).into_iter().chain([credential.clone()]).collect();
        Taken { credential, guarded, lease, keys: self.clone(), scope: scope.cloned() }
    }

    /// All of this upstream that must not come back to an agent, as far as it can be fetched.
    pub(super) async fn guarded(&self, credentials: &Credentials) -> Vec<Credential> {
        let mut guarded = Vec::new();
        for key in &self.members {
            if let Ok(credential) = credentials.fetch(key.source()).await {
                guarded.extend(self.pair(&credential));
                guarded.push(credential);
            }
            for token in key.live_tokens() {
                guarded.extend(self.pair(&token));
                guarded.push(token);
            }
        }
        guarded
    }

    /// Grows with every installation token.
    pub(super) fn generation(&self) -> u64 {
        self.members.iter().map(Key::generation).sum()
    }

    /// `user:password`, whose base64 goes over the wire.
    fn pair(&self, credential: &Credential) -> Option<Credential> {
        let user = self.basic_user.as_deref()?;
        let pair = Zeroizing::new(format!("{user}:{}", credential.expose()).into_bytes());
        Credential::from_sealed(&pair)
    }
}

impl Key {
    fn compile(source: CredentialSource, config: &UpstreamConfig, tools: &Tools) -> Self {
        match source {
            CredentialSource::GithubApp { app_id, private_key } => {
                let app = GithubApp::new(app_id, config.base_url.clone(), tools.client.clone(), tools.clock.clone());
                Self::App { app: Box::new(app), private_key: *private_key }
            }
            stored => Self::Stored(stored),
        }
    }

    async fn fetch(&self, credentials: &Credentials, scope: Option<&Scope>) -> Result<Credential, TakeError> {
        match self {
            Self::Stored(source) => Ok(credentials.fetch(source).await?),
            Self::App { app, private_key } => {
                let scope = scope.ok_or(TakeError::NoRepository)?;
                let pem = credentials.fetch(private_key).await?;
                Ok(app.token(&pem, scope).await?)
            }
        }
    }

    /// What is read to fetch it.
    fn source(&self) -> &CredentialSource {
        match self {
            Self::Stored(source) => source,
            Self::App { private_key, .. } => private_key,
        }
    }

    fn live_tokens(&self) -> Vec<Credential> {
        match self {
            Self::Stored(_) => Vec::new(),
            Self::App { app, .. } => app.live_tokens(),
        }
    }

    fn generation(&self) -> u64 {
        match self {
            Self::Stored(_) => 0,
            Self::App { app, .. } => app.generation(),
        }
    }
}

impl Taken {
    /// Says how the upstream took the credential.
    pub(crate) fn report(&self, outcome: Outcome) {
        let key = &self.keys.members[self.lease.number()];
        if let (Outcome::Refused, Key::App { app, .. }, Some(scope)) = (outcome, key, &self.scope) {
            app.forget(scope);
        }
        self.lease.report(outcome, Instant::now());
    }
}

impl fmt::Debug for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tools")
    }
}

#[cfg(test)]
#[path = "tests/keys.rs"]
pub(super) mod tests;
