//! `[[gateway.upstreams]]`: where requests of one kind go, and how its credential is put in.

use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::ConfigError;

/// One `[[gateway.upstreams]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// How grants, the audit log and errors call it.
    pub name: String,
    /// What it speaks.
    pub kind: UpstreamKind,
    /// Below this and nowhere else requests go.
    pub base_url: Url,
    /// Where GitHub takes uploads.
    pub uploads_url: Option<Url>,
    /// Where GitHub serves git.
    pub git_url: Option<Url>,
    /// Its key; none for an upstream that asks for none.
    pub credential: Option<CredentialSource>,
    /// How the key is put in; by default as the kind has it.
    pub inject: Option<InjectConfig>,
    /// The model names that go here, as globs; all of them if absent.
    pub models: Option<Vec<String>>,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum UpstreamKind {
    Openai,
    Anthropic,
    Github,
    Mcp,
    Http,
}

/// Where a credential comes from. It is fetched for every request, so that a changed one needs no restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "CredentialKeys")]
pub enum CredentialSource {
    /// An environment variable of the gateway.
    Env(String),
    /// A file; one trailing newline is dropped.
    File(PathBuf),
    /// A name from `doorward secret set`.
    Secret(String),
    /// A GitHub App, whose installation tokens are minted on demand.
    GithubApp {
        /// The number of the app.
        app_id: u64,
        /// Where its private key comes from.
        private_key: Box<CredentialSource>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CredentialKeys {
    env: Option<String>,
    file: Option<PathBuf>,
    secret: Option<String>,
    app_id: Option<u64>,
    private_key: Option<Box<CredentialSource>>,
}

impl TryFrom<CredentialKeys> for CredentialSource {
    type Error = &'static str;

    fn try_from(keys: CredentialKeys) -> Result<Self, Self::Error> {
        match keys {
            CredentialKeys { env: Some(name), file: None, secret: None, app_id: None, private_key: None } => {
                Ok(Self::Env(name))
            }
            CredentialKeys { env: None, file: Some(path), secret: None, app_id: None, private_key: None } => {
                Ok(Self::File(path))
            }
            CredentialKeys { env: None, file: None, secret: Some(name), app_id: None, private_key: None } => {
                Ok(Self::Secret(name))
            }
            CredentialKeys {
                env: None,
                file: None,
                secret: None,
                app_id: Some(app_id),
                private_key: Some(private_key),
            } => Ok(Self::GithubApp { app_id, private_key }),
            _ => Err(
                "a credential is one of { env = … }, { file = … }, { secret = … } or { app_id = …, private_key = … }",
            ),
        }
    }
}

impl CredentialSource {
    fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(folder.join(path)),
            Self::GithubApp { app_id, private_key } => {
                Self::GithubApp { app_id, private_key: Box::new(private_key.relative_to(folder)) }
            }
            other => other,
        }
    }
}

/// `inject = { … }`: where in a request the credential stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "InjectKeys")]
pub enum InjectConfig {
    /// In a header, after `prefix`.
    Header {
        /// The header's name.
        header: String,
        /// What stands before the credential, a space included if one is wanted.
        prefix: String,
    },
    /// In the query, under this name.
    Query(String),
    /// As the password of Basic authentication, with this user name.
    BasicUser(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InjectKeys {
    header: Option<String>,
    prefix: Option<String>,
    query: Option<String>,
    basic_user: Option<String>,
}

impl TryFrom<InjectKeys> for InjectConfig {
    type Error = &'static str;

    fn try_from(keys: InjectKeys) -> Result<Self, Self::Error> {
        match keys {
            InjectKeys { header: Some(header), prefix, query: None, basic_user: None } => {
                Ok(Self::Header { header, prefix: prefix.unwrap_or_default() })
            }
            InjectKeys { header: None, prefix: None, query: Some(name), basic_user: None } => Ok(Self::Query(name)),
            InjectKeys { header: None, prefix: None, query: None, basic_user: Some(user) } => Ok(Self::BasicUser(user)),
            _ => Err("inject is one of { header = …, prefix = … }, { query = … } or { basic_user = … }"),
        }
    }
}

impl UpstreamKind {
    /// The name of a kind that this version does not serve.
    fn not_served(self) -> Option<&'static str> {
        match self {
            Self::Openai => None,
            Self::Anthropic => Some("anthropic"),
            Self::Github => Some("github"),
            Self::Mcp => Some("mcp"),
            Self::Http => Some("http"),
        }
    }
}

impl UpstreamConfig {
    /// Refuses what cannot work, and a kind that would not be served.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !is_name(&self.name) {
            return Err(ConfigError::UpstreamName { name: self.name.clone() });
        }
        if let Some(kind) = self.kind.not_served() {
            return Err(ConfigError::UnsupportedKind { name: self.name.clone(), kind });
        }
        for url in [Some(&self.base_url), self.uploads_url.as_ref(), self.git_url.as_ref()].into_iter().flatten() {
            self.check_url(url)?;
        }
        if let Some(InjectConfig::Header { header, .. }) = &self.inject {
            self.check_header(header)?;
        }
        match &self.credential {
            Some(CredentialSource::GithubApp { .. }) => Err(ConfigError::NotSupported {
                setting: format!("a GitHub App as the credential of upstream `{}`", self.name),
            }),
            _ => Ok(()),
        }
    }

    fn check_url(&self, url: &Url) -> Result<(), ConfigError> {
        let problem = match url {
            _ if !matches!(url.scheme(), "http" | "https") => "must begin with http:// or https://",
            _ if !url.username().is_empty() || url.password().is_some() => {
                "holds a user name or password: put that into `credential`"
            }
            _ if url.query().is_some() || url.fragment().is_some() => "must not hold a query or a fragment",
            _ => return Ok(()),
        };
        Err(ConfigError::BaseUrl { name: self.name.clone(), problem })
    }

    fn check_header(&self, header: &str) -> Result<(), ConfigError> {
        let error = || ConfigError::InjectHeader { name: self.name.clone() };
        let header = HeaderName::from_bytes(header.as_bytes()).map_err(|_| error())?;
        let ours = matches!(header.as_str(), "host" | "content-length" | "transfer-encoding" | "connection");
        if ours { Err(error()) } else { Ok(()) }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        self.credential = self.credential.map(|source| source.relative_to(folder));
        self
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}
