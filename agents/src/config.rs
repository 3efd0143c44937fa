//! The sections `[agents]` and `[access]` of the configuration.

use serde::Deserialize;

/// `[agents]`: what an agent gets that asks for nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentsConfig {
    /// The model's name, as the gateway's upstreams know it.
    pub model: String,
    /// What thinks: `builtin`.
    pub runtime: String,
    /// The grant of the gateway.
    pub grant: String,
}

impl Default for AgentsConfig {
    fn default() -> Self {
        Self { model: "gpt-5".to_owned(), runtime: "builtin".to_owned(), grant: "default".to_owned() }
    }
}

/// `[access]`: globs over Matrix user ids.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// May do everything.
    pub owners: Vec<String>,
    /// May talk and steer; everyone else is ignored.
    pub humans: Vec<String>,
}
