//! The one table of what is served below `/repos/{owner}/{repo}`, after GitHub's own description of its REST API
//! (`github/rest-api-description`: github.com, Enterprise Cloud, Enterprise Server 3.17 and 3.19).
//!
//! What is not here is refused. A path that fits two rows (a branch may be named `x/protection`) needs what both need.

use crate::rest::method::Method;
use crate::rest::route::{Row, What, fit};

mod actions;
mod code;
mod issues;
mod repository;
mod security;

/// All rows, by area.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [actions::ROWS, code::ROWS, issues::ROWS, repository::ROWS, security::ROWS].into_iter().flatten()
}

/// A row that a request fits, with what fills its holes.
pub(super) struct Found {
    pub(super) template: &'static str,
    pub(super) what: What,
    pub(super) holes: Vec<String>,
}

/// Every row that fits.
pub(super) fn find(method: Method, segments: &[String]) -> Vec<Found> {
    let of_method = rows().filter(|(methods, ..)| methods.contains(&method));
    let found =
        |(_, template, what): &'static Row| fit(template, segments).map(|holes| Found { template, what: *what, holes });
    of_method.filter_map(found).collect()
}
