//! `GET /v1/models` and `GET /v1/models/ID`, and the same below `/anthropic`: what the upstreams offer, as far as the grant reaches.

use axum::http::Method;
use bytes::Bytes;
use doorward_redaction::Redactor;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Consumers;
use super::attempts::no_credential;
use super::clearance::Clearance;
use super::outgoing::{self, Stripped};
use super::payload::Payload;
use super::refusal::Refusal;
use super::route::Route;
use crate::config::UpstreamKind;
use crate::policy::Permit;
use crate::tokens::Consumer;

const LARGEST_LIST: usize = 4 << 20;

#[derive(Deserialize, Serialize)]
struct ModelList {
    #[serde(default = "list")]
    object: String,
    data: Vec<Model>,
}

#[derive(Deserialize, Serialize)]
struct Model {
    id: String,
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

/// How Anthropic lists models; all of them stand on one page.
#[derive(Serialize)]
struct Page {
    data: Vec<Model>,
    first_id: Option<String>,
    last_id: Option<String>,
    has_more: bool,
}

fn list() -> String {
    "list".to_owned()
}

impl Consumers {
    /// The models that the consumer may use, or the one wanted. An upstream that is down hides its own models, no others; if none
    /// answers, the first reason is the answer.
    pub(super) async fn models(
        &self,
        consumer: &Consumer,
        route: &Route,
        query: Option<&str>,
    ) -> Result<Bytes, Refusal> {
        let wanted = route.below.split_once("models/").map(|(_, model)| model).filter(|model| !model.is_empty());
        let permits = self.policy.authorize_listing(route.entry.kind)?;
        let lists = join_all(permits.iter().map(|permit| self.models_of(consumer, permit, query))).await;
        let mut models = Vec::new();
        let mut first_reason = None;
        let mut answered = permits.is_empty();
        for (permit, list) in permits.iter().zip(lists) {
            match list {
                Ok(list) => {
                    answered = true;
                    models.extend(
                        list.into_iter().filter(|model| self.policy.lists(consumer, permit.upstream(), &model.id)),
                    );
                }
                Err(reason) => first_reason = first_reason.or(Some(reason)),
            }
        }
        match first_reason {
            Some(reason) if !answered => Err(reason),
            _ => {
                let list = rendered(route.entry.kind, models, wanted)?;
                let mut redactor = Redactor::new(self.vault.secrets(None).await);
                Ok([redactor.push(list), redactor.finish()].concat().into())
            }
        }
    }

    async fn models_of(
        &self,
        consumer: &Consumer,
        permit: &Permit,
        query: Option<&str>,
    ) -> Result<Vec<Model>, Refusal> {
        let kind = permit.upstream().kind;
        let query = if kind == UpstreamKind::Anthropic { Some("limit=1000") } else { query };
        let taken = self.vault.take(permit, consumer).await;
        let taken = taken.map_err(|error| no_credential(&permit.upstream().name, error))?;
        let outgoing = outgoing::inject(permit, taken.as_ref(), query, &Stripped::our_own(kind))?;
        let clearance = Clearance::of_our_own(permit);
        let answer = self.forwarder.forward(permit, &clearance, Method::GET, outgoing, Payload::Nothing).await?;
        let garbage = || Refusal::NoModelList(permit.upstream().name.clone());
        if !answer.status.is_success() {
            return Err(garbage());
        }
        let body = answer.collect(LARGEST_LIST).await.ok_or_else(garbage)?;
        let list: ModelList = serde_json::from_slice(&body).map_err(|_| garbage())?;
        Ok(list.data)
    }
}

fn rendered(kind: UpstreamKind, models: Vec<Model>, wanted: Option<&str>) -> Result<Bytes, Refusal> {
    let json = match wanted {
        None if kind == UpstreamKind::Anthropic => serde_json::to_vec(&Page::of(models)),
        None => serde_json::to_vec(&ModelList { object: list(), data: models }),
        Some(wanted) => {
            let found = models.into_iter().find(|model| model.id == wanted);
            serde_json::to_vec(&found.ok_or_else(|| Refusal::UnknownModel(wanted.to_owned()))?)
        }
    };
    Ok(json.expect("a list of models has text as keys").into())
}

impl Page {
    fn of(models: Vec<Model>) -> Self {
        let id = |model: Option<&Model>| model.map(|model| model.id.clone());
        Self { first_id: id(models.first()), last_id: id(models.last()), has_more: false, data: models }
    }
}
