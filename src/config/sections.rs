//! The sections that belong to no crate.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use doorward_base::DatabaseUrl;
use reqwest::Url;
use ruma::OwnedServerName;
use serde::Deserialize;

/// `[homeserver]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeserverConfig {
    /// How the appservice reaches the client-server API, without `/_matrix`.
    pub url: Url,
    /// The part of its ids after the colon.
    pub server_name: OwnedServerName,
}

/// `[appservice]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AppserviceConfig {
    /// Where the homeserver delivers transactions.
    pub listen: SocketAddr,
    /// The registration file, as the homeserver has it.
    pub registration: PathBuf,
    /// Inbox, outbox, agents and their sessions.
    pub database: DatabaseUrl,
}

impl Default for AppserviceConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9009)),
            registration: PathBuf::from("registration.yaml"),
            database: DatabaseUrl::sqlite(Path::new("doorward.db")),
        }
    }
}

impl AppserviceConfig {
    pub(super) fn relative_to(self, folder: &Path) -> Self {
        Self {
            listen: self.listen,
            registration: folder.join(self.registration),
            database: self.database.relative_to(folder),
        }
    }
}

/// `[log]`: what goes to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// A level or a filter as in `RUST_LOG`, which wins.
    pub level: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person.
    Text,
    /// One object a line, for a collector.
    Json,
}
