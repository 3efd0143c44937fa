//! What a request to GitHub's REST API does.
//!
//! It takes the request as the gateway read it and gives every effect that it has, or says why it is refused. What is
//! not in the table is refused: see `rest/table.rs`. See <https://docs.github.com/en/rest>.

use percent_encoding::percent_decode_str;

use crate::effect::{Effect, RepositoryName, Verb};

mod body;
mod meaning;
mod method;
mod query;
mod refused;
mod route;
pub(crate) mod search;
mod service;
mod table;

use body::Fields;
use meaning::{Asked, Meaning};
use method::Method;
use query::Query;
pub use refused::RestRefused;
use route::{What, Why, fit};

/// A request, as far as it decides what is done.
///
/// The gateway takes care of what is not here: it passes no `X-HTTP-Method-Override` header, and forwards the path,
/// query and body of exactly this request.
#[derive(Clone, Copy, Debug)]
pub struct RestCall<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Below `/api/v3` (or `/api/uploads`), beginning with a slash unless it is empty; may have percent-encoded parts.
    pub path: &'a str,
    /// Without the question mark.
    pub query: Option<&'a str>,
    /// A copy of the whole body; `None` only if there is none.
    pub body: Option<&'a [u8]>,
}

/// A request that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestRequest {
    /// All that it does, at least one; each has to be allowed.
    pub effects: Vec<Effect>,
    /// The template that it fits, for meters and audit: below `/repos/{owner}/{repo}/` if `of_repository`.
    pub route: &'static str,
    /// Whether the path names a repository.
    pub of_repository: bool,
}

impl RestRequest {
    /// Reads a request below `/api/v3`.
    pub fn read(call: &RestCall<'_>) -> Result<Self, RestRefused> {
        let method = Method::parse(call.method).ok_or(RestRefused::Method)?;
        let segments = segments(call.path)?;
        let query = Query::parse(call.query)?;
        if method == Method::Get && call.body.is_some_and(|body| !body.trim_ascii().is_empty()) {
            return Err(RestRefused::BodyOfARead);
        }
        match segments.as_slice() {
            [first, owner, repository, rest @ ..] if first == "repos" => {
                let repository = RepositoryName::new(owner, repository)?;
                of_repository(method, &repository, rest, &query, call.body)
            }
            segments => of_service(method, segments, &query, call.body),
        }
    }

    /// Reads a request below `/api/uploads`, whose body is a file: the asset of a release.
    pub fn read_upload(call: &RestCall<'_>) -> Result<Self, RestRefused> {
        const ROUTE: &str = "releases/{n}/assets";
        let method = Method::parse(call.method).ok_or(RestRefused::Method)?;
        Query::parse(call.query)?;
        let segments = segments(call.path)?;
        match segments.as_slice() {
            [first, owner, repository, rest @ ..] if first == "repos" => {
                let repository = RepositoryName::new(owner, repository)?;
                if method != Method::Post || fit(ROUTE, rest).is_none() {
                    return Err(RestRefused::UnknownRoute);
                }
                let effects = vec![Effect::Does { verb: Verb::ReleasesWrite, repository }];
                Ok(Self { effects, route: ROUTE, of_repository: true })
            }
            _ => Err(RestRefused::UnknownRoute),
        }
    }
}

fn of_service(
    method: Method,
    segments: &[String],
    query: &Query,
    body: Option<&[u8]>,
) -> Result<RestRequest, RestRefused> {
    let (route, effects) = service::find(method, segments, query, body)?;
    if !service::is_plain_text(segments) {
        Fields::read(body, &[])?;
    }
    Ok(RestRequest { effects, route, of_repository: false })
}

fn of_repository(
    method: Method,
    repository: &RepositoryName,
    rest: &[String],
    query: &Query,
    body: Option<&[u8]>,
) -> Result<RestRequest, RestRefused> {
    let found = table::find(method, rest);
    let route = found.first().ok_or(RestRefused::UnknownRoute)?.template;
    let mut effects: Vec<Effect> = Vec::new();
    for row in found {
        let meaning = match row.what {
            What::Asks(meaning) => Some(meaning),
            What::Does(_) => None,
            What::Refused(why) => return Err(why.into()),
        };
        let fields = fields(meaning, query, body)?;
        let hole = row.holes.first().map_or("", String::as_str);
        let asked = Asked { repository, hole, fields: &fields };
        let more = match row.what {
            What::Does(verbs) => verbs.iter().map(|verb| asked.does(*verb)).collect(),
            What::Asks(meaning) => (meaning.effects)(&asked)?,
            What::Refused(_) => Vec::new(),
        };
        effects.extend(more);
    }
    Ok(RestRequest { effects: without_repeats(effects), route, of_repository: true })
}

/// What decides, from the body or, where clients send it there, from the query; never from both.
fn fields(meaning: Option<&Meaning>, query: &Query, body: Option<&[u8]>) -> Result<Fields, RestRefused> {
    let Some(meaning) = meaning else { return Fields::read(body, &[]) };
    let mut fields = Fields::read(body, meaning.keys)?;
    for key in meaning.keys.iter().copied().filter(|key| query.has(key)) {
        if !meaning.in_query || fields.has(key) {
            return Err(RestRefused::InQuery(key));
        }
        if let Some(value) = query.once(key)? {
            fields.put(key, value);
        }
    }
    Ok(fields)
}

fn without_repeats(effects: Vec<Effect>) -> Vec<Effect> {
    let mut once = Vec::new();
    for effect in effects {
        if !once.contains(&effect) {
            once.push(effect);
        }
    }
    once
}

impl From<Why> for RestRefused {
    fn from(why: Why) -> Self {
        match why {
            Why::Account => Self::Account,
            Why::Elsewhere => Self::ReachesOtherRepositories,
            Why::Id => Self::NamesById,
        }
    }
}

/// The decoded segments. One slash at the end says nothing.
fn segments(path: &str) -> Result<Vec<String>, RestRefused> {
    if path.is_empty() || path == "/" {
        return Ok(Vec::new());
    }
    let below = path.strip_prefix('/').ok_or(RestRefused::Path("it does not begin with a slash"))?;
    below.strip_suffix('/').unwrap_or(below).split('/').map(segment).collect()
}

/// The gateway has refused most of this before; what a grant is asked for must not hang on that.
fn segment(encoded: &str) -> Result<String, RestRefused> {
    let decoded = percent_decode_str(encoded).decode_utf8().map_err(|_| RestRefused::Path("it is not UTF-8"))?;
    let hidden = |c: char| c.is_control() || matches!(c, '/' | '\\' | '%' | ';');
    if decoded.is_empty() || decoded == "." || decoded == ".." {
        return Err(RestRefused::Path("it has an empty segment or one of dots"));
    }
    if decoded.contains(hidden) {
        return Err(RestRefused::Path("a segment has a slash, a percent sign or another sign that divides paths"));
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests;
