//! What a grant says to an effect.

use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::effect::{Effect, RefChange, RepositoryName, UnknownVerb, Verb};

/// One `[[grants.NAME.github]]`, compiled.
#[derive(Clone, Debug)]
pub struct Rule {
    repositories: GlobSet,
    allow: Vec<Verb>,
    approve: Vec<Verb>,
    /// `None` if the rule names no refs.
    push: Option<GlobSet>,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRule {
    /// An effect has no such name.
    #[error(transparent)]
    Verb(#[from] UnknownVerb),
    /// A pattern is no glob.
    #[error("`{pattern}` is no pattern: {detail}")]
    Glob {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A pattern of repositories has no slash, and would match none.
    #[error("`{0}` matches no repository: write OWNER/REPO, such as `acme/*`, or `*` for all")]
    NotOwnerAndRepository(String),
    /// A pattern of refs does not begin with `refs/`, and would match none.
    #[error("`{0}` matches no ref: write the whole name, such as `refs/heads/agent/*`")]
    NotARef(String),
}

/// What becomes of a request with an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It goes through.
    Allowed,
    /// A human has to say yes.
    Held,
    /// It does not go through.
    Denied,
}

impl Rule {
    /// Compiles what stands in a grant: globs of repositories, names of effects, globs of refs.
    pub fn compile(
        repositories: &[String],
        allow: &[String],
        push: &[String],
        approve: &[String],
    ) -> Result<Self, BadRule> {
        if let Some(pattern) = repositories.iter().find(|pattern| *pattern != "*" && !pattern.contains('/')) {
            return Err(BadRule::NotOwnerAndRepository(pattern.clone()));
        }
        if let Some(pattern) = push.iter().find(|pattern| *pattern != "*" && !pattern.starts_with("refs/")) {
            return Err(BadRule::NotARef(pattern.clone()));
        }
        Ok(Self {
            repositories: globs(repositories, true)?,
            allow: allow.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
            approve: approve.iter().map(|name| name.parse()).collect::<Result<_, _>>()?,
            push: (!push.is_empty()).then(|| globs(push, false)).transpose()?,
        })
    }

    fn covers(&self, repository: &RepositoryName) -> bool {
        self.repositories.is_match(repository.as_str())
    }

    fn allows(&self, verb: Verb) -> bool {
        self.allow.contains(&verb) || (verb == Verb::ContentsWrite && self.push.is_some())
    }

    /// Whether the verb itself stands in the grant.
    fn names(&self, verb: Verb) -> bool {
        self.allow.contains(&verb) || self.approve.contains(&verb)
    }

    fn holds(&self, verb: Verb) -> bool {
        self.approve.contains(&verb)
    }

    /// Patterns of refs bind every way of moving a ref; without patterns `contents:write` reaches all refs.
    fn reaches(&self, name: Option<&str>) -> bool {
        match (&self.push, name) {
            (Some(push), Some(name)) => push.is_match(name),
            (Some(_), None) => false,
            (None, _) => self.names(Verb::ContentsWrite),
        }
    }

    fn decides(&self, verbs: &[Verb]) -> Decision {
        if !verbs.iter().all(|verb| self.allows(*verb) || self.holds(*verb)) {
            Decision::Denied
        } else if verbs.iter().any(|verb| self.holds(*verb)) {
            Decision::Held
        } else {
            Decision::Allowed
        }
    }
}

/// The rules of all grants of a consumer.
#[derive(Clone, Debug, Default)]
pub struct Rules<'a>(pub Vec<&'a Rule>);

impl Rules<'_> {
    /// A rule that allows is enough, unless another that covers the same asks for a human.
    pub fn decide(&self, effect: &Effect) -> Decision {
        let Some(repository) = effect.repository() else {
            return if self.0.is_empty() { Decision::Denied } else { Decision::Allowed };
        };
        let decisions = self.0.iter().filter(|rule| rule.covers(repository)).map(|rule| rule.decide(effect));
        let best = decisions.clone().min().unwrap_or(Decision::Denied);
        let held = decisions.into_iter().any(|decision| decision == Decision::Held);
        if held { Decision::Held } else { best }
    }

    /// All that is allowed in this repository, if need be after a human's yes.
    pub fn verbs(&self, repository: &RepositoryName) -> BTreeSet<Verb> {
        let rules = self.0.iter().filter(|rule| rule.covers(repository));
        let verbs = rules.flat_map(|rule| Verb::ALL.iter().filter(|verb| rule.allows(**verb) || rule.holds(**verb)));
        verbs.copied().collect()
    }

    /// Whether anything in this repository is granted: what else is refused may then be said.
    pub fn know(&self, repository: &RepositoryName) -> bool {
        self.0.iter().any(|rule| rule.covers(repository))
    }
}

impl Rule {
    fn decide(&self, effect: &Effect) -> Decision {
        match effect {
            Effect::ReadsTheService => Decision::Allowed,
            // Patterns of refs are for refs, and for the objects that they take: not for what is said about commits.
            Effect::Does { verb: Verb::ContentsWrite, .. } if !self.names(Verb::ContentsWrite) => Decision::Denied,
            Effect::Does { verb, .. } => self.decides(&[*verb]),
            Effect::MovesRef { name, .. } if !self.reaches(name.as_deref()) => Decision::Denied,
            Effect::StoresObjects { .. } | Effect::MovesRef { change: RefChange::CreateOrFastForward, .. } => {
                self.decides(&[Verb::ContentsWrite])
            }
            Effect::MovesRef { change: RefChange::Force, .. } => self.decides(&[Verb::ContentsWrite, Verb::RefsForce]),
            Effect::MovesRef { change: RefChange::Delete, .. } => {
                self.decides(&[Verb::ContentsWrite, Verb::RefsDelete])
            }
        }
    }
}

impl Effect {
    /// Where it happens.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::ReadsTheService => None,
            Self::Does { repository, .. } | Self::StoresObjects { repository } | Self::MovesRef { repository, .. } => {
                Some(repository)
            }
        }
    }
}

/// `*` matches any characters, slashes too, as in git's refspecs.
fn globs(patterns: &[String], ignore_case: bool) -> Result<GlobSet, BadRule> {
    let bad = |pattern: &str, error: &globset::Error| BadRule::Glob {
        pattern: pattern.to_owned(),
        detail: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).case_insensitive(ignore_case).build();
        set.add(glob.map_err(|error| bad(pattern, &error))?);
    }
    set.build().map_err(|error| bad(error.glob().unwrap_or_default(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(allow: &[&str], push: &[&str], approve: &[&str]) -> Rule {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        Rule::compile(&owned(&["acme/*"]), &owned(allow), &owned(push), &owned(approve)).unwrap()
    }

    fn does(verb: Verb) -> Effect {
        Effect::Does { verb, repository: "acme/widgets".parse().unwrap() }
    }

    fn moves(name: Option<&str>, change: RefChange) -> Effect {
        Effect::MovesRef { repository: "acme/widgets".parse().unwrap(), name: name.map(str::to_owned), change }
    }

    use RefChange::{CreateOrFastForward, Delete, Force};

    #[test]
    fn what_is_not_named_is_denied() {
        let rule = rule(&["read"], &[], &[]);
        let rules = Rules(vec![&rule]);
        for verb in Verb::ALL {
            let expected = if *verb == Verb::Read { Decision::Allowed } else { Decision::Denied };
            assert_eq!(rules.decide(&does(*verb)), expected, "{verb}");
        }
        let elsewhere = Effect::Does { verb: Verb::Read, repository: "other/widgets".parse().unwrap() };
        assert_eq!(rules.decide(&elsewhere), Decision::Denied);
        assert_eq!(Rules::default().decide(&Effect::ReadsTheService), Decision::Denied);
    }

    #[test]
    fn a_ref_is_moved_only_where_a_pattern_reaches() {
        let rule = rule(&["read"], &["refs/heads/agent/*"], &[]);
        let rules = Rules(vec![&rule]);
        assert_eq!(rules.decide(&moves(Some("refs/heads/agent/a/b"), CreateOrFastForward)), Decision::Allowed);
        for effect in [
            moves(Some("refs/heads/main"), CreateOrFastForward),
            moves(Some("refs/heads/Agent/a"), CreateOrFastForward),
            moves(None, CreateOrFastForward),
            moves(Some("refs/heads/agent/a"), Force),
            moves(Some("refs/heads/agent/a"), Delete),
        ] {
            assert_eq!(rules.decide(&effect), Decision::Denied, "{effect}");
        }
    }

    #[test]
    fn patterns_bind_contents_write_too_and_without_patterns_it_reaches_all_refs() {
        let bound = rule(&["contents:write"], &["refs/heads/agent/*"], &[]);
        assert_eq!(Rules(vec![&bound]).decide(&moves(Some("refs/heads/main"), CreateOrFastForward)), Decision::Denied);
        let free = rule(&["contents:write"], &[], &[]);
        assert_eq!(Rules(vec![&free]).decide(&moves(None, CreateOrFastForward)), Decision::Allowed);
        assert_eq!(Rules(vec![&free]).decide(&moves(Some("refs/heads/main"), Force)), Decision::Denied);
        let forcing = rule(&["contents:write", "refs:force"], &[], &[]);
        assert_eq!(Rules(vec![&forcing]).decide(&moves(Some("refs/heads/main"), Force)), Decision::Allowed);
    }

    #[test]
    fn patterns_let_objects_be_stored_and_nothing_be_said_about_commits() {
        let stores = Effect::StoresObjects { repository: "acme/widgets".parse().unwrap() };
        let (pushing, writing) = (rule(&[], &["refs/heads/agent/*"], &[]), rule(&["contents:write"], &[], &[]));
        let (holding, reading) = (rule(&[], &[], &["contents:write"]), rule(&["read"], &[], &[]));
        for (rule, storing, saying) in [
            (&pushing, Decision::Allowed, Decision::Denied),
            (&writing, Decision::Allowed, Decision::Allowed),
            (&holding, Decision::Held, Decision::Held),
            (&reading, Decision::Denied, Decision::Denied),
        ] {
            let rules = Rules(vec![rule]);
            assert_eq!(
                (rules.decide(&stores), rules.decide(&does(Verb::ContentsWrite))),
                (storing, saying),
                "{rule:?}"
            );
        }
    }

    #[test]
    fn who_asks_for_a_human_wins_over_who_allows() {
        let (allowing, holding) = (rule(&["pulls:merge"], &[], &[]), rule(&[], &[], &["pulls:merge"]));
        assert_eq!(Rules(vec![&allowing, &holding]).decide(&does(Verb::PullsMerge)), Decision::Held);
        assert_eq!(Rules(vec![&holding]).decide(&does(Verb::Read)), Decision::Denied);
    }

    #[test]
    fn a_pattern_that_would_match_nothing_is_refused() {
        let compile = |repositories: &str, push: &str| {
            Rule::compile(&[repositories.to_owned()], &[], &[push.to_owned()], &[]).unwrap_err()
        };
        assert_eq!(compile("acme", "refs/*"), BadRule::NotOwnerAndRepository("acme".to_owned()));
        assert_eq!(compile("acme/*", "main"), BadRule::NotARef("main".to_owned()));
    }
}
