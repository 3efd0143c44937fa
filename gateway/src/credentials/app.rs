//! A GitHub App as a credential: installation tokens for one repository and the permissions of a grant, minted when first needed and
//! used until shortly before they expire.
//!
//! <https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-an-installation-access-token-for-a-github-app>

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use doorward_base::{Clock, Timestamp};
use doorward_github::RepositoryName;
use reqwest::Url;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::app_api::{Api, Installation};
use super::jwt::AppKey;
use super::permissions::{Permissions, within};
use crate::credential::Credential;

/// A token is not used in the last five minutes of its life: a long request must not outlive it.
const SPARE: Duration = Duration::from_secs(5 * 60);
/// GitHub's own limit. An expiry further away is not believed.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);
/// An installation is looked up again after this time: its owner may have changed its permissions.
const INSTALLATION_KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// After a failure GitHub is not asked again for so long.
const FAILURE_KNOWN_FOR: Duration = Duration::from_secs(5);

/// What an installation token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    /// The one repository.
    pub(crate) repository: RepositoryName,
    /// See [`permissions`](super::permissions::permissions).
    pub(crate) permissions: Permissions,
}

/// There is no installation token. Each is one sentence for the operator, with the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppError {
    #[error("the private key of GitHub App {app_id} is no RSA key in PEM: set the .pem file that GitHub gave")]
    NoKey { app_id: u64 },
    #[error(
        "GitHub does not take the private key of GitHub App {app_id}: set a key that the app has, and see that this machine's clock is right"
    )]
    KeyRefused { app_id: u64 },
    #[error("GitHub App {app_id} is not installed on {repository}: install it there, or change the grant")]
    NotInstalled { app_id: u64, repository: RepositoryName },
    #[error(
        "GitHub gives GitHub App {app_id} no token for {repository}: see that its installation is not suspended and has the permissions {permissions}"
    )]
    NotAllowed { app_id: u64, repository: RepositoryName, permissions: String },
    #[error("{repository} has moved: use its new name in the grant and in the request")]
    Moved { repository: RepositoryName },
    #[error("GitHub has had too many requests of GitHub App {app_id}: try again later")]
    RateLimited { app_id: u64 },
    #[error("GitHub cannot be asked for a token of GitHub App {app_id}: {detail}")]
    Trouble { app_id: u64, detail: String },
}

/// One app at one GitHub.
pub(crate) struct GithubApp {
    api: Api,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// All of it belongs to one private key and is forgotten when another is set.
#[derive(Default)]
struct State {
    key: Option<([u8; 32], AppKey)>,
    installations: HashMap<RepositoryName, (Instant, Installation)>,
    tokens: HashMap<Scope, Arc<Cell>>,
    /// How many tokens were minted, see [`GithubApp::generation`].
    minted: u64,
}

/// Locked while its token is minted, so that many requests at once mint one.
type Cell = tokio::sync::Mutex<Option<Minted>>;

/// What came of the last attempt.
enum Minted {
    Token { token: Credential, good_until: Timestamp },
    Failure { at: Instant, error: AppError },
}

impl GithubApp {
    /// `client` must follow no redirects.
    pub(crate) fn new(app_id: u64, base_url: Url, client: reqwest::Client, clock: Arc<dyn Clock>) -> Self {
        Self { api: Api { app_id, base_url, client }, clock, state: Mutex::default() }
    }

    /// A token for this scope, under the private key `pem`.
    pub(crate) async fn token(&self, pem: &Credential, scope: &Scope) -> Result<Credential, AppError> {
        let key = self.key(pem)?;
        let cell = self.cell(scope);
        let mut minted = cell.lock().await;
        if let Some(known) = minted.as_ref().and_then(|minted| minted.still_holds(self.clock.now())) {
            return known;
        }
        let mint = self.mint(&key, scope).await;
        let (held, result) = match mint {
            Ok((token, good_until)) => (Minted::Token { token: token.clone(), good_until }, Ok(token)),
            Err(error) => (Minted::Failure { at: Instant::now(), error: error.clone() }, Err(error)),
        };
        *minted = Some(held);
        self.state().minted += 1;
        result
    }

    /// Forgets the token of a scope, because GitHub has refused it.
    pub(crate) fn forget(&self, scope: &Scope) {
        let mut state = self.state();
        state.tokens.remove(scope);
        state.installations.remove(&scope.repository);
    }

    /// Every token that may be in use.
    pub(crate) fn live_tokens(&self) -> Vec<Credential> {
        let cells: Vec<_> = self.state().tokens.values().cloned().collect();
        let token = |cell: Arc<Cell>| match &*cell.try_lock().ok()? {
            Some(Minted::Token { token, .. }) => Some(token.clone()),
            _ => None,
        };
        cells.into_iter().filter_map(token).collect()
    }

    /// Grows with every token.
    pub(crate) fn generation(&self) -> u64 {
        self.state().minted
    }

    /// The key that signs. Another one than before makes everything forgotten that the old one gave.
    fn key(&self, pem: &Credential) -> Result<AppKey, AppError> {
        let digest: [u8; 32] = Sha256::digest(pem.expose()).into();
        let mut state = self.state();
        if let Some((_, key)) = state.key.as_ref().filter(|(known, _)| *known == digest) {
            return Ok(key.clone());
        }
        *state = State { minted: state.minted, ..State::default() };
        let key = AppKey::from_pem(pem).map_err(|_| AppError::NoKey { app_id: self.api.app_id })?;
        state.key = Some((digest, key.clone()));
        Ok(key)
    }

    fn cell(&self, scope: &Scope) -> Arc<Cell> {
        let mut state = self.state();
        if let Some(cell) = state.tokens.get(scope) {
            return cell.clone();
        }
        let now = self.clock.now();
        state.tokens.retain(|_, cell| is_needed(cell, now));
        state.tokens.entry(scope.clone()).or_default().clone()
    }

    /// A remembered installation may be gone or have lost permissions: it is looked up again before that is believed.
    async fn mint(&self, key: &AppKey, scope: &Scope) -> Result<(Credential, Timestamp), AppError> {
        if let Some(installation) = self.known_installation(&scope.repository) {
            match self.mint_at(key, scope, &installation).await {
                Err(AppError::NotInstalled { .. } | AppError::NotAllowed { .. }) => {}
                result => return result,
            }
        }
        let jwt = self.sign(key)?;
        let installation = self.api.installation(&jwt, &scope.repository).await?;
        let known = (Instant::now(), installation.clone());
        self.state().installations.insert(scope.repository.clone(), known);
        self.mint_at(key, scope, &installation).await
    }

    async fn mint_at(
        &self,
        key: &AppKey,
        scope: &Scope,
        installation: &Installation,
    ) -> Result<(Credential, Timestamp), AppError> {
        let permissions = match &installation.permissions {
            Some(held) => within(&scope.permissions, held),
            None => scope.permissions.clone(),
        };
        let jwt = self.sign(key)?;
        let answer = self.api.access_token(&jwt, installation.id, &scope.repository, &permissions).await?;
        let now = self.clock.now();
        let life = answer.expires_at.since(now).min(LONGEST_LIFE);
        Ok((answer.token, now.plus(life.saturating_sub(SPARE))))
    }

    fn sign(&self, key: &AppKey) -> Result<secrecy::SecretString, AppError> {
        key.sign(self.api.app_id, self.clock.now()).map_err(|_| AppError::NoKey { app_id: self.api.app_id })
    }

    fn known_installation(&self, repository: &RepositoryName) -> Option<Installation> {
        let mut state = self.state();
        state.installations.retain(|_, (at, _)| at.elapsed() < INSTALLATION_KNOWN_FOR);
        state.installations.get(repository).map(|(_, installation)| installation.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cell that nobody waits for and that tells nothing any more is not kept: agents can name any number of repositories.
fn is_needed(cell: &Arc<Cell>, now: Timestamp) -> bool {
    let tells = || cell.try_lock().is_ok_and(|minted| minted.as_ref().is_some_and(|it| it.still_holds(now).is_some()));
    Arc::strong_count(cell) > 1 || tells()
}

impl Minted {
    fn still_holds(&self, now: Timestamp) -> Option<Result<Credential, AppError>> {
        match self {
            Self::Token { token, good_until } => (now < *good_until).then(|| Ok(token.clone())),
            Self::Failure { at, error } => (at.elapsed() < FAILURE_KNOWN_FOR).then(|| Err(error.clone())),
        }
    }
}

impl fmt::Debug for GithubApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubApp").field("app_id", &self.api.app_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests/app.rs"]
mod tests;
