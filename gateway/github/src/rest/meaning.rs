//! What a request does where the row alone does not tell: refs that it moves, other repositories that it reads.

use crate::effect::{Effect, RefChange, RepositoryName, Verb};
use crate::refs;
use crate::rest::body::Fields;
use crate::rest::refused::RestRefused;

/// What decides, and how.
#[derive(Debug)]
pub(super) struct Meaning {
    /// The keys of the body that decide.
    pub(super) keys: &'static [&'static str],
    /// Whether clients may send them in the query.
    pub(super) in_query: bool,
    /// Reads them.
    pub(super) effects: fn(&Asked<'_>) -> Result<Vec<Effect>, RestRefused>,
}

/// A request to a row that [`Meaning`] explains.
pub(super) struct Asked<'a> {
    /// Of the path.
    pub(super) repository: &'a RepositoryName,
    /// What fills the first hole of the template, or nothing.
    pub(super) hole: &'a str,
    /// What the body says.
    pub(super) fields: &'a Fields,
}

const fn meaning(
    keys: &'static [&'static str],
    effects: fn(&Asked<'_>) -> Result<Vec<Effect>, RestRefused>,
) -> Meaning {
    Meaning { keys, in_query: false, effects }
}

/// No ref leads to it yet.
pub(super) static STORE_OBJECT: Meaning =
    meaning(&[], |asked| Ok(vec![Effect::StoresObjects { repository: asked.repository.clone() }]));

pub(super) static CREATE_REF: Meaning = meaning(&["ref"], |asked| {
    let name = refs::whole(&asked.fields.needed("ref")?)?;
    Ok(vec![asked.moves(Some(name), RefChange::CreateOrFastForward)])
});

/// Without `force`, GitHub itself takes only what contains the old commit.
pub(super) static UPDATE_REF: Meaning = meaning(&["force"], |asked| {
    let forced = asked.fields.truth("force").unwrap_or(false);
    let change = if forced { RefChange::Force } else { RefChange::CreateOrFastForward };
    Ok(vec![asked.moves(Some(asked.ref_of_the_path()?), change)])
});

pub(super) static DELETE_REF: Meaning =
    meaning(&[], |asked| Ok(vec![asked.moves(Some(asked.ref_of_the_path()?), RefChange::Delete)]));

/// Without `branch` it is the default branch, whose name the request does not tell.
pub(super) static CHANGE_FILE: Meaning = meaning(&["branch"], change_file);

/// Clients send the branch of a deletion in the query or in the body.
pub(super) static DELETE_FILE: Meaning = Meaning { keys: &["branch"], in_query: true, effects: change_file };

fn change_file(asked: &Asked<'_>) -> Result<Vec<Effect>, RestRefused> {
    let branch = asked.fields.text("branch")?.map(|name| refs::branch(&name)).transpose()?;
    Ok(vec![asked.moves(branch, RefChange::CreateOrFastForward)])
}

pub(super) static MERGE_BRANCH: Meaning = meaning(&["base"], |asked| {
    let base = refs::branch(&asked.fields.needed("base")?)?;
    Ok(vec![asked.moves(Some(base), RefChange::CreateOrFastForward)])
});

pub(super) static MERGE_UPSTREAM: Meaning = meaning(&["branch"], |asked| {
    let branch = refs::branch(&asked.fields.needed("branch")?)?;
    Ok(vec![asked.moves(Some(branch), RefChange::CreateOrFastForward)])
});

pub(super) static RENAME_BRANCH: Meaning = meaning(&["new_name"], |asked| {
    let (old, new) = (refs::branch(asked.hole)?, refs::branch(&asked.fields.needed("new_name")?)?);
    Ok(vec![asked.moves(Some(old), RefChange::Delete), asked.moves(Some(new), RefChange::CreateOrFastForward)])
});

/// A release makes its tag where there is none.
pub(super) static CREATE_RELEASE: Meaning = meaning(&["tag_name", "discussion_category_name"], |asked| {
    let tag = refs::tag(&asked.fields.needed("tag_name")?)?;
    Ok(asked.release(Some(asked.makes(Some(tag)))))
});

/// Publishing a draft makes the tag that the draft names, which the request need not tell.
pub(super) static UPDATE_RELEASE: Meaning = meaning(&["tag_name", "draft", "discussion_category_name"], |asked| {
    let tag = asked.fields.text("tag_name")?.map(|name| refs::tag(&name)).transpose()?;
    let publishes = asked.fields.raw("draft").is_some_and(|raw| raw != "true");
    let makes = tag.is_some() || publishes;
    Ok(asked.release(makes.then(|| asked.makes(tag))))
});

/// GitHub merges the default branch into the deployed one first, unless it is told not to.
pub(super) static DEPLOY: Meaning = meaning(&["ref", "auto_merge"], |asked| {
    let name = asked.fields.needed("ref")?;
    let mut effects = vec![asked.does(Verb::DeploymentsWrite)];
    if asked.fields.truth("auto_merge") != Some(false) {
        effects.push(asked.moves(Some(refs::branch_or_whole(&name)?), RefChange::CreateOrFastForward));
    }
    Ok(effects)
});

pub(super) static COMMIT_AUTOFIX: Meaning = meaning(&["target_ref"], |asked| {
    let target = asked.fields.text("target_ref")?.map(|name| refs::branch_or_whole(&name)).transpose()?;
    Ok(vec![asked.does(Verb::SecurityWrite), asked.moves(target, RefChange::CreateOrFastForward)])
});

/// An issue may be closed as the duplicate of one anywhere.
pub(super) static UPDATE_ISSUE: Meaning = meaning(&["duplicate_issue_id"], |asked| {
    if asked.fields.raw("duplicate_issue_id").is_some() {
        return Err(RestRefused::NamesById);
    }
    Ok(vec![asked.does(Verb::IssuesWrite)])
});

/// The branch, and in a fork even the repository, is the pull request's and not told.
pub(super) static UPDATE_PULL_BRANCH: Meaning =
    meaning(&[], |asked| Ok(vec![asked.does(Verb::PullsWrite), asked.moves(None, RefChange::CreateOrFastForward)]));

/// A pull request shows the commits of its head, which may be in another repository.
pub(super) static OPEN_PULL: Meaning = meaning(&["head", "head_repo"], |asked| {
    let head = asked.fields.text("head")?.unwrap_or_default();
    let from = asked.fields.text("head_repo")?;
    let owner = head.split_once(':').map_or(asked.owner(), |(owner, _)| owner);
    let mut effects = vec![asked.does(Verb::PullsWrite)];
    match from {
        Some(name) => effects.push(read(RepositoryName::new(owner, &name)?)),
        None if owner.eq_ignore_ascii_case(asked.owner()) => {}
        None => return Err(RestRefused::OtherRepositoryUnnamed),
    }
    Ok(effects)
});

/// Either side may be `OWNER:REPO:BRANCH`. `OWNER:BRANCH` means some fork, of whatever name.
pub(super) static COMPARE: Meaning = meaning(&[], |asked| {
    let sides = asked.hole.split_once("...").filter(|(base, head)| !base.contains("..") && !head.contains(".."));
    let (base, head) = sides.ok_or(RestRefused::Comparison)?;
    let mut effects = vec![asked.does(Verb::Read)];
    for side in [base, head] {
        match *side.splitn(3, ':').collect::<Vec<_>>() {
            [_] => {}
            [owner, _] if owner.eq_ignore_ascii_case(asked.owner()) => {}
            [owner, repository, _] => effects.push(read(RepositoryName::new(owner, repository)?)),
            _ => return Err(RestRefused::OtherRepositoryUnnamed),
        }
    }
    Ok(effects)
});

/// Reading a repository.
pub(super) fn read(repository: RepositoryName) -> Effect {
    Effect::Does { verb: Verb::Read, repository }
}

impl Asked<'_> {
    pub(super) fn does(&self, verb: Verb) -> Effect {
        Effect::Does { verb, repository: self.repository.clone() }
    }

    fn moves(&self, name: Option<String>, change: RefChange) -> Effect {
        Effect::MovesRef { repository: self.repository.clone(), name, change }
    }

    fn owner(&self) -> &str {
        self.repository.as_str().split_once('/').map_or("", |(owner, _)| owner)
    }

    fn ref_of_the_path(&self) -> Result<String, RestRefused> {
        Ok(refs::whole(&format!("refs/{}", self.hole))?)
    }

    /// A release, the tag that it may make and the discussion that it may open.
    fn release(&self, tag: Option<Effect>) -> Vec<Effect> {
        let discussion = self.fields.raw("discussion_category_name").map(|_| self.does(Verb::DiscussionsWrite));
        [Some(self.does(Verb::ReleasesWrite)), tag, discussion].into_iter().flatten().collect()
    }

    fn makes(&self, tag: Option<String>) -> Effect {
        self.moves(tag, RefChange::CreateOrFastForward)
    }
}
