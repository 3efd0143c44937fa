//! What is served beside `/repos/{owner}/{repo}`: what tells of no repository, and searches bound to repositories.

use crate::effect::{Effect, RepositoryName};
use crate::rest::body::Fields;
use crate::rest::meaning::read;
use crate::rest::method::Method::{self, Get, Post};
use crate::rest::query::Query;
use crate::rest::refused::RestRefused;
use crate::rest::route::fit;
use crate::rest::search;

/// Methods, the path below `/api/v3/`, and what that does.
type Row = (&'static [Method], &'static str, What);

#[derive(Clone, Copy, Debug)]
enum What {
    /// It tells of no repository.
    Tells,
    /// It renders text; a `context` is a repository that names in the text are looked up in.
    Renders,
    /// It renders text that is sent as it is.
    RendersPlain,
    /// It finds what its `repo:` name.
    Searches,
}

const ROWS: &[Row] = &[
    (&[Get], "", What::Tells),
    (&[Get], "advisories", What::Tells),
    (&[Get], "advisories/{ghsa}", What::Tells),
    (&[Get], "codes_of_conduct", What::Tells),
    (&[Get], "codes_of_conduct/{key}", What::Tells),
    (&[Get], "emojis", What::Tells),
    (&[Get], "gitignore/templates", What::Tells),
    (&[Get], "gitignore/templates/{name}", What::Tells),
    (&[Get], "licenses", What::Tells),
    (&[Get], "licenses/{license}", What::Tells),
    (&[Post], "markdown", What::Renders),
    (&[Post], "markdown/raw", What::RendersPlain),
    (&[Get], "meta", What::Tells),
    (&[Get], "octocat", What::Tells),
    (&[Get], "rate_limit", What::Tells),
    (&[Get], "search/code", What::Searches),
    (&[Get], "search/commits", What::Searches),
    (&[Get], "search/issues", What::Searches),
    (&[Get], "user", What::Tells),
    (&[Get], "users/{user}", What::Tells),
    (&[Get], "versions", What::Tells),
    (&[Get], "zen", What::Tells),
];

/// First segments of paths that tell of, or reach, many repositories.
const MANY: &[&str] = &[
    "app",
    "enterprise",
    "enterprises",
    "events",
    "feeds",
    "gists",
    "installation",
    "issues",
    "networks",
    "notifications",
    "organizations",
    "orgs",
    "repositories",
    "search",
    "teams",
];

/// First segments of paths about accounts.
const ACCOUNTS: &[&str] = &["user", "users", "authorizations", "applications", "credentials"];

/// Its template and effects.
pub(super) fn find(
    method: Method,
    segments: &[String],
    query: &Query,
    body: Option<&[u8]>,
) -> Result<(&'static str, Vec<Effect>), RestRefused> {
    let fits = |row: &&Row| row.0.contains(&method) && fit(row.1, segments).is_some();
    let Some((_, template, what)) = ROWS.iter().find(fits) else { return Err(unknown(segments)) };
    let effects = match what {
        What::Tells | What::RendersPlain => vec![Effect::ReadsTheService],
        What::Renders => render(body)?,
        What::Searches => search::repositories(query)?.into_iter().map(read).collect(),
    };
    Ok((template, effects))
}

/// Whether a body need not be JSON.
pub(super) fn is_plain_text(segments: &[String]) -> bool {
    ROWS.iter().any(|(_, template, what)| matches!(what, What::RendersPlain) && fit(template, segments).is_some())
}

fn render(body: Option<&[u8]>) -> Result<Vec<Effect>, RestRefused> {
    let fields = Fields::read(body, &["context"])?;
    let context = fields.text("context")?.filter(|context| !context.is_empty());
    let repository = context.map(|context| context.parse::<RepositoryName>()).transpose()?;
    Ok(vec![repository.map_or(Effect::ReadsTheService, read)])
}

fn unknown(segments: &[String]) -> RestRefused {
    let first = segments.first().map_or("", String::as_str);
    let of_one_account = segments.get(2).map_or("", String::as_str);
    let lists_repositories = matches!(of_one_account, "repos" | "events" | "received_events");
    if MANY.contains(&first) || lists_repositories || segments == ["user", "repos"] {
        RestRefused::ReachesOtherRepositories
    } else if ACCOUNTS.contains(&first) {
        RestRefused::Account
    } else {
        RestRefused::UnknownRoute
    }
}
