//! The settings of the gateway: `[gateway]` and `[grants.*]` in `doorward.toml`.
//!
//! What cannot work, or would be ignored, is refused at start by [`GatewayConfig::check`].

mod fallback;
mod grant;
mod prices;
mod telemetry;
mod units;
mod upstream;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use doorward_base::DatabaseUrl;
use reqwest::Url;
use serde::Deserialize;

pub use fallback::FallbackError;
pub use grant::{
    BudgetConfig, GithubGrantConfig, GrantConfig, Grants, HttpGrantConfig, McpGrantConfig, RateConfig, UnknownGrant,
    check_known,
};
pub use prices::{BadAmount, PerMillion, PriceConfig, PriceTable, Usd};
pub use telemetry::TelemetryConfig;
pub use units::{ByteSize, HumanDuration, UnitError};
pub use upstream::{CredentialSource, InjectConfig, UpstreamConfig, UpstreamKind, UpstreamLimits, UpstreamTimeouts};

/// The `[gateway]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Where agents call.
    pub listen: SocketAddr,
    /// Where the operator and the appservice call.
    pub admin_listen: SocketAddr,
    /// How agents reach `listen`, if not by that address.
    pub url: Option<Url>,
    /// Where tokens, sealed secrets and the audit log are kept.
    pub database: DatabaseUrl,
    /// The key that seals secrets; created when first needed.
    pub master_key_file: PathBuf,
    /// The operator's token; created at first start.
    pub admin_token_file: PathBuf,
    /// After this time a held request is refused.
    pub approval_timeout: HumanDuration,
    /// How much is read.
    pub limits: Limits,
    /// How long an upstream may take.
    pub timeouts: Timeouts,
    /// TLS on `listen`.
    pub tls: Option<TlsConfig>,
    /// Where requests go; for a model the first match wins.
    pub upstreams: Vec<UpstreamConfig>,
    /// What models cost.
    pub prices: PriceTable,
    /// For so long rows of the audit log are kept.
    pub audit_retention: HumanDuration,
    /// `[telemetry]`, a table of its own.
    #[serde(skip)]
    pub telemetry: TelemetryConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9010)),
            admin_listen: SocketAddr::from(([127, 0, 0, 1], 9011)),
            url: None,
            database: DatabaseUrl::sqlite(Path::new("gateway.db")),
            master_key_file: "master.key".into(),
            admin_token_file: "admin.token".into(),
            approval_timeout: HumanDuration(Duration::from_mins(10)),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            tls: None,
            upstreams: Vec::new(),
            prices: PriceTable::new(),
            audit_retention: HumanDuration(Duration::from_hours(90 * 24)),
            telemetry: TelemetryConfig::default(),
        }
    }
}

/// `limits = { … }`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest request body.
    pub request_body: ByteSize,
    /// All request bodies that are in memory at a time; one consumer may have half of it.
    pub bodies: ByteSize,
    /// The largest pack of a git push.
    pub push: ByteSize,
    /// The largest answer of an upstream.
    pub response: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_body: ByteSize(32 << 20),
            bodies: ByteSize(512 << 20),
            push: ByteSize(2 << 30),
            response: ByteSize(8 << 30),
        }
    }
}

/// `timeouts = { … }`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until a connection to the upstream stands.
    pub connect: HumanDuration,
    /// From the whole request to the head of the upstream's answer.
    pub first_byte: HumanDuration,
    /// Between two pieces of a request's body.
    pub request_body: HumanDuration,
    /// Between two pieces of an upstream's answer.
    pub idle: HumanDuration,
    /// After this silence a stream of events gets a comment, so that nothing on the way takes it for dead.
    pub keep_alive: HumanDuration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: HumanDuration(Duration::from_secs(10)),
            first_byte: HumanDuration(Duration::from_mins(2)),
            request_body: HumanDuration(Duration::from_secs(30)),
            idle: HumanDuration(Duration::from_mins(10)),
            keep_alive: HumanDuration(Duration::from_secs(15)),
        }
    }
}

/// `[gateway.tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// The certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// A setting that the gateway does not start with. Each is one sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum ConfigError {
    #[error("grant `{grant}` names `{upstream}`, which is no upstream of kind {kind} under [[gateway.upstreams]]")]
    UnknownUpstream { grant: String, kind: &'static str, upstream: String },
    #[error("github of grant `{grant}`: {problem}")]
    Github { grant: String, problem: doorward_github::BadRule },
    #[error("two upstreams are of kind github: the paths of GitHub name no upstream, so there can be one")]
    TwoGithubs,
    #[error("two upstreams are named `{name}`: names must differ")]
    DuplicateUpstream { name: String },
    #[error("`{name}` is no name for an upstream: use 1 to 64 letters, digits, `-`, `_` and `.`")]
    UpstreamName { name: String },
    #[error("base_url of upstream `{name}` {problem}")]
    BaseUrl { name: String, problem: &'static str },
    #[error("{place} has the pattern `{pattern}`, which is no glob: {detail}")]
    Glob { place: String, pattern: String, detail: String },
    #[error("inject of upstream `{name}` names a header that HTTP does not allow or that the gateway sets itself")]
    InjectHeader { name: String },
    #[error("upstream `{name}` {problem}")]
    Credentials { name: String, problem: String },
    #[error("aliases of upstream `{name}` hold an empty or overlong name")]
    Alias { name: String },
    #[error("`{setting}` is no address of an OTLP collector: write one such as http://127.0.0.1:4318")]
    Telemetry { setting: &'static str },
    #[error(
        "`{variable}` is no list of headers: write name=value, with commas between them and values percent-encoded"
    )]
    TelemetryHeaders { variable: &'static str },
    #[error(transparent)]
    Fallback(FallbackError),
}

impl GatewayConfig {
    /// The same settings, relative paths taken from `folder` (that of the configuration file).
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        self.database = self.database.relative_to(folder);
        self.master_key_file = folder.join(self.master_key_file);
        self.admin_token_file = folder.join(self.admin_token_file);
        self.tls = self
            .tls
            .map(|tls| TlsConfig { cert_file: folder.join(tls.cert_file), key_file: folder.join(tls.key_file) });
        self.upstreams = self.upstreams.into_iter().map(|upstream| upstream.relative_to(folder)).collect();
        self
    }

    /// How agents reach the consumer listener: `url`, else the address of `listen` (a wildcard address becomes loopback).
    pub fn consumer_url(&self) -> String {
        match &self.url {
            Some(url) => url.as_str().trim_end_matches('/').to_owned(),
            None if self.tls.is_some() => format!("https://{}", reachable(self.listen)),
            None => format!("http://{}", reachable(self.listen)),
        }
    }

    /// How this machine reaches the admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://{}", reachable(self.admin_listen))
    }

    /// Refuses what cannot work, and what would be ignored.
    pub fn check(&self, grants: &Grants) -> Result<(), ConfigError> {
        let mut seen = BTreeSet::new();
        for upstream in &self.upstreams {
            upstream.check()?;
            if !seen.insert(upstream.name.as_str()) {
                return Err(ConfigError::DuplicateUpstream { name: upstream.name.clone() });
            }
        }
        if self.upstreams.iter().filter(|upstream| upstream.kind == UpstreamKind::Github).count() > 1 {
            return Err(ConfigError::TwoGithubs);
        }
        fallback::check(&self.upstreams).map_err(ConfigError::Fallback)?;
        grants.iter().try_for_each(|(name, grant)| grant.check(name, &self.upstreams))
    }
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            std::net::Ipv4Addr::LOCALHOST.into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

#[cfg(test)]
mod tests;
