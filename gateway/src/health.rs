//! `GET /health` and `GET /ready`, the same on both listeners.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use crate::secrets::Secrets;
use crate::upstream::Upstream;

/// What readiness depends on, and what it only reports.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) secrets: Secrets,
    pub(crate) upstreams: Arc<[Arc<Upstream>]>,
}

pub(crate) fn router(health: Health) -> Router {
    Router::new().route("/health", get(alive)).route("/ready", get(ready)).with_state(health)
}

async fn alive() -> Json<Value> {
    Json(json!({ "status": "alive" }))
}

/// Ready when the database answers and the stored secrets open. An upstream that is down is reported and changes nothing.
async fn ready(State(health): State<Health>) -> (StatusCode, Json<Value>) {
    let upstreams: Map<String, Value> = health
        .upstreams
        .iter()
        .map(|upstream| (upstream.name.clone(), Value::from(upstream.reached().as_str())))
        .collect();
    match health.secrets.check().await {
        Ok(()) => (StatusCode::OK, Json(json!({ "status": "ready", "upstreams": upstreams }))),
        Err(error) => {
            let body = json!({ "status": "not ready", "reason": error.to_string(), "upstreams": upstreams });
            (StatusCode::SERVICE_UNAVAILABLE, Json(body))
        }
    }
}
