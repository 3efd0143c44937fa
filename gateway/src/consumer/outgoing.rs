//! From the caller's request to ours: their credentials out, ours in.

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::{Url, form_urlencoded};

use super::refusal::Refusal;
use crate::config::UpstreamKind;
use crate::credentials::keys::Taken;
use crate::policy::Permit;
use crate::token::ConsumerToken;
use crate::upstream::Base;

/// Headers of a caller, without anything that is a credential or belongs to the connection.
#[derive(Debug)]
pub(crate) struct Stripped(HeaderMap);

/// A request as it leaves the gateway, but for its body. It holds the credential, so it has no `Debug`.
pub(crate) struct Outgoing {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
}

impl Stripped {
    /// For a request of the gateway's own, whose answer it has to read itself: unconditional.
    pub(crate) fn our_own(kind: UpstreamKind) -> Self {
        let mut headers = HeaderMap::new();
        if kind == UpstreamKind::Anthropic {
            headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        }
        if kind == UpstreamKind::Github {
            // GitHub answers nobody who does not say who asks.
            headers.insert(header::USER_AGENT, HeaderValue::from_static("doorward"));
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Self(headers)
    }
}

/// Removes what must not go further.
pub(crate) fn strip(headers: &HeaderMap) -> Stripped {
    let named = named_by_connection(headers);
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let of_the_caller = is_of_the_caller(name) || ConsumerToken::is_in(value.as_bytes());
        if !is_of_the_connection(name) && !of_the_caller && !names(&named, name) {
            kept.append(name, value.clone());
        }
    }
    Stripped(kept)
}

/// Removes from an upstream's answer what belongs to its connection or to its session with us.
pub(crate) fn strip_answer(headers: &HeaderMap) -> HeaderMap {
    let named = named_by_connection(headers);
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        // The length is kept: the bytes of the answer are not changed.
        let length = *name == header::CONTENT_LENGTH;
        let session = *name == header::SET_COOKIE || *name == header::ALT_SVC;
        let connection = is_of_the_connection(name) || names(&named, name);
        if length || !(session || connection) {
            kept.append(name, value.clone());
        }
    }
    kept
}

/// RFC 9110, section 7.6.1; the length is set anew for the body that is sent.
fn is_of_the_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
            | "host"
            | "expect"
    ) || name.as_str().starts_with("proxy-")
}

/// Credentials of any kind, what chooses another account for ours, what asks a server to see another method or path, and what asks
/// for a part of an answer: a credential in it could be fetched in pieces, none of which looks like one.
fn is_of_the_caller(name: &HeaderName) -> bool {
    let name = name.as_str();
    let secret =
        ["authorization", "api-key", "apikey", "api_key", "token", "secret", "credential", "cookie", "password"];
    let exact = [
        "range",
        "if-range",
        "openai-organization",
        "openai-project",
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
    ];
    secret.iter().any(|part| name.contains(part))
        || exact.contains(&name)
        || name.starts_with("x-forwarded-")
        || (name.starts_with("x-") && name.contains("method"))
}

fn names(named: &[String], name: &HeaderName) -> bool {
    named.iter().any(|named| named == name.as_str())
}

fn named_by_connection(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// Puts in the credential that was taken for the permit. The answer is asked for uncompressed, whatever the caller takes: the gateway
/// reads the usage in it, and looks for credentials.
pub(super) fn inject(
    permit: &Permit,
    taken: Option<&Taken>,
    query: Option<&str>,
    Stripped(headers): &Stripped,
) -> Result<Outgoing, Refusal> {
    let (mut url, mut headers) = (permit.url().clone(), headers.clone());
    pass_query(permit, query, &mut url)?;
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if permit.upstream().kind == UpstreamKind::Github && matches!(permit.base(), Base::Main | Base::Graphql) {
        say_what_was_read(&mut headers);
    }
    if let Some(taken) = taken {
        let upstream = permit.upstream();
        let unusable = |_| Refusal::UnusableCredential(upstream.name.clone());
        upstream.inject(permit.base(), &taken.credential, &mut url, &mut headers).map_err(unusable)?;
    }
    Ok(Outgoing { url, headers })
}

/// The policy reads JSON, whatever the type says (curl's is that of forms): a server must not find a form in the same bytes.
fn say_what_was_read(headers: &mut HeaderMap) {
    let mut types = headers.get_all(header::CONTENT_TYPE).into_iter();
    let said = types.next().and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    let known = ["application/json", "application/vnd.github", "text/"].iter().any(|kind| said.starts_with(kind));
    if !known || types.next().is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
}

/// The caller's query goes along, but for the parameter that is ours.
fn pass_query(permit: &Permit, query: Option<&str>, url: &mut Url) -> Result<(), Refusal> {
    let Some(query) = query else { return Ok(()) };
    let ours = |name: &str| permit.upstream().injects_query(name);
    if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| ours(name)) {
        return Err(Refusal::QueryIsOurs(name.into_owned()));
    }
    if form_urlencoded::parse(query.as_bytes()).any(|(name, value)| is_credential(&name, &value)) {
        return Err(Refusal::QueryHoldsCredential);
    }
    url.set_query(Some(query));
    Ok(())
}

/// Bytes of a query are not taken out of it, so what would have to be is refused. `key` and `token` name other things as often.
fn is_credential(name: &str, value: &str) -> bool {
    let named = ["access_token", "api_key", "api-key", "apikey", "auth_token", "client_secret", "authorization"];
    named.iter().any(|credential| credential.eq_ignore_ascii_case(name))
        || [name, value].iter().any(|text| ConsumerToken::is_in(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_as_json_leaves_as_json() {
        let leaves = |types: &[&str]| {
            let mut headers: HeaderMap =
                types.iter().map(|value| (header::CONTENT_TYPE, value.parse().unwrap())).collect();
            say_what_was_read(&mut headers);
            headers
                .get_all(header::CONTENT_TYPE)
                .iter()
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        for kept in ["application/json; charset=utf-8", "application/vnd.github+json", "text/x-markdown"] {
            assert_eq!(leaves(&[kept]), [kept]);
        }
        for other in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql"] {
            assert_eq!(leaves(&[other]), ["application/json"], "{other}");
        }
        assert_eq!(leaves(&[]), ["application/json"]);
        assert_eq!(leaves(&["application/json", "application/graphql"]), ["application/json"]);
    }
}
