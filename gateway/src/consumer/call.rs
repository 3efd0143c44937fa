//! The record of one call, kept while it runs and handed to the audit log when it ends, however it ends.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_base::Timestamp;
use doorward_git::push::Push;
use tokio::time::Instant;

use super::ask::{Ask, Subject};
use super::git::{self, Deed, GitAsk};
use super::refusal::Refusal;
use super::usage::Usage;
use super::wire::Wire;
use crate::audit::{AuditRow, Decision, Ending, Reservation};
use crate::budget::{AnswerForm, Reserved, Spent};
use crate::metrics::Metrics;
use crate::policy::Permit;
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
    reserved: Option<Reserved>,
    /// A push, which is refused in git's own words.
    push: Option<Push>,
}

impl Call {
    pub(super) fn begin(at: Timestamp, request: (&str, &str), place: Reservation, metrics: Arc<Metrics>) -> Self {
        let row = AuditRow {
            at,
            consumer: None,
            token_id: None,
            method: printable(request.0),
            path: printable(request.1),
            model: None,
            upstream: None,
            decision: Decision::Refused,
            reason: None,
            status: CLIENT_GONE,
            ending: Ending::ClientGone,
            request_bytes: 0,
            response_bytes: 0,
            prompt_tokens: None,
            completion_tokens: None,
            latency_ms: 0,
        };
        Self { row, started: Instant::now(), reservation: Some(place), metrics, reserved: None, push: None }
    }

    pub(super) fn comes_from(&mut self, consumer: &Consumer) {
        self.row.consumer = Some(consumer.name.as_str().to_owned());
        self.row.token_id = Some(consumer.token_id.as_str().to_owned());
    }

    pub(super) fn asks_for(&mut self, ask: &Ask) {
        self.row.request_bytes = ask.payload.length();
        match &ask.subject {
            Subject::Model(facts) | Subject::Path(Some(facts)) => self.row.model = Some(printable(&facts.model)),
            Subject::Git(GitAsk { deed: Deed::Push { push, .. }, .. }) => self.push = Some(push.clone()),
            // Everyone with a good token may ask for it.
            Subject::ModelList => self.row.decision = Decision::Allowed,
            _ => {}
        }
    }

    pub(super) fn is_permitted(&mut self, permit: &Permit) {
        self.row.decision = Decision::Allowed;
        self.row.upstream = Some(permit.upstream().name.clone());
    }

    /// What is held of a budget until the call has ended, however it ends.
    pub(super) fn reserves(&mut self, reserved: Reserved) {
        self.reserved = Some(reserved);
    }

    /// From now on the upstream may charge for it.
    pub(super) fn is_sent(&mut self) {
        if let Some(reserved) = &mut self.reserved {
            reserved.sent();
        }
    }

    /// Another upstream may have stood in.
    pub(super) fn is_answered_by(&mut self, permit: &Permit) {
        self.row.upstream = Some(permit.upstream().name.clone());
    }

    /// Writes down what an answer has used, and charges it. A failed request costs nothing.
    pub(super) fn has_used(&mut self, usage: Option<Usage>, form: AnswerForm) {
        self.row.prompt_tokens = usage.and_then(|usage| usage.prompt());
        self.row.completion_tokens = usage.and_then(|usage| usage.completion());
        let Some(reserved) = self.reserved.take() else { return };
        let counted = usage.map(|usage| spent(&usage));
        match counted {
            _ if self.row.status >= 400 => reserved.release(),
            Some(spent) if self.row.ending == Ending::Complete => reserved.settle(&spent),
            counted => reserved.settle_by_bytes(counted, self.row.response_bytes, form),
        }
    }

    /// Ends the call with an answer of our own.
    pub(super) fn refuse(mut self, refusal: &Refusal, wire: Wire) -> Response {
        let (status, code) = refusal.status_and_code();
        self.row.reason = Some(code.to_owned());
        // Only a request that was cut on its way may have been answered by the upstream all the same.
        if let Some(reserved) = self.reserved.take().filter(|_| !matches!(refusal, Refusal::Cut(_))) {
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
        self.row.latency_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.metrics.count(&self.row);
        if let Some(reservation) = self.reservation.take() {
            reservation.fill(self.row.clone());
        }
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
