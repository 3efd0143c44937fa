//! From the setting of a credential to the credential, at the time of each request.
//!
//! [`Credentials`] fetches one from its source; [`Keys`] are those of one upstream, of which a request [takes](Keys::take) one;
//! [`Known`] are those of all upstreams, none of which an answer may carry.

pub(crate) mod app;
mod app_api;
mod cache;
mod jwt;
pub(crate) mod keys;
pub(crate) mod known;
pub(crate) mod permissions;
pub(crate) mod pool;
pub(crate) mod splice;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use cache::Cache;
pub(crate) use keys::Keys;

use crate::config::CredentialSource;
use crate::credential::{BadCredential, Credential};
use crate::secrets::{Secrets, SecretsError};

/// Reads the environment of the gateway. It is a parameter, so that tests have one of their own.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Fetches credentials.
#[derive(Clone)]
pub(crate) struct Credentials {
    environment: Environment,
    secrets: Secrets,
    cache: Arc<Cache>,
}

/// There is no credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    /// The text is the cure: it names the setting, never a value.
    #[error("{0}")]
    Missing(String),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
}

impl Credentials {
    pub(crate) fn new(environment: Environment, secrets: Secrets) -> Self {
        Self { environment, secrets, cache: Arc::default() }
    }

    /// The credential as its source has it, or had it less than a second ago. A secret that this process changed is read anew.
    pub(crate) async fn fetch(&self, source: &CredentialSource) -> Result<Credential, CredentialError> {
        if let CredentialSource::Env(name) = source {
            return self.read_environment(name);
        }
        let changes = self.secrets.changes();
        self.cache.get(source, changes, Instant::now(), self.read(source)).await
    }

    /// Grows with every change of a stored secret by this process.
    fn changes(&self) -> u64 {
        self.secrets.changes()
    }

    async fn read(&self, source: &CredentialSource) -> Result<Credential, CredentialError> {
        match source {
            CredentialSource::Env(name) => self.read_environment(name),
            CredentialSource::File(path) => read_file(path).await,
            CredentialSource::Secret(name) => self.read_secret(name).await,
            CredentialSource::GithubApp { app_id, .. } => {
                Err(CredentialError::Missing(format!("GitHub App {app_id} has a token only for a repository")))
            }
        }
    }

    fn read_environment(&self, name: &str) -> Result<Credential, CredentialError> {
        let missing = || CredentialError::Missing(format!("set the environment variable {name} of the gateway"));
        let value = (self.environment)(name).ok_or_else(missing)?;
        Credential::from_input(value.as_bytes())
            .map_err(|bad| unusable(&format!("the environment variable {name}"), bad))
    }

    async fn read_secret(&self, name: &str) -> Result<Credential, CredentialError> {
        let missing = || CredentialError::Missing(format!("set it with `doorward secret set {name}`"));
        self.secrets.get(name).await?.ok_or_else(missing)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

async fn read_file(path: &Path) -> Result<Credential, CredentialError> {
    let place = format!("the file {}", path.display());
    let bytes = tokio::fs::read(path).await.map_err(|error| {
        CredentialError::Missing(format!("set it in {place}, which cannot be read ({})", error.kind()))
    })?;
    Credential::from_input(&bytes).map_err(|bad| unusable(&place, bad))
}

fn unusable(place: &str, bad: BadCredential) -> CredentialError {
    CredentialError::Missing(format!("set it in {place}: {bad}"))
}

#[cfg(test)]
#[path = "credentials/tests/fetch.rs"]
mod tests;
