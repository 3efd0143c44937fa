//! Searches that are confined to named repositories.
//!
//! GitHub joins several scopes (`repo:`, `org:`, `user:`) by OR, and its newer search knows boolean operators, so what
//! could widen a search is refused: other scopes, operators, parentheses, and a scope at any place where GitHub might
//! read it and we would not (in quotes, negated, within a word).
//! <https://docs.github.com/en/search-github/searching-on-github/searching-issues-and-pull-requests>

use crate::effect::RepositoryName;

use super::GraphqlRefused;

/// Qualifiers that name a scope.
const SCOPES: [&str; 6] = ["repo:", "org:", "user:", "owner:", "enterprise:", "network:"];
/// Words that join terms.
const OPERATORS: [&str; 3] = ["or", "not", "and"];

/// The repositories to which a search is confined: at least one.
pub(super) fn repositories(query: &str) -> Result<Vec<RepositoryName>, GraphqlRefused> {
    if query.chars().any(char::is_control) {
        return Err(GraphqlRefused::Search("there is a control character"));
    }
    let terms = terms(query)?;
    if terms.iter().any(|term| OPERATORS.contains(&term.to_ascii_lowercase().as_str())) {
        return Err(GraphqlRefused::Search("AND, OR and NOT are not taken"));
    }
    let named: Vec<&str> = terms.iter().filter_map(|term| term.strip_prefix("repo:")).collect();
    // Case folding can turn other letters into ASCII ones.
    let folded = query.to_lowercase();
    let scopes: usize = SCOPES.iter().map(|scope| folded.matches(scope).count()).sum();
    if named.is_empty() || scopes != named.len() {
        return Err(GraphqlRefused::Search("only `repo:` may say where, each as a word of its own"));
    }
    let parsed = named.iter().map(|name| name.parse());
    parsed.collect::<Result<_, _>>().map_err(|_| GraphqlRefused::Search("a `repo:` names no repository"))
}

/// Words, with what is in quotes taken out. Quotes have to open at a word's beginning or after `:`, and to close at
/// its end.
fn terms(query: &str) -> Result<Vec<String>, GraphqlRefused> {
    let unclear = GraphqlRefused::Search("quotes, parentheses or backslashes are not clear");
    let (mut terms, mut quoted) = (Vec::new(), false);
    for word in query.split(' ') {
        if word.contains(['(', ')', '|', '\\']) && !quoted {
            return Err(unclear);
        }
        let quotes = word.matches('"').count();
        let opens = word.starts_with('"') || word.contains(":\"");
        let fits = match (quoted, quotes) {
            (_, 0) => true,
            (false, 1) => opens,
            (false, 2) => opens && word.ends_with('"'),
            (true, 1) => word.ends_with('"'),
            _ => false,
        };
        if !fits {
            return Err(unclear);
        }
        if !quoted && quotes == 0 && !word.is_empty() {
            terms.push(word.to_owned());
        }
        quoted ^= quotes == 1;
    }
    if quoted { Err(unclear) } else { Ok(terms) }
}
