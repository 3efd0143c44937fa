//! `doorward check`, as far as upstreams go: one finding each, with the cure.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue, USER_AGENT};

use crate::config::{CredentialSource, UpstreamKind};
use crate::credentials::{CredentialError, Credentials};
use crate::upstream::{Base, Upstream};

/// A check is waited for by a person.
const PATIENCE: Duration = Duration::from_secs(15);

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found, in one sentence.
    pub message: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl Finding {
    fn good(upstream: &Upstream, message: String) -> Self {
        Self { name: format!("upstream {}", upstream.name), ok: true, message, cure: None }
    }

    fn bad(upstream: &Upstream, message: String, cure: String) -> Self {
        Self { name: format!("upstream {}", upstream.name), ok: false, message, cure: Some(cure) }
    }
}

/// Fetches each credential of an upstream and asks something harmless with it; the first that does not work is told.
pub(crate) async fn check(upstream: &Upstream, credentials: &Credentials, client: &reqwest::Client) -> Finding {
    if upstream.sources.is_empty() {
        return check_with(upstream, None, credentials, client).await;
    }
    let mut finding = None;
    for source in &upstream.sources {
        let found = check_with(upstream, Some(source), credentials, client).await;
        if !found.ok {
            return found;
        }
        finding = Some(found);
    }
    finding.unwrap_or_else(|| Finding::good(upstream, "it asks for no credential".to_owned()))
}

async fn check_with(
    upstream: &Upstream,
    source: Option<&CredentialSource>,
    credentials: &Credentials,
    client: &reqwest::Client,
) -> Finding {
    let (path, mut headers) = probe(upstream.kind);
    let Some(mut url) = upstream.url(Base::Main, path) else {
        return Finding::bad(upstream, "it has no address".to_owned(), "set its base_url".to_owned());
    };
    match source {
        None => {}
        Some(CredentialSource::GithubApp { private_key, .. }) => {
            return match credentials.fetch(private_key).await {
                Ok(_) => Finding::good(upstream, "the private key of its GitHub App is there".to_owned()),
                Err(error) => no_credential(upstream, &error),
            };
        }
        Some(source) => {
            let credential = match credentials.fetch(source).await {
                Ok(credential) => credential,
                Err(error) => return no_credential(upstream, &error),
            };
            if upstream.inject(Base::Main, &credential, &mut url, &mut headers).is_err() {
                let message = "its credential holds characters that cannot stand in a request".to_owned();
                return Finding::bad(upstream, message, "set the credential again, on one line".to_owned());
            }
        }
    }
    judge(upstream, client.get(url).headers(headers).timeout(PATIENCE).send().await)
}

/// What is asked, and how, to learn whether an upstream takes its credential.
fn probe(kind: UpstreamKind) -> (&'static str, HeaderMap) {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static("doorward"));
    let path = match kind {
        UpstreamKind::Openai => "models",
        UpstreamKind::Anthropic => {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
            "v1/models"
        }
        UpstreamKind::Github => "rate_limit",
        UpstreamKind::Mcp | UpstreamKind::Http => "",
    };
    (path, headers)
}

fn judge(upstream: &Upstream, answer: Result<reqwest::Response, reqwest::Error>) -> Finding {
    let cure = || format!("set base_url to the address that ends before /{}", probe(upstream.kind).0);
    match answer.map(|response| response.status()) {
        Err(error) => {
            let message = format!("it cannot be reached: {}", root_cause(&error.without_url()));
            Finding::bad(upstream, message, "see that base_url is right and the network lets it through".to_owned())
        }
        Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) if upstream.sources.is_empty() => {
            let message = format!("it asks for a credential ({status}), and none is configured");
            Finding::bad(upstream, message, "add `credential` to it".to_owned())
        }
        Ok(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
            Finding::bad(upstream, format!("it refuses its credential ({status})"), "set a valid credential".to_owned())
        }
        Ok(status) if status.is_redirection() => {
            Finding::bad(upstream, format!("it answers with a redirect ({status}), which is not followed"), cure())
        }
        Ok(StatusCode::NOT_FOUND) if !matches!(upstream.kind, UpstreamKind::Mcp | UpstreamKind::Http) => {
            Finding::bad(upstream, format!("it has nothing at base_url/{} (404)", probe(upstream.kind).0), cure())
        }
        Ok(status) if status.is_server_error() => {
            Finding::bad(upstream, format!("it is in trouble ({status})"), "try again later".to_owned())
        }
        Ok(_) => Finding::good(upstream, "it answers and takes its credential".to_owned()),
    }
}

fn no_credential(upstream: &Upstream, error: &CredentialError) -> Finding {
    match error {
        CredentialError::Missing(cure) => Finding::bad(upstream, "it has no credential".to_owned(), cure.clone()),
        CredentialError::Secrets(error) => Finding::bad(
            upstream,
            format!("its credential cannot be opened: {error}"),
            "put back the master key that sealed it, or set the secret again".to_owned(),
        ),
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
