//! The stand-in of `--rehearsal`: a scripted "model" behind the gateway, for a first look without an API key.
//!
//! It speaks the wire format of OpenAI's chat completions, asks for a key like any provider, and says in its texts what it
//! is. It knows a few sentences (`script.rs` beside this file); it is no model.

mod request;
mod script;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, body::Bytes};
use doorward_base::Random;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use request::ChatRequest;

/// The name of its only model.
pub const MODEL: &str = "rehearsal";

struct Stage {
    key: SecretString,
    random: Random,
}

/// The stand-in's paths; only who shows `key` as a bearer token is answered.
pub fn router(key: SecretString, random: Random) -> Router {
    Router::new()
        .route("/v1/models", get(models))
        .route("/v1/chat/completions", post(chat_completions))
        .with_state(Arc::new(Stage { key, random }))
}

/// `GET /v1/models`
async fn models(State(stage): State<Arc<Stage>>, headers: HeaderMap) -> Response {
    if !admitted(&stage, &headers) {
        return unknown_key();
    }
    Json(json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "doorward"}]}))
        .into_response()
}

/// `POST /v1/chat/completions`
async fn chat_completions(State(stage): State<Arc<Stage>>, headers: HeaderMap, body: Bytes) -> Response {
    if !admitted(&stage, &headers) {
        return unknown_key();
    }
    let request: ChatRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("no chat completion request: {error}")),
    };
    let reply = script::reply(&request);
    let completion = wire::Completion::new(&request, reply, body.len(), &stage.random);
    if request.stream { completion.streamed() } else { completion.whole() }
}

fn admitted(stage: &Stage, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    shown.and_then(|value| value.strip_prefix("Bearer ")) == Some(stage.key.expose_secret())
}

fn unknown_key() -> Response {
    refusal(StatusCode::UNAUTHORIZED, "the rehearsal stand-in was shown another key than the one of this start")
}

fn refusal(status: StatusCode, message: &str) -> Response {
    let error = json!({"message": message, "type": "invalid_request_error", "param": null, "code": null});
    (status, Json(json!({"error": error}))).into_response()
}

#[cfg(test)]
mod tests;
