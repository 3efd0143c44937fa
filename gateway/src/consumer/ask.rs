//! Reading a request: who shows which token, and what is asked for.

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::zeroize::Zeroizing;

use super::body::Facts;
use super::form;
use super::git::GitAsk;
use super::github::Deeds;
use super::mcp;
use super::payload::{Payload, Reading, check_json, is_json, is_plain};
use super::refusal::Refusal;
use super::route::{Guard, Route};
use crate::budget::{Estimate, estimate};
use crate::token::{ConsumerToken, MalformedToken};

/// What a consumer asks for: where, how, and what its body says to the policy.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) route: Route,
    pub(crate) method: Method,
    pub(crate) subject: Subject,
    pub(crate) payload: Payload,
}

/// What policy decides on.
#[derive(Debug)]
pub(crate) enum Subject {
    /// The list of models.
    ModelList,
    /// Something that a model works on.
    Model(Facts),
    /// Another path below `/v1`, and what its body says if it names a model.
    Path(Option<Facts>),
    /// A path of an HTTP upstream.
    Http,
    /// Something on GitHub.
    Github(Deeds),
    /// A fetch or a push.
    Git(GitAsk),
    /// Messages to an MCP server.
    Mcp(mcp::Uses),
}

impl Ask {
    /// Reads the body, and from a side copy of it what policy needs to know.
    pub(crate) async fn read(
        head: &Parts,
        route: Route,
        body: Body,
        reading: Reading,
        push: Reading,
    ) -> Result<Self, Refusal> {
        let guard = route.entry.guard;
        if guard == Guard::Git {
            let (ask, payload) = GitAsk::read(head, &route, body, reading, push).await?;
            return Ok(Self { route, method: head.method.clone(), subject: Subject::Git(ask), payload });
        }
        if guard == Guard::Model {
            check_json(&head.headers)?;
        }
        let body = match guard {
            Guard::ModelList => Bytes::new(),
            _ => reading.collect(&head.headers, body).await?,
        };
        let subject = match guard {
            Guard::ModelList => Subject::ModelList,
            Guard::Model => Subject::Model(Facts::read(route.wire(), &body)?),
            Guard::ModelForm => Subject::Model(form::facts(&head.headers, &body).await?),
            Guard::Path => Subject::Path(facts_if_any(head, &route, &body)?),
            Guard::Http => Subject::Http,
            Guard::Mcp => Subject::Mcp(mcp_uses(head, &body)?),
            Guard::GithubRest | Guard::GithubGraphql | Guard::GithubUploads => {
                Subject::Github(Deeds::read(head, &route, &body)?)
            }
            Guard::Git => return Err(Refusal::UnknownPath),
        };
        Ok(Self { route, method: head.method.clone(), subject, payload: Payload::of(body) })
    }
}

impl Ask {
    /// The models that may answer.
    pub(super) fn models(&self) -> Vec<&str> {
        match &self.subject {
            Subject::Model(facts) | Subject::Path(Some(facts)) => {
                [&facts.model].into_iter().chain(&facts.fallbacks).map(String::as_str).collect()
            }
            _ => Vec::new(),
        }
    }

    /// What a model may use for it; none if no model works on it.
    pub(super) fn estimate(&self) -> Option<Estimate> {
        let (Subject::Model(facts) | Subject::Path(Some(facts))) = &self.subject else { return None };
        match (self.route.entry.guard, self.route.entry.tail) {
            // Counting is free.
            (_, "v1/messages/count_tokens") => None,
            (_, "embeddings" | "moderations") => Some(estimate(self.payload.length(), Some(0))),
            // The bytes of a sound or a picture say nothing about tokens.
            (Guard::ModelForm, _) => Some(estimate(0, facts.max_output)),
            _ => Some(estimate(self.payload.length(), facts.max_output)),
        }
    }
}

/// Only a `POST` brings messages; `GET` opens a stream and `DELETE` ends a session.
fn mcp_uses(head: &Parts, body: &[u8]) -> Result<mcp::Uses, Refusal> {
    if head.method != Method::POST {
        return if body.is_empty() { Ok(mcp::Uses::default()) } else { Err(Refusal::MediaType) };
    }
    check_json(&head.headers)?;
    mcp::check_headers(&head.headers, body)?;
    mcp::Uses::read(body)
}

/// What looks like a JSON object is read as one whatever its type says, because servers do so too.
fn facts_if_any(head: &Parts, route: &Route, body: &[u8]) -> Result<Option<Facts>, Refusal> {
    if !is_plain(&head.headers) {
        return Err(Refusal::MediaType);
    }
    let json = is_json(&head.headers)? || body.trim_ascii_start().starts_with(b"{");
    if body.is_empty() || !json { Ok(None) } else { Facts::read_any(route.wire(), body) }
}

/// The one consumer token that the request shows, wherever it shows it.
pub(crate) fn presented_token(headers: &HeaderMap) -> Result<ConsumerToken, Refusal> {
    let authorization = headers.get_all(AUTHORIZATION).into_iter().map(from_authorization);
    let api_key = headers.get_all("x-api-key").into_iter().map(|value| Ok(Zeroizing::new(visible(value)?.to_owned())));
    let mut shown = authorization.chain(api_key);
    let first = shown.next().ok_or(Refusal::NoToken)??;
    for other in shown {
        if *other? != *first {
            return Err(Refusal::TwoTokens);
        }
    }
    Ok(ConsumerToken::parse(&first)?)
}

fn from_authorization(value: &HeaderValue) -> Result<Zeroizing<String>, Refusal> {
    let (scheme, rest) = visible(value)?.trim().split_once(' ').ok_or(MalformedToken)?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Ok(Zeroizing::new(rest.to_owned())),
        "basic" => {
            let decoded = Zeroizing::new(STANDARD.decode(rest).map_err(|_| MalformedToken)?);
            let pair = std::str::from_utf8(&decoded).map_err(|_| MalformedToken)?;
            let (_, password) = pair.split_once(':').ok_or(MalformedToken)?;
            Ok(Zeroizing::new(password.to_owned()))
        }
        _ => Err(MalformedToken.into()),
    }
}

fn visible(value: &HeaderValue) -> Result<&str, Refusal> {
    value.to_str().map_err(|_| MalformedToken.into())
}

#[cfg(test)]
mod tests;
