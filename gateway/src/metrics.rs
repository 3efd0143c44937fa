//! Counters, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use crate::audit::{AuditRow, Decision};

/// What the gateway counts while it runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(Decision, u16), u64>,
    request_bytes: u64,
    response_bytes: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

impl Metrics {
    pub(crate) fn count(&self, row: &AuditRow) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((row.decision, row.status)).or_default() += 1;
        counts.request_bytes += row.request_bytes;
        counts.response_bytes += row.response_bytes;
        counts.prompt_tokens += row.prompt_tokens.unwrap_or(0);
        counts.completion_tokens += row.completion_tokens.unwrap_or(0);
    }

    /// The answer to `GET /metrics`.
    pub(crate) fn text(&self, open_calls: usize) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = "# HELP doorward_gateway_requests_total Requests to the consumer listener.\n\
                        # TYPE doorward_gateway_requests_total counter\n"
            .to_owned();
        for ((decision, status), number) in &counts.requests {
            let decision = decision.as_str();
            let labels = format!("decision=\"{decision}\",status=\"{status}\"");
            line(&mut text, &format!("doorward_gateway_requests_total{{{labels}}}"), *number);
        }
        let bytes = [("request", counts.request_bytes), ("response", counts.response_bytes)];
        let tokens = [("prompt", counts.prompt_tokens), ("completion", counts.completion_tokens)];
        family(&mut text, "doorward_gateway_bytes_total", "Bytes of bodies.", "direction", bytes);
        family(&mut text, "doorward_gateway_tokens_total", "Tokens, as upstreams counted them.", "kind", tokens);
        text.push_str("# HELP doorward_gateway_open_calls Calls that are not answered to the end yet.\n");
        text.push_str("# TYPE doorward_gateway_open_calls gauge\n");
        line(&mut text, "doorward_gateway_open_calls", open_calls as u64);
        text
    }
}

fn family(text: &mut String, name: &str, help: &str, label: &str, values: [(&str, u64); 2]) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter").expect("a String takes every write");
    for (value, number) in values {
        line(text, &format!("{name}{{{label}=\"{value}\"}}"), number);
    }
}

fn line(text: &mut String, name: &str, number: u64) {
    writeln!(text, "{name} {number}").expect("a String takes every write");
}
