//! What consumers see: the listener that agents call.

mod ask;
mod attempts;
mod body;
mod call;
mod clearance;
mod decode;
mod effects;
mod form;
mod forward;
mod git;
mod github;
pub(crate) mod mcp;
mod models;
mod outgoing;
mod passes;
mod payload;
mod refusal;
mod relay;
mod room;
mod route;
mod target;
mod usage;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use doorward_base::Clock;
use doorward_github::Links;

use crate::approvals::Approvals;
use crate::audit::AuditWriter;
use crate::budget::{Budgets, ModelUse, Reserved};
use crate::config::{Limits, Timeouts};
use crate::health;
use crate::metrics::Metrics;
use crate::open_calls::{OpenCalls, Watched};
use crate::policy::{Permit, Policy};
use crate::telemetry::Telemetry;
use crate::tokens::{Consumer, Tokens};
use crate::vault::Vault;

use ask::presented_token;
pub(crate) use ask::{Ask, Subject};
use attempts::Sending;
pub(crate) use body::Facts;
use call::Call;
use clearance::clear;
use forward::Answer;
pub(crate) use forward::{Forwarder, client};
pub(crate) use git::{Deed, GitAsk};
pub(crate) use github::{LastRepositories, links};
use payload::Reading;
pub(crate) use refusal::Refusal;
pub(crate) use room::Room;
pub(crate) use route::{Guard, Route};
pub(crate) use target::{Target, decoded};
pub(crate) use usage::UsageReader;
use wire::Wire;

/// What it takes to answer consumers.
pub(crate) struct Consumers {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: Tokens,
    pub(crate) vault: Vault,
    pub(crate) policy: Policy,
    pub(crate) budgets: Budgets,
    pub(crate) approvals: Approvals,
    pub(crate) forwarder: Forwarder,
    pub(crate) audit: AuditWriter,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) telemetry: Telemetry,
    pub(crate) open_calls: OpenCalls,
    pub(crate) links: Arc<Links>,
    pub(crate) last_repositories: LastRepositories,
    pub(crate) room: Room,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
}

/// What a consumer gets.
enum Outcome {
    /// An upstream's answer, to be passed on while the token stays good.
    Relayed(Answer),
    /// An answer put together here.
    Answered(Bytes),
}

pub(crate) fn router(consumers: Arc<Consumers>, health: health::Health) -> Router {
    Router::new().fallback(call).with_state(consumers).merge(health::router(health))
}

/// Begins the record of the call, carries the call out, and ends the record with the answer.
async fn call(State(consumers): State<Arc<Consumers>>, request: Request) -> Response {
    let wire = Wire::of(request.uri().path());
    let Ok(place) = consumers.audit.reserve().await else { return Refusal::Stopping.response(wire) };
    let mut call = Call::begin(&consumers, &request, place);
    match consumers.carry_out(request, &mut call).await {
        Ok((Outcome::Relayed(answer), watched)) => relay::relay(call, answer, watched),
        Ok((Outcome::Answered(body), _)) => call.answer(body),
        Err(refusal) => call.refuse(&refusal, wire),
    }
}

impl Consumers {
    /// The walk of a call. The order is the security of the gateway: nothing is read for someone unknown, nothing leaves without a
    /// permit, and a token that stops being good ends the call wherever it is.
    async fn carry_out(&self, request: Request, call: &mut Call) -> Result<(Outcome, Watched), Refusal> {
        let (head, body) = request.into_parts();
        let consumer = self.tokens.authenticate(&presented_token(&head.headers)?).await?;
        call.comes_from(&consumer);
        let mut watched = self.open_calls.open(&consumer);
        let work = async {
            let target = Target::parse(&head.uri)?;
            let route = Route::find(&head.method, &target)?;
            let query = target.query.as_deref();
            self.policy.admit(&consumer, &route, &head.method)?;
            let (reading, push) = self.readings(&consumer);
            let mut ask = Ask::read(&head, route, body, reading, push).await?;
            call.asks_for(&ask);
            if let Subject::ModelList = ask.subject {
                // It costs nothing but is asked of every upstream: rates count it.
                self.budgets.reserve(&consumer.name, &consumer.grants, None).await?;
                return self.models(&consumer, &ask.route, query).await.map(Outcome::Answered);
            }
            if let Subject::Github(deeds) = &mut ask.subject {
                self.locate(&consumer, deeds).await?;
                call.does(&ask);
            }
            let permit = self.policy.authorize(&consumer, &ask)?;
            permit.check_size(ask.payload.length())?;
            call.is_permitted(&permit);
            self.last_repositories.remember(&consumer, &permit);
            call.costs(self.budgets.price_of(&ask.models()));
            call.reserves(self.reserve(&consumer, &permit, &ask).await?, &permit);
            let clearance = clear(&self.approvals, &consumer, &permit, (query, &head.headers), &ask).await?;
            let headers = outgoing::strip(&head.headers);
            call.is_sent(&clearance);
            let sending = Sending { consumer: &consumer, query, headers, ask };
            let (answer, permit) = self.send(permit, clearance, sending).await?;
            call.is_answered_by(&permit);
            Ok(Outcome::Relayed(answer))
        };
        let outcome = watched.unless_cut(work).await?;
        Ok((outcome, watched))
    }

    /// Holds what the request may use of the budget of one of the grants that allow it.
    async fn reserve(&self, consumer: &Consumer, permit: &Permit, ask: &Ask) -> Result<Reserved, Refusal> {
        let models = ask.models();
        let use_of = |estimate| ModelUse { models: &models, estimate };
        Ok(self.budgets.reserve(&consumer.name, permit.grants(), ask.estimate().map(use_of)).await?)
    }

    /// An answer as this consumer may see it: links lead to the gateway, and lists of MCP servers show what is granted alone.
    fn dressed(&self, answer: Answer, sending: &Sending<'_>) -> Answer {
        if let Subject::Github(_) = sending.ask.subject {
            return self.with_our_links(answer, &sending.ask.route);
        }
        let (Subject::Mcp(uses), Some(server)) = (&sending.ask.subject, &sending.ask.route.upstream) else {
            return answer;
        };
        let events = answer.media_type() == "text/event-stream";
        let list = uses.lists && answer.status.is_success();
        if !events && !list {
            return answer;
        }
        answer.changed_by(mcp::Listing::new(self.policy.visible(sending.consumer, server), events))
    }

    /// How a body is read, and how that of a push.
    fn readings(&self, consumer: &Consumer) -> (Reading, Reading) {
        let (limit, idle) = (self.limits.request_body, self.timeouts.request_body.0);
        let reading = Reading { limit, idle, share: self.room.share(&consumer.name) };
        (reading.clone(), Reading { limit: self.limits.push, ..reading })
    }
}
