//! Tools, prompts and resources of MCP servers.

use std::sync::Arc;

use axum::http::Method;
use globset::GlobSet;

use super::models::names;
use super::{Grant, Permit, Policy};
use crate::config::{ConfigError, McpGrantConfig, UpstreamKind};
use crate::consumer::{Ask, Refusal, Route, mcp};
use crate::tokens::Consumer;
use crate::upstream::globs;

/// One `[[grants.NAME.mcp]]`.
#[derive(Debug)]
pub(super) struct McpRule {
    upstream: String,
    seen: Arc<Seen>,
    approve: GlobSet,
}

/// What of a server may be used, and so may be seen in its lists.
#[derive(Debug)]
struct Seen {
    tools: GlobSet,
    approve: GlobSet,
    prompts: GlobSet,
    resources: GlobSet,
}

impl McpRule {
    pub(super) fn compile(grant: &str, config: &McpGrantConfig) -> Result<Self, ConfigError> {
        let globs = |patterns: &[String]| globs(patterns, || format!("mcp of grant `{grant}`"));
        let approve = globs(&config.approve)?;
        let seen = Seen {
            tools: globs(&config.tools)?,
            approve: approve.clone(),
            prompts: globs(&config.prompts)?,
            resources: globs(&config.resources)?,
        };
        Ok(Self { upstream: config.upstream.clone(), seen: Arc::new(seen), approve })
    }
}

impl Seen {
    fn shows(&self, kind: mcp::Kind, name: &str) -> bool {
        match kind {
            mcp::Kind::Tool => self.tools.is_match(name) || self.approve.is_match(name),
            mcp::Kind::Prompt => self.prompts.is_match(name),
            mcp::Kind::Resource => self.resources.is_match(name),
        }
    }

    fn allows(&self, used: &mcp::Use) -> bool {
        match used {
            mcp::Use::Protocol => true,
            mcp::Use::Tool(name) => self.shows(mcp::Kind::Tool, name),
            mcp::Use::Prompt(name) => self.shows(mcp::Kind::Prompt, name),
            mcp::Use::Resource(uri) => self.shows(mcp::Kind::Resource, uri),
            mcp::Use::Other(_) => false,
        }
    }
}

impl Policy {
    pub(super) fn authorize_mcp(&self, consumer: &Consumer, ask: &Ask, uses: &mcp::Uses) -> Result<Permit, Refusal> {
        let name = ask.route.upstream.as_deref().unwrap_or_default();
        if ![Method::POST, Method::GET, Method::DELETE].contains(&ask.method) {
            return Err(Refusal::WrongMethod { expected: Method::POST });
        }
        let of_server = |rule: &&McpRule| rule.upstream == name;
        let granting: Vec<_> =
            self.grants_of(consumer).filter(|grant| grant.mcp.iter().any(|rule| of_server(&rule))).collect();
        let upstream = self.named(UpstreamKind::Mcp, Some(name)).filter(|_| !granting.is_empty());
        let upstream = upstream.ok_or_else(|| Refusal::NotGranted(format!("the MCP server `{name}`")))?;
        let rules: Vec<&McpRule> = granting.iter().flat_map(|grant| &grant.mcp).filter(of_server).collect();
        if let Some(refused) = uses.uses.iter().find(|used| !rules.iter().any(|rule| rule.seen.allows(used))) {
            return Err(Refusal::NotGranted(format!("{} of the MCP server `{name}`", described(refused))));
        }
        let held = |used: &&mcp::Use| matches!(used, mcp::Use::Tool(tool) if rules.iter().any(|rule| rule.approve.is_match(tool)));
        let held: Vec<_> = uses.uses.iter().filter(held).map(|used| format!("{} of {name}", described(used))).collect();
        if uses.batch && !held.is_empty() {
            let alone =
                "a human has to approve a tool of this batch: send it alone, so that its arguments can be shown";
            return Err(Refusal::NotUnderstood(alone.to_owned()));
        }
        // A grant that allows it all alone is the one that counts it; where it takes several, any of them may.
        let allowing = |grant: &&&Grant| {
            let rules = || grant.mcp.iter().filter(of_server);
            uses.uses.iter().all(|used| rules().any(|rule| rule.seen.allows(used)))
        };
        let alone = names(granting.iter().filter(allowing).copied());
        let counting = if alone.is_empty() { names(granting.into_iter()) } else { alone };
        Ok(Permit::for_route(upstream, &ask.route, counting)?.held_for(held))
    }

    /// Whether anything of the server is granted.
    pub(super) fn admit_to_mcp(&self, consumer: &Consumer, route: &Route) -> Result<(), Refusal> {
        let name = route.upstream.as_deref().unwrap_or_default();
        let granted = self.grants_of(consumer).any(|grant| grant.mcp.iter().any(|rule| rule.upstream == name));
        if granted { Ok(()) } else { Err(Refusal::NotGranted(format!("the MCP server `{name}`"))) }
    }

    /// What the consumer may see of a server's lists.
    pub(crate) fn visible(&self, consumer: &Consumer, server: &str) -> mcp::Visible {
        let rules = self.grants_of(consumer).flat_map(|grant| &grant.mcp).filter(|rule| rule.upstream == server);
        let seen: Vec<Arc<Seen>> = rules.map(|rule| rule.seen.clone()).collect();
        Arc::new(move |kind, name| seen.iter().any(|seen| seen.shows(kind, name)))
    }
}

fn described(used: &mcp::Use) -> String {
    match used {
        mcp::Use::Protocol => "the protocol".to_owned(),
        mcp::Use::Tool(name) => format!("the tool `{name}`"),
        mcp::Use::Prompt(name) => format!("the prompt `{name}`"),
        mcp::Use::Resource(uri) => format!("the resource `{uri}`"),
        mcp::Use::Other(method) => format!("the method `{method}`"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use doorward_base::{DatabaseUrl, ManualClock, Random, Timestamp};
    use serde_json::json;

    use super::*;
    use crate::config::GatewayConfig;
    use crate::consumer::{Subject, Target};
    use crate::store::open_database;
    use crate::tokens::{ConsumerName, Tokens};

    #[tokio::test]
    #[expect(clippy::default_trait_access, reason = "what a request carries on is no matter of the policy")]
    async fn a_tool_that_a_human_approves_is_not_hidden_in_a_batch() {
        let folder = tempfile::tempdir().unwrap();
        let database = open_database(&DatabaseUrl::sqlite(&folder.path().join("gateway.db"))).await.unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let tokens = Tokens::new(database, clock, Random::seeded(1));
        let minted = tokens.mint(ConsumerName::new("a").unwrap(), vec!["g".to_owned()], Duration::from_secs(60)).await;
        let consumer = tokens.authenticate(&minted.unwrap().token).await.unwrap();
        let upstream = json!({ "name": "mail", "kind": "mcp", "base_url": "http://127.0.0.1:1/mcp" });
        let config: GatewayConfig = serde_json::from_value(json!({ "upstreams": [upstream] })).unwrap();
        let grants = json!({ "g": { "mcp": [{ "upstream": "mail", "tools": ["read"], "approve": ["send"] }] } });
        let policy = Policy::compile(&config, &serde_json::from_value(grants).unwrap()).unwrap();
        let authorize = |body: &str| {
            let target = Target::parse(&"/mcp/mail".parse().unwrap()).unwrap();
            let route = Route::find(&Method::POST, &target).unwrap();
            let subject = Subject::Mcp(mcp::Uses::read(body.as_bytes()).unwrap());
            policy.authorize(&consumer, &Ask { route, method: Method::POST, subject, payload: Default::default() })
        };
        let call = |tool: &str| {
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool } }).to_string()
        };
        assert_eq!(authorize(&call("send")).unwrap().held(), ["the tool `send` of mail"]);
        assert!(authorize(&format!("[{},{}]", call("read"), call("read"))).unwrap().held().is_empty());
        for batch in [format!("[{}]", call("send")), format!("[{},{}]", call("read"), call("send"))] {
            assert!(matches!(authorize(&batch), Err(Refusal::NotUnderstood(_))), "{batch}");
        }
    }
}
