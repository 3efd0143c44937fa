//! `[[gateway.upstreams]]`: where requests of one kind go, and how its credential is put in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use reqwest::header::HeaderName;
use serde::Deserialize;

use super::{ByteSize, ConfigError, HumanDuration};
use crate::destinations::check_url;

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
    /// Several keys, in place of `credential`: each consumer's requests use one of them, and another one while that one rests.
    #[serde(default)]
    pub credentials: Vec<CredentialSource>,
    /// How the key is put in; by default as the kind has it.
    pub inject: Option<InjectConfig>,
    /// The model names that go here, as globs; all of them if absent.
    pub models: Option<Vec<String>>,
    /// Names of models as consumers say them, and what this upstream calls each.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
    /// The upstream that takes over while this one cannot.
    pub fallback: Option<String>,
    /// Other limits than those of the gateway.
    #[serde(default)]
    pub limits: UpstreamLimits,
    /// Other timeouts than those of the gateway.
    #[serde(default)]
    pub timeouts: UpstreamTimeouts,
}

/// `limits = { … }` of an upstream; what is not said is as `gateway.limits` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamLimits {
    /// The largest request body; never more than `gateway.limits` allows.
    pub request_body: Option<ByteSize>,
    /// The largest answer.
    pub response: Option<ByteSize>,
}

/// `timeouts = { … }` of an upstream; what is not said is as `gateway.timeouts` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTimeouts {
    /// From the whole request to the head of the answer.
    pub first_byte: Option<HumanDuration>,
    /// Between two pieces of the answer.
    pub idle: Option<HumanDuration>,
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

/// Where a credential comes from. It is looked at again at least every second, so that a changed one needs no restart.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
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

/// The place, never the value: `env OPENAI_API_KEY`, `file key.txt`, `secret openai`, `GitHub App 123`.
impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Secret(name) => write!(f, "secret {name}"),
            Self::GithubApp { app_id, .. } => write!(f, "GitHub App {app_id}"),
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
    /// As it stands in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Openai => "openai",
            Self::Anthropic => "anthropic",
            Self::Github => "github",
            Self::Mcp => "mcp",
            Self::Http => "http",
        }
    }
}

impl UpstreamConfig {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !is_name(&self.name) {
            return Err(ConfigError::UpstreamName { name: self.name.clone() });
        }
        for url in [Some(&self.base_url), self.uploads_url.as_ref(), self.git_url.as_ref()].into_iter().flatten() {
            self.check_url(url)?;
        }
        if let Some(InjectConfig::Header { header, .. }) = &self.inject {
            self.check_header(header)?;
        }
        self.check_credentials()?;
        self.check_aliases()
    }

    /// Where its credentials come from; none for an upstream that asks for none.
    pub(crate) fn credential_sources(&self) -> impl Iterator<Item = CredentialSource> {
        self.credential.iter().chain(&self.credentials).cloned()
    }

    fn check_credentials(&self) -> Result<(), ConfigError> {
        let error = |problem| ConfigError::Credentials { name: self.name.clone(), problem };
        if self.credential.is_some() && !self.credentials.is_empty() {
            return Err(error("has both `credential` and `credentials`: keep one of them".to_owned()));
        }
        let mut seen = Vec::new();
        for source in self.credential_sources() {
            if seen.contains(&source) {
                return Err(error(format!("has the credential `{source}` twice")));
            }
            if let CredentialSource::GithubApp { private_key, .. } = &source {
                if self.kind != UpstreamKind::Github {
                    return Err(error("has a GitHub App as its credential, and is not of kind `github`".to_owned()));
                }
                if matches!(**private_key, CredentialSource::GithubApp { .. }) {
                    return Err(error("has a GitHub App as the private key of a GitHub App".to_owned()));
                }
            }
            seen.push(source);
        }
        Ok(())
    }

    fn check_aliases(&self) -> Result<(), ConfigError> {
        let is_model = |name: &str| (1..=256).contains(&name.len()) && !name.chars().any(char::is_control);
        match self.aliases.iter().flat_map(|(alias, model)| [alias, model]).find(|name| !is_model(name)) {
            Some(_) => Err(ConfigError::Alias { name: self.name.clone() }),
            None => Ok(()),
        }
    }

    fn check_url(&self, url: &Url) -> Result<(), ConfigError> {
        let problem = match url {
            _ if !matches!(url.scheme(), "http" | "https") => "must begin with http:// or https://",
            _ if !url.username().is_empty() || url.password().is_some() => {
                "holds a user name or password: put that into `credential`"
            }
            _ if url.query().is_some() || url.fragment().is_some() => "must not hold a query or a fragment",
            _ if check_url(url).is_err() => "is an address of a cloud metadata service, which the gateway never dials",
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
        self.credentials = self.credentials.into_iter().map(|source| source.relative_to(folder)).collect();
        self
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn upstream(more: &Value) -> UpstreamConfig {
        let mut value = json!({ "name": "up", "kind": "openai", "base_url": "https://up.example" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn several_credentials_are_read_in_place_of_one() {
        let several = upstream(&json!({ "credentials": [{ "env": "A" }, { "file": "b" }] }));
        several.check_credentials().unwrap();
        let sources: Vec<_> = several.relative_to(Path::new("/srv")).credential_sources().collect();
        assert_eq!(sources, [CredentialSource::Env("A".to_owned()), CredentialSource::File("/srv/b".into())]);
        let one = upstream(&json!({ "credential": { "env": "A" } }));
        assert_eq!(one.credential_sources().count(), 1);
        assert_eq!(upstream(&json!({})).credential_sources().count(), 0);
    }

    #[test]
    fn credentials_that_contradict_each_other_are_refused() {
        let app = |key: Value| json!({ "app_id": 1, "private_key": key });
        for (more, part) in [
            (json!({ "credential": { "env": "A" }, "credentials": [{ "env": "B" }] }), "both"),
            (json!({ "credentials": [{ "env": "A" }, { "env": "A" }] }), "`env A` twice"),
            (json!({ "credential": app(json!({ "env": "A" })) }), "not of kind `github`"),
            (json!({ "kind": "github", "credential": app(app(json!({ "env": "A" }))) }), "private key of a GitHub App"),
        ] {
            let sentence = upstream(&more).check_credentials().unwrap_err().to_string();
            assert!(sentence.contains(part), "{sentence}");
        }
        let app = upstream(&json!({ "kind": "github", "credential": app(json!({ "secret": "key" })) }));
        app.check_credentials().unwrap();
    }

    #[test]
    fn an_alias_and_its_model_are_names() {
        upstream(&json!({ "aliases": { "fast": "gpt-5-mini" } })).check_aliases().unwrap();
        for aliases in [json!({ "": "a" }), json!({ "a": "" }), json!({ "a": "b\n" })] {
            assert!(upstream(&json!({ "aliases": aliases })).check_aliases().is_err());
        }
    }

    #[test]
    fn the_address_of_a_metadata_service_is_no_upstream() {
        for more in [
            json!({ "base_url": "http://169.254.169.254/latest" }),
            json!({ "uploads_url": "http://[fd00:ec2::254]/" }),
            json!({ "git_url": "http://metadata.google.internal/" }),
        ] {
            let sentence = upstream(&more).check().unwrap_err().to_string();
            assert!(sentence.contains("cloud metadata service"), "{sentence}");
        }
    }
}
