//! Repositories, and what may be done there: by REST, GraphQL and git alike.

use std::sync::Arc;

use doorward_github::{Decision, Effect, RefChange, RepositoryName, Rule, Rules};

use super::models::names;
use super::{Grant, Permit, Policy};
use crate::config::{ConfigError, GithubGrantConfig, UpstreamKind};
use crate::consumer::{Deed, GitAsk, Refusal, Route};
use crate::credentials::app::Scope;
use crate::credentials::permissions::permissions;
use crate::tokens::Consumer;
use crate::upstream::{Base, Upstream};

/// Says what would have been granted, if anything of the kind would.
fn why_denied(rules: &Rules<'_>, effect: &Effect) -> String {
    let Effect::MovesRef { repository, name, change: RefChange::Force } = effect else {
        return format!("{effect} is not granted");
    };
    let (repository, name) = (repository.clone(), name.clone());
    let gently = Effect::MovesRef { repository, name, change: RefChange::CreateOrFastForward };
    if rules.decide(&gently) == Decision::Denied {
        return format!("{gently} is not granted");
    }
    format!("{effect} is not granted, and the commits that were sent do not prove a fast-forward")
}

pub(super) fn compile(grant: &str, config: &GithubGrantConfig) -> Result<Rule, ConfigError> {
    let rule = Rule::compile(&config.repos, &config.allow, &config.push, &config.approve);
    rule.map_err(|problem| ConfigError::Github { grant: grant.to_owned(), problem })
}

impl Policy {
    /// May all of these effects be?
    pub(super) fn authorize_github(
        &self,
        consumer: &Consumer,
        route: &Route,
        effects: &[Effect],
    ) -> Result<Permit, Refusal> {
        let rules = self.rules_of(consumer);
        if let Some(denied) = effects.iter().find(|effect| rules.decide(effect) == Decision::Denied) {
            return Err(Refusal::NotGranted(denied.to_string()));
        }
        let held = effects.iter().filter(|effect| rules.decide(effect) == Decision::Held);
        let held: Vec<String> = held.map(ToString::to_string).collect();
        Ok(self.github_permit(consumer, route, effects)?.held_for(held))
    }

    /// The same for git, which learns of each ref why it is refused.
    pub(super) fn authorize_git(&self, consumer: &Consumer, route: &Route, ask: &GitAsk) -> Result<Permit, Refusal> {
        let effects = ask.effects();
        let rules = self.rules_of(consumer);
        match &ask.deed {
            Deed::Read => self.authorize_github(consumer, route, &effects),
            // Only the push itself is held.
            Deed::AboutToPush if effects.iter().any(|effect| rules.decide(effect) == Decision::Denied) => {
                Err(Refusal::NotGranted(format!("push to {}", ask.repository)))
            }
            Deed::AboutToPush => self.github_permit(consumer, route, &effects),
            Deed::Push { push, effects } => {
                let refused = |(command, effect): (&doorward_git::push::Command, &Effect)| {
                    let denied = rules.decide(effect) == Decision::Denied;
                    denied.then(|| (command.name.as_str().to_owned(), why_denied(&rules, effect)))
                };
                let refused: Vec<_> = push.commands.iter().zip(effects).filter_map(refused).collect();
                if !refused.is_empty() {
                    return Err(Refusal::RefsNotGranted(refused));
                }
                self.authorize_github(consumer, route, effects)
            }
        }
    }

    /// Whether anything on GitHub is granted.
    pub(super) fn admit_to_github(&self, consumer: &Consumer) -> Result<(), Refusal> {
        let nothing = self.rules_of(consumer).0.is_empty();
        if nothing { Err(Refusal::NotGranted("GitHub".to_owned())) } else { Ok(()) }
    }

    /// To ask GitHub where nodes are: anyone may who is granted anything there, and learns nothing but whether a grant covers it.
    /// `last` is where the consumer was permitted something before.
    pub(crate) fn authorize_lookup(
        &self,
        consumer: &Consumer,
        effects: &[Effect],
        last: Option<Scope>,
    ) -> Result<Permit, Refusal> {
        self.admit_to_github(consumer)?;
        let permit = Permit::new(self.github()?, Base::Graphql, "", Vec::new())?;
        Ok(permit.scoped_to(self.scope(consumer, effects).or(last)))
    }

    /// Whether anything is granted to the consumer in this repository.
    pub(crate) fn knows(&self, consumer: &Consumer, repository: &RepositoryName) -> bool {
        self.rules_of(consumer).know(repository)
    }

    fn github_permit(&self, consumer: &Consumer, route: &Route, effects: &[Effect]) -> Result<Permit, Refusal> {
        let knowing = |grant: &&Grant| {
            let rules = Rules(grant.github.iter().collect());
            !rules.0.is_empty()
                && effects.iter().filter_map(Effect::repository).all(|repository| rules.know(repository))
        };
        // A grant that allows it all alone is the one that counts it; where it takes several, any of them may.
        let allowing = |grant: &&Grant| {
            let rules = Rules(grant.github.iter().collect());
            !rules.0.is_empty() && effects.iter().all(|effect| rules.decide(effect) != Decision::Denied)
        };
        let alone = names(self.grants_of(consumer).filter(allowing));
        let counting = if alone.is_empty() { names(self.grants_of(consumer).filter(knowing)) } else { alone };
        let permit = Permit::for_route(self.github()?, route, counting)?;
        Ok(permit.scoped_to(self.scope(consumer, effects)))
    }

    fn github(&self) -> Result<&Arc<Upstream>, Refusal> {
        let mut of_kind = self.upstreams.iter().filter(|upstream| upstream.kind == UpstreamKind::Github);
        of_kind.next().ok_or(Refusal::NoUpstreamOfKind)
    }

    /// The one repository that a request concerns, and all that is granted there.
    fn scope(&self, consumer: &Consumer, effects: &[Effect]) -> Option<Scope> {
        let mut repositories: Vec<&RepositoryName> = effects.iter().filter_map(Effect::repository).collect();
        repositories.dedup();
        let [repository] = repositories.as_slice() else { return None };
        let verbs = self.rules_of(consumer).verbs(repository);
        Some(Scope { repository: (*repository).clone(), permissions: permissions(verbs.into_iter()) })
    }

    fn rules_of<'a>(&'a self, consumer: &'a Consumer) -> Rules<'a> {
        Rules(self.grants_of(consumer).flat_map(|grant| &grant.github).collect())
    }
}
