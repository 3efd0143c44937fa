//! What consumers see: the listener that agents call.

mod ask;
mod body;
mod call;
mod echo;
mod forward;
mod models;
mod outgoing;
mod refusal;
mod target;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorward_base::Clock;

use crate::audit::AuditWriter;
use crate::config::ByteSize;
use crate::credentials::Credentials;
use crate::health;
use crate::metrics::Metrics;
use crate::open_calls::{OpenCalls, Watched};
use crate::policy::Policy;
use crate::tokens::Tokens;

pub(crate) use ask::Inference;
use ask::{Ask, presented_token};
use call::Call;
use forward::Answer;
pub(crate) use forward::{Forwarder, client};
pub(crate) use refusal::Refusal;
pub(crate) use target::Endpoint;
use target::Target;

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
    pub(crate) request_body: ByteSize,
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
    let Ok(place) = consumers.audit.reserve().await else { return Refusal::Stopping.into_response() };
    let asked = (request.method().as_str(), request.uri().path());
    let mut call = Call::begin(consumers.clock.now(), asked, place, consumers.metrics.clone());
    match consumers.carry_out(request, &mut call).await {
        Ok((Outcome::Relayed(answer), watched)) => call.relay(answer, watched),
        Ok((Outcome::Answered(body), _)) => call.answer(body),
        Err(refusal) => call.refuse(&refusal),
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
            let ask = match Ask::read(&head, &target, body, self.request_body).await? {
                Ask::Inference(ask) => ask,
                Ask::Models(wanted) => {
                    call.asks_for_models();
                    let list = self.models(&consumer, wanted.as_deref(), &target).await;
                    return list.map(Outcome::Answered);
                }
            };
            call.asks_for(&ask.facts.model, ask.body.len());
            let permit = self.policy.authorize(&consumer, &ask)?;
            call.is_permitted(&permit);
            // A budget is reserved and a human is asked here: there is a permit, and nothing has left yet.
            let stripped = outgoing::strip(&head.headers);
            let outgoing = outgoing::inject(&self.credentials, &permit, &target, stripped).await?;
            let answer = self.forwarder.forward(&permit, Method::POST, outgoing, ask.body).await?;
            Ok(Outcome::Relayed(answer))
        };
        let outcome = watched.unless_cut(work).await?;
        Ok((outcome, watched))
    }
}
