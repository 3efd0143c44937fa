//! The two calls of GitHub's REST interface that a GitHub App makes for an installation token.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;
use doorward_base::Timestamp;
use doorward_github::RepositoryName;
use http_body_util::{BodyExt, Limited};
use reqwest::header::{ACCEPT, RETRY_AFTER, USER_AGENT};
use reqwest::{RequestBuilder, Url};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::app::AppError;
use super::permissions::Permissions;
use crate::credential::Credential;

/// An agent waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The answer describes the installation and its one repository: some ten kilobytes.
const LARGEST_ANSWER: usize = 256 << 10;
const UNREADABLE: &str = "its answer is not what GitHub documents";

/// Where an app is asked about.
pub(super) struct Api {
    pub(super) app_id: u64,
    pub(super) base_url: Url,
    pub(super) client: reqwest::Client,
}

/// <https://docs.github.com/en/rest/apps/apps#get-a-repository-installation-for-the-authenticated-app>
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Installation {
    pub(super) id: u64,
    /// What its owner allows; missing at old Enterprise Servers.
    pub(super) permissions: Option<BTreeMap<String, String>>,
}

/// <https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>
pub(super) struct AccessToken {
    pub(super) token: Credential,
    pub(super) expires_at: Timestamp,
}

/// Borrowed from the answer, which is wiped.
#[derive(Deserialize)]
struct AccessTokenBody<'a> {
    token: &'a str,
    expires_at: &'a str,
}

impl Api {
    /// `GET /repos/{owner}/{repo}/installation`
    pub(super) async fn installation(
        &self,
        jwt: &SecretString,
        repository: &RepositoryName,
    ) -> Result<Installation, AppError> {
        let url = self.below(["repos"].into_iter().chain(repository.as_str().split('/')).chain(["installation"]));
        let (status, body) = self.send(self.client.get(url), jwt).await?;
        match status {
            StatusCode::OK => self.read(&body),
            StatusCode::NOT_FOUND => Err(self.not_installed(repository)),
            status if status.is_redirection() => Err(AppError::Moved { repository: repository.clone() }),
            status => Err(self.trouble_of(status)),
        }
    }

    /// `POST /app/installations/{id}/access_tokens`
    pub(super) async fn access_token(
        &self,
        jwt: &SecretString,
        installation: u64,
        repository: &RepositoryName,
        permissions: &Permissions,
    ) -> Result<AccessToken, AppError> {
        let url = self.below(["app", "installations", &installation.to_string(), "access_tokens"].into_iter());
        let name = repository.as_str().split('/').next_back();
        let asked = json!({ "repositories": [name], "permissions": permissions });
        let (status, body) = self.send(self.client.post(url).json(&asked), jwt).await?;
        match status {
            StatusCode::CREATED | StatusCode::OK => self.token_of(&body),
            StatusCode::NOT_FOUND => Err(self.not_installed(repository)),
            StatusCode::FORBIDDEN | StatusCode::UNPROCESSABLE_ENTITY => {
                let permissions = permissions.iter().map(|(name, level)| format!("{name}: {level}"));
                let permissions = permissions.collect::<Vec<_>>().join(", ");
                Err(AppError::NotAllowed { app_id: self.app_id, repository: repository.clone(), permissions })
            }
            status => Err(self.trouble_of(status)),
        }
    }

    fn token_of(&self, body: &[u8]) -> Result<AccessToken, AppError> {
        let body: AccessTokenBody<'_> = self.read(body)?;
        let unreadable = |()| self.trouble(UNREADABLE);
        let token = Credential::from_input(body.token.as_bytes()).map_err(|_| ()).map_err(unreadable)?;
        let expires_at: jiff::Timestamp = body.expires_at.parse().map_err(|_| ()).map_err(unreadable)?;
        Ok(AccessToken { token, expires_at: Timestamp::from_millis(expires_at.as_millisecond()) })
    }

    async fn send(
        &self,
        request: RequestBuilder,
        jwt: &SecretString,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), AppError> {
        let request = request
            .bearer_auth(jwt.expose_secret())
            .header(ACCEPT, "application/vnd.github+json")
            .header(USER_AGENT, concat!("doorward/", env!("CARGO_PKG_VERSION")))
            .header("x-github-api-version", "2022-11-28")
            .timeout(PATIENCE);
        let answer = request.send().await.map_err(|error| {
            self.trouble(if error.is_timeout() { "it does not answer in time" } else { "it cannot be reached" })
        })?;
        let (status, headers) = (answer.status(), answer.headers());
        let exhausted = || headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
        let slower = || headers.contains_key(RETRY_AFTER) || exhausted();
        if status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && slower()) {
            return Err(AppError::RateLimited { app_id: self.app_id });
        }
        let body = Limited::new(reqwest::Body::from(answer), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|_| self.trouble("its answer breaks off or is too long"))?;
        Ok((status, Zeroizing::new(body.to_bytes().to_vec())))
    }

    fn read<'a, T: Deserialize<'a>>(&self, body: &'a [u8]) -> Result<T, AppError> {
        // What serde says can quote the answer.
        serde_json::from_slice(body).map_err(|_| self.trouble(UNREADABLE))
    }

    fn below<'a>(&self, segments: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn trouble_of(&self, status: StatusCode) -> AppError {
        match status {
            StatusCode::UNAUTHORIZED => AppError::KeyRefused { app_id: self.app_id },
            status => self.trouble(&format!("it answers {status}")),
        }
    }

    fn trouble(&self, detail: &str) -> AppError {
        AppError::Trouble { app_id: self.app_id, detail: detail.to_owned() }
    }

    fn not_installed(&self, repository: &RepositoryName) -> AppError {
        AppError::NotInstalled { app_id: self.app_id, repository: repository.clone() }
    }
}
