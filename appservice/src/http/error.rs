//! The answers that are no success, in the shape of the specification.

use axum::Json;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use doorward_base::StoreError;
use serde_json::json;
use tracing::error;

/// Why a request of the homeserver was not answered with a 200.
/// [Client-Server API, "Standard error response"](https://spec.matrix.org/v1.16/client-server-api/#standard-error-response)
#[derive(Debug)]
pub(crate) enum ApiError {
    MissingToken,
    WrongToken,
    NotJson,
    BadJson,
    TooLarge,
    Unreadable,
    NotFound,
    Store(StoreError),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, errcode, message) = match self {
            Self::MissingToken => (StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN", "The hs_token is missing"),
            Self::WrongToken => (StatusCode::FORBIDDEN, "M_FORBIDDEN", "The hs_token is not ours"),
            Self::NotJson => (StatusCode::BAD_REQUEST, "M_NOT_JSON", "The body is not JSON"),
            Self::BadJson => (StatusCode::BAD_REQUEST, "M_BAD_JSON", "The body is no transaction"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE", "The body is larger than 32 MB"),
            Self::Unreadable => (StatusCode::BAD_REQUEST, "M_UNKNOWN", "The body could not be read"),
            Self::NotFound => (StatusCode::NOT_FOUND, "M_NOT_FOUND", "There is no such thing here"),
            Self::Store(error) => {
                error!(%error, "a request of the homeserver could not be answered");
                (StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN", "The database failed; try again")
            }
        };
        matrix_error(status, errcode, message)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BytesRejection> for ApiError {
    fn from(rejection: BytesRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE { Self::TooLarge } else { Self::Unreadable }
    }
}

pub(super) async fn unknown_path() -> Response {
    matrix_error(StatusCode::NOT_FOUND, "M_UNRECOGNIZED", "There is no such path here")
}

pub(super) async fn wrong_method() -> Response {
    matrix_error(StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED", "This path does not take this method")
}

fn matrix_error(status: StatusCode, errcode: &str, message: &str) -> Response {
    (status, Json(json!({ "errcode": errcode, "error": message }))).into_response()
}
