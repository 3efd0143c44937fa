//! git over smart HTTP (gitprotocol-http): what a fetch or a push does.

mod spooled;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use doorward_git::push::{Capabilities, Push};
use doorward_git::report;
use doorward_github::{Effect, RefChange, RepositoryName, Verb};

use super::payload::{Payload, Reading, is_plain, media_type};
use super::refusal::Refusal;
use super::route::Route;
pub(crate) use spooled::Spooled;

/// What a request does to a repository.
#[derive(Clone, Debug)]
pub(crate) struct GitAsk {
    pub(crate) repository: RepositoryName,
    pub(crate) deed: Deed,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// Asks which refs there are, to fetch.
    Read,
    /// Asks which refs there are, to push; or finds out whether it may.
    AboutToPush,
    /// Moves refs; each with how far the pack proves that nothing is lost.
    Push { push: Push, effects: Vec<Effect> },
}

impl GitAsk {
    /// Reads a request. Of a push the body is spooled to disk, so that memory stays bounded.
    pub(super) async fn read(
        head: &Parts,
        route: &Route,
        body: Body,
        reading: Reading,
        push: Reading,
    ) -> Result<(Self, Payload), Refusal> {
        let (repository, service) = place(route)?;
        let (deed, payload) = match service {
            "info/refs" => (advertisement(head)?, Payload::Nothing),
            "git-upload-pack" => {
                check(head, "application/x-git-upload-pack-request")?;
                (Deed::Read, Payload::of(reading.collect(&head.headers, body).await?))
            }
            _ => {
                check(head, "application/x-git-receive-pack-request")?;
                // A compressed push cannot be spooled as it is read.
                if !is_plain(&head.headers) {
                    return Err(Refusal::MediaType);
                }
                spooled::read(&repository, push, &head.headers, body).await?
            }
        };
        Ok((Self { repository, deed }, payload))
    }

    /// What the path alone tells of a request that has a body.
    pub(crate) fn announced(route: &Route) -> Result<Option<Self>, Refusal> {
        let (repository, service) = place(route)?;
        let deed = match service {
            "git-upload-pack" => Deed::Read,
            "git-receive-pack" => Deed::AboutToPush,
            _ => return Ok(None),
        };
        Ok(Some(Self { repository, deed }))
    }

    /// What a grant is asked about.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        let repository = self.repository.clone();
        match &self.deed {
            Deed::Read => vec![Effect::Does { verb: Verb::Read, repository }],
            Deed::AboutToPush => vec![Effect::StoresObjects { repository }],
            Deed::Push { effects, .. } => effects.clone(),
        }
    }
}

/// The repository that a path names, and what is wanted of it.
fn place(route: &Route) -> Result<(RepositoryName, &str), Refusal> {
    let mut parts = route.below.splitn(3, '/');
    let mut next = || parts.next().unwrap_or_default();
    let (owner, name, service) = (next(), next(), next());
    let repository = RepositoryName::new(owner, name).map_err(|error| Refusal::NotUnderstood(error.to_string()))?;
    Ok((repository, service))
}

/// The dumb protocol has no service in its query, and is not served.
fn advertisement(head: &Parts) -> Result<Deed, Refusal> {
    if head.method != Method::GET {
        return Err(Refusal::WrongMethod { expected: Method::GET });
    }
    match head.uri.query() {
        Some("service=git-upload-pack") => Ok(Deed::Read),
        Some("service=git-receive-pack") => Ok(Deed::AboutToPush),
        _ => Err(Refusal::NotUnderstood("only git's smart protocol is served".to_owned())),
    }
}

fn check(head: &Parts, expected: &str) -> Result<(), Refusal> {
    if head.method != Method::POST {
        return Err(Refusal::WrongMethod { expected: Method::POST });
    }
    if head.uri.query().is_some() || media_type(&head.headers)?.as_deref() != Some(expected) {
        return Err(Refusal::NotUnderstood(format!("git sends {expected} here, without a query")));
    }
    Ok(())
}

/// How a command is named in a grant.
fn effect(repository: &RepositoryName, name: &str, change: doorward_git::ancestry::Change) -> Effect {
    use doorward_git::ancestry::Change;
    let change = match change {
        Change::Create | Change::FastForward => RefChange::CreateOrFastForward,
        Change::Unproven => RefChange::Force,
        Change::Delete => RefChange::Delete,
    };
    Effect::MovesRef { repository: repository.clone(), name: Some(name.to_owned()), change }
}

/// A refused push, as git shows it: with its reason beside each ref.
pub(super) fn refused_push(push: &Push, refusal: &Refusal) -> Response {
    let sentence = refusal.to_string();
    let reason = |command: &doorward_git::push::Command| match refusal {
        Refusal::RefsNotGranted(refs) => {
            refs.iter().find(|(name, _)| name == command.name.as_str()).map(|(_, why)| why.clone())
        }
        _ => Some(sentence.clone()),
    };
    answer(report::refuse_push(push, reason, &[&sentence]))
}

/// A push that cannot be read.
pub(super) fn refused_reading(capabilities: Capabilities, sentence: &str) -> Response {
    answer(report::refuse(capabilities, sentence))
}

fn answer(body: Vec<u8>) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, axum::http::HeaderValue::from_static("application/x-git-receive-pack-result"));
    headers.insert(CACHE_CONTROL, axum::http::HeaderValue::from_static("no-cache"));
    (StatusCode::OK, headers, body).into_response()
}
