//! `[telemetry]`: where traces go.

use serde::Deserialize;
use url::Url;

/// `[telemetry]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// The base URL of an OTLP collector that takes HTTP, such as `http://127.0.0.1:4318`; traces go to `/v1/traces` below it. Without
    /// it, what `OTEL_EXPORTER_OTLP_ENDPOINT` says in the environment of the gateway; without both, there are no traces.
    pub otlp_endpoint: Option<Url>,
}
