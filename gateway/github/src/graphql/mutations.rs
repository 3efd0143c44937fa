//! Mutations: one table says what each does and lists all of its input. What is not in the table is refused.
//! <https://docs.github.com/en/graphql/reference/mutations>

mod refs;
mod table;

use crate::effect::Verb;

use super::document::{Document, Field};
use super::input::Input;
use super::{GraphqlRefused, GraphqlRequest, MAX_NODES, Need, reading};
use table::TABLE;

/// A mutation and its input.
struct Mutation {
    name: &'static str,
    /// Input fields with ids of nodes in repositories.
    nodes: &'static [(&'static str, Use)],
    /// All others: they name no node, or only accounts, teams and types of issues. Fields of refs are read in [`refs`].
    others: &'static [&'static str],
}

/// What is done with a node that the input names.
#[derive(Clone, Copy)]
enum Use {
    Does(Verb),
    Converses,
}

/// What a mutation does.
pub(super) fn mutation(document: &Document) -> Result<GraphqlRequest, GraphqlRefused> {
    let mut found = GraphqlRequest::default();
    for field in document.fields(&document.selections, 0)? {
        if field.name != "__typename" {
            one(field, &mut found)?;
        }
        found = reading::payload(document, field, found)?;
    }
    Ok(found)
}

fn one(field: &Field, found: &mut GraphqlRequest) -> Result<(), GraphqlRefused> {
    let unknown = || GraphqlRefused::Mutation(field.name.clone());
    let mutation = TABLE.iter().find(|mutation| mutation.name == field.name).ok_or_else(unknown)?;
    field.only(&["input"])?;
    let input = field.argument("input");
    let mut named = 0;
    for (name, value) in input.fields().ok_or_else(|| field.bad_argument("input"))? {
        match mutation.nodes.iter().find(|(node, _)| node == name) {
            Some((_, what)) => named += nodes(field, name, value, *what, found)?,
            None if name == "clientMutationId" || mutation.others.contains(&name.as_str()) => {}
            // Projects are of accounts, and refused; clients say that there are none.
            None if name == "projectIds" && value.ids().is_some_and(|ids| ids.is_empty()) => {}
            None => return Err(field.bad_argument(name)),
        }
    }
    if field.name == "createPullRequest" {
        check_head(field, input)?;
    }
    let moved = refs::moved(field, input, found)?;
    // Without a node the effects would not say where it happens.
    if named + moved == 0 { Err(field.bad_argument("input")) } else { Ok(()) }
}

/// A pull request shows the commits of its head. `OWNER:BRANCH` means some fork, of whatever name, unless the repository is named.
fn check_head(field: &Field, input: &Input) -> Result<(), GraphqlRefused> {
    let head = input.get("headRefName");
    let here = head.is_empty() || head.text().is_some_and(|head| !head.contains(':'));
    if here || input.get("headRepositoryId").text().is_some() {
        Ok(())
    } else {
        Err(field.bad_argument("headRepositoryId"))
    }
}

fn nodes(
    field: &Field,
    name: &str,
    value: &Input,
    what: Use,
    found: &mut GraphqlRequest,
) -> Result<usize, GraphqlRefused> {
    let ids = value.ids().ok_or_else(|| field.bad_argument(name))?;
    if ids.len() > MAX_NODES {
        return Err(GraphqlRefused::TooMany);
    }
    for id in &ids {
        found.add_node(
            id,
            match what {
                Use::Does(verb) => Need::Does(verb),
                Use::Converses => Need::Converses,
            },
        )?;
    }
    // What is only read does not say where the mutation writes.
    Ok(if matches!(what, Use::Does(Verb::Read)) { 0 } else { ids.len() })
}

#[cfg(test)]
mod tests;
