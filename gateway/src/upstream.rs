//! Upstreams as the gateway uses them: compiled once from the configuration, so that nothing of a caller is ever part of a
//! destination.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use globset::{Glob, GlobSet, GlobSetBuilder};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use url::Url;

use crate::config::{ConfigError, CredentialSource, InjectConfig, UpstreamConfig};
use crate::consumer::Endpoint;
use crate::credential::Credential;

/// One place that requests go to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) credential: Option<CredentialSource>,
    urls: HashMap<&'static str, Url>,
    models: Option<GlobSet>,
    injection: Injection,
    reached: AtomicU8,
}

/// How a credential is put into a request.
#[derive(Debug)]
enum Injection {
    Header { name: HeaderName, prefix: String },
    Query(String),
    Basic { user: String },
}

/// The credential cannot be written in the place where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unwritable;

/// What the last request to an upstream met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Untried = 0,
    Yes = 1,
    No = 2,
}

impl Reached {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Yes => "reachable",
            Self::No => "unreachable",
        }
    }
}

impl Upstream {
    pub(crate) fn compile(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let models = config
            .models
            .as_deref()
            .map(|patterns| globs(patterns, || format!("models of upstream `{}`", config.name)));
        let urls = Endpoint::all().map(|endpoint| (endpoint.path(), below(&config.base_url, endpoint.path())));
        Ok(Self {
            name: config.name.clone(),
            credential: config.credential.clone(),
            urls: urls.collect(),
            models: models.transpose()?,
            injection: Injection::compile(config)?,
            reached: AtomicU8::new(Reached::Untried as u8),
        })
    }

    /// Whether requests for this model go here.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.is_match(model))
    }

    /// Where requests of an endpoint go.
    pub(crate) fn url(&self, endpoint: Endpoint) -> Url {
        self.urls[endpoint.path()].clone()
    }

    /// Whether the query parameter is the one that this upstream's credential stands in.
    pub(crate) fn injects_query(&self, name: &str) -> bool {
        matches!(&self.injection, Injection::Query(ours) if ours.eq_ignore_ascii_case(name))
    }

    /// Puts the credential where this upstream expects it, in place of whatever stands there.
    pub(crate) fn inject(
        &self,
        credential: &Credential,
        url: &mut Url,
        headers: &mut HeaderMap,
    ) -> Result<(), Unwritable> {
        match &self.injection {
            Injection::Header { name, prefix } => {
                let value = Zeroizing::new(format!("{prefix}{}", credential.expose()));
                headers.insert(name, sensitive(&value)?);
            }
            Injection::Basic { user } => {
                let pair = Zeroizing::new(format!("{user}:{}", credential.expose()));
                let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                headers.insert(AUTHORIZATION, sensitive(&value)?);
            }
            Injection::Query(name) => {
                url.query_pairs_mut().append_pair(name, credential.expose());
            }
        }
        Ok(())
    }

    pub(crate) fn reached(&self) -> Reached {
        [Reached::Yes, Reached::No]
            .into_iter()
            .find(|reached| *reached as u8 == self.reached.load(Ordering::Relaxed))
            .unwrap_or(Reached::Untried)
    }

    pub(crate) fn set_reached(&self, reached: Reached) {
        self.reached.store(reached as u8, Ordering::Relaxed);
    }
}

impl Injection {
    fn compile(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let invalid = |_| ConfigError::InjectHeader { name: config.name.clone() };
        Ok(match &config.inject {
            None => Self::Header { name: AUTHORIZATION, prefix: "Bearer ".to_owned() },
            Some(InjectConfig::Header { header, prefix }) => Self::Header {
                name: HeaderName::from_bytes(header.as_bytes()).map_err(invalid)?,
                prefix: prefix.clone(),
            },
            Some(InjectConfig::Query(name)) => Self::Query(name.clone()),
            Some(InjectConfig::BasicUser(user)) => Self::Basic { user: user.clone() },
        })
    }
}

/// Patterns in which `*` matches any characters, slashes too.
pub(crate) fn globs(patterns: &[String], place: impl Fn() -> String) -> Result<GlobSet, ConfigError> {
    let error = |pattern: &str, error: &globset::Error| ConfigError::Glob {
        place: place(),
        pattern: pattern.to_owned(),
        detail: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(Glob::new(pattern).map_err(|reason| error(pattern, &reason))?);
    }
    set.build().map_err(|reason| error(reason.glob().unwrap_or_default(), &reason))
}

fn sensitive(value: &str) -> Result<HeaderValue, Unwritable> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Unwritable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// `base` plus `path`, whether or not `base` ends with a slash.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(base_url: &str, inject: Option<InjectConfig>) -> Upstream {
        let config = UpstreamConfig {
            name: "up".to_owned(),
            kind: crate::config::UpstreamKind::Openai,
            base_url: base_url.parse().unwrap(),
            uploads_url: None,
            git_url: None,
            credential: None,
            inject,
            models: Some(vec!["gpt-*".to_owned()]),
        };
        Upstream::compile(&config).unwrap()
    }

    fn injected(inject: Option<InjectConfig>, key: &[u8]) -> Result<(String, HeaderMap), Unwritable> {
        let upstream = upstream("https://up.example/v1", inject);
        let (mut url, mut headers) = (upstream.url(Endpoint::Models), HeaderMap::new());
        upstream.inject(&Credential::from_input(key).unwrap(), &mut url, &mut headers)?;
        Ok((url.to_string(), headers))
    }

    #[test]
    fn a_slash_after_the_base_url_changes_nothing() {
        for base in ["https://up.example/v1", "https://up.example/v1/"] {
            assert_eq!(
                upstream(base, None).url(Endpoint::ChatCompletions).as_str(),
                "https://up.example/v1/chat/completions"
            );
        }
        assert_eq!(upstream("https://up.example", None).url(Endpoint::Models).as_str(), "https://up.example/models");
    }

    #[test]
    fn a_star_matches_any_characters() {
        let any = globs(&["*".to_owned()], String::new).unwrap();
        assert!(any.is_match("meta/llama-3.1:free") && any.is_match(".hidden"));
        let gpt = upstream("https://up.example", None);
        assert!(gpt.serves("gpt-4o/x") && !gpt.serves("o3") && !gpt.serves("GPT-4o"));
    }

    #[test]
    fn the_credential_goes_where_the_upstream_expects_it() {
        assert_eq!(injected(None, b"key").unwrap().1[AUTHORIZATION], "Bearer key");
        let header = InjectConfig::Header { header: "X-Api-Key".to_owned(), prefix: "v1 ".to_owned() };
        assert_eq!(injected(Some(header), b"key").unwrap().1["x-api-key"], "v1 key");
        let basic = InjectConfig::BasicUser("me".to_owned());
        assert_eq!(injected(Some(basic), b"key").unwrap().1[AUTHORIZATION], "Basic bWU6a2V5");
        let query = InjectConfig::Query("key".to_owned());
        assert_eq!(injected(Some(query), b"a&b").unwrap().0, "https://up.example/v1/models?key=a%26b");
    }

    #[test]
    fn an_injected_header_is_marked_so_that_no_log_shows_it() {
        assert!(!format!("{:?}", injected(None, b"hunter2").unwrap().1).contains("hunter2"));
        assert_eq!(injected(None, b"two\nlines").unwrap_err(), Unwritable);
    }
}
