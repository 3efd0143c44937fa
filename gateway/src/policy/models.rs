//! Models, and the tools that a provider runs itself.

use std::sync::Arc;

use globset::GlobSet;

use super::{Grant, Permit, Policy};
use crate::config::{ConfigError, GrantConfig, UpstreamKind};
use crate::consumer::{Facts, Refusal, Route};
use crate::tokens::Consumer;
use crate::upstream::{Base, Upstream, globs};

/// What a grant says of models.
#[derive(Debug)]
pub(super) struct ModelRule {
    models: GlobSet,
    provider_tools: Vec<String>,
}

impl ModelRule {
    pub(super) fn compile(name: &str, config: &GrantConfig) -> Result<Self, ConfigError> {
        let models = globs(&config.models, || format!("models of grant `{name}`"))?;
        Ok(Self { models, provider_tools: config.provider_tools.clone() })
    }

    fn allows(&self, model: &str) -> bool {
        self.models.is_match(model)
    }

    fn allows_tool(&self, tool: &str) -> bool {
        self.provider_tools.iter().any(|granted| is_version_of(tool, granted))
    }
}

impl Policy {
    pub(super) fn authorize_model(&self, consumer: &Consumer, route: &Route, facts: &Facts) -> Result<Permit, Refusal> {
        let grants = self.grants_for_model(consumer, facts)?;
        let upstream = self.serving(route.entry.kind, &facts.model);
        let upstream = upstream.ok_or_else(|| Refusal::NoUpstream(facts.model.clone()))?;
        Ok(Permit::for_route(upstream, route, grants)?.for_model(&facts.model))
    }

    /// The grants that allow the model; refused if none does, or if something else in the body is not allowed.
    pub(super) fn grants_for_model(&self, consumer: &Consumer, facts: &Facts) -> Result<Vec<Arc<str>>, Refusal> {
        let models = || [&facts.model].into_iter().chain(&facts.fallbacks);
        if let Some(model) = models().find(|model| !self.grants_model(consumer, model)) {
            return Err(Refusal::ModelNotGranted(model.clone()));
        }
        let grants_tool = |tool: &str| self.grants_of(consumer).any(|grant| grant.models.allows_tool(tool));
        if let Some(tool) = facts.provider_tools.iter().find(|tool| !grants_tool(tool)) {
            return Err(Refusal::ProviderTool(tool.clone()));
        }
        // One grant pays, whichever of the models answers: so one has to allow them all.
        let allows_all = |grant: &&Grant| models().all(|model| grant.models.allows(model));
        let paying = names(self.grants_of(consumer).filter(allows_all));
        if paying.is_empty() { Err(Refusal::ModelNotGranted(facts.model.clone())) } else { Ok(paying) }
    }

    /// To ask every upstream of a kind for its models: any consumer may, and sees of the answers what [`Policy::lists`] lets
    /// through.
    pub(crate) fn authorize_listing(&self, kind: UpstreamKind) -> Result<Vec<Permit>, Refusal> {
        let path = if kind == UpstreamKind::Anthropic { "v1/models" } else { "models" };
        let asked = self.upstreams.iter().filter(|upstream| upstream.kind == kind);
        asked.map(|upstream| Permit::new(upstream, Base::Main, path, Vec::new())).collect()
    }

    /// Whether the consumer may see that `upstream` has this model: the model is granted, and would go there.
    pub(crate) fn lists(&self, consumer: &Consumer, upstream: &Upstream, model: &str) -> bool {
        let routed = || self.serving(upstream.kind, model).is_some_and(|routed| routed.name == upstream.name);
        self.grants_model(consumer, model) && routed()
    }

    pub(super) fn serving(&self, kind: UpstreamKind, model: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.kind == kind && upstream.serves(model))
    }

    fn grants_model(&self, consumer: &Consumer, model: &str) -> bool {
        self.grants_of(consumer).any(|grant| grant.models.allows(model))
    }
}

pub(super) fn names<'a>(grants: impl Iterator<Item = &'a Grant>) -> Vec<Arc<str>> {
    grants.map(|grant| grant.name.clone()).collect()
}

/// `web_search` grants `web_search_preview` and `web_search_2025_08_26`, the names under which providers version it.
fn is_version_of(tool: &str, granted: &str) -> bool {
    match tool.strip_prefix(granted) {
        Some("") => true,
        Some(rest) => {
            rest.starts_with("_preview")
                || rest.strip_prefix('_').is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::http::Method;
    use doorward_base::{DatabaseUrl, ManualClock, Random, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::config::GatewayConfig;
    use crate::consumer::Target;
    use crate::store::open_database;
    use crate::tokens::{ConsumerName, Tokens};

    /// Someone who may use small models without a limit, large ones within a budget, and threads.
    async fn policy_and_consumer() -> (Policy, Consumer) {
        let folder = tempfile::tempdir().unwrap();
        let database = open_database(&DatabaseUrl::sqlite(&folder.path().join("gateway.db"))).await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let tokens = Tokens::new(database, clock, Random::seeded(1));
        let grants = ["threads", "small", "large"].map(str::to_owned).to_vec();
        let minted = tokens.mint(ConsumerName::new("a").unwrap(), grants, Duration::from_secs(60)).await.unwrap();
        let consumer = tokens.authenticate(&minted.token).await.unwrap();
        let upstream = json!({ "name": "up", "kind": "openai", "base_url": "http://127.0.0.1:1/v1" });
        let config: GatewayConfig = serde_json::from_value(json!({ "upstreams": [upstream] })).unwrap();
        let grants = json!({
            "threads": { "paths": ["/v1/threads/**"] }, "small": { "models": ["mini"] },
            "large": { "models": ["mini-x", "big"], "budget": { "tokens_per_day": 1 } },
        });
        (Policy::compile(&config, &serde_json::from_value(grants).unwrap()).unwrap(), consumer)
    }

    fn facts(model: &str, fallbacks: &[&str]) -> Facts {
        let fallbacks = fallbacks.iter().map(|model| (*model).to_owned()).collect();
        Facts { model: model.to_owned(), fallbacks, ..Facts::default() }
    }

    #[tokio::test]
    async fn one_grant_allows_all_the_models_that_may_answer_and_pays() {
        let (policy, consumer) = policy_and_consumer().await;
        let paying = |model, fallbacks: &[&str]| policy.grants_for_model(&consumer, &facts(model, fallbacks));
        assert_eq!(paying("mini", &[]).unwrap(), ["small".into()]);
        assert_eq!(paying("mini-x", &["big"]).unwrap(), ["large".into()]);
        assert!(matches!(paying("mini", &["big"]), Err(Refusal::ModelNotGranted(_))));
    }

    #[tokio::test]
    async fn a_granted_path_does_not_pay_for_a_model() {
        let (policy, consumer) = policy_and_consumer().await;
        let target = Target::parse(&"/v1/threads/t/runs".parse().unwrap()).unwrap();
        let route = Route::find(&Method::POST, &target).unwrap();
        let permit = policy.authorize_path(&consumer, &route, Some(&facts("big", &[]))).unwrap();
        assert_eq!(permit.grants(), ["large".into()]);
        assert_eq!(policy.authorize_path(&consumer, &route, None).unwrap().grants(), ["threads".into()]);
    }

    #[test]
    fn a_granted_tool_covers_its_versions_and_no_other_tool() {
        for tool in ["web_search", "web_search_preview", "web_search_preview_2025_03_11", "web_search_20250305"] {
            assert!(is_version_of(tool, "web_search"), "{tool}");
        }
        for tool in ["web_fetch", "web_searcher", "web", "web_search_and_run", "mcp"] {
            assert!(!is_version_of(tool, "web_search"), "{tool}");
        }
    }
}
