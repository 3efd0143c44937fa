//! What is granted by path: further paths below `/v1`, and the paths of HTTP upstreams.

use std::sync::Arc;

use axum::http::Method;
use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};

use super::models::names;
use super::{Permit, Policy};
use crate::config::{ConfigError, HttpGrantConfig, UpstreamKind};
use crate::consumer::{Facts, Refusal, Route, decoded};
use crate::tokens::Consumer;

/// `paths` of a grant.
#[derive(Debug)]
pub(super) struct PathRule(GlobSet);

/// One `[[grants.NAME.http]]`.
#[derive(Debug)]
pub(super) struct HttpRule {
    upstream: String,
    allow: Verbs,
    approve: Verbs,
}

/// Methods and the paths that they may be used on.
#[derive(Debug)]
struct Verbs(Vec<(Option<Method>, GlobSet)>);

impl PathRule {
    pub(super) fn compile(grant: &str, patterns: &[String]) -> Result<Self, ConfigError> {
        let place = || format!("paths of grant `{grant}`");
        for pattern in patterns {
            if !["/v1/", "/anthropic/v1/"].iter().any(|root| pattern.starts_with(root)) {
                return Err(ConfigError::Glob {
                    place: place(),
                    pattern: pattern.clone(),
                    detail: "it has to begin with /v1/ or /anthropic/v1/".to_owned(),
                });
            }
        }
        Ok(Self(path_globs(patterns, place)?))
    }
}

impl HttpRule {
    pub(super) fn compile(grant: &str, config: &HttpGrantConfig) -> Result<Self, ConfigError> {
        let place = || format!("http of grant `{grant}`");
        Ok(Self {
            upstream: config.upstream.clone(),
            allow: Verbs::compile(&config.allow, place)?,
            approve: Verbs::compile(&config.approve, place)?,
        })
    }
}

impl Verbs {
    /// Each is `METHOD /path`, or `* /path` for every method.
    fn compile(rules: &[String], place: impl Fn() -> String) -> Result<Self, ConfigError> {
        let one = |rule: &String| {
            let bad = || ConfigError::Glob {
                place: place(),
                pattern: rule.clone(),
                detail: "write METHOD /path, such as `GET /v1/**`".to_owned(),
            };
            let (method, path) = rule.split_once(' ').filter(|(_, path)| path.starts_with('/')).ok_or_else(bad)?;
            let known =
                method.chars().all(|c| c.is_ascii_uppercase()).then(|| Method::from_bytes(method.as_bytes()).ok());
            let method = if method == "*" { None } else { Some(known.flatten().ok_or_else(bad)?) };
            Ok((method, path_globs(&[path.to_owned()], &place)?))
        };
        rules.iter().map(one).collect::<Result<_, _>>().map(Self)
    }

    /// `HEAD` is as harmless as `GET`.
    fn cover(&self, method: &Method, path: &str) -> bool {
        let same = |granted: &Method| granted == method || (granted == Method::GET && method == Method::HEAD);
        self.0.iter().any(|(granted, paths)| granted.as_ref().is_none_or(same) && paths.is_match(path))
    }
}

impl Policy {
    pub(super) fn authorize_path(
        &self,
        consumer: &Consumer,
        route: &Route,
        facts: Option<&Facts>,
    ) -> Result<Permit, Refusal> {
        let granting = self.granting_path(consumer, route)?;
        let kind = route.entry.kind;
        let (upstream, paying) = match facts {
            // What a model works on is paid for by a grant of that model.
            Some(facts) => (self.serving(kind, &facts.model), self.grants_for_model(consumer, facts)?),
            None => (self.upstreams.iter().find(|upstream| upstream.kind == kind), granting),
        };
        Permit::for_route(upstream.ok_or(Refusal::NoUpstreamOfKind)?, route, paying)
    }

    /// The grants that have the path.
    pub(super) fn granting_path(&self, consumer: &Consumer, route: &Route) -> Result<Vec<Arc<str>>, Refusal> {
        let path = decoded(&format!("{}{}", route.entry.root, route.below)).unwrap_or_default();
        let granting = names(self.grants_of(consumer).filter(|grant| grant.paths.0.is_match(&path)));
        match &route.wrong_method {
            _ if !granting.is_empty() => Ok(granting),
            Some(expected) => Err(Refusal::WrongMethod { expected: expected.clone() }),
            None => Err(Refusal::PathNotGranted),
        }
    }

    pub(super) fn authorize_http(
        &self,
        consumer: &Consumer,
        route: &Route,
        method: &Method,
    ) -> Result<Permit, Refusal> {
        let name = route.upstream.as_deref().unwrap_or_default();
        let path = decoded(&format!("/{}", route.below)).unwrap_or_default();
        let what = format!("{method} {path}");
        let refused = || Refusal::NotGranted(format!("`{what}` of upstream `{name}`"));
        let rules = |rule: &&HttpRule| rule.upstream == name;
        let covers = |rule: &HttpRule| rule.allow.cover(method, &path) || rule.approve.cover(method, &path);
        let granting = self.grants_of(consumer).filter(|grant| grant.http.iter().filter(rules).any(covers));
        let grants = names(granting);
        if grants.is_empty() {
            return Err(refused());
        }
        let held = |rule: &HttpRule| rule.approve.cover(method, &path);
        let held = self.grants_of(consumer).flat_map(|grant| &grant.http).filter(rules).any(held);
        let upstream = self.named(UpstreamKind::Http, Some(name)).ok_or_else(refused)?;
        let permit = Permit::for_route(upstream, route, grants)?;
        Ok(if held { permit.held_for(vec![format!("{what} of {name}")]) } else { permit })
    }
}

/// Patterns in which `*` stops at a slash and `**` does not; `/a/**` covers `/a` itself too.
fn path_globs(patterns: &[String], place: impl Fn() -> String) -> Result<GlobSet, ConfigError> {
    let error = |pattern: &str, error: &globset::Error| ConfigError::Glob {
        place: place(),
        pattern: pattern.to_owned(),
        detail: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    let itself = patterns.iter().filter_map(|pattern| pattern.strip_suffix("/**").filter(|rest| !rest.is_empty()));
    for pattern in patterns.iter().map(String::as_str).chain(itself) {
        let glob: Result<Glob, _> = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|reason| error(pattern, &reason))?);
    }
    set.build().map_err(|reason| error(reason.glob().unwrap_or_default(), &reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs(rules: &[&str]) -> Result<Verbs, ConfigError> {
        let rules: Vec<_> = rules.iter().map(|rule| (*rule).to_owned()).collect();
        Verbs::compile(&rules, || "http of grant `a`".to_owned())
    }

    #[test]
    fn a_rule_covers_its_method_and_paths_and_nothing_else() {
        let rules = verbs(&["GET /v1/**", "POST /v1/*/notes", "* /open"]).unwrap();
        for (method, path) in [
            (Method::GET, "/v1"),
            (Method::GET, "/v1/a/b"),
            (Method::HEAD, "/v1/a"),
            (Method::POST, "/v1/a/notes"),
            (Method::DELETE, "/open"),
        ] {
            assert!(rules.cover(&method, path), "{method} {path}");
        }
        for (method, path) in [
            (Method::POST, "/v1/a"),
            (Method::GET, "/v10"),
            (Method::GET, "/V1/a"),
            (Method::POST, "/v1/a/b/notes"),
            (Method::DELETE, "/open/a"),
            (Method::GET, "/"),
        ] {
            assert!(!rules.cover(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn a_rule_that_would_match_nothing_is_refused() {
        for rule in ["/v1/**", "GET v1", "get /v1", "GET", "GET /v1/[", ""] {
            assert!(verbs(&[rule]).is_err(), "{rule}");
        }
        assert!(PathRule::compile("a", &["v1/batches".to_owned()]).is_err());
        assert!(PathRule::compile("a", &["/v1/batches/**".to_owned()]).unwrap().0.is_match("/v1/batches"));
    }
}
