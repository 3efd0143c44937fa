//! Queries: which root fields may be read, and the walk below them.

use crate::effect::{Effect, RepositoryName, Verb};
use crate::rest::search;

use super::document::{Document, Field, Selection};
use super::fields::{self, ELSEWHERE_ARGUMENTS, Leads};
use super::input::Input;
use super::{GraphqlRefused, GraphqlRequest, Need};

/// What a query reads.
pub(super) fn query(document: &Document) -> Result<GraphqlRequest, GraphqlRefused> {
    let mut walk = Walk { document, found: GraphqlRequest::default() };
    for field in document.fields(&document.selections, 0)? {
        walk.root(field)?;
    }
    Ok(walk.found)
}

/// What is asked of a mutation's payload: ids in arguments, and nothing that leads out of the repository.
pub(super) fn payload(
    document: &Document,
    field: &Field,
    found: GraphqlRequest,
) -> Result<GraphqlRequest, GraphqlRefused> {
    let mut walk = Walk { document, found };
    walk.within(field.below(), 1)?;
    Ok(walk.found)
}

struct Walk<'a> {
    document: &'a Document,
    found: GraphqlRequest,
}

impl Walk<'_> {
    fn root(&mut self, field: &Field) -> Result<(), GraphqlRefused> {
        match field.name.as_str() {
            "__typename" => self.found.add(Effect::ReadsTheService),
            "__schema" | "__type" | "codeOfConduct" | "codesOfConduct" | "license" | "licenses" | "meta"
            | "rateLimit" => {
                self.service(field.below(), 1)?;
                self.found.add(Effect::ReadsTheService)
            }
            "viewer" => self.account(field, None),
            "user" | "organization" | "repositoryOwner" => self.account(field, Some(field.text("login")?)),
            "repository" => {
                field.only(&["owner", "name", "followRenames"])?;
                self.repository(field.text("owner")?, field)
            }
            "resource" => {
                field.only(&["url"])?;
                let repository = repository_of_url(field.text("url")?).ok_or_else(|| field.bad_argument("url"))?;
                self.read(repository, field)
            }
            "node" => self.nodes(field, "id"),
            "nodes" => self.nodes(field, "ids"),
            "search" => self.search(field),
            _ => Err(GraphqlRefused::Query(field.name.clone())),
        }
    }

    /// Below a field that belongs to no repository, as the schema: it leads nowhere, but is walked for its depth.
    fn service(&self, selections: &[Selection], depth: usize) -> Result<(), GraphqlRefused> {
        for field in self.document.fields(selections, depth)? {
            self.service(field.below(), depth + 1)?;
        }
        Ok(())
    }

    /// An account: its profile's scalars, and its repositories one by one.
    fn account(&mut self, field: &Field, login: Option<&str>) -> Result<(), GraphqlRefused> {
        field.only(&["login"])?;
        self.found.add(Effect::ReadsTheService)?;
        for child in self.document.fields(field.below(), 1)? {
            match (login, child.name.as_str()) {
                (Some(login), "repository") if child.selections.is_some() => {
                    child.only(&["name", "followRenames"])?;
                    self.repository(login, child)?;
                }
                _ if child.selections.is_none() => elsewhere_scalar(child)?,
                _ => return Err(GraphqlRefused::Field(child.name.clone())),
            }
        }
        Ok(())
    }

    fn repository(&mut self, owner: &str, field: &Field) -> Result<(), GraphqlRefused> {
        let repository = RepositoryName::new(owner, field.text("name")?).map_err(|_| field.bad_argument("name"))?;
        self.read(repository, field)
    }

    fn read(&mut self, repository: RepositoryName, field: &Field) -> Result<(), GraphqlRefused> {
        self.found.add(Effect::Does { verb: Verb::Read, repository })?;
        self.within(field.below(), 1)
    }

    fn nodes(&mut self, field: &Field, argument: &str) -> Result<(), GraphqlRefused> {
        field.only(&[argument])?;
        let ids = field.argument(argument).ids().filter(|ids| !ids.is_empty());
        for id in ids.ok_or_else(|| field.bad_argument(argument))? {
            self.found.add_node(id, Need::Does(Verb::Read))?;
        }
        self.within(field.below(), 1)
    }

    fn search(&mut self, field: &Field) -> Result<(), GraphqlRefused> {
        field.only(&["query", "type", "first", "last", "after", "before"])?;
        if !matches!(field.text("type")?, "ISSUE" | "ISSUE_ADVANCED") {
            return Err(GraphqlRefused::SearchType);
        }
        for repository in search::bound_to(field.text("query")?).map_err(GraphqlRefused::Search)? {
            self.found.add(Effect::Does { verb: Verb::Read, repository })?;
        }
        self.within(field.below(), 1)
    }

    /// Below an object that is in a repository whose reading counts already.
    fn within(&mut self, selections: &[Selection], depth: usize) -> Result<(), GraphqlRefused> {
        for field in self.document.fields(selections, depth)? {
            for (name, value) in &field.arguments {
                self.ids(name, value)?;
            }
            let refused = || GraphqlRefused::Field(field.name.clone());
            match &field.selections {
                None if fields::is_readable(&field.name) => {}
                None => return Err(refused()),
                Some(below) => match fields::leads(&field.name).ok_or_else(refused)? {
                    Leads::Within => self.within(below, depth + 1)?,
                    Leads::Elsewhere => self.elsewhere(&field.name, below, depth + 1)?,
                },
            }
        }
        Ok(())
    }

    /// Below an object that may be in another repository, or in none.
    fn elsewhere(&self, of: &str, selections: &[Selection], depth: usize) -> Result<(), GraphqlRefused> {
        for field in self.document.fields(selections, depth)? {
            match &field.selections {
                // How the projects are called that an issue is in.
                None if of == "project" && field.name == "title" => {}
                None => elsewhere_scalar(field)?,
                Some(below) if fields::is_elsewhere_object(&field.name) => {
                    field.only(ELSEWHERE_ARGUMENTS)?;
                    self.elsewhere(&field.name, below, depth + 1)?;
                }
                Some(_) => return Err(GraphqlRefused::Field(field.name.clone())),
            }
        }
        Ok(())
    }

    /// Arguments can name nodes too (`isRequired(pullRequestId:)`): what they name is read.
    fn ids(&mut self, name: &str, value: &Input) -> Result<(), GraphqlRefused> {
        let items = value.items();
        self.document.spend(items.len())?;
        for (name, value) in items.into_iter().flat_map(|item| item.fields().unwrap_or_default()) {
            self.ids(name, value)?;
        }
        // `appId` is an app's number, in filters of checks.
        let names_nodes = matches!(name, "id" | "ids") || name.ends_with("Id") || name.ends_with("Ids");
        if !names_nodes || name == "appId" {
            return Ok(());
        }
        let bad = || GraphqlRefused::Argument { field: "a field".to_owned(), argument: name.to_owned() };
        for id in value.ids().ok_or_else(bad)? {
            self.found.add_node(id, Need::Does(Verb::Read))?;
        }
        Ok(())
    }
}

fn elsewhere_scalar(field: &Field) -> Result<(), GraphqlRefused> {
    field.only(ELSEWHERE_ARGUMENTS)?;
    if fields::is_elsewhere_scalar(&field.name) { Ok(()) } else { Err(GraphqlRefused::Field(field.name.clone())) }
}

/// The repository of `https://HOST/OWNER/REPO`, of one of its issues and the like. GitHub resolves its own host only,
/// so the host is not compared.
fn repository_of_url(url: &str) -> Option<RepositoryName> {
    let path = url.strip_prefix("https://")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte);
    if !path.bytes().all(allowed) || path.contains("..") || path.contains("//") {
        return None;
    }
    let mut parts = path.split('/');
    let (_host, owner, repository) = (parts.next()?, parts.next()?, parts.next()?);
    let kind = parts.next();
    let known = ["issues", "pull", "commit", "releases", "discussions", "milestone", "tree", "blob"];
    let fits = kind.is_none_or(|kind| known.contains(&kind));
    if fits { RepositoryName::new(owner, repository).ok() } else { None }
}
