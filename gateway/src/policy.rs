//! What a consumer may do. The answer to "may this be done" is a [`Permit`], and forwarding takes one.

use std::collections::HashMap;
use std::sync::Arc;

use globset::GlobSet;

use crate::config::{ConfigError, GatewayConfig, GrantConfig, Grants};
use crate::consumer::{Endpoint, Inference, Refusal};
use crate::tokens::Consumer;
use crate::upstream::{Upstream, globs};

/// The compiled grants and upstreams.
#[derive(Debug)]
pub(crate) struct Policy {
    grants: HashMap<String, Grant>,
    upstreams: Vec<Arc<Upstream>>,
}

#[derive(Debug)]
struct Grant {
    models: GlobSet,
    provider_tools: Vec<String>,
}

/// The proof that one request was authorized, and where it goes. Only this module makes one.
#[derive(Debug)]
pub(crate) struct Permit {
    upstream: Arc<Upstream>,
    endpoint: Endpoint,
}

impl Permit {
    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        self.endpoint
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

    /// May this consumer send this, and where does it go?
    pub(crate) fn authorize(&self, consumer: &Consumer, ask: &Inference) -> Result<Permit, Refusal> {
        let facts = &ask.facts;
        if let Some(model) =
            [&facts.model].into_iter().chain(&facts.fallbacks).find(|model| !self.grants_model(consumer, model))
        {
            return Err(Refusal::ModelNotGranted(model.clone()));
        }
        if let Some(tool) = facts.provider_tools.iter().find(|tool| !self.grants_tool(consumer, tool)) {
            return Err(Refusal::ProviderTool(tool.clone()));
        }
        let upstream = self.route(&facts.model).ok_or_else(|| Refusal::NoUpstream(facts.model.clone()))?;
        Ok(Permit { upstream: upstream.clone(), endpoint: ask.endpoint })
    }

    /// To ask every upstream for its models: any consumer may, and sees of the answers what [`Policy::lists`] lets through.
    pub(crate) fn authorize_listing(&self) -> Vec<Permit> {
        let permit = |upstream: &Arc<Upstream>| Permit { upstream: upstream.clone(), endpoint: Endpoint::Models };
        self.upstreams.iter().map(permit).collect()
    }

    /// Whether the consumer may see that `upstream` has this model: the model is granted, and would go there.
    pub(crate) fn lists(&self, consumer: &Consumer, upstream: &Upstream, model: &str) -> bool {
        self.grants_model(consumer, model) && self.route(model).is_some_and(|routed| routed.name == upstream.name)
    }

    fn route(&self, model: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.serves(model))
    }

    fn grants_model(&self, consumer: &Consumer, model: &str) -> bool {
        self.grants_of(consumer).any(|grant| grant.models.is_match(model))
    }

    fn grants_tool(&self, consumer: &Consumer, tool: &str) -> bool {
        self.grants_of(consumer).any(|grant| grant.provider_tools.iter().any(|granted| is_version_of(tool, granted)))
    }

    /// A grant that is no longer configured allows nothing.
    fn grants_of<'a>(&'a self, consumer: &'a Consumer) -> impl Iterator<Item = &'a Grant> {
        consumer.grants.iter().filter_map(|name| self.grants.get(name))
    }
}

impl Grant {
    fn compile(name: &str, config: &GrantConfig) -> Result<Self, ConfigError> {
        let models = globs(&config.models, || format!("models of grant `{name}`"))?;
        Ok(Self { models, provider_tools: config.provider_tools.clone() })
    }
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
    use super::is_version_of;

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
