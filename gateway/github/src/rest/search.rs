//! Searches, which are served only where they are bound to repositories, in a form that reads in one way.
//!
//! GitHub joins `repo:`, `org:` and `user:` by "or", takes quoted text for text, and knows `OR`, `NOT` and parentheses.
//! So only plain words, quoted or not, and qualifiers that can but narrow a search pass.

use crate::effect::RepositoryName;
use crate::rest::query::Query;
use crate::rest::refused::RestRefused;

const PARAMETERS: &[&str] = &["q", "sort", "order", "per_page", "page", "advanced_search"];

/// Qualifiers that never widen a search.
const NARROWING: &[&str] = &[
    "archived",
    "assignee",
    "author",
    "author-date",
    "author-email",
    "author-name",
    "closed",
    "commenter",
    "comments",
    "committer",
    "committer-date",
    "committer-email",
    "committer-name",
    "created",
    "draft",
    "extension",
    "filename",
    "hash",
    "in",
    "interactions",
    "involves",
    "is",
    "label",
    "language",
    "mentions",
    "merge",
    "merged",
    "milestone",
    "no",
    "parent",
    "path",
    "reactions",
    "reason",
    "review",
    "review-requested",
    "reviewed-by",
    "sha",
    "size",
    "sort",
    "state",
    "status",
    "tree",
    "type",
    "updated",
];

/// The repositories that a search is bound to, at least one.
pub(super) fn repositories(query: &Query) -> Result<Vec<RepositoryName>, RestRefused> {
    if query.names().any(|name| !PARAMETERS.contains(&name)) {
        return Err(RestRefused::Search("a parameter is not one of `q`, `sort`, `order`, `per_page` and `page`"));
    }
    bound_to(query.once("q")?.unwrap_or_default())
}

/// The repositories that the text of a search is bound to, at least one. GraphQL's search takes the same text.
pub(crate) fn bound_to(text: &str) -> Result<Vec<RepositoryName>, RestRefused> {
    let strange = |c: char| (c.is_whitespace() && c != ' ') || c.is_control() || "'`()\\".contains(c);
    if text.contains(strange) {
        return Err(RestRefused::Search("apostrophes, parentheses, backslashes and blanks but spaces do not pass"));
    }
    let parts: Vec<&str> = text.split('"').collect();
    check_quotes(&parts)?;
    let bare = parts.iter().step_by(2).flat_map(|part| words(part));
    let named: Vec<_> = bare.filter_map(|word| repository(word).transpose()).collect::<Result<_, _>>()?;
    if named.is_empty() { Err(RestRefused::Search("it names none")) } else { Ok(named) }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

/// Quoted text has to be plain words: the search stays bound whether a server minds the quotes or not.
fn check_quotes(parts: &[&str]) -> Result<(), RestRefused> {
    let opens = |before: &str| {
        let last = before.rsplit(' ').next().unwrap_or_default();
        last.strip_suffix(':').map_or(last.is_empty(), |key| NARROWING.contains(&key))
    };
    let closes = |after: &str| after.is_empty() || after.starts_with(' ');
    let plain = |quoted: &str| words(quoted).all(|word| !word.contains(':') && matches!(repository(word), Ok(None)));
    let good = |three: &[&str]| opens(three[0]) && plain(three[1]) && closes(three[2]);
    // Two quotes in a row stand for one in some grammars.
    let doubled = parts.windows(3).any(|three| three[1].is_empty());
    if parts.len() % 2 == 1 && !doubled && parts.windows(3).step_by(2).all(good) {
        Ok(())
    } else {
        Err(RestRefused::Search("quotes stand around plain words alone, or behind the colon of a qualifier"))
    }
}

/// The repository that a word of the search names, if it is no other word that may pass.
fn repository(word: &str) -> Result<Option<RepositoryName>, RestRefused> {
    if ["OR", "AND", "NOT"].iter().any(|operator| word.eq_ignore_ascii_case(operator)) {
        return Err(RestRefused::Search("`OR`, `AND` and `NOT` do not pass"));
    }
    if !word.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '#' | '_' | '@')) {
        return Err(RestRefused::Search("a word begins with a sign that could be an operator"));
    }
    match word.split_once(':') {
        None => Ok(None),
        Some(("repo", name)) => Ok(Some(name.parse()?)),
        Some((key, _)) if NARROWING.contains(&key) => Ok(None),
        Some(_) => Err(RestRefused::Search("a word has a colon and is no qualifier that only narrows a search")),
    }
}
