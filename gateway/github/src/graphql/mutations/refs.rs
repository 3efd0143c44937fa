//! Mutations that move refs.

use crate::effect::{Effect, RefChange, RepositoryName};
use crate::graphql::document::Field;
use crate::graphql::input::Input;
use crate::graphql::{GraphqlRefused, GraphqlRequest, MAX_NODES, Need};
use crate::refs;

/// Adds what this mutation does to refs. Returns how many refs that are.
pub(super) fn moved(field: &Field, input: &Input, found: &mut GraphqlRequest) -> Result<usize, GraphqlRefused> {
    use RefChange::{CreateOrFastForward, Delete, Force};
    let forced = |force: &Input| if is_no(force) { CreateOrFastForward } else { Force };
    let input = Given { field, input };
    let (id, need) = match field.name.as_str() {
        "createCommitOnBranch" => return commit(&input.of("branch"), found),
        "updateRefs" => return several(&input, found),
        "mergeBranch" => (input.text("repositoryId")?, moves(Some(input.branch("base")?), CreateOrFastForward)),
        "createRef" => (input.text("repositoryId")?, moves(Some(input.full_name("name")?), CreateOrFastForward)),
        "updateRef" => (input.text("refId")?, Need::MovesIt(forced(input.get("force")))),
        "deleteRef" => (input.text("refId")?, Need::MovesIt(Delete)),
        // A rebased branch has lost its old commits.
        "updatePullRequestBranch" => {
            let method = input.get("updateMethod");
            let merges = method.is_empty() || method.text() == Some("MERGE");
            (input.text("pullRequestId")?, Need::MovesHead(if merges { CreateOrFastForward } else { Force }))
        }
        // GitHub chooses the name of the branch that reverts.
        "revertPullRequest" => (input.text("pullRequestId")?, moves(None, CreateOrFastForward)),
        "createLinkedBranch" => {
            let place = if input.get("repositoryId").is_empty() { "issueId" } else { "repositoryId" };
            let name = if input.get("name").is_empty() { None } else { Some(input.branch("name")?) };
            (input.text(place)?, moves(name, CreateOrFastForward))
        }
        // Unless it is told not to, GitHub merges the default branch into the ref.
        "createDeployment" => {
            let merges = input.get("autoMerge") != &Input::Bool(false);
            let need = if merges { Need::MovesIt(CreateOrFastForward) } else { Need::Does(crate::effect::Verb::Read) };
            (input.text("refId")?, need)
        }
        _ => return Ok(0),
    };
    found.add_node(id, need)?;
    Ok(1)
}

fn moves(name: Option<String>, change: RefChange) -> Need {
    Need::MovesRef { name, change }
}

/// GitHub's default is no; what cannot be read is yes.
fn is_no(force: &Input) -> bool {
    force.is_empty() || force == &Input::Bool(false)
}

/// The branch by its node, by its name, or by both, which then have to be the same: both count.
fn commit(branch: &Given<'_>, found: &mut GraphqlRequest) -> Result<usize, GraphqlRefused> {
    let change = RefChange::CreateOrFastForward;
    branch.only(&["id", "repositoryNameWithOwner", "branchName"])?;
    let (by_id, by_name) = (!branch.get("id").is_empty(), !branch.get("repositoryNameWithOwner").is_empty());
    if by_id {
        found.add_node(branch.text("id")?, Need::MovesIt(change))?;
    }
    if by_name {
        let bad = || branch.field.bad_argument("repositoryNameWithOwner");
        let repository: RepositoryName = branch.text("repositoryNameWithOwner")?.parse().map_err(|_| bad())?;
        found.add(Effect::MovesRef { repository, name: Some(branch.branch("branchName")?), change })?;
    }
    Ok(usize::from(by_id) + usize::from(by_name))
}

fn several(input: &Given<'_>, found: &mut GraphqlRequest) -> Result<usize, GraphqlRefused> {
    let id = input.text("repositoryId")?;
    let updates = input.get("refUpdates").items();
    if updates.len() > MAX_NODES {
        return Err(GraphqlRefused::TooMany);
    }
    for update in &updates {
        let update = Given { field: input.field, input: update };
        update.only(&["name", "afterOid", "beforeOid", "force"])?;
        let deletes = update.text("afterOid")?.bytes().all(|byte| byte == b'0');
        let change = match (deletes, is_no(update.get("force"))) {
            (true, _) => RefChange::Delete,
            (false, true) => RefChange::CreateOrFastForward,
            (false, false) => RefChange::Force,
        };
        found.add_node(id, moves(Some(update.full_name("name")?), change))?;
    }
    Ok(updates.len())
}

/// A part of the input, and whose it is.
struct Given<'a> {
    field: &'a Field,
    input: &'a Input,
}

impl<'a> Given<'a> {
    fn get(&self, name: &str) -> &'a Input {
        self.input.get(name)
    }

    fn of(&self, name: &str) -> Self {
        Self { field: self.field, input: self.get(name) }
    }

    fn text(&self, name: &str) -> Result<&'a str, GraphqlRefused> {
        self.get(name).text().ok_or_else(|| self.field.bad_argument(name))
    }

    fn only(&self, known: &[&str]) -> Result<(), GraphqlRefused> {
        let fields = self.input.fields().ok_or_else(|| self.field.bad_argument("input"))?;
        match fields.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(self.field.bad_argument(name)),
            None => Ok(()),
        }
    }

    /// The full name of the branch.
    fn branch(&self, name: &str) -> Result<String, GraphqlRefused> {
        refs::branch(self.text(name)?).map_err(|_| self.field.bad_argument(name))
    }

    fn full_name(&self, name: &str) -> Result<String, GraphqlRefused> {
        refs::whole(self.text(name)?).map_err(|_| self.field.bad_argument(name))
    }
}
