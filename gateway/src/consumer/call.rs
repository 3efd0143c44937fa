//! The record of one call, kept while it runs and handed to the audit log when it ends, however it ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_base::Timestamp;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use super::forward::Answer;
use super::refusal::Refusal;
use super::usage::UsageReader;
use crate::audit::{AuditRow, Decision, Ending, Reservation};
use crate::metrics::Metrics;
use crate::open_calls::Watched;
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
        Self { row, started: Instant::now(), reservation: Some(place), metrics }
    }

    pub(super) fn comes_from(&mut self, consumer: &Consumer) {
        self.row.consumer = Some(consumer.name.as_str().to_owned());
        self.row.token_id = Some(consumer.token_id.as_str().to_owned());
    }

    pub(super) fn asks_for(&mut self, model: &str, bytes: usize) {
        self.row.model = Some(printable(model));
        self.row.request_bytes = bytes as u64;
    }

    pub(super) fn is_permitted(&mut self, permit: &Permit) {
        self.row.decision = Decision::Allowed;
        self.row.upstream = Some(permit.upstream().name.clone());
    }

    /// Everyone with a good token may ask for the list of models.
    pub(super) fn asks_for_models(&mut self) {
        self.row.decision = Decision::Allowed;
    }

    /// Ends the call with an answer of our own.
    pub(super) fn refuse(mut self, refusal: &Refusal) -> Response {
        let (status, code) = refusal.status_and_code();
        self.row.reason = Some(code.to_owned());
        self.ends_with(status, if matches!(refusal, Refusal::Cut(_)) { Ending::Cut } else { Ending::Complete });
        refusal.into_response()
    }

    /// Ends the call with an answer that the gateway put together.
    pub(super) fn answer(mut self, body: Bytes) -> Response {
        self.row.response_bytes = body.len() as u64;
        self.ends_with(StatusCode::OK, Ending::Complete);
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }

    /// Passes on the answer of an upstream; the call ends with its last byte.
    pub(super) fn relay(mut self, answer: Answer, watched: Watched) -> Response {
        let Answer { status, headers, body } = answer;
        self.row.status = status.as_u16();
        let usage = UsageReader::new(text(&headers, &CONTENT_TYPE), text(&headers, &CONTENT_ENCODING));
        let expected = text(&headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let mut response = Response::new(Body::new(Relay { body, call: self, watched, usage, expected }));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
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

/// The body of an upstream's answer on its way to the client. The bytes are looked at and not changed.
struct Relay {
    body: reqwest::Body,
    call: Call,
    watched: Watched,
    usage: UsageReader,
    expected: Option<u64>,
}

impl http_body::Body for Relay {
    type Data = Bytes;
    type Error = RelayError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let this = &mut *self;
        if let Poll::Ready(cut) = this.watched.poll_cut(context) {
            this.call.row.ending = Ending::Cut;
            return Poll::Ready(Some(Err(RelayError::Cut(cut))));
        }
        match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.call.row.response_bytes += data.len() as u64;
                    this.usage.read(data);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                this.call.row.ending = Ending::UpstreamBroke;
                Poll::Ready(Some(Err(RelayError::Upstream(error.without_url()))))
            }
            None => {
                this.call.row.ending = Ending::Complete;
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.body)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let row = &mut self.call.row;
        // With a known length the server stops reading after the last byte, without asking for the end.
        let whole = self.expected == Some(row.response_bytes) || http_body::Body::is_end_stream(&self.body);
        if row.ending == Ending::ClientGone && whole {
            row.ending = Ending::Complete;
        }
        if let Some(usage) = self.usage.usage() {
            row.prompt_tokens = usage.prompt_tokens;
            row.completion_tokens = usage.completion_tokens;
        }
    }
}

/// Why an answer breaks off. The client sees an unfinished answer, never one that looks whole.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Cut(crate::open_calls::Cut),
    #[error("the upstream broke off: {0}")]
    Upstream(reqwest::Error),
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a caller chose, short, and without characters that a database or a terminal would take for something else.
fn printable(text: &str) -> String {
    text.chars().take(LONGEST_PATH).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
