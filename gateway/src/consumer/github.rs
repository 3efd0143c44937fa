//! GitHub's REST and GraphQL interfaces and its uploads, in the layout of an Enterprise Server: what requests do, and links in answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::{HeaderName, LINK, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use bytes::Bytes;
use doorward_github::graphql::{self, GraphqlRequest, NodeUse};
use doorward_github::{Effect, LinkRewriter, Links, RestCall, RestRequest};

use super::Consumers;
use super::attempts::no_credential;
use super::clearance::Clearance;
use super::forward::Answer;
use super::outgoing::{self, Stripped};
use super::passes::{BrokenAnswer, Pass};
use super::payload::{Payload, is_plain};
use super::refusal::Refusal;
use super::route::{Guard, Route};
use crate::config::{ConfigError, UpstreamKind};
use crate::credentials::app::Scope;
use crate::policy::Permit;
use crate::tokens::{Consumer, ConsumerName};
use crate::upstream::Upstream;

const LARGEST_LOOKUP: usize = 1 << 20;

/// What a request to GitHub does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deeds {
    pub(crate) effects: Vec<Effect>,
    /// Nodes of which it is not known yet where they are.
    nodes: Vec<NodeUse>,
}

impl Deeds {
    /// Reads a request from its method, path, query and body.
    pub(super) fn read(head: &Parts, route: &Route, body: &[u8]) -> Result<Self, Refusal> {
        if !is_plain(&head.headers) {
            return Err(Refusal::MediaType);
        }
        let path = if route.below.is_empty() { String::new() } else { format!("/{}", route.below) };
        let body_or_none = Some(body).filter(|body| !body.is_empty());
        let call = RestCall { method: head.method.as_str(), path: &path, query: head.uri.query(), body: body_or_none };
        match route.entry.guard {
            Guard::GithubUploads => Self::of_rest(RestRequest::read_upload(&call)),
            Guard::GithubRest => Self::of_rest(RestRequest::read(&call)),
            _ if head.method != Method::POST => Err(Refusal::WrongMethod { expected: Method::POST }),
            _ if head.uri.query().is_some() => Err(Refusal::QueryIsOurs("a query".to_owned())),
            _ => {
                let GraphqlRequest { effects, nodes } =
                    graphql::read(body).map_err(|refused| Refusal::NotUnderstood(refused.to_string()))?;
                Ok(Self { effects, nodes })
            }
        }
    }

    fn of_rest(read: Result<RestRequest, doorward_github::RestRefused>) -> Result<Self, Refusal> {
        let request = read.map_err(|refused| Refusal::NotUnderstood(refused.to_string()))?;
        Ok(Self { effects: request.effects, nodes: Vec::new() })
    }

    fn ids(&self) -> Vec<String> {
        GraphqlRequest { effects: Vec::new(), nodes: self.nodes.clone() }.ids()
    }
}

impl Consumers {
    /// Asks GitHub where the nodes are that the request names, so that the grant can be asked about all that it does.
    pub(super) async fn locate(&self, consumer: &Consumer, deeds: &mut Deeds) -> Result<(), Refusal> {
        let ids = deeds.ids();
        if ids.is_empty() {
            return Ok(());
        }
        let last = self.last_repositories.of(consumer);
        let permit = self.policy.authorize_lookup(consumer, &deeds.effects, last)?;
        let answer = self.look_up(consumer, &permit, graphql::lookup(&ids)).await?;
        let garbage = |_| Refusal::NoNodes(permit.upstream().name.clone());
        let found = graphql::resolve(&ids, &answer).map_err(garbage)?;
        for used in std::mem::take(&mut deeds.nodes) {
            let nowhere = || Refusal::NotGranted(format!("the repository of the node `{}`", used.id));
            let node = found.get(&used.id).ok_or_else(nowhere)?;
            let effect = used.effect(node).map_err(|refused| Refusal::NotUnderstood(refused.to_string()))?;
            // Where a node is that is not granted is not told.
            if !effect.repository().is_some_and(|repository| self.policy.knows(consumer, repository)) {
                return Err(nowhere());
            }
            deeds.effects.push(effect);
        }
        Ok(())
    }

    async fn look_up(&self, consumer: &Consumer, permit: &Permit, query: Vec<u8>) -> Result<Bytes, Refusal> {
        let name = || permit.upstream().name.clone();
        let taken = self.vault.take(permit, consumer).await.map_err(|error| no_credential(&name(), error))?;
        let outgoing = outgoing::inject(permit, taken.as_ref(), None, &Stripped::our_own(UpstreamKind::Github))?;
        let payload = Payload::of(query.into());
        let clearance = Clearance::of_our_own(permit);
        let answer = self.forwarder.forward(permit, &clearance, Method::POST, outgoing, payload).await?;
        if !answer.status.is_success() {
            return Err(Refusal::NoNodes(name()));
        }
        answer.collect(LARGEST_LOOKUP).await.ok_or_else(|| Refusal::NoNodes(name()))
    }

    /// Links in answers lead to the gateway.
    pub(super) fn with_our_links(&self, mut answer: Answer, route: &Route) -> Answer {
        let asked = format!("/{}", route.below);
        let links = &self.links;
        rewrite(&mut answer, &LINK, |value| links.link(value, &asked));
        for name in [LOCATION, HeaderName::from_static("content-location")] {
            rewrite(&mut answer, &name, |value| links.location(value));
        }
        let media_type = answer.media_type();
        if media_type == "application/json" || media_type.ends_with("+json") {
            return answer.changed_by(LinkRewriter::new(links.clone()));
        }
        answer
    }
}

/// The repository that each consumer was last permitted something in. The installation tokens of a GitHub App are for one repository
/// each, and a request that names nodes alone says nothing of theirs: clients learn ids by asking about a repository first.
#[derive(Debug, Default)]
pub(crate) struct LastRepositories(Mutex<HashMap<ConsumerName, Scope>>);

impl LastRepositories {
    pub(super) fn remember(&self, consumer: &Consumer, permit: &Permit) {
        if let Some(scope) = permit.scope() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(consumer.name.clone(), scope.clone());
        }
    }

    fn of(&self, consumer: &Consumer) -> Option<Scope> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&consumer.name).cloned()
    }
}

fn rewrite(answer: &mut Answer, name: &HeaderName, new: impl Fn(&str) -> Option<String>) {
    let value = answer.headers.get(name).and_then(|value| value.to_str().ok()).and_then(new);
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
        answer.headers.insert(name, value);
    }
}

/// Which links of a GitHub upstream are turned into which of the gateway at `url`.
pub(crate) fn links(upstreams: &[Arc<Upstream>], url: &str) -> Result<Arc<Links>, ConfigError> {
    use crate::upstream::Base;
    let Some(upstream) = upstreams.iter().find(|upstream| upstream.kind == UpstreamKind::Github) else {
        return Ok(Arc::default());
    };
    let pair = |base, path: &str| Some((upstream.url(base, "")?.to_string(), format!("{url}{path}")));
    let api = [pair(Base::Main, "/api/v3"), pair(Base::Uploads, "/api/uploads"), pair(Base::Graphql, "/api/graphql")];
    let links = Links::new(api.into_iter().flatten(), pair(Base::Git, "/git"));
    let problem = "cannot begin a link";
    links.map(Arc::new).map_err(|_| ConfigError::BaseUrl { name: upstream.name.clone(), problem })
}

impl Pass for LinkRewriter {
    fn push(&mut self, bytes: Bytes) -> Result<Bytes, BrokenAnswer> {
        Ok(Self::push(self, bytes))
    }

    fn finish(&mut self) -> Result<Bytes, BrokenAnswer> {
        Ok(Self::finish(self))
    }
}
