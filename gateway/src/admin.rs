//! What operators and the appservice see: the admin listener. Errors are `{"error": "one sentence"}`.

mod approvals;
mod error;
mod views;

use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use doorward_base::{Clock, Database};
use serde_json::json;

use crate::admin_token::AdminToken;
use crate::approvals::{Approvals, WhichApprovals};
use crate::audit::AuditLog;
use crate::budget::budget_states;
use crate::config::{Grants, check_known};
use crate::consumer::Consumers;
use crate::credential::Credential;
use crate::health;
use crate::metrics::Gauges;
use crate::secrets::{SecretName, Secrets};
use crate::tokens::{ConsumerName, TokenId, Tokens};
use error::AdminError;
use views::{AuditQuery, MintRequest, RotateRequest, UsageQuery};

/// What it takes to answer operators.
pub(crate) struct Admin {
    pub(crate) token: AdminToken,
    pub(crate) grants: Grants,
    pub(crate) tokens: Tokens,
    pub(crate) secrets: Secrets,
    pub(crate) approvals: Approvals,
    pub(crate) audit: AuditLog,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) database: Database,
    pub(crate) consumers: Arc<Consumers>,
}

type Answer = Result<Response, AdminError>;

/// `/health`, `/ready` and `/metrics` answer everyone; everything else, unknown paths too, needs the operator's token.
pub(crate) fn router(admin: Arc<Admin>, health: health::Health) -> Router {
    let guarded = Router::new()
        .route("/admin/v1/tokens", post(mint).get(list_tokens))
        .route("/admin/v1/tokens/{id}", delete(revoke))
        .route("/admin/v1/tokens/{id}/rotate", post(rotate))
        .route("/admin/v1/secrets", get(list_secrets))
        .route("/admin/v1/secrets/{name}", put(set_secret).delete(remove_secret))
        .route("/admin/v1/audit", get(list_audit))
        .route("/admin/v1/usage", get(usage))
        .fallback(async || AdminError::not_found("there is nothing at this path"))
        .method_not_allowed_fallback(async || AdminError::wrong_method())
        .with_state(admin.clone())
        .merge(approvals::router(admin.approvals.clone()))
        .layer(middleware::from_fn_with_state(admin.clone(), guard));
    let open = Router::new().route("/metrics", get(metrics)).with_state(admin);
    guarded.merge(open).merge(health::router(health))
}

async fn guard(State(admin): State<Arc<Admin>>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match shown {
        Some(shown) if admin.token.is(shown.trim()) => next.run(request).await,
        _ => AdminError::unauthorized().into_response(),
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let Consumers { metrics, open_calls, vault, audit, telemetry, .. } = &*admin.consumers;
    let held = admin.approvals.list(WhichApprovals::Open).await;
    let gauges = Gauges {
        open_calls: open_calls.len(),
        held_approvals: held.ok().map(|held| held.len()),
        resting_credentials: vault.resting(),
        waiting_audit_rows: audit.taken().saturating_sub(open_calls.len()),
        dropped_spans: telemetry.dropped(),
    };
    let text = metrics.text(&gauges);
    ([("content-type", "text/plain; version=0.0.4")], text).into_response()
}

async fn mint(State(admin): State<Arc<Admin>>, body: Result<Bytes, BytesRejection>) -> Answer {
    let body = body.map_err(AdminError::bad_request)?;
    let asked: MintRequest = serde_json::from_slice(&body).map_err(AdminError::bad_request)?;
    let consumer = ConsumerName::new(&asked.consumer).map_err(AdminError::bad_request)?;
    check_known(&admin.grants, &asked.grants).map_err(AdminError::bad_request)?;
    let ttl = asked.ttl().map_err(AdminError::bad_request)?;
    let minted = admin.tokens.mint(consumer, asked.grants, ttl).await?;
    Ok((StatusCode::CREATED, Json(minted)).into_response())
}

async fn list_tokens(State(admin): State<Arc<Admin>>) -> Answer {
    Ok(Json(json!({ "tokens": admin.tokens.list().await? })).into_response())
}

async fn revoke(State(admin): State<Arc<Admin>>, Path(id): Path<String>) -> Answer {
    match admin.tokens.revoke(&id).await? {
        0 => Err(AdminError::not_found(
            "there is no unrevoked token with this id, and none of a consumer with this name",
        )),
        revoked => Ok(Json(json!({ "revoked": revoked })).into_response()),
    }
}

/// One object for an id, as for minting; a list for the name of a consumer. An empty body asks for the defaults.
async fn rotate(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(AdminError::bad_request)?;
    let asked: RotateRequest = match &body[..] {
        b"" => RotateRequest::default(),
        body => serde_json::from_slice(body).map_err(AdminError::bad_request)?,
    };
    let mut rotated = admin.tokens.rotate(&id, asked.rotation().map_err(AdminError::bad_request)?).await?;
    let answer = match rotated.pop() {
        Some(only) if TokenId::is_named_by(&id) => Json(only).into_response(),
        last => Json(json!({ "tokens": rotated.into_iter().chain(last).collect::<Vec<_>>() })).into_response(),
    };
    Ok((StatusCode::CREATED, answer).into_response())
}

async fn list_secrets(State(admin): State<Arc<Admin>>) -> Answer {
    Ok(Json(json!({ "secrets": admin.secrets.list().await? })).into_response())
}

async fn set_secret(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let body = body.map_err(AdminError::bad_request)?;
    let name = SecretName::new(&name).map_err(AdminError::bad_request)?;
    let value = Credential::from_input(&body).map_err(AdminError::bad_request)?;
    admin.secrets.set(&name, &value).await?;
    Ok(Json(json!({ "name": name })).into_response())
}

async fn remove_secret(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Answer {
    let name = SecretName::new(&name).map_err(AdminError::bad_request)?;
    if !admin.secrets.remove(&name).await? {
        return Err(AdminError::not_found("there is no secret with this name"));
    }
    Ok(Json(json!({ "removed": name })).into_response())
}

async fn list_audit(State(admin): State<Arc<Admin>>, query: Result<Query<AuditQuery>, QueryRejection>) -> Answer {
    let Query(query) = query.map_err(AdminError::bad_request)?;
    let filter = query.filter(admin.clock.now()).map_err(AdminError::bad_request)?;
    let rows = admin.audit.list(&filter, query.limit).await?;
    Ok(Json(json!({ "audit": rows })).into_response())
}

async fn usage(State(admin): State<Arc<Admin>>, query: Result<Query<UsageQuery>, QueryRejection>) -> Answer {
    let Query(query) = query.map_err(AdminError::bad_request)?;
    let (now, consumer) = (admin.clock.now(), query.consumer());
    let since = query.since(now).map_err(AdminError::bad_request)?;
    let by = query.by().map_err(AdminError::bad_request)?;
    let usage = admin.audit.usage(consumer, since, by).await?;
    let budgets = budget_states(&admin.database, &admin.grants, consumer, now).await?;
    Ok(Json(json!({ "usage": usage, "budgets": budgets })).into_response())
}
