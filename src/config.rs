//! The configuration of every part: `doorward.toml`, and the environment on top of it.
//!
//! Each crate owns the types of its own sections; this module puts them together, resolves paths relative to the file,
//! and turns what serde says into sentences that name the file, the line and the key.

mod error;
mod load;
mod place;
mod reason;
mod sections;
#[cfg(test)]
mod tests;
mod variables;

use std::path::{Path, PathBuf};

use doorward_agents::{AccessConfig, AgentsConfig};
use doorward_gateway::config::{GatewayConfig, Grants, TelemetryConfig};
use serde::Deserialize;

pub use error::{ConfigError, Place};
pub use sections::{AppserviceConfig, HomeserverConfig, LogConfig, LogFormat};

use crate::environment::Environment;

/// The whole of `doorward.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[homeserver]`; the gateway alone needs none.
    pub homeserver: Option<HomeserverConfig>,
    /// `[appservice]`
    #[serde(default)]
    pub appservice: AppserviceConfig,
    /// `[gateway]`
    #[serde(default)]
    pub gateway: GatewayConfig,
    /// `[access]`: who is obeyed.
    #[serde(default)]
    pub access: AccessConfig,
    /// `[agents]`: what an agent is unless it was made otherwise.
    #[serde(default)]
    pub agents: AgentsConfig,
    /// `[grants.NAME]`: what a consumer may do.
    #[serde(default)]
    pub grants: Grants,
    /// `[log]`
    #[serde(default)]
    pub log: LogConfig,
    /// `[telemetry]`: where traces go.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    /// The file that this was read from.
    #[serde(skip)]
    pub file: PathBuf,
}

impl Config {
    /// Reads `file` and the `DOORWARD__…` variables of `environment`, which win. Paths become relative to the file.
    pub fn load(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let mut config = load::load(file, environment)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        config.appservice = config.appservice.relative_to(folder);
        config.gateway = config.gateway.relative_to(folder);
        config.gateway.telemetry = config.telemetry.clone();
        file.clone_into(&mut config.file);
        Ok(config)
    }

    /// The homeserver, for the parts that cannot do without.
    pub fn homeserver(&self) -> Result<&HomeserverConfig, ConfigError> {
        self.homeserver.as_ref().ok_or_else(|| ConfigError::MissingKey {
            place: Place::File(self.file.clone(), None),
            key: "homeserver".to_owned(),
            cure: "add a section [homeserver] with `url` and `server_name`".to_owned(),
        })
    }

    /// The folder that relative paths are taken from.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }
}

/// Which file to read: `--config`, `$DOORWARD_CONFIG`, `doorward.toml` here, or what `doorward up --local` wrote.
pub fn find(named: Option<&Path>, environment: &Environment) -> PathBuf {
    if let Some(file) = named.map(Path::to_owned).or_else(|| environment.path("DOORWARD_CONFIG")) {
        return file;
    }
    let (here, local) = (PathBuf::from("doorward.toml"), Path::new(crate::local::DEFAULT_DATA).join("doorward.toml"));
    if !here.exists() && local.exists() { local } else { here }
}
