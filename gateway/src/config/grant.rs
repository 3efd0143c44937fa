//! `[grants.*]`: what a consumer may do. Nothing that is not named is allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::prices::Usd;
use super::{ConfigError, UpstreamConfig, UpstreamKind};

/// The `[grants.*]` tables by name.
pub type Grants = BTreeMap<String, GrantConfig>;

/// One `[grants.NAME]` table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantConfig {
    /// Model names, as globs; `*` matches any characters.
    pub models: Vec<String>,
    /// Tools that the provider runs itself, by their `type`.
    pub provider_tools: Vec<String>,
    /// Further paths under `/v1`.
    pub paths: Vec<String>,
    /// What one consumer may spend.
    pub budget: Option<BudgetConfig>,
    /// How often one consumer may call.
    pub rate: Option<RateConfig>,
    /// Repositories, and what may be done there.
    pub github: Vec<GithubGrantConfig>,
    /// Paths of HTTP upstreams.
    pub http: Vec<HttpGrantConfig>,
    /// Tools of MCP servers.
    pub mcp: Vec<McpGrantConfig>,
}

/// `budget = { … }`: what one consumer may spend under this grant; whatever is not given is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Tokens from 00:00 UTC to 00:00 UTC.
    pub tokens_per_day: Option<u64>,
    /// Tokens in all.
    pub tokens_total: Option<u64>,
    /// US dollars from 00:00 UTC to 00:00 UTC.
    pub usd_per_day: Option<Usd>,
    /// US dollars in all.
    pub usd_total: Option<Usd>,
}

/// `rate = { … }`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateConfig {
    /// Requests in any minute.
    pub requests_per_minute: Option<u64>,
}

/// `[[grants.NAME.github]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubGrantConfig {
    /// `OWNER/REPO` globs.
    pub repos: Vec<String>,
    /// Effects, such as `read` or `issues:write`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Git refs that may be created or fast-forwarded, as globs.
    #[serde(default)]
    pub push: Vec<String>,
    /// Effects that a human has to approve.
    #[serde(default)]
    pub approve: Vec<String>,
}

/// `[[grants.NAME.http]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpGrantConfig {
    /// The name of an upstream of kind `http`.
    pub upstream: String,
    /// `METHOD /path` globs.
    pub allow: Vec<String>,
    /// The same, where a human has to approve.
    #[serde(default)]
    pub approve: Vec<String>,
}

/// `[[grants.NAME.mcp]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct McpGrantConfig {
    /// The name of an upstream of kind `mcp`.
    pub upstream: String,
    /// Tool names, as globs.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Names of prompts, as globs.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// URIs of resources, as globs.
    #[serde(default)]
    pub resources: Vec<String>,
    /// The same, where a human has to approve.
    #[serde(default)]
    pub approve: Vec<String>,
}

impl GrantConfig {
    /// Refuses names of upstreams that are not there.
    pub(super) fn check(&self, name: &str, upstreams: &[UpstreamConfig]) -> Result<(), ConfigError> {
        let known =
            |kind, named: &str| upstreams.iter().any(|upstream| upstream.kind == kind && upstream.name == named);
        let http = self.http.iter().map(|rule| (UpstreamKind::Http, &rule.upstream));
        let mcp = self.mcp.iter().map(|rule| (UpstreamKind::Mcp, &rule.upstream));
        match http.chain(mcp).find(|(kind, named)| !known(*kind, named)) {
            Some((kind, upstream)) => Err(ConfigError::UnknownUpstream {
                grant: name.to_owned(),
                kind: kind.as_str(),
                upstream: upstream.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// A token was to be minted with a grant that the configuration does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownGrant {
    /// This name is not there.
    #[error("there is no grant `{name}`; the configuration has {known}")]
    Name {
        /// The name asked for.
        name: String,
        /// The names that are there, for the sentence.
        known: String,
    },
    /// No name was given: such a token could do nothing.
    #[error("a token needs at least one grant; the configuration has {known}")]
    NoneGiven {
        /// The names that are there, for the sentence.
        known: String,
    },
}

/// Makes sure that every one of `names` is a configured grant, and that there is one.
pub fn check_known(grants: &Grants, names: &[String]) -> Result<(), UnknownGrant> {
    if names.is_empty() {
        return Err(UnknownGrant::NoneGiven { known: known(grants) });
    }
    match names.iter().find(|name| !grants.contains_key(*name)) {
        Some(name) => Err(UnknownGrant::Name { name: name.clone(), known: known(grants) }),
        None => Ok(()),
    }
}

fn known(grants: &Grants) -> String {
    match grants.len() {
        0 => "no grants: add [grants.default]".to_owned(),
        _ => grants.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    }
}
