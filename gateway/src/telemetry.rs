//! Traces: one OpenTelemetry span for each call, with the attributes of the semantic conventions for generative AI
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>), sent to a collector by OTLP over HTTP in JSON
//! (<https://opentelemetry.io/docs/specs/otlp/>). Off unless a collector is configured. No bodies, queries, headers or tokens.
//!
//! The exporter is our own. `opentelemetry-otlp` 0.33 would bring fourteen crates more, among them a second `rand` and the compiler of
//! `prost`, and its SDK exports from a thread that needs reqwest's blocking client (the asynchronous one is experimental). Of all that
//! one kind of span and one request are used.
//!
//! Nothing waits for the collector: a span that finds the queue full is dropped and counted, and so is a batch that the collector does
//! not take.

mod otlp;
mod trace_context;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, HeaderValue};
use doorward_base::Random;
use percent_encoding::percent_decode_str;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::audit::AuditRow;
use crate::config::{ConfigError, TelemetryConfig};
use crate::credentials::Environment;
pub(crate) use trace_context::SpanContext;

const QUEUE: usize = 4_096;
const BATCH: usize = 512;
/// So long a batch waits for more spans.
const LINGER: Duration = Duration::from_secs(1);
/// So long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where calls hand in their spans. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    sender: mpsc::Sender<Span>,
    dropped: AtomicU64,
    random: Random,
}

/// What became of one call.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) context: SpanContext,
    pub(crate) row: AuditRow,
    pub(crate) duration: Duration,
    pub(crate) about: About,
}

/// What a span says beyond the call's row in the audit log.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The template of the path, such as `/mcp/*`; empty if it fits none.
    pub(crate) route: String,
    /// `gen_ai.operation.name`, if a model or a tool works on it.
    pub(crate) operation: Option<&'static str>,
    /// `gen_ai.provider.name`, if a model does.
    pub(crate) provider: Option<&'static str>,
    /// `gen_ai.response.model`, as the answer has it.
    pub(crate) response_model: Option<String>,
    /// `gen_ai.tool.name`.
    pub(crate) tool: Option<String>,
    /// Host and port of the upstream.
    pub(crate) server: Option<(String, Option<u16>)>,
}

/// The task that sends spans to the collector.
#[derive(Debug)]
pub(crate) struct Exporter {
    receiver: mpsc::Receiver<Span>,
    url: Url,
    headers: HeaderMap,
    service: String,
    client: reqwest::Client,
    shared: Arc<Inner>,
}

impl Telemetry {
    /// What the configuration and the environment say; nothing by default.
    pub(crate) fn new(
        config: &TelemetryConfig,
        environment: &Environment,
        client: reqwest::Client,
        random: Random,
    ) -> Result<(Self, Option<Exporter>), ConfigError> {
        let Some(url) = traces_url(config, environment)? else { return Ok((Self(None), None)) };
        let service = environment("OTEL_SERVICE_NAME").unwrap_or_else(|| "doorward".to_owned());
        let (sender, receiver) = mpsc::channel(QUEUE);
        let shared = Arc::new(Inner { sender, dropped: AtomicU64::new(0), random });
        let headers = headers(environment)?;
        let exporter = Exporter { receiver, url, headers, service, client, shared: shared.clone() };
        Ok((Self(Some(shared)), Some(exporter)))
    }

    /// The place of a call in its trace: below the caller's span if it names one. None if there are no traces, or the caller says that
    /// its own is not kept.
    pub(crate) fn begin(&self, headers: &HeaderMap) -> Option<SpanContext> {
        let inner = self.0.as_ref()?;
        SpanContext::below(headers, &inner.random)
    }

    /// Hands in a span; never waits.
    pub(crate) fn end(&self, span: Span) {
        let Some(inner) = &self.0 else { return };
        if inner.sender.try_send(span).is_err() {
            inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many spans the collector did not get.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |inner| inner.dropped.load(Ordering::Relaxed))
    }
}

/// The configuration wins; of the variables, the one for traces alone (which holds the whole URL) wins over that for everything.
fn traces_url(config: &TelemetryConfig, environment: &Environment) -> Result<Option<Url>, ConfigError> {
    if let Some(endpoint) = &config.otlp_endpoint {
        return checked("telemetry.otlp_endpoint", below(endpoint)).map(Some);
    }
    let of_variable = |name: &'static str| {
        let url = environment(name).filter(|value| !value.is_empty()).map(|value| value.parse());
        url.transpose().map_err(|_| ConfigError::Telemetry { setting: name })
    };
    if let Some(url) = of_variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")? {
        return checked("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url).map(Some);
    }
    let name = "OTEL_EXPORTER_OTLP_ENDPOINT";
    of_variable(name)?.map(|url| checked(name, below(&url))).transpose()
}

/// `OTEL_EXPORTER_OTLP_HEADERS`: `name=value` with commas between, values percent-encoded. Collectors of others ask for a key there.
fn headers(environment: &Environment) -> Result<HeaderMap, ConfigError> {
    let name = "OTEL_EXPORTER_OTLP_HEADERS";
    let text = environment(name).unwrap_or_default();
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let header = |pair: &str| -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = pair.split_once('=')?;
        let value = percent_decode_str(value.trim()).collect::<Vec<u8>>();
        let mut value = HeaderValue::from_bytes(&value).ok()?;
        value.set_sensitive(true);
        Some((name.trim().parse().ok()?, value))
    };
    pairs.map(header).collect::<Option<_>>().ok_or(ConfigError::TelemetryHeaders { variable: name })
}

fn below(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    url.set_path(&format!("{}/v1/traces", endpoint.path().trim_end_matches('/')));
    url
}

fn checked(setting: &'static str, url: Url) -> Result<Url, ConfigError> {
    if matches!(url.scheme(), "http" | "https") && url.has_host() {
        Ok(url)
    } else {
        Err(ConfigError::Telemetry { setting })
    }
}

impl Exporter {
    /// Sends batches until `stop`, then what is there still.
    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut troubled = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.receiver.is_closed() => self.receiver.close(),
                received = self.receiver.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return;
                    }
                    self.gather(&mut batch, stop).await;
                    self.send(&batch, &mut troubled).await;
                    batch.clear();
                }
            }
        }
    }

    /// Waits for more spans, unless there are enough.
    async fn gather(&mut self, batch: &mut Vec<Span>, stop: &CancellationToken) {
        if batch.len() == BATCH || stop.run_until_cancelled(tokio::time::sleep(LINGER)).await.is_none() {
            return;
        }
        while batch.len() < BATCH
            && let Ok(span) = self.receiver.try_recv()
        {
            batch.push(span);
        }
    }

    /// The log tells of trouble once, until it is over.
    async fn send(&self, batch: &[Span], troubled: &mut bool) {
        let result = self.post(batch).await;
        if let Err(problem) = &result {
            self.shared.dropped.fetch_add(batch.len() as u64, Ordering::Relaxed);
            if !*troubled {
                tracing::warn!(%problem, "the OTLP collector does not take spans: they are dropped until it does");
            }
        }
        *troubled = result.is_err();
    }

    async fn post(&self, batch: &[Span]) -> Result<(), String> {
        let body = otlp::document(&self.service, batch).to_string();
        let request = self.client.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(body);
        // Its URL may hold a key.
        let answer = request.timeout(PATIENCE).send().await.map_err(|error| error.without_url().to_string())?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("it answered {}", answer.status())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(config: Option<&str>, variables: &'static [(&str, &str)]) -> Result<Option<String>, ConfigError> {
        let config = TelemetryConfig { otlp_endpoint: config.map(|url| url.parse().unwrap()) };
        let lookup = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        let environment: Environment = Arc::new(lookup);
        traces_url(&config, &environment).map(|url| url.map(Into::into))
    }

    #[test]
    fn a_key_for_the_collector_is_sent_and_never_printed() {
        let of = |text: &'static str| {
            let environment: Environment = Arc::new(move |_: &str| Some(text.to_owned()));
            headers(&environment)
        };
        let headers = of("api-key=hunter2%20x, x-tenant = a ,").unwrap();
        assert_eq!((&headers["api-key"], &headers["x-tenant"]), (&"hunter2 x".parse().unwrap(), &"a".parse().unwrap()));
        assert!(!format!("{headers:?}").contains("hunter2"));
        assert!(of("").unwrap().is_empty());
        for wrong in ["hunter2", "a b=hunter2", "a=hunter2%0a"] {
            let sentence = of(wrong).unwrap_err().to_string();
            assert!(sentence.contains("OTEL_EXPORTER_OTLP_HEADERS") && !sentence.contains("hunter2"), "{sentence}");
        }
    }

    #[test]
    fn the_collector_is_where_the_configuration_says_else_where_the_usual_variables_say() {
        let both: &[_] = &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:4318/x/"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c/t"),
        ];
        assert_eq!(url(None, &[]).unwrap(), None);
        assert_eq!(url(Some("http://a:4318"), both).unwrap().unwrap(), "http://a:4318/v1/traces");
        assert_eq!(url(None, both).unwrap().unwrap(), "http://c/t");
        assert_eq!(url(None, &both[..1]).unwrap().unwrap(), "http://b:4318/x/v1/traces");
        let sentence = url(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318")]).unwrap_err().to_string();
        assert!(sentence.contains("OTEL_EXPORTER_OTLP_ENDPOINT"), "{sentence}");
    }
}
