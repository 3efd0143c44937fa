//! The path of a request, read in exactly one way.

use std::borrow::Cow;

use axum::http::Uri;

use super::refusal::Refusal;

/// A path that every server reads alike, and its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) query: Option<String>,
}

impl Target {
    /// Refuses every path that two servers could read as two paths.
    pub(crate) fn parse(uri: &Uri) -> Result<Self, Refusal> {
        if uri.scheme().is_some() || uri.authority().is_some() {
            return Err(Refusal::AmbiguousTarget("it is a whole URL, not a path"));
        }
        let path = with_plain_slashes(uri.path());
        match trouble(&path) {
            Some(trouble) => Err(Refusal::AmbiguousTarget(trouble)),
            None => Ok(Self { path: path.into_owned(), query: uri.query().map(str::to_owned) }),
        }
    }
}

/// Octokit writes the slashes in names of files, branches and refs as `%2F`, and GitHub takes both. Below a repository they are made
/// plain once, before anything is decided: policy reads the path that GitHub gets.
fn with_plain_slashes(path: &str) -> Cow<'_, str> {
    let below_repository = || {
        let below = path.strip_prefix("/api/v3/repos/")?;
        let (slash, _) = below.match_indices('/').nth(1)?;
        Some(path.split_at(path.len() - below.len() + slash))
    };
    match below_repository() {
        Some((repository, tail)) if tail.contains("%2F") || tail.contains("%2f") => {
            Cow::Owned(format!("{repository}{}", tail.replace("%2F", "/").replace("%2f", "/")))
        }
        _ => Cow::Borrowed(path),
    }
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

/// A path that [`Target::parse`] let through, with its percent-encoded characters decoded: none of them separates segments.
pub(crate) fn decoded(path: &str) -> Option<String> {
    decode(path).and_then(|bytes| String::from_utf8(bytes).ok())
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
