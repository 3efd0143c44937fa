//! The path of a request, read in exactly one way, and what it names.

use axum::http::{Method, Uri};

use super::refusal::Refusal;

/// A path that every server reads alike, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

/// What a path under `/v1` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    ChatCompletions,
    Completions,
    Responses,
    Embeddings,
    Moderations,
    Models,
}

/// The one table of what is served under `/v1`: path, method, endpoint. Injection and policy both begin here.
const ENDPOINTS: [(Endpoint, &str, Method); 6] = [
    (Endpoint::ChatCompletions, "chat/completions", Method::POST),
    (Endpoint::Completions, "completions", Method::POST),
    (Endpoint::Responses, "responses", Method::POST),
    (Endpoint::Embeddings, "embeddings", Method::POST),
    (Endpoint::Moderations, "moderations", Method::POST),
    (Endpoint::Models, "models", Method::GET),
];

/// Roots of the contract that this version does not serve.
const WAITING: [(&str, &str); 7] = [
    ("/v1/audio/", "audio"),
    ("/v1/images/", "images"),
    ("/anthropic/", "the Anthropic wire format"),
    ("/api/", "the GitHub API"),
    ("/git/", "git"),
    ("/mcp/", "MCP"),
    ("/http/", "HTTP upstreams"),
];

impl Target {
    /// Refuses every path that two servers could read as two paths.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Refusal> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(Refusal::AmbiguousTarget("it is a whole URL, not a path"));
        }
        let path = uri.path();
        match trouble(path) {
            Some(trouble) => Err(Refusal::AmbiguousTarget(trouble)),
            None => Ok(Self { path: path.to_owned(), query: uri.query().map(str::to_owned) }),
        }
    }

    /// What the path names, with the rest of the path where the endpoint takes one (`models/ID`).
    pub(crate) fn endpoint(&self, method: &Method) -> Result<(Endpoint, Option<&str>), Refusal> {
        let Some(rest) = self.path.strip_prefix("/v1/") else { return Err(self.not_served()) };
        if let Some(model) = rest.strip_prefix("models/").filter(|model| !model.is_empty()) {
            return allowed(&Method::GET, method, Endpoint::Models).map(|endpoint| (endpoint, Some(model)));
        }
        match ENDPOINTS.iter().find(|(_, path, _)| *path == rest) {
            Some((endpoint, _, expected)) => allowed(expected, method, *endpoint).map(|endpoint| (endpoint, None)),
            None => Err(self.not_served()),
        }
    }

    fn not_served(&self) -> Refusal {
        if let Some((_, what)) = WAITING.iter().find(|(root, _)| self.path.starts_with(root)) {
            return Refusal::NotSupported(what);
        }
        if self.path.starts_with("/v1/") { Refusal::PathNotGranted } else { Refusal::UnknownPath }
    }
}

impl Endpoint {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ENDPOINTS.iter().map(|(endpoint, ..)| *endpoint)
    }

    /// Below `/v1` here, and below the base URL there.
    pub(crate) fn path(self) -> &'static str {
        ENDPOINTS.iter().find(|(endpoint, ..)| *endpoint == self).map_or("", |(_, path, _)| path)
    }
}

fn allowed(expected: &Method, method: &Method, endpoint: Endpoint) -> Result<Endpoint, Refusal> {
    if expected == method { Ok(endpoint) } else { Err(Refusal::WrongMethod { expected: expected.clone() }) }
}

fn trouble(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("it does not begin with a slash");
    }
    if path.contains("//") {
        return Some("it has two slashes in a row");
    }
    if path.bytes().any(|byte| byte == b'\\' || byte == b';' || !byte.is_ascii_graphic()) {
        return Some("it has a backslash, a semicolon, a space or a character outside of ASCII");
    }
    path.split('/').find_map(segment_trouble)
}

fn segment_trouble(segment: &str) -> Option<&'static str> {
    let Some(decoded) = decode(segment) else { return Some("it has a percent sign without two hexadecimal digits") };
    if decoded.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'%' | b';') || byte.is_ascii_control()) {
        return Some("it has an encoded slash, backslash, semicolon, percent sign or control character");
    }
    match decoded.as_slice() {
        b"." | b".." => Some("it has a dot segment"),
        _ => None,
    }
}

fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(segment.len());
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            other => other,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests;
