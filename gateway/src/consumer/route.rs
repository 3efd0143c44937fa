//! The one table of what is served: for each path, who decides about it and where it goes. What is injected and what is enforced
//! both begin here, so that no path is the one without the other.

use axum::http::Method;

use super::refusal::Refusal;
use super::target::Target;
use super::wire::Wire;
use crate::config::UpstreamKind;
use crate::upstream::Base;

/// Who decides about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Every good token; the answer is put together here from what is granted.
    ModelList,
    /// `models`: the body is JSON and names one.
    Model,
    /// `models`: the body is a form and names one.
    ModelForm,
    /// `paths`, and `models` if the body names one.
    Path,
    /// `[[github]]`, by what the path and the body do.
    GithubRest,
    /// `[[github]]`, by what the operations in the body do.
    GithubGraphql,
    /// `[[github]]`, by the release that the path names.
    GithubUploads,
    /// `[[github]]`, by the refs that would move.
    Git,
    /// `[[mcp]]`, by the messages in the body.
    Mcp,
    /// `[[http]]`, by method and path.
    Http,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Entry {
    /// What the path begins with; what follows goes below the upstream's base.
    pub(crate) root: &'static str,
    /// What follows: `*` stands for one segment, `*.git` for one that ends so, `**` for any number of them.
    pub(crate) tail: &'static str,
    /// The methods; none means any.
    pub(crate) methods: &'static [Method],
    pub(crate) guard: Guard,
    pub(crate) kind: UpstreamKind,
    pub(crate) base: Base,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const ANY: &[Method] = &[];

const fn openai(tail: &'static str, methods: &'static [Method], guard: Guard) -> Entry {
    Entry { root: "/v1/", tail, methods, guard, kind: UpstreamKind::Openai, base: Base::Main }
}

const fn anthropic(tail: &'static str, methods: &'static [Method], guard: Guard) -> Entry {
    Entry { root: "/anthropic/", tail, methods, guard, kind: UpstreamKind::Anthropic, base: Base::Main }
}

const fn github(root: &'static str, tail: &'static str, guard: Guard, base: Base) -> Entry {
    Entry { root, tail, methods: ANY, guard, kind: UpstreamKind::Github, base }
}

/// The first line that matches decides.
pub(crate) const ROUTES: &[Entry] = &[
    openai("models", GET, Guard::ModelList),
    openai("models/**", GET, Guard::ModelList),
    openai("chat/completions", POST, Guard::Model),
    openai("completions", POST, Guard::Model),
    openai("responses", POST, Guard::Model),
    openai("embeddings", POST, Guard::Model),
    openai("moderations", POST, Guard::Model),
    openai("audio/speech", POST, Guard::Model),
    openai("audio/transcriptions", POST, Guard::ModelForm),
    openai("audio/translations", POST, Guard::ModelForm),
    openai("images/generations", POST, Guard::Model),
    openai("images/edits", POST, Guard::ModelForm),
    openai("images/variations", POST, Guard::ModelForm),
    openai("**", ANY, Guard::Path),
    anthropic("v1/models", GET, Guard::ModelList),
    anthropic("v1/models/**", GET, Guard::ModelList),
    anthropic("v1/messages", POST, Guard::Model),
    anthropic("v1/messages/count_tokens", POST, Guard::Model),
    anthropic("v1/**", ANY, Guard::Path),
    github("/api/graphql", "", Guard::GithubGraphql, Base::Graphql),
    github("/api/uploads/", "**", Guard::GithubUploads, Base::Uploads),
    github("/api/v3", "", Guard::GithubRest, Base::Main),
    github("/api/v3/", "**", Guard::GithubRest, Base::Main),
    github("/git/", "*/*/info/refs", Guard::Git, Base::Git),
    github("/git/", "*/*/git-upload-pack", Guard::Git, Base::Git),
    github("/git/", "*/*/git-receive-pack", Guard::Git, Base::Git),
    Entry { root: "/mcp/", tail: "*", methods: ANY, guard: Guard::Mcp, kind: UpstreamKind::Mcp, base: Base::Named },
    Entry { root: "/http/", tail: "*", methods: ANY, guard: Guard::Http, kind: UpstreamKind::Http, base: Base::Named },
    Entry {
        root: "/http/",
        tail: "*/**",
        methods: ANY,
        guard: Guard::Http,
        kind: UpstreamKind::Http,
        base: Base::Named,
    },
    // Where an Enterprise Server has them, and `gh` looks for them; last, so that they take nothing from the rest.
    github("/", "*/*.git/info/refs", Guard::Git, Base::Git),
    github("/", "*/*.git/git-upload-pack", Guard::Git, Base::Git),
    github("/", "*/*.git/git-receive-pack", Guard::Git, Base::Git),
];

/// The line that a request fell on.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) entry: &'static Entry,
    /// What goes below the upstream's base, as it came.
    pub(crate) below: String,
    /// The upstream that the path names.
    pub(crate) upstream: Option<String>,
    /// The path is in the table with this other method.
    pub(crate) wrong_method: Option<Method>,
}

impl Route {
    /// Finds the line for a request.
    pub(crate) fn find(method: &Method, target: &Target) -> Result<Self, Refusal> {
        if never_forwarded(method) {
            return Err(Refusal::NeverForwarded);
        }
        let matching = || ROUTES.iter().filter_map(|entry| Some((entry, entry.matches(&target.path)?)));
        let mut fitting = matching().filter(|(entry, _)| entry.methods.is_empty() || entry.methods.contains(method));
        let wrong_method = matching().find_map(|(entry, _)| entry.methods.first().filter(|right| *right != method));
        match (fitting.next(), wrong_method) {
            (Some((entry, tail)), wrong) => Ok(Self::at(entry, tail, wrong.cloned())),
            (None, Some(expected)) => Err(Refusal::WrongMethod { expected: expected.clone() }),
            (None, None) => Err(Refusal::UnknownPath),
        }
    }

    fn at(entry: &'static Entry, tail: &str, wrong_method: Option<Method>) -> Self {
        let (upstream, below) = match entry.base {
            Base::Named => {
                let (name, below) = tail.split_once('/').unwrap_or((tail, ""));
                (Some(name.to_owned()), below)
            }
            _ => (None, tail),
        };
        Self { entry, below: below.to_owned(), upstream, wrong_method }
    }

    /// What follows the root of the line, as it came.
    pub(super) fn below_with_name(&self) -> String {
        match &self.upstream {
            Some(name) if self.below.is_empty() => name.clone(),
            Some(name) => format!("{name}/{}", self.below),
            None => self.below.clone(),
        }
    }

    /// The shape of answers on this path.
    pub(crate) fn wire(&self) -> Wire {
        if self.entry.guard == Guard::Git { Wire::Git } else { Wire::of(self.entry.root) }
    }
}

impl Entry {
    /// What follows the root, if the path is one of this line.
    fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        let tail = path.strip_prefix(self.root)?;
        fits(self.tail, tail).then_some(tail)
    }
}

/// `CONNECT` asks for a tunnel in place of an answer, and `TRACE` for an answer that repeats the credential (RFC 9110, sections 9.3.6
/// and 9.3.8). Some servers do not mind the case of a method.
fn never_forwarded(method: &Method) -> bool {
    ["CONNECT", "TRACE", "TRACK"].iter().any(|never| never.eq_ignore_ascii_case(method.as_str()))
}

fn fits(pattern: &str, tail: &str) -> bool {
    if pattern.is_empty() || pattern == "**" {
        return pattern == "**" || tail.is_empty();
    }
    let (first, more_pattern) = pattern.split_once('/').map_or((pattern, None), |(first, more)| (first, Some(more)));
    let (segment, more) = tail.split_once('/').map_or((tail, None), |(segment, more)| (segment, Some(more)));
    let here = match first.strip_prefix('*') {
        Some(end) => segment.len() > end.len() && segment.ends_with(end),
        None => first == segment,
    };
    here && match (more_pattern, more) {
        (None, None) => true,
        (Some(pattern), Some(tail)) => fits(pattern, tail),
        _ => false,
    }
}

#[cfg(test)]
mod enforced;
#[cfg(test)]
mod tests;
