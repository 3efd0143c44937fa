//! Who calls: only who shows the `hs_token`.

use axum::extract::{FromRequestParts, Query};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::Deserialize;

use super::error::ApiError;
use crate::appservice::Appservice;

/// The homeserver has shown its token: in the header, or in the query string as it was done before, or in both.
/// [Application Service API, "Authorization"](https://spec.matrix.org/v1.16/application-service-api/#authorization)
#[derive(Debug)]
pub(super) struct Authenticated;

#[derive(Deserialize)]
struct TokenQuery {
    access_token: Option<String>,
}

impl FromRequestParts<Appservice> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, appservice: &Appservice) -> Result<Self, ApiError> {
        let in_query = Query::<TokenQuery>::try_from_uri(&parts.uri).ok().and_then(|query| query.0.access_token);
        let shown = bearer(parts).map(str::to_owned).or(in_query).ok_or(ApiError::MissingToken)?;
        if appservice.registration().hs_token.matches(&shown) { Ok(Self) } else { Err(ApiError::WrongToken) }
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
