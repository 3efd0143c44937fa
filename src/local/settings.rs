//! The configuration that `up --local` writes, so that every other command can be used beside it.

use std::path::{Path, PathBuf};

use doorward_base::Random;
use reqwest::Url;
use serde_json::{Value, json};

use super::Options;
use super::state::State;
use crate::failure::Failure;
use crate::files;
use crate::registration;

/// Its name in the data folder.
pub(super) const FILE: &str = "doorward.toml";

/// The model endpoint that goes behind the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    pub(crate) base_url: String,
    /// As in the configuration: `{"env": …}` or `{"file": …}`.
    pub(crate) credential: Value,
}

/// Writes `doorward.toml`.
pub(super) fn write(folder: &Path, state: &State, options: &Options<'_>) -> Result<(), Failure> {
    let listen = |port: u16| format!("127.0.0.1:{port}");
    let upstreams: Vec<Value> = options.upstream.iter().map(Upstream::to_config).collect();
    let config = json!({
        "homeserver": {"url": state.homeserver_url(), "server_name": state.server_name},
        "appservice": {"listen": listen(state.ports.appservice)},
        "gateway": {
            "listen": listen(state.ports.gateway),
            "admin_listen": listen(state.ports.admin),
            "upstreams": upstreams,
        },
        "access": {"owners": [state.user_id()], "humans": [format!("@*:{}", state.server_name)]},
        "agents": {"model": options.model},
        "grants": {"default": {"models": ["*"]}},
    });
    let text = format!(
        "# Written by `doorward up --local` at every start: copy it before you change it.\n\n{}",
        toml::to_string(&config)?
    );
    Ok(files::replace_private(&folder.join(FILE), &text)?)
}

impl Upstream {
    fn to_config(&self) -> Value {
        json!({
            "name": self.name,
            "kind": "openai",
            "base_url": self.base_url,
            "credential": self.credential,
            "models": ["*"],
        })
    }
}

/// Writes `registration.yaml` with `url` in it; the tokens of an earlier one are kept.
pub(super) fn registration(folder: &Path, state: &State, url: Url, random: &Random) -> Result<PathBuf, Failure> {
    let file = folder.join("registration.yaml");
    let registration = if file.exists() {
        let mut registration = registration::read(&file)?;
        registration.url = url;
        registration
    } else {
        registration::generate(state.server_name.parse()?, url, random)?
    };
    files::replace_private(&file, &registration.to_yaml())?;
    Ok(file)
}
