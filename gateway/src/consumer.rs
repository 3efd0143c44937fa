//! What consumers see: the listener that agents call.

mod ask;
mod body;
mod call;
mod echo;
mod form;
mod forward;
mod models;
mod outgoing;
mod passes;
mod payload;
mod refusal;
mod relay;
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

use crate::audit::AuditWriter;
use crate::config::{Limits, Timeouts};
use crate::credentials::Credentials;
use crate::health;
use crate::metrics::Metrics;
use crate::open_calls::{OpenCalls, Watched};
use crate::policy::Policy;
use crate::tokens::Tokens;

use ask::presented_token;
pub(crate) use ask::{Ask, Subject};
pub(crate) use body::Facts;
use call::Call;
use forward::Answer;
pub(crate) use forward::{Forwarder, client};
use payload::Reading;
pub(crate) use refusal::Refusal;
use relay::Relaying;
pub(crate) use route::Route;
use target::Target;
pub(crate) use target::decoded;
use wire::Wire;

/// What it takes to answer consumers.
pub(crate) struct Consumers {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tokens: Tokens,
    pub(crate) credentials: Credentials,
    pub(crate) policy: Policy,
    pub(crate) forwarder: Forwarder,
    pub(crate) audit: AuditWriter,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) open_calls: OpenCalls,
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
    let asked = (request.method().as_str(), request.uri().path());
    let mut call = Call::begin(consumers.clock.now(), asked, place, consumers.metrics.clone());
    match consumers.carry_out(request, &mut call).await {
        Ok((Outcome::Relayed(answer), watched)) => {
            relay::relay(call, answer, watched, Relaying::of(&consumers.limits, &consumers.timeouts))
        }
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
            let ask = Ask::read(&head, route, body, self.reading()).await?;
            call.asks_for(&ask);
            if let Subject::ModelList = ask.subject {
                return self.models(&consumer, &ask.route, query).await.map(Outcome::Answered);
            }
            let permit = self.policy.authorize(&consumer, &ask)?;
            call.is_permitted(&permit);
            // A budget is reserved and a human is asked here: there is a permit, and nothing has left yet.
            let stripped = outgoing::strip(&head.headers);
            let outgoing = outgoing::inject(&self.credentials, &permit, query, stripped).await?;
            let answer = self.forwarder.forward(&permit, ask.method, outgoing, ask.body).await?;
            Ok(Outcome::Relayed(answer))
        };
        let outcome = watched.unless_cut(work).await?;
        Ok((outcome, watched))
    }

    fn reading(&self) -> Reading {
        Reading { limit: self.limits.request_body, idle: self.timeouts.request_body.0 }
    }
}
