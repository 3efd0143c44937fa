//! What the gateway counts, in the text format of Prometheus. Written by hand: a library would be longer than what it replaces.
//!
//! Labels are words of ours, names of configured upstreams and HTTP statuses, so that nobody outside chooses how many series there
//! are.

mod text;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::audit::{AuditRow, Decision};
use crate::config::Usd;
use text::{Histogram, Kind, Text};

/// Upper ends of the buckets for how long an upstream takes to begin its answer, in seconds.
const UPSTREAM_SECONDS: &[f64] = &[0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
/// The same for what the gateway itself adds.
const OVERHEAD_SECONDS: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/// What the gateway counts while it runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counts>);

/// A call that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) row: &'a AuditRow,
    /// The wire format that its path stands for.
    pub(crate) wire: &'static str,
    /// From the head of the request until policy and budget had decided.
    pub(crate) decided_after: Option<Duration>,
    /// From then (or from a human's yes) until the head of the answer.
    pub(crate) answered_after: Option<Duration>,
    /// How many credentials of ours were taken out of the answer.
    pub(crate) redacted: u64,
}

/// What is so now.
#[derive(Debug, Default)]
pub(crate) struct Gauges<'a> {
    pub(crate) open_calls: usize,
    /// None if the database does not say.
    pub(crate) held_approvals: Option<usize>,
    pub(crate) resting_credentials: BTreeMap<&'a str, usize>,
    pub(crate) waiting_audit_rows: usize,
    pub(crate) dropped_spans: u64,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, Decision, u16), u64>,
    request_bytes: u64,
    response_bytes: u64,
    redacted: u64,
    upstreams: BTreeMap<String, Upstream>,
}

#[derive(Debug)]
struct Upstream {
    latency: Histogram,
    overhead: Histogram,
    prompt_tokens: u64,
    cached_tokens: u64,
    completion_tokens: u64,
    cost: Usd,
}

impl Default for Upstream {
    fn default() -> Self {
        let (latency, overhead) = (Histogram::new(UPSTREAM_SECONDS), Histogram::new(OVERHEAD_SECONDS));
        Self { latency, overhead, prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, cost: Usd::ZERO }
    }
}

impl Upstream {
    fn count(&mut self, ended: &Ended<'_>) {
        let row = ended.row;
        if let Some(time) = ended.answered_after {
            self.latency.observe(time);
        }
        if let Some(time) = ended.decided_after {
            self.overhead.observe(time);
        }
        self.prompt_tokens += row.prompt_tokens.unwrap_or(0);
        self.cached_tokens += row.cached_tokens.unwrap_or(0);
        self.completion_tokens += row.completion_tokens.unwrap_or(0);
        self.cost = self.cost.plus(row.usd.unwrap_or_default());
    }
}

impl Metrics {
    pub(crate) fn count(&self, ended: &Ended<'_>) {
        let row = ended.row;
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((ended.wire, row.decision, row.status)).or_default() += 1;
        counts.request_bytes += row.request_bytes;
        counts.response_bytes += row.response_bytes;
        counts.redacted += ended.redacted;
        let Some(name) = &row.upstream else { return };
        match counts.upstreams.get_mut(name) {
            Some(upstream) => upstream.count(ended),
            None => counts.upstreams.entry(name.clone()).or_default().count(ended),
        }
    }

    /// The answer to `GET /metrics`.
    pub(crate) fn text(&self, gauges: &Gauges<'_>) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Text::default();
        counts.write(&mut text);
        gauges.write(&mut text);
        text.into()
    }
}

impl Counts {
    fn write(&self, text: &mut Text) {
        text.family(Kind::Counter, "requests_total", "Requests to the consumer listener.");
        for ((wire, decision, status), number) in &self.requests {
            let labels = [("wire", *wire), ("decision", decision.as_str()), ("status", &status.to_string())];
            text.line("requests_total", &labels, number);
        }
        text.family(Kind::Counter, "bytes_total", "Bytes of bodies.");
        for (direction, number) in [("request", self.request_bytes), ("response", self.response_bytes)] {
            text.line("bytes_total", &[("direction", direction)], &number);
        }
        text.family(
            Kind::Counter,
            "tokens_total",
            "Tokens as upstreams counted them; `cached` ones are among those of prompts.",
        );
        for (name, upstream) in &self.upstreams {
            let Upstream { prompt_tokens, cached_tokens, completion_tokens, .. } = upstream;
            let kinds = [("prompt", prompt_tokens), ("cached", cached_tokens), ("completion", completion_tokens)];
            for (kind, number) in kinds.into_iter().filter(|(_, number)| **number > 0) {
                text.line("tokens_total", &[("upstream", name), ("kind", kind)], number);
            }
        }
        text.family(
            Kind::Counter,
            "cost_dollars_total",
            "What the counted tokens cost in US dollars, where prices are known.",
        );
        for (name, upstream) in self.upstreams.iter().filter(|(_, upstream)| upstream.cost > Usd::ZERO) {
            text.line("cost_dollars_total", &[("upstream", name)], &upstream.cost.to_string().trim_start_matches('$'));
        }
        text.family(
            Kind::Histogram,
            "upstream_seconds",
            "From a request's leaving for its upstream to the head of the answer, further attempts included.",
        );
        for (name, upstream) in &self.upstreams {
            text.histogram("upstream_seconds", &[("upstream", name)], &upstream.latency);
        }
        text.family(
            Kind::Histogram,
            "overhead_seconds",
            "From the head of a request until policy and budget have decided, reading its body included.",
        );
        for (name, upstream) in &self.upstreams {
            text.histogram("overhead_seconds", &[("upstream", name)], &upstream.overhead);
        }
        text.family(
            Kind::Counter,
            "redactions_total",
            "Credentials that came back in an answer and were taken out of it.",
        );
        text.line("redactions_total", &[], &self.redacted);
    }
}

impl Gauges<'_> {
    fn write(&self, text: &mut Text) {
        text.family(Kind::Gauge, "open_calls", "Calls that are not answered to the end yet.");
        text.line("open_calls", &[], &self.open_calls);
        if let Some(held) = self.held_approvals {
            text.family(Kind::Gauge, "held_approvals", "Requests that wait for a human, at all replicas.");
            text.line("held_approvals", &[], &held);
        }
        text.family(
            Kind::Gauge,
            "resting_credentials",
            "Credentials that are not used because their upstream turned them away.",
        );
        for (upstream, number) in &self.resting_credentials {
            text.line("resting_credentials", &[("upstream", *upstream)], number);
        }
        text.family(Kind::Gauge, "audit_queue_rows", "Rows of the audit log that wait to be written.");
        text.line("audit_queue_rows", &[], &self.waiting_audit_rows);
        text.family(Kind::Counter, "dropped_spans_total", "Spans that the OTLP collector did not get.");
        text.line("dropped_spans_total", &[], &self.dropped_spans);
    }
}
