//! Forwarding: one request out, the head of one answer back, the body streamed behind it.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use doorward_redaction::{Redactor, Secrets};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::clearance::Clearance;
use super::decode::Decode;
use super::outgoing::{Outgoing, strip_answer};
use super::passes::{Pass, Passes};
use super::payload::Payload;
use super::refusal::Refusal;
use super::relay::Relaying;
use crate::config::{Limits, Timeouts, UpstreamKind};
use crate::destinations::GuardedResolver;
use crate::policy::Permit;
use crate::upstream::{Base, Reached};

/// So long the gateway waits for the body of an answer that it asked for itself.
const OUR_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes in a second that any upstream takes at least.
const SLOWEST_SENDING: u64 = 256 << 10;

/// Sends requests to upstreams. One client for all of them, so that connections are kept.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder {
    client: reqwest::Client,
    first_byte: Duration,
    relaying: Relaying,
}

/// An upstream's answer: its head, and its body as it comes, with what has to be done to it on the way.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: reqwest::Body,
    pub(super) passes: Passes,
    pub(super) relaying: Relaying,
}

impl Forwarder {
    pub(crate) fn new(limits: &Limits, timeouts: &Timeouts) -> Result<Self, reqwest::Error> {
        let client = client(timeouts.connect.0)?;
        Ok(Self { client, first_byte: timeouts.first_byte.0, relaying: Relaying::of(limits, timeouts) })
    }

    /// Sends what was permitted and cleared. Answers that would mislead the caller about its own token or lead elsewhere become
    /// refusals.
    pub(super) async fn forward(
        &self,
        permit: &Permit,
        clearance: &Clearance,
        method: Method,
        outgoing: Outgoing,
        payload: Payload,
    ) -> Result<Answer, Refusal> {
        clearance.is_for(permit, &method, &payload).await?;
        let upstream = permit.upstream();
        let mut request = self.client.request(method, outgoing.url).headers(outgoing.headers);
        let length = payload.length();
        if let Some(body) = payload.into_body() {
            request = request.body(body);
        }
        // The time begins when the request is whole there; what is large is on its way for a while before.
        let first_byte = upstream.timeouts.first_byte.map_or(self.first_byte, |time| time.0);
        let first_byte = first_byte + Duration::from_secs(length / SLOWEST_SENDING);
        let sent = timeout(first_byte, request.send()).await;
        let Ok(sent) = sent else { return Err(Refusal::TimedOut(upstream.name.clone())) };
        let response = sent.map_err(|error| {
            upstream.set_reached(Reached::No);
            unreachable(&upstream.name, error)
        })?;
        upstream.set_reached(Reached::Yes);
        checked(permit, response, self.relaying.at(upstream))
    }
}

fn checked(permit: &Permit, response: reqwest::Response, relaying: Relaying) -> Result<Answer, Refusal> {
    let upstream = &permit.upstream().name;
    match response.status() {
        StatusCode::FOUND if leads_to_a_download(permit) => Ok(Answer::of(response, relaying)),
        // The body of such an answer often quotes the credential, and says nothing of the caller's own.
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(Refusal::CredentialRefused(upstream.to_owned()))
        }
        // To be told that nothing has changed is no redirect.
        status if status != StatusCode::NOT_MODIFIED && (status.is_redirection() || status.is_informational()) => {
            Err(Refusal::Redirected(upstream.to_owned()))
        }
        _ => Ok(Answer::of(response, relaying)),
    }
}

/// GitHub answers with an address that is good for a few minutes to who asks for an archive, an asset or a log. It is for the caller,
/// who asked for nothing else; the gateway goes nowhere that is not configured.
fn leads_to_a_download(permit: &Permit) -> bool {
    permit.upstream().kind == UpstreamKind::Github && permit.base() == Base::Main
}

impl Answer {
    /// The whole body of an answer to the gateway itself, if it comes soon and is not larger than `largest`.
    pub(super) async fn collect(self, largest: usize) -> Option<Bytes> {
        let collected = timeout(OUR_PATIENCE, Limited::new(self.body, largest).collect()).await;
        Some(collected.ok()?.ok()?.to_bytes())
    }

    fn of(response: reqwest::Response, relaying: Relaying) -> Self {
        let (status, headers) = (response.status(), strip_answer(response.headers()));
        Self { status, headers, body: response.into(), passes: Passes::default(), relaying }
    }

    /// Has the answer read as it is, whatever it was compressed with.
    pub(super) fn decompressed(mut self, upstream: &str) -> Result<Self, Refusal> {
        let unreadable = |error| Refusal::UnreadableAnswer { upstream: upstream.to_owned(), error };
        if let Some(decode) = Decode::of(&mut self.headers).map_err(unreadable)? {
            self.passes.then(decode);
        }
        Ok(self)
    }

    /// Has something done to its body that changes its length.
    pub(super) fn changed_by(mut self, pass: impl Pass + 'static) -> Self {
        self.headers.remove(CONTENT_LENGTH);
        self.passes.then(pass);
        self
    }

    /// Keeps credentials out of its body, byte for byte, and out of its headers. To be called last: what others put together is
    /// looked at too.
    pub(super) fn redacted(mut self, secrets: &Arc<Secrets>, upstream: &str) -> Self {
        if secrets.is_empty() {
            return self;
        }
        if remove_secrets(&mut self.headers, secrets) {
            tracing::warn!(%upstream, "a header of an answer held a credential and was removed");
            self.passes.redacted_the_head();
        }
        self.passes.then(Redactor::new(secrets.clone()));
        self
    }

    /// Its `Content-Type` without parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let value = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Removes the header values that hold a credential. True if there were any.
fn remove_secrets(headers: &mut HeaderMap, secrets: &Secrets) -> bool {
    if !headers.iter().any(|(name, value)| secrets.are_in(value.as_bytes()) || secrets.are_in(name.as_str().as_bytes()))
    {
        return false;
    }
    let mut last = None;
    for (name, value) in std::mem::take(headers) {
        // A map gives the name with the first of its values alone.
        last = name.or(last);
        let clean = |name: &&axum::http::HeaderName| {
            !secrets.are_in(value.as_bytes()) && !secrets.are_in(name.as_str().as_bytes())
        };
        if let Some(name) = last.as_ref().filter(clean) {
            headers.append(name, value);
        }
    }
    true
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

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn of_a_header_with_two_values_only_the_one_that_holds_the_credential_goes() {
        let secrets = Secrets::new([b"hunter2-abc".as_slice()]);
        let mut headers = HeaderMap::new();
        for value in ["one", "key=hunter2-abc", "two"] {
            headers.append("x-note", HeaderValue::from_static(value));
        }
        headers.append("x-hunter2-abc", HeaderValue::from_static("three"));
        assert!(remove_secrets(&mut headers, &secrets));
        assert_eq!(headers.values().collect::<Vec<_>>(), ["one", "two"]);
        assert!(!remove_secrets(&mut headers, &secrets));
    }
}
