//! One row of the table of routes, and which paths fit it.

use crate::effect::Verb;
use crate::rest::meaning::Meaning;
use crate::rest::method::Method;

/// Methods, the path below `/repos/{owner}/{repo}/`, and what that does.
///
/// `{n}` stands for digits, `{name*}` for one or more segments, any other name for one segment.
pub(super) type Row = (&'static [Method], &'static str, What);

/// What a request of a row does in the repository that the path names.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// All of these.
    Does(&'static [Verb]),
    /// Path, query and body decide.
    Asks(&'static Meaning),
    /// It cannot be granted.
    Refused(Why),
}

/// Why a route that is known is refused whatever a grant says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It changes the account that the gateway keeps the key of.
    Account,
    /// It reads or changes repositories that the path does not name.
    Elsewhere,
    /// It names things by numbers that do not tell of which repository they are.
    Id,
}

/// The parts of the path that fill the template's holes, in order; `None` if the path does not fit.
pub(super) fn fit(template: &str, segments: &[String]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    let mut holes = Vec::new();
    fill(&parts, segments, &mut holes).then_some(holes)
}

fn fill(parts: &[&str], segments: &[String], holes: &mut Vec<String>) -> bool {
    let (Some((part, parts)), Some((segment, rest))) = (parts.split_first(), segments.split_first()) else {
        return parts.is_empty() && segments.is_empty();
    };
    let Some(name) = part.strip_prefix('{') else { return part == segment && fill(parts, rest, holes) };
    if name.ends_with("*}") {
        return fill_many(parts, segments, holes);
    }
    let fits = name != "n}" || segment.bytes().all(|byte| byte.is_ascii_digit());
    if fits {
        holes.push(segment.clone());
    }
    fits && fill(parts, rest, holes)
}

/// The longest run of segments that leaves enough for the rest: a branch may have a segment that reads like the rest.
fn fill_many(parts: &[&str], segments: &[String], holes: &mut Vec<String>) -> bool {
    let Some(longest) = segments.len().checked_sub(parts.len()).filter(|longest| *longest > 0) else { return false };
    let (run, rest) = segments.split_at(longest);
    holes.push(run.join("/"));
    fill(parts, rest, holes)
}
