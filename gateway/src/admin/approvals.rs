//! `/admin/v1/approvals`: the requests that wait for a human.

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Answer as Answered;
use super::error::AdminError;
use crate::approvals::{Answer, ApprovalId, Approvals, Verdict, WhichApprovals};

/// The routes; who asks has to be checked before.
pub(super) fn router(approvals: Approvals) -> Router {
    Router::new()
        .route("/admin/v1/approvals", get(list))
        .route("/admin/v1/approvals/{id}", get(show).post(answer))
        .method_not_allowed_fallback(async || AdminError::wrong_method())
        .with_state(approvals)
}

/// `GET /admin/v1/approvals`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    state: Which,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    #[default]
    Open,
    All,
}

impl From<Which> for WhichApprovals {
    fn from(which: Which) -> Self {
        match which {
            Which::Open => Self::Open,
            Which::All => Self::All,
        }
    }
}

/// `POST /admin/v1/approvals/{id}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerRequest {
    answer: Asked,
    by: String,
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Approve,
    Deny,
}

impl From<Asked> for Verdict {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Approve => Self::Approve,
            Asked::Deny => Self::Deny,
        }
    }
}

async fn list(State(approvals): State<Approvals>, query: Result<Query<ListQuery>, QueryRejection>) -> Answered {
    let Query(query) = query.map_err(AdminError::bad_request)?;
    let records = approvals.list(query.state.into()).await?;
    Ok(Json(json!({ "approvals": records })).into_response())
}

async fn show(State(approvals): State<Approvals>, Path(id): Path<String>) -> Answered {
    let record = approvals.get(&read(&id)?).await?;
    Ok(Json(record.ok_or_else(unknown)?).into_response())
}

async fn answer(
    State(approvals): State<Approvals>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answered {
    let body = body.map_err(AdminError::bad_request)?;
    let asked: AnswerRequest = serde_json::from_slice(&body).map_err(AdminError::bad_request)?;
    let given = Answer::new(asked.answer.into(), &asked.by, asked.reason.as_deref());
    let record = approvals.answer(&read(&id)?, &given.map_err(AdminError::bad_request)?).await?;
    Ok(Json(record).into_response())
}

fn read(id: &str) -> Result<ApprovalId, AdminError> {
    ApprovalId::read(id).ok_or_else(unknown)
}

fn unknown() -> AdminError {
    AdminError::not_found("there is no request with this id")
}

#[cfg(test)]
mod tests;
