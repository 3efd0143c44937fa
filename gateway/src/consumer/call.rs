//! The record of one call, kept while it runs and handed to the audit log when it ends, however it ends.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_base::Timestamp;
use doorward_git::push::Push;
use tokio::time::Instant;

use super::Consumers;
use super::ask::{Ask, Subject};
use super::clearance::Clearance;
use super::effects::effects;
use super::git::{self, Deed, GitAsk};
use super::mcp;
use super::refusal::Refusal;
use super::usage::Usage;
use super::wire::Wire;
use crate::audit::{AuditRow, Decision, Ending, Reservation};
use crate::budget::{AnswerForm, Price, Reserved, Spent};
use crate::config::UpstreamKind;
use crate::metrics::{Ended, Metrics};
use crate::policy::Permit;
use crate::telemetry::{About, Span, SpanContext, Telemetry};
use crate::tokens::Consumer;

/// What nginx logs for a client that went away before there was an answer.
const CLIENT_GONE: u16 = 499;
const LONGEST_PATH: usize = 256;

/// One call. Dropping it writes its row.
#[derive(Debug)]
pub(crate) struct Call {
    pub(super) row: AuditRow,
    started: Instant,
    reservation: Option<Reservation>,
    metrics: Arc<Metrics>,
    telemetry: Telemetry,
    wire: Wire,
    /// Its place in a trace, if there are any.
    span: Option<SpanContext>,
    about: About,
    times: Times,
    redacted: u64,
    price: Option<Price>,
    reserved: Option<Reserved>,
    /// A push, which is refused in git's own words.
    push: Option<Push>,
}

/// How long what took.
#[derive(Debug, Default)]
struct Times {
    decided_after: Option<Duration>,
    sent_at: Option<Instant>,
    answered_after: Option<Duration>,
}

impl Call {
    pub(super) fn begin(consumers: &Consumers, request: &Request, place: Reservation) -> Self {
        let path = request.uri().path();
        Self {
            row: row(consumers.clock.now(), request.method().as_str(), path),
            started: Instant::now(),
            reservation: Some(place),
            metrics: consumers.metrics.clone(),
            span: consumers.telemetry.begin(request.headers()),
            telemetry: consumers.telemetry.clone(),
            wire: Wire::of(path),
            about: About::default(),
            times: Times::default(),
            redacted: 0,
            price: None,
            reserved: None,
            push: None,
        }
    }

    pub(super) fn comes_from(&mut self, consumer: &Consumer) {
        self.row.consumer = Some(consumer.name.as_str().to_owned());
        self.row.token_id = Some(consumer.token_id.as_str().to_owned());
    }

    pub(super) fn asks_for(&mut self, ask: &Ask) {
        self.row.request_bytes = ask.payload.length();
        self.row.effects = effects(ask);
        if self.span.is_some() {
            self.about.asks_for(ask);
        }
        match &ask.subject {
            Subject::Model(facts) | Subject::Path(Some(facts)) => self.row.model = Some(printable(&facts.model)),
            Subject::Git(GitAsk { deed: Deed::Push { push, .. }, .. }) => self.push = Some(push.clone()),
            // Everyone with a good token may ask for it.
            Subject::ModelList => self.row.decision = Decision::Allowed,
            _ => {}
        }
    }

    /// Where a request was found to lead.
    pub(super) fn does(&mut self, ask: &Ask) {
        self.row.effects = effects(ask);
    }

    pub(super) fn is_permitted(&mut self, permit: &Permit) {
        self.row.decision = Decision::Allowed;
        self.goes_to(permit);
    }

    /// What a token of it costs, if that is known.
    pub(super) fn costs(&mut self, price: Option<Price>) {
        self.price = price;
    }

    /// What is held of a budget until the call has ended, however it ends.
    pub(super) fn reserves(&mut self, reserved: Reserved, permit: &Permit) {
        self.row.grant = match (reserved.grant(), permit.grants()) {
            (Some(grant), _) => Some(grant.to_owned()),
            (None, [only]) => Some(only.to_string()),
            // Any of those without a budget.
            (None, _) => None,
        };
        self.reserved = Some(reserved);
        self.times.decided_after = Some(self.started.elapsed());
    }

    /// From now on the upstream may charge for it.
    pub(super) fn is_sent(&mut self, clearance: &Clearance) {
        self.row.approved_by = clearance.approved_by().map(printable);
        self.times.sent_at = Some(Instant::now());
        if let Some(reserved) = &mut self.reserved {
            reserved.sent();
        }
    }

    /// Another upstream may have stood in.
    pub(super) fn is_answered_by(&mut self, permit: &Permit) {
        self.times.answered_after = self.times.sent_at.map(|at| at.elapsed());
        self.goes_to(permit);
    }

    fn goes_to(&mut self, permit: &Permit) {
        self.row.upstream = Some(permit.upstream().name.clone());
        if self.span.is_some() {
            self.about.goes_to(permit);
        }
    }

    /// So many of our credentials were taken out of the answer.
    pub(super) fn has_redacted(&mut self, redacted: u64) {
        self.redacted = redacted;
    }

    /// The model that the answer names.
    pub(super) fn was_answered_as(&mut self, model: Option<&str>) {
        if self.span.is_some() {
            self.about.response_model = model.map(printable);
        }
    }

    /// Writes down what an answer has used, and charges it. A failed request costs nothing.
    pub(super) fn has_used(&mut self, usage: Option<Usage>, form: AnswerForm) {
        self.row.prompt_tokens = usage.and_then(|usage| usage.prompt());
        self.row.completion_tokens = usage.and_then(|usage| usage.completion());
        self.row.cached_tokens = usage.map(|usage| usage.cached());
        let counted = usage.map(|usage| spent(&usage));
        let failed = self.row.status >= 400;
        self.row.usd = self.price.zip(counted).filter(|_| !failed).map(|(price, spent)| price.of(&spent));
        let Some(reserved) = self.reserved.take() else { return };
        match counted {
            _ if failed => reserved.release(),
            Some(spent) if self.row.ending == Ending::Complete => reserved.settle(&spent),
            counted => reserved.settle_by_bytes(counted, self.row.response_bytes, form),
        }
    }

    /// Ends the call with an answer of our own.
    pub(super) fn refuse(mut self, refusal: &Refusal, wire: Wire) -> Response {
        let (status, code) = refusal.status_and_code();
        self.row.reason = Some(code.to_owned());
        // What was cut on its way, or took too long, may have been answered by the upstream all the same: dropped, it is charged.
        let maybe_answered =
            matches!(refusal, Refusal::Cut(_) | Refusal::TimedOut(_) | Refusal::UnreadableAnswer { .. });
        if let Some(reserved) = self.reserved.take().filter(|_| !maybe_answered) {
            reserved.release();
        }
        self.ends_with(status, if matches!(refusal, Refusal::Cut(_)) { Ending::Cut } else { Ending::Complete });
        match (refusal, &self.push) {
            (Refusal::UnreadablePush { capabilities, sentence }, _) => git::refused_reading(*capabilities, sentence),
            (_, Some(push)) if status.is_client_error() && status != StatusCode::UNAUTHORIZED => {
                git::refused_push(push, refusal)
            }
            _ => refusal.response(wire),
        }
    }

    /// Ends the call with an answer that the gateway put together.
    pub(super) fn answer(mut self, body: Bytes) -> Response {
        self.row.response_bytes = body.len() as u64;
        self.ends_with(StatusCode::OK, Ending::Complete);
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }

    fn ends_with(&mut self, status: StatusCode, ending: Ending) {
        self.row.status = status.as_u16();
        self.row.ending = ending;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let duration = self.started.elapsed();
        self.row.latency_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.metrics.count(&Ended {
            row: &self.row,
            wire: self.wire.as_str(),
            decided_after: self.times.decided_after,
            answered_after: self.times.answered_after,
            redacted: self.redacted,
        });
        if let Some(context) = self.span.take() {
            let about = std::mem::take(&mut self.about);
            self.telemetry.end(Span { context, row: self.row.clone(), duration, about });
        }
        if let Some(reservation) = self.reservation.take() {
            reservation.fill(self.row.clone());
        }
    }
}

/// Of a call of which nothing more is known.
fn row(at: Timestamp, method: &str, path: &str) -> AuditRow {
    AuditRow {
        at,
        consumer: None,
        token_id: None,
        method: printable(method),
        path: printable(path),
        model: None,
        effects: None,
        upstream: None,
        grant: None,
        approved_by: None,
        decision: Decision::Refused,
        reason: None,
        status: CLIENT_GONE,
        ending: Ending::ClientGone,
        request_bytes: 0,
        response_bytes: 0,
        prompt_tokens: None,
        completion_tokens: None,
        cached_tokens: None,
        usd: None,
        latency_ms: 0,
    }
}

impl About {
    fn asks_for(&mut self, ask: &Ask) {
        let entry = ask.route.entry;
        self.route = format!("{}{}", entry.root, entry.tail);
        match &ask.subject {
            Subject::Model(_) | Subject::Path(Some(_)) => self.operation = Some(operation(entry.tail)),
            Subject::Mcp(uses) => {
                if let [mcp::Use::Tool(tool)] = uses.uses.as_slice() {
                    (self.operation, self.tool) = (Some("execute_tool"), Some(printable(tool)));
                }
            }
            _ => {}
        }
    }

    fn goes_to(&mut self, permit: &Permit) {
        let kind = permit.upstream().kind;
        self.provider = matches!(kind, UpstreamKind::Openai | UpstreamKind::Anthropic).then(|| kind.as_str());
        let url = permit.url();
        self.server = url.host_str().map(|host| (host.to_owned(), url.port_or_known_default()));
    }
}

/// `gen_ai.operation.name` of a path; where the conventions have no word, the path's own.
fn operation(tail: &'static str) -> &'static str {
    match tail {
        "chat/completions" | "responses" | "v1/messages" => "chat",
        "completions" => "text_completion",
        "v1/messages/count_tokens" => "count_tokens",
        "**" | "v1/**" => "other",
        tail => tail,
    }
}

fn spent(usage: &Usage) -> Spent {
    let (cached, cache_written) = (usage.cached(), usage.cache_written());
    let prompt = usage.prompt().unwrap_or(0).saturating_sub(cached).saturating_sub(cache_written);
    Spent { prompt, cached, cache_written, completion: usage.completion().unwrap_or(0) }
}

/// What a caller chose, short, and without characters that a database or a terminal would take for something else.
fn printable(text: &str) -> String {
    text.chars().take(LONGEST_PATH).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
