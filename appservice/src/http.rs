//! What the homeserver calls: the Application Service API, version 1.
//!
//! [Application Service API](https://spec.matrix.org/v1.16/application-service-api/)

mod auth;
mod error;
mod health;
mod queries;
mod transactions;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

use crate::appservice::Appservice;

/// A transaction holds up to 100 events of 64 KB, and as many messages of other kinds; a 413 would be retried for ever.
const BODY_LIMIT: usize = 32 * 1024 * 1024;

/// Each endpoint under its path, and under the path that it had before the API had versions.
pub(crate) fn router(appservice: Appservice) -> Router {
    let api = Router::new()
        .route("/transactions/{id}", put(transactions::receive))
        .route("/users/{id}", get(queries::user))
        .route("/rooms/{alias}", get(queries::room))
        .merge(third_party());
    let versioned = api.clone().route("/ping", post(queries::ping));
    let unstable = third_party()
        .route("/org.matrix.msc3984/keys/query", post(queries::no_keys))
        .route("/org.matrix.msc3983/keys/claim", post(queries::no_keys));
    Router::new()
        .merge(api)
        .nest("/_matrix/app/v1", versioned)
        .nest("/_matrix/app/unstable", unstable)
        .route("/health", get(health::health))
        .route("/ready", get(health::ready))
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(error::unknown_path)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(appservice)
}

fn third_party() -> Router<Appservice> {
    Router::new()
        .route("/thirdparty/protocol/{protocol}", get(queries::third_party))
        .route("/thirdparty/user/{protocol}", get(queries::third_party))
        .route("/thirdparty/location/{protocol}", get(queries::third_party))
        .route("/thirdparty/user", get(queries::third_party))
        .route("/thirdparty/location", get(queries::third_party))
}
