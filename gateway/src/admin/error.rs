//! The errors of the admin interface.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use doorward_base::StoreError;
use serde_json::json;

use crate::approvals::AnswerError;
use crate::secrets::SecretsError;
use crate::tokens::RotateError;

/// A status and one sentence.
#[derive(Debug)]
pub(super) struct AdminError {
    status: StatusCode,
    sentence: String,
}

impl AdminError {
    pub(super) fn bad_request(reason: impl Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, sentence: reason.to_string() }
    }

    pub(super) fn unauthorized() -> Self {
        let sentence = "send `Authorization: Bearer` with the content of admin_token_file".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, sentence }
    }

    pub(super) fn not_found(sentence: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, sentence: sentence.to_owned() }
    }

    pub(super) fn conflict(reason: impl Display) -> Self {
        Self { status: StatusCode::CONFLICT, sentence: reason.to_string() }
    }

    pub(super) fn wrong_method() -> Self {
        let sentence = "this path does not take this method".to_owned();
        Self { status: StatusCode::METHOD_NOT_ALLOWED, sentence }
    }

    fn failed(error: &dyn Display) -> Self {
        tracing::error!(%error, "the admin interface cannot answer");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, sentence: error.to_string() }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::failed(&error)
    }
}

impl From<SecretsError> for AdminError {
    fn from(error: SecretsError) -> Self {
        Self::failed(&error)
    }
}

impl From<AnswerError> for AdminError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::Unknown => Self::not_found("there is no request with this id"),
            AnswerError::Store(error) => error.into(),
            over => Self::conflict(over),
        }
    }
}

impl From<RotateError> for AdminError {
    fn from(error: RotateError) -> Self {
        match error {
            RotateError::Unknown(_) => {
                Self::not_found("there is no token with this id, and none of a consumer with this name")
            }
            RotateError::Store(error) => error.into(),
            over => Self::conflict(over),
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.sentence }))).into_response()
    }
}
