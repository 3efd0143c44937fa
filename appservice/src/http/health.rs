//! `GET /health` and `GET /ready`, for whoever runs us.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::appservice::Appservice;

/// We are alive.
pub(super) async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// We can do our job: the database answers, and the homeserver and we reach each other.
pub(super) async fn ready(State(appservice): State<Appservice>) -> Response {
    match appservice.problem().await {
        None => Json(json!({ "ready": true })).into_response(),
        Some(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "reason": reason }))).into_response()
        }
    }
}
