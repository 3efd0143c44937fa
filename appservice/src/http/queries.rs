//! What the homeserver asks. Slow answers would stall its delivery, so all of them come from our database.

use axum::Json;
use axum::extract::{Path, State};
use ruma::UserId;
use serde_json::{Value, json};

use super::auth::Authenticated;
use super::error::ApiError;
use crate::appservice::Appservice;

/// `GET /_matrix/app/v1/users/{userId}`: the sender, and the users that are registered. Nobody is made by asking.
/// [Application Service API, "Querying"](https://spec.matrix.org/v1.16/application-service-api/#get_matrixappv1usersuserid)
pub(super) async fn user(
    State(appservice): State<Appservice>,
    _: Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ApiError::NotFound)?;
    if appservice.has_user(&user).await? { Ok(Json(json!({}))) } else { Err(ApiError::NotFound) }
}

/// `GET /_matrix/app/v1/rooms/{roomAlias}`: aliases are never made by asking.
pub(super) async fn room(_: Authenticated) -> ApiError {
    ApiError::NotFound
}

/// `GET /_matrix/app/v1/thirdparty/…`: there is no third party behind us.
/// [Application Service API, "Third-party networks"](https://spec.matrix.org/v1.16/application-service-api/#third-party-networks)
pub(super) async fn third_party(_: Authenticated) -> ApiError {
    ApiError::NotFound
}

/// `POST /_matrix/app/v1/ping`
/// [Application Service API, "Pinging"](https://spec.matrix.org/v1.16/application-service-api/#post_matrixappv1ping)
pub(super) async fn ping(_: Authenticated) -> Json<Value> {
    Json(json!({}))
}

/// Device keys and one-time keys of our users, asked for under MSC3984 and MSC3983: the homeserver's own copy is whole.
pub(super) async fn no_keys(_: Authenticated) -> Json<Value> {
    Json(json!({}))
}
