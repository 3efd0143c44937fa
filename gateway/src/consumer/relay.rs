//! An upstream's answer on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use super::call::Call;
use super::forward::Answer;
use super::passes::{BrokenAnswer, Passes};
use super::usage::UsageReader;
use crate::audit::Ending;
use crate::budget::AnswerForm;
use crate::config::{Limits, Timeouts};
use crate::open_calls::{Cut, Watched};
use crate::upstream::Upstream;

/// A comment, which every reader of events skips (WHATWG HTML, section 9.2.6).
const COMMENT: &[u8] = b": keep-alive\n\n";

/// How far an answer is followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relaying {
    largest: u64,
    idle: Duration,
    keep_alive: Duration,
}

impl Relaying {
    pub(super) fn of(limits: &Limits, timeouts: &Timeouts) -> Self {
        Self { largest: limits.response.0, idle: timeouts.idle.0, keep_alive: timeouts.keep_alive.0 }
    }
}

impl Relaying {
    /// For one upstream, which may have limits of its own.
    pub(super) fn at(self, upstream: &Upstream) -> Self {
        Self {
            largest: upstream.limits.response.map_or(self.largest, |limit| limit.0),
            idle: upstream.timeouts.idle.map_or(self.idle, |time| time.0),
            ..self
        }
    }
}

/// Passes on the answer of an upstream; the call ends with its last byte.
pub(super) fn relay(mut call: Call, answer: Answer, watched: Watched) -> Response {
    let Answer { status, headers, body, passes, relaying } = answer;
    call.row.status = status.as_u16();
    let usage = UsageReader::new(text(&headers, &CONTENT_TYPE), text(&headers, &CONTENT_ENCODING));
    let expected = text(&headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let events = matches!(usage, UsageReader::Events(_)) && expected.is_none();
    let relay = Relay {
        body,
        passes,
        waiting: Bytes::new(),
        call,
        watched,
        usage,
        expected,
        relaying,
        between_events: events.then(Boundary::default),
        heard: Instant::now(),
        said: Instant::now(),
        alarm: None,
        finished: false,
    };
    let mut response = Response::new(Body::new(relay));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

struct Relay {
    body: reqwest::Body,
    passes: Passes,
    /// What has come and has not gone through the passes.
    waiting: Bytes,
    call: Call,
    watched: Watched,
    usage: UsageReader,
    expected: Option<u64>,
    relaying: Relaying,
    /// For a stream of events: whether the client has whole events alone.
    between_events: Option<Boundary>,
    /// When the upstream last said something.
    heard: Instant,
    /// When the client was last told something.
    said: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    finished: bool,
}

/// Whether what was said so far ends with an empty line.
#[derive(Debug)]
struct Boundary {
    last: [u8; 2],
}

impl Default for Boundary {
    fn default() -> Self {
        Self { last: *b"\n\n" }
    }
}

impl Boundary {
    fn after(&mut self, bytes: &[u8]) {
        for byte in bytes.iter().rev().take(8).rev().filter(|byte| **byte != b'\r') {
            self.last = [self.last[1], *byte];
        }
    }

    fn holds(&self) -> bool {
        self.last == *b"\n\n"
    }
}

/// Why an answer breaks off. The client sees an unfinished answer, never one that looks whole.
#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error(transparent)]
    Cut(Cut),
    #[error("the upstream broke off: {0}")]
    Upstream(reqwest::Error),
    #[error("the answer cannot be passed on: {0}")]
    Broken(#[from] BrokenAnswer),
    #[error("the upstream went silent")]
    Silent,
    #[error("the answer is larger than limits.response")]
    TooLarge,
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
        let next = this.poll_next(context);
        if let Poll::Ready(Some(Err(_))) = &next {
            this.call.row.ending = Ending::UpstreamBroke;
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.finished || (self.call.row.response_bytes == 0 && self.body.is_end_stream())
    }
}

impl Relay {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        loop {
            if self.finished {
                self.call.row.ending = Ending::Complete;
                return Poll::Ready(None);
            }
            if !self.waiting.is_empty() {
                let bytes = self.passes.push(&mut self.waiting)?;
                if !bytes.is_empty() {
                    return Poll::Ready(Some(self.say(bytes)));
                }
                continue;
            }
            let rest = match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return self.poll_silence(context),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(RelayError::Upstream(error.without_url()))));
                }
                Poll::Ready(Some(Ok(frame))) => {
                    self.heard = Instant::now();
                    // Trailers are dropped: no client of these formats reads them.
                    self.waiting = frame.into_data().unwrap_or_default();
                    continue;
                }
                Poll::Ready(None) => {
                    self.finished = true;
                    self.passes.finish()?
                }
            };
            if !rest.is_empty() {
                return Poll::Ready(Some(self.say(rest)));
            }
        }
    }

    fn say(&mut self, bytes: Bytes) -> Result<Frame<Bytes>, RelayError> {
        self.call.row.response_bytes += bytes.len() as u64;
        if self.call.row.response_bytes > self.relaying.largest {
            return Err(RelayError::TooLarge);
        }
        self.usage.read(&bytes);
        if let Some(boundary) = &mut self.between_events {
            boundary.after(&bytes);
        }
        self.said = Instant::now();
        Ok(Frame::data(bytes))
    }

    /// The upstream says nothing: a stream of events is kept alive with comments, and at some time it is enough.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RelayError>>> {
        let enough = self.heard + self.relaying.idle;
        let comments = self.between_events.as_ref().is_some_and(Boundary::holds);
        let due = if comments { enough.min(self.said + self.relaying.keep_alive) } else { enough };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        ready!(alarm.as_mut().poll(context));
        if due == enough {
            return Poll::Ready(Some(Err(RelayError::Silent)));
        }
        self.said = Instant::now();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(COMMENT)))))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let row = &mut self.call.row;
        // With a known length the server stops reading after the last byte, without asking for the end.
        let whole = self.expected == Some(row.response_bytes) || self.body.is_end_stream();
        if row.ending == Ending::ClientGone && whole {
            row.ending = Ending::Complete;
        }
        let form = if self.between_events.is_some() { AnswerForm::Events } else { AnswerForm::Whole };
        self.call.has_redacted(self.passes.redacted());
        self.call.was_answered_as(self.usage.model());
        self.call.has_used(self.usage.usage(), form);
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
