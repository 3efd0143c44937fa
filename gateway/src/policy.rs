//! What a consumer may do. The answer to "may this be done" is a [`Permit`], and forwarding takes one.

mod github;
mod mcp;
mod models;
mod paths;

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::Method;
use doorward_github::Rule;
use url::Url;

use crate::config::{ConfigError, GatewayConfig, GrantConfig, Grants, UpstreamKind};
use crate::consumer::{Ask, GitAsk, Guard, Refusal, Route, Subject};
use crate::credentials::app::Scope;
use crate::tokens::Consumer;
use crate::upstream::{Base, Upstream};
use mcp::McpRule;
use models::ModelRule;
use paths::{HttpRule, PathRule};

/// The compiled grants and upstreams.
#[derive(Debug)]
pub(crate) struct Policy {
    grants: HashMap<String, Grant>,
    upstreams: Vec<Arc<Upstream>>,
}

/// One grant, compiled: what it says to each kind of request.
#[derive(Debug)]
struct Grant {
    name: Arc<str>,
    models: ModelRule,
    paths: PathRule,
    http: Vec<HttpRule>,
    mcp: Vec<McpRule>,
    github: Vec<Rule>,
}

/// The proof that one request was authorized, and where it goes. Only this module makes one.
#[derive(Debug)]
pub(crate) struct Permit {
    upstream: Arc<Upstream>,
    base: Base,
    below: String,
    url: Url,
    grants: Vec<Arc<str>>,
    held: Vec<String>,
    model: Option<String>,
    scope: Option<Scope>,
}

impl Permit {
    /// To `below` of one of an upstream's addresses, as the named grants allow.
    fn new(upstream: &Arc<Upstream>, base: Base, below: &str, grants: Vec<Arc<str>>) -> Result<Self, Refusal> {
        let url = upstream.url(base, below);
        let url = url.ok_or_else(|| Refusal::NoAddress { upstream: upstream.name.clone(), base })?;
        let (upstream, below) = (upstream.clone(), below.to_owned());
        Ok(Self { upstream, base, below, url, grants, held: Vec::new(), model: None, scope: None })
    }

    fn for_route(upstream: &Arc<Upstream>, route: &Route, grants: Vec<Arc<str>>) -> Result<Self, Refusal> {
        Self::new(upstream, route.entry.base, &route.below, grants)
    }

    /// The same, but a human has to say yes to these effects first.
    fn held_for(self, held: Vec<String>) -> Self {
        Self { held, ..self }
    }

    /// The same, for a request that concerns one repository.
    fn scoped_to(self, scope: Option<Scope>) -> Self {
        Self { scope, ..self }
    }

    /// The same, for a request to this model.
    fn for_model(self, model: &str) -> Self {
        Self { model: Some(model.to_owned()), ..self }
    }

    /// What the upstream calls the model, if that is another name.
    pub(crate) fn alias(&self) -> Option<&str> {
        self.model.as_deref().and_then(|model| self.upstream.alias(model))
    }

    /// What an installation token has to be good for.
    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Refuses a body that is larger than the upstream takes.
    pub(crate) fn check_size(&self, length: u64) -> Result<(), Refusal> {
        match self.upstream.limits.request_body {
            Some(limit) if length > limit.0 => Err(Refusal::TooLarge(limit)),
            _ => Ok(()),
        }
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Which of the upstream's addresses it is for.
    pub(crate) fn base(&self) -> Base {
        self.base
    }

    /// Where the request goes, without its query.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// The grants that allow the request, in the token's order.
    pub(crate) fn grants(&self) -> &[Arc<str>] {
        &self.grants
    }

    /// The effects that a human has to say yes to.
    pub(crate) fn held(&self) -> &[String] {
        &self.held
    }
}

impl Policy {
    /// Refuses settings that are not enforced, see [`GatewayConfig::check`].
    pub(crate) fn compile(config: &GatewayConfig, grants: &Grants) -> Result<Self, ConfigError> {
        config.check(grants)?;
        let compiled = grants.iter().map(|(name, grant)| Ok((name.clone(), Grant::compile(name, grant)?)));
        let upstreams = config.upstreams.iter().map(|upstream| Ok(Arc::new(Upstream::compile(upstream)?)));
        Ok(Self { grants: compiled.collect::<Result<_, _>>()?, upstreams: upstreams.collect::<Result<_, _>>()? })
    }

    pub(crate) fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Whether something of the kind may be granted at all: for anyone else no body is read.
    pub(crate) fn admit(&self, consumer: &Consumer, route: &Route, method: &Method) -> Result<(), Refusal> {
        match route.entry.guard {
            // Which model is wanted stands in the body.
            Guard::ModelList | Guard::Model | Guard::ModelForm => Ok(()),
            Guard::Path => self.granting_path(consumer, route).map(drop),
            Guard::Http => self.authorize_http(consumer, route, method).map(drop),
            Guard::Mcp => self.admit_to_mcp(consumer, route),
            Guard::GithubRest | Guard::GithubGraphql | Guard::GithubUploads => self.admit_to_github(consumer),
            Guard::Git => match GitAsk::announced(route)? {
                Some(announced) => self.authorize_git(consumer, route, &announced).map(drop),
                None => Ok(()),
            },
        }
    }

    /// May this consumer send this, and where does it go?
    pub(crate) fn authorize(&self, consumer: &Consumer, ask: &Ask) -> Result<Permit, Refusal> {
        match &ask.subject {
            Subject::Model(facts) => self.authorize_model(consumer, &ask.route, facts),
            Subject::Path(facts) => self.authorize_path(consumer, &ask.route, facts.as_ref()),
            Subject::Http => self.authorize_http(consumer, &ask.route, &ask.method),
            Subject::Github(deeds) => self.authorize_github(consumer, &ask.route, &deeds.effects),
            Subject::Git(git) => self.authorize_git(consumer, &ask.route, git),
            Subject::Mcp(uses) => self.authorize_mcp(consumer, ask, uses),
            // The list is put together from answers that have permits of their own.
            Subject::ModelList => Err(Refusal::PathNotGranted),
        }
    }

    /// The same request at the upstream that stands in, if there is one.
    pub(crate) fn fall_back(&self, permit: &Permit) -> Option<Permit> {
        let name = permit.upstream.fallback.as_deref();
        let upstream = self.named(permit.upstream.kind, name)?;
        let next = Permit::new(upstream, permit.base, &permit.below, permit.grants.clone()).ok()?;
        Some(Permit { model: permit.model.clone(), ..next })
    }

    /// The upstream of a kind that the path names.
    fn named(&self, kind: UpstreamKind, name: Option<&str>) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.kind == kind && Some(upstream.name.as_str()) == name)
    }

    /// A grant that is no longer configured allows nothing.
    fn grants_of<'a>(&'a self, consumer: &'a Consumer) -> impl Iterator<Item = &'a Grant> {
        consumer.grants.iter().filter_map(|name| self.grants.get(name))
    }
}

impl Grant {
    fn compile(name: &str, config: &GrantConfig) -> Result<Self, ConfigError> {
        let http = config.http.iter().map(|rule| HttpRule::compile(name, rule));
        let github = config.github.iter().map(|rule| github::compile(name, rule));
        let mcp = config.mcp.iter().map(|rule| McpRule::compile(name, rule));
        Ok(Self {
            name: name.into(),
            models: ModelRule::compile(name, config)?,
            paths: PathRule::compile(name, &config.paths)?,
            http: http.collect::<Result<_, _>>()?,
            mcp: mcp.collect::<Result<_, _>>()?,
            github: github.collect::<Result<_, _>>()?,
        })
    }
}
