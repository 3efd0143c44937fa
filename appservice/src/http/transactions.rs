//! `PUT /_matrix/app/v1/transactions/{txnId}`
//!
//! [Application Service API, "Pushing events"](https://spec.matrix.org/v1.16/application-service-api/#put_matrixappv1transactionstxnid)

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::debug;

use super::auth::Authenticated;
use super::error::ApiError;
use crate::appservice::Appservice;

/// Typing notices, receipts, presence and to-device messages are accepted and dropped: nothing here reads them yet.
#[derive(Deserialize)]
struct Transaction {
    #[serde(default)]
    events: Vec<Box<RawValue>>,
}

/// Answers when the events are durable. The transaction id is not looked at: a homeserver may use one again for other events.
pub(super) async fn receive(
    State(appservice): State<Appservice>,
    _: Authenticated,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, ApiError> {
    let transaction: Transaction = serde_json::from_slice(&body?).map_err(|error| match error.classify() {
        Category::Data => ApiError::BadJson,
        Category::Io | Category::Syntax | Category::Eof => ApiError::NotJson,
    })?;
    let received = appservice.inbox().receive(transaction.events).await?;
    debug!(?received, "a transaction is stored");
    Ok(Json(json!({})))
}
