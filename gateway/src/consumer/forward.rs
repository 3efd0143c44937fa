//! Forwarding: one request out, the head of one answer back, the body streamed behind it.

use std::time::Duration;

use axum::http::header::CONTENT_ENCODING;
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::echo::Echoes;
use super::outgoing::{Outgoing, strip_answer};
use super::passes::Passes;
use super::refusal::Refusal;
use crate::config::Timeouts;
use crate::destinations::GuardedResolver;
use crate::policy::Permit;
use crate::upstream::Reached;

/// A larger error of an upstream that has a credential is not passed on.
const LARGEST_ERROR: usize = 64 << 10;

/// Sends requests to upstreams. One client for all of them, so that connections are kept.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    client: reqwest::Client,
    first_byte: Duration,
}

/// An upstream's answer: its head, and its body as it comes.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: reqwest::Body,
    pub(super) passes: Passes,
}

impl Forwarder {
    pub(crate) fn new(timeouts: &Timeouts) -> Result<Self, reqwest::Error> {
        Ok(Self { client: client(timeouts.connect.0)?, first_byte: timeouts.first_byte.0 })
    }

    /// Sends what was permitted. The answers that would mislead the caller about its own token, lead elsewhere or tell the credential
    /// become refusals.
    pub(crate) async fn forward(
        &self,
        permit: &Permit,
        method: Method,
        outgoing: Outgoing,
        body: Bytes,
    ) -> Result<Answer, Refusal> {
        let upstream = permit.upstream();
        let mut request = self.client.request(method, outgoing.url).headers(outgoing.headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let sent = timeout(self.first_byte, request.send()).await;
        let Ok(sent) = sent else { return Err(Refusal::TimedOut(upstream.name.clone())) };
        let response = sent.map_err(|error| {
            upstream.set_reached(Reached::No);
            unreachable(&upstream.name, error)
        })?;
        upstream.set_reached(Reached::Yes);
        let answer = checked(&upstream.name, response, &outgoing.echoes)?;
        if answer.status.as_u16() < 400 || outgoing.echoes.is_empty() {
            return Ok(answer);
        }
        let harmless = harmless(&upstream.name, answer, &outgoing.echoes);
        timeout(self.first_byte, harmless).await.unwrap_or_else(|_| Err(Refusal::TimedOut(upstream.name.clone())))
    }
}

fn checked(upstream: &str, response: reqwest::Response, echoes: &Echoes) -> Result<Answer, Refusal> {
    match response.status() {
        // The body of such an answer often quotes the credential.
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(Refusal::CredentialRefused(upstream.to_owned()))
        }
        // To be told that nothing has changed is no redirect.
        StatusCode::NOT_MODIFIED => Ok(Answer {
            status: StatusCode::NOT_MODIFIED,
            headers: strip_answer(response.headers()),
            body: response.into(),
            passes: Passes::default(),
        }),
        status if status.is_redirection() || status.is_informational() => Err(Refusal::Redirected(upstream.to_owned())),
        status => {
            let mut headers = strip_answer(response.headers());
            if echoes.remove_from(&mut headers) {
                tracing::warn!(%upstream, "a header of an answer held the upstream's credential and was removed");
            }
            Ok(Answer { status, headers, body: response.into(), passes: Passes::default() })
        }
    }
}

/// The error of an upstream, read to its end, if the credential does not stand in it. Errors like to quote the request.
async fn harmless(upstream: &str, answer: Answer, echoes: &Echoes) -> Result<Answer, Refusal> {
    let Answer { status, headers, body, passes } = answer;
    let withheld = |why| Refusal::Withheld { upstream: upstream.to_owned(), status, why };
    if headers.get_all(CONTENT_ENCODING).into_iter().any(|coding| coding != "identity") {
        return Err(withheld("is compressed"));
    }
    let collected = Limited::new(body, LARGEST_ERROR)
        .collect()
        .await
        .map_err(|error| withheld(if error.is::<LengthLimitError>() { "is larger than 64KB" } else { "broke off" }))?;
    let body = collected.to_bytes();
    if echoes.are_in(&body) {
        return Err(withheld("mentions its credential"));
    }
    Ok(Answer { status, headers, body: body.into(), passes })
}

fn unreachable(upstream: &str, error: reqwest::Error) -> Refusal {
    let timed_out = error.is_timeout();
    // Its URL can hold a credential.
    let error = error.without_url();
    tracing::warn!(%upstream, error = &error as &dyn std::error::Error, "the upstream cannot be reached");
    if timed_out { Refusal::TimedOut(upstream.to_owned()) } else { Refusal::Unreachable(upstream.to_owned()) }
}

/// A client that follows no redirect, which would take the credential along, and dials no cloud metadata service.
pub(crate) fn client(connect_timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    // An error means that another part of the program has installed one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(connect_timeout)
        .dns_resolver(GuardedResolver::default())
        .build()
}
