//! Reading a request: who shows which token, and what is asked for.

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::zeroize::Zeroizing;

use super::body::Facts;
use super::refusal::Refusal;
use super::target::{Endpoint, Target};
use crate::config::ByteSize;
use crate::token::{ConsumerToken, MalformedToken};

/// What a consumer asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The list of models, or the one named.
    Models(Option<String>),
    /// Something that a model works on.
    Inference(Inference),
}

/// A request with a body that goes to a model.
#[derive(Debug)]
pub(crate) struct Inference {
    pub(crate) endpoint: Endpoint,
    pub(crate) facts: Facts,
    pub(crate) body: Bytes,
}

impl Ask {
    /// Reads the body only of a request whose path is served, and no more than `limit` of it.
    pub(crate) async fn read(head: &Parts, target: &Target, body: Body, limit: ByteSize) -> Result<Self, Refusal> {
        match target.endpoint(&head.method)? {
            (Endpoint::Models, wanted) => Ok(Self::Models(wanted.map(str::to_owned))),
            (endpoint, _) => {
                check_media_type(&head.headers)?;
                let body = read_body(&head.headers, body, limit).await?;
                Ok(Self::Inference(Inference { endpoint, facts: Facts::read(&body)?, body }))
            }
        }
    }
}

/// A type or an encoding that a server would read in another way than the policy does is refused.
fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).into_iter();
    let (Some(value), None) = (types.next(), types.next()) else { return Err(Refusal::MediaType) };
    let value = value.to_str().map_err(|_| Refusal::MediaType)?.to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next() == Some("application/json");
    let utf8 = parts.all(|part| matches!(part, "" | "charset=utf-8" | "charset=\"utf-8\"" | "charset=utf8"));
    let plain = headers.get_all(CONTENT_ENCODING).into_iter().all(|value| value == "identity");
    if json && utf8 && plain { Ok(()) } else { Err(Refusal::MediaType) }
}

async fn read_body(headers: &HeaderMap, body: Body, limit: ByteSize) -> Result<Bytes, Refusal> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit.0) {
        return Err(Refusal::TooLarge(limit));
    }
    let most = usize::try_from(limit.0).unwrap_or(usize::MAX);
    let collected = Limited::new(body, most).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() { Refusal::TooLarge(limit) } else { Refusal::BodyBrokeOff }
    })?;
    Ok(collected.to_bytes())
}

/// The one consumer token that the request shows, wherever it shows it.
pub(crate) fn presented_token(headers: &HeaderMap) -> Result<ConsumerToken, Refusal> {
    let authorization = headers.get_all(AUTHORIZATION).into_iter().map(from_authorization);
    let api_key = headers.get_all("x-api-key").into_iter().map(|value| Ok(Zeroizing::new(visible(value)?.to_owned())));
    let mut shown = authorization.chain(api_key);
    let first = shown.next().ok_or(Refusal::NoToken)??;
    for other in shown {
        if *other? != *first {
            return Err(Refusal::TwoTokens);
        }
    }
    Ok(ConsumerToken::parse(&first)?)
}

fn from_authorization(value: &HeaderValue) -> Result<Zeroizing<String>, Refusal> {
    let (scheme, rest) = visible(value)?.trim().split_once(' ').ok_or(MalformedToken)?;
    let rest = rest.trim();
    match scheme.to_ascii_lowercase().as_str() {
        "bearer" | "token" => Ok(Zeroizing::new(rest.to_owned())),
        "basic" => {
            let decoded = Zeroizing::new(STANDARD.decode(rest).map_err(|_| MalformedToken)?);
            let pair = std::str::from_utf8(&decoded).map_err(|_| MalformedToken)?;
            let (_, password) = pair.split_once(':').ok_or(MalformedToken)?;
            Ok(Zeroizing::new(password.to_owned()))
        }
        _ => Err(MalformedToken.into()),
    }
}

fn visible(value: &HeaderValue) -> Result<&str, Refusal> {
    value.to_str().map_err(|_| MalformedToken.into())
}

#[cfg(test)]
mod tests;
