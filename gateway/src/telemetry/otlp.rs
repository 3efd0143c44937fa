//! Spans as OTLP writes them in JSON (opentelemetry-proto, `trace.proto`; ids are hexadecimal, 64-bit integers are text).

use doorward_base::Timestamp;
use serde_json::{Value, json};

use super::trace_context::hex;
use super::{About, Span};
use crate::audit::{AuditRow, Ending};

/// `SPAN_KIND_CLIENT`, as the conventions ask for where a model runs elsewhere.
const CLIENT: u8 = 3;
/// `STATUS_CODE_ERROR`
const ERROR: u8 = 2;
/// The trace flags of a span that is kept (`SPAN_FLAGS_TRACE_FLAGS_MASK`).
const FLAGS: u32 = 1;

/// The body of an `ExportTraceServiceRequest`.
pub(super) fn document(service: &str, spans: &[Span]) -> Value {
    let mut resource = Attributes::default();
    resource.text("service.name", service);
    resource.text("service.version", env!("CARGO_PKG_VERSION"));
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource.0 },
        "scopeSpans": [{
            "scope": { "name": "doorward.gateway", "version": env!("CARGO_PKG_VERSION") },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Span) -> Value {
    let Span { context, row, duration, about } = span;
    let start = nanos(row.at);
    let end = start.saturating_add(duration.as_nanos());
    let mut value = json!({
        "traceId": hex(&context.trace),
        "spanId": hex(&context.span),
        "flags": FLAGS,
        "name": name(row, about),
        "kind": CLIENT,
        "startTimeUnixNano": start.to_string(),
        "endTimeUnixNano": end.to_string(),
        "attributes": attributes(row, about),
        "status": if error_type(row).is_some() { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let Some(parent) = context.parent {
        value["parentSpanId"] = hex(&parent).into();
    }
    value
}

fn nanos(time: Timestamp) -> u128 {
    u128::from(time.as_millis().max(0).unsigned_abs()) * 1_000_000
}

/// `{operation} {model}`, `execute_tool {tool}`, or `{method} {route}` as the conventions for HTTP have it.
fn name(row: &AuditRow, about: &About) -> String {
    match (about.operation, row.model.as_ref().or(about.tool.as_ref())) {
        (Some(operation), Some(what)) => format!("{operation} {what}"),
        (Some(operation), None) => operation.to_owned(),
        _ => format!("{} {}", row.method, about.route).trim_end().to_owned(),
    }
}

/// Our own error code, the status of an answer that failed, or how it broke off.
fn error_type(row: &AuditRow) -> Option<String> {
    match (&row.reason, row.ending) {
        (Some(reason), _) => Some(reason.clone()),
        (None, _) if row.status >= 400 => Some(row.status.to_string()),
        (None, Ending::UpstreamBroke | Ending::Cut) => Some(row.ending.as_str().to_owned()),
        (None, Ending::Complete | Ending::ClientGone) => None,
    }
}

fn attributes(row: &AuditRow, about: &About) -> Value {
    let mut all = Attributes::default();
    if let Some(operation) = about.operation {
        all.text("gen_ai.operation.name", operation);
    }
    all.text_if("gen_ai.provider.name", about.provider);
    all.text_if("gen_ai.request.model", row.model.as_deref());
    all.text_if("gen_ai.response.model", about.response_model.as_deref());
    all.text_if("gen_ai.tool.name", about.tool.as_deref());
    all.count_if("gen_ai.usage.input_tokens", row.prompt_tokens);
    all.count_if("gen_ai.usage.output_tokens", row.completion_tokens);
    all.count_if("gen_ai.usage.cache_read.input_tokens", row.cached_tokens);
    all.text("http.request.method", &row.method);
    all.count_if("http.response.status_code", Some(row.status.into()));
    all.text("url.path", &row.path);
    if let Some((host, port)) = &about.server {
        all.text("server.address", host);
        all.count_if("server.port", port.map(u64::from));
    }
    all.text_if("error.type", error_type(row).as_deref());
    all.text_if("doorward.consumer", row.consumer.as_deref());
    all.text_if("doorward.token_id", row.token_id.as_deref());
    all.text("doorward.decision", row.decision.as_str());
    all.text("doorward.ending", row.ending.as_str());
    all.text_if("doorward.effects", row.effects.as_deref());
    all.text_if("doorward.upstream", row.upstream.as_deref());
    all.text_if("doorward.grant", row.grant.as_deref());
    all.text_if("doorward.approved_by", row.approved_by.as_deref());
    if let Some(usd) = row.usd {
        all.0.push(json!({ "key": "doorward.cost_usd", "value": { "doubleValue": usd } }));
    }
    all.0.into()
}

#[derive(Default)]
struct Attributes(Vec<Value>);

impl Attributes {
    fn text(&mut self, key: &str, value: &str) {
        self.0.push(json!({ "key": key, "value": { "stringValue": value } }));
    }

    fn text_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    fn count_if(&mut self, key: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.0.push(json!({ "key": key, "value": { "intValue": value.to_string() } }));
        }
    }
}
