//! Upstreams as the gateway uses them: compiled once from the configuration, so that nothing of a caller is ever part of a
//! destination.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use globset::{Glob, GlobSet, GlobSetBuilder};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use url::Url;

use crate::config::{
    ConfigError, CredentialSource, InjectConfig, UpstreamConfig, UpstreamKind, UpstreamLimits, UpstreamTimeouts,
};
use crate::credential::Credential;

/// One place that requests go to.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    pub(crate) kind: UpstreamKind,
    /// Where its credentials come from; none if it asks for none.
    pub(crate) sources: Vec<CredentialSource>,
    pub(crate) limits: UpstreamLimits,
    pub(crate) timeouts: UpstreamTimeouts,
    /// The upstream that stands in while this one cannot.
    pub(crate) fallback: Option<String>,
    aliases: BTreeMap<String, String>,
    bases: Bases,
    models: Option<GlobSet>,
    injection: Injection,
    reached: AtomicU8,
}

/// Which of an upstream's addresses a path goes below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    /// `base_url`.
    Main,
    /// `base_url` of the upstream that the path names.
    Named,
    /// Where GitHub serves GraphQL.
    Graphql,
    /// Where GitHub takes uploads.
    Uploads,
    /// Where GitHub serves git.
    Git,
}

#[derive(Debug)]
struct Bases {
    main: Url,
    uploads: Option<Url>,
    git: Option<Url>,
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
        Ok(Self {
            name: config.name.clone(),
            kind: config.kind,
            sources: config.credential_sources().collect(),
            limits: config.limits,
            timeouts: config.timeouts,
            fallback: config.fallback.clone(),
            aliases: config.aliases.clone(),
            bases: Bases::of(config),
            models: models.transpose()?,
            injection: Injection::compile(config)?,
            reached: AtomicU8::new(Reached::Untried as u8),
        })
    }

    /// Whether requests for this model go here.
    pub(crate) fn serves(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.is_match(model)) || self.aliases.contains_key(model)
    }

    /// What is to be asked for where a consumer says `model`, if that is another name.
    pub(crate) fn alias(&self, model: &str) -> Option<&str> {
        self.aliases.get(model).map(String::as_str)
    }

    /// Where a path goes: below one of the configured addresses and nowhere else. `None` if the upstream has no such address.
    pub(crate) fn url(&self, base: Base, path: &str) -> Option<Url> {
        match base {
            Base::Main | Base::Named => Some(below(&self.bases.main, path)),
            Base::Graphql => Some(self.bases.graphql()),
            Base::Uploads => self.bases.uploads.as_ref().map(|base| below(base, path)),
            Base::Git => self.bases.git.as_ref().map(|base| below(base, path)),
        }
    }

    /// Whether the query parameter is the one that this upstream's credential stands in.
    pub(crate) fn injects_query(&self, name: &str) -> bool {
        matches!(&self.injection, Injection::Query(ours) if ours.eq_ignore_ascii_case(name))
    }

    /// Puts the credential where this upstream expects it, in place of whatever stands there.
    pub(crate) fn inject(
        &self,
        base: Base,
        credential: &Credential,
        url: &mut Url,
        headers: &mut HeaderMap,
    ) -> Result<(), Unwritable> {
        let injection = if base == Base::Git { &Injection::git() } else { &self.injection };
        match injection {
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

impl Bases {
    /// What is not configured follows from the address of GitHub itself or from the layout of an Enterprise Server.
    fn of(config: &UpstreamConfig) -> Self {
        let main = &config.base_url;
        let public = main.host_str() == Some("api.github.com");
        let enterprise = main.path().trim_end_matches('/').strip_suffix("/api/v3");
        let beside = |path: &str| {
            let mut url = main.clone();
            url.set_path(&format!("{}{path}", enterprise?));
            Some(url)
        };
        let or_public = |url: &str| public.then(|| url.parse().ok()).flatten();
        Self {
            main: main.clone(),
            uploads: config
                .uploads_url
                .clone()
                .or_else(|| or_public("https://uploads.github.com"))
                .or_else(|| beside("/api/uploads")),
            git: config.git_url.clone().or_else(|| or_public("https://github.com")).or_else(|| beside("")),
        }
    }

    fn graphql(&self) -> Url {
        let mut url = self.main.clone();
        let path = self.main.path().trim_end_matches('/');
        let path = path
            .strip_suffix("/api/v3")
            .map_or_else(|| format!("{path}/graphql"), |root| format!("{root}/api/graphql"));
        url.set_path(&path);
        url
    }
}

impl Injection {
    /// How GitHub takes every kind of token over git.
    fn git() -> Self {
        Self::Basic { user: "x-access-token".to_owned() }
    }

    fn compile(config: &UpstreamConfig) -> Result<Self, ConfigError> {
        let invalid = |_| ConfigError::InjectHeader { name: config.name.clone() };
        Ok(match &config.inject {
            None if config.kind == UpstreamKind::Anthropic => {
                Self::Header { name: HeaderName::from_static("x-api-key"), prefix: String::new() }
            }
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

/// `base` plus `path`, whether or not `base` ends with a slash; `base` itself if there is no path.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if !path.is_empty() {
        url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    }
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
            credentials: Vec::new(),
            inject,
            models: Some(vec!["gpt-*".to_owned()]),
            aliases: std::collections::BTreeMap::new(),
            fallback: None,
            limits: UpstreamLimits::default(),
            timeouts: UpstreamTimeouts::default(),
        };
        Upstream::compile(&config).unwrap()
    }

    fn injected(inject: Option<InjectConfig>, key: &[u8]) -> Result<(String, HeaderMap), Unwritable> {
        let upstream = upstream("https://up.example/v1", inject);
        let (mut url, mut headers) = (upstream.url(Base::Main, "models").unwrap(), HeaderMap::new());
        upstream.inject(Base::Main, &Credential::from_input(key).unwrap(), &mut url, &mut headers)?;
        Ok((url.to_string(), headers))
    }

    #[test]
    fn a_slash_after_the_base_url_changes_nothing() {
        for base in ["https://up.example/v1", "https://up.example/v1/"] {
            assert_eq!(
                upstream(base, None).url(Base::Main, "chat/completions").unwrap().as_str(),
                "https://up.example/v1/chat/completions"
            );
        }
        assert_eq!(
            upstream("https://up.example", None).url(Base::Main, "models").unwrap().as_str(),
            "https://up.example/models"
        );
    }

    #[test]
    fn the_addresses_of_github_follow_from_its_layout() {
        let url = |base: &str, of| upstream(base, None).url(of, "a/b").map(String::from);
        for (base, graphql, uploads, git) in [
            (
                "https://api.github.com",
                "https://api.github.com/graphql",
                Some("https://uploads.github.com/a/b"),
                Some("https://github.com/a/b"),
            ),
            (
                "https://ghe.example/api/v3/",
                "https://ghe.example/api/graphql",
                Some("https://ghe.example/api/uploads/a/b"),
                Some("https://ghe.example/a/b"),
            ),
            ("http://127.0.0.1:1/base", "http://127.0.0.1:1/base/graphql", None, None),
        ] {
            assert_eq!(url(base, Base::Graphql).as_deref(), Some(graphql));
            assert_eq!((url(base, Base::Uploads).as_deref(), url(base, Base::Git).as_deref()), (uploads, git));
        }
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
