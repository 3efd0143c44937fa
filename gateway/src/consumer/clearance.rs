//! The last thing between a permit and its request: nobody has to be asked any more.

use axum::http::{HeaderMap, Method};

use crate::approvals::{Approvals, Approved, Content, Held, Summary};
use crate::policy::Permit;
use crate::tokens::Consumer;

use super::ask::Ask;
use super::payload::{Payload, is_plain, media_type};
use super::refusal::Refusal;
use super::route::Guard;

/// The proof that the request of one permit may go now: no human has to be asked, or one has said yes to its exact bytes.
#[derive(Debug)]
pub(super) struct Clearance {
    url: String,
    /// The path and query that were shown to a human, and the proof of the answer.
    approved: Option<(String, Approved)>,
}

impl Clearance {
    /// For requests of the gateway's own, for which nobody is ever asked.
    pub(super) fn of_our_own(permit: &Permit) -> Self {
        debug_assert!(permit.held().is_empty(), "the gateway's own requests only read");
        Self { url: permit.url().to_string(), approved: None }
    }

    /// Who said yes, if a human had to.
    pub(super) fn approved_by(&self) -> Option<&str> {
        self.approved.as_ref().map(|(_, approved)| approved.by())
    }

    /// For the same request on its way to another upstream.
    pub(super) fn moved_to(self, permit: &Permit) -> Self {
        Self { url: permit.url().to_string(), ..self }
    }

    /// A clearance for one request lets no other through, not even one with another body.
    pub(super) async fn is_for(&self, permit: &Permit, method: &Method, payload: &Payload) -> Result<(), Refusal> {
        let approved = match &self.approved {
            None => permit.held().is_empty(),
            Some((target, approved)) => approved.lets_through(&payload.digest(method.as_str(), target).await?),
        };
        assert!(approved && self.url == permit.url().as_str(), "a request goes with its own clearance");
        Ok(())
    }
}

/// Asks a human if the grant says so, and waits for the answer.
pub(super) async fn clear(
    approvals: &Approvals,
    consumer: &Consumer,
    permit: &Permit,
    (query, headers): (Option<&str>, &HeaderMap),
    ask: &Ask,
) -> Result<Clearance, Refusal> {
    let url = permit.url().to_string();
    if permit.held().is_empty() {
        return Ok(Clearance { url, approved: None });
    }
    let path = format!("{}{}", ask.route.entry.root, ask.route.below_with_name());
    let target = query.map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let digest = ask.payload.digest(ask.method.as_str(), &target).await?;
    let content = content(headers, ask)?.with_query(query);
    let upstream = permit.upstream().name.clone();
    let effects = permit.held().to_vec();
    let summary = Summary::of(ask.method.as_str(), &path, &upstream, &effects, &content);
    let held = Held {
        consumer: consumer.name.clone(),
        token_id: consumer.token_id.clone(),
        effects,
        method: ask.method.to_string(),
        path,
        upstream,
        summary,
        digest,
    };
    let approved = approvals.hold(held).await?;
    Ok(Clearance { url, approved: Some((target, approved)) })
}

/// What a human is shown of the body. That of a push stays on disk: its refs are its effects.
fn content(headers: &HeaderMap, ask: &Ask) -> Result<Content, Refusal> {
    let body = ask.payload.in_memory();
    Ok(match ask.route.entry.guard {
        Guard::GithubGraphql => Content::graphql(body),
        Guard::Mcp => Content::mcp(body),
        _ => Content::body(media_type(headers)?.as_deref(), is_plain(headers), body),
    })
}
