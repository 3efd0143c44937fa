//! Many requests at once under one budget, with streams that break on either side: never more than the budget, and every token counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::json;
use tokio::net::TcpListener;

use crate::rig::{Rig, openai, soon};

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A whole answer that says what it used.
    Whole,
    /// A stream that says at its end what it used.
    Streamed,
    /// The upstream fails.
    Failed,
    /// The client goes away within the stream.
    Left,
    /// The upstream breaks off within the stream.
    Broken,
}

#[derive(Clone, Debug)]
struct Plan {
    most: u64,
    used: u64,
    ending: Ending,
}

impl Plan {
    fn body(&self) -> String {
        json!({ "model": "gpt-5", "max_tokens": self.most, "used": self.used, "ending": self.ending as u8 }).to_string()
    }

    /// What the gateway takes the prompt for.
    fn prompt(&self) -> u64 {
        (self.body().len() as u64).div_ceil(4)
    }

    /// The least and the most that is charged for it.
    fn charge(&self) -> (u64, u64) {
        match self.ending {
            Ending::Whole | Ending::Streamed => (self.used, self.used),
            Ending::Failed => (0, 0),
            Ending::Left => (self.prompt(), self.prompt() + self.most),
            // It costs nothing if it breaks before the client has its head.
            Ending::Broken => (0, self.prompt() + self.most),
        }
    }
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let endings =
        prop::sample::select(vec![Ending::Whole, Ending::Streamed, Ending::Failed, Ending::Left, Ending::Broken]);
    let plan = (1_u64..80, 0_u64..=100, endings).prop_map(|(most, percent, ending)| {
        let unused = Plan { most, used: 0, ending };
        // Never more than was asked for, prompt included.
        let used = (unused.prompt() + most) * percent / 100;
        Plan { used, ..unused }
    });
    prop::collection::vec(plan, 30..40)
}

/// The upstream, which knows what the requests that it hears may use together.
#[derive(Clone)]
struct Upstream {
    charged: Arc<AtomicU64>,
    limit: u64,
}

async fn answer(State(upstream): State<Upstream>, body: Bytes) -> Response {
    let asked: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let number = |key: &str| asked[key].as_u64().unwrap();
    let endings = [Ending::Whole, Ending::Streamed, Ending::Failed, Ending::Left, Ending::Broken];
    let ending = endings[usize::try_from(number("ending")).unwrap()];
    let plan = Plan { most: number("max_tokens"), used: number("used"), ending };
    let held = plan.prompt() + plan.most;
    let together = upstream.charged.fetch_add(held, Ordering::SeqCst) + held;
    assert!(together <= upstream.limit, "{together} of {} tokens are used or running", upstream.limit);
    tokio::time::sleep(Duration::from_millis(plan.most % 7)).await;
    // Given back before the gateway can know of it.
    upstream.charged.fetch_sub(held - plan.charge().0, Ordering::SeqCst);
    let usage = json!({ "usage": { "prompt_tokens": plan.used, "completion_tokens": 0 } });
    let events = |rest: stream::BoxStream<'static, std::io::Result<Bytes>>| {
        let first = stream::iter([Ok(Bytes::from_static(b"data: {\"n\":1}\n\n"))]);
        ([("content-type", "text/event-stream")], Body::from_stream(first.chain(rest))).into_response()
    };
    match plan.ending {
        Ending::Whole => axum::Json(usage).into_response(),
        Ending::Failed => (axum::http::StatusCode::INTERNAL_SERVER_ERROR, axum::Json(usage)).into_response(),
        Ending::Streamed => {
            let last = Bytes::from(format!("data: {usage}\n\ndata: [DONE]\n\n"));
            events(stream::iter([Ok(last)]).boxed())
        }
        Ending::Left => events(stream::pending().boxed()),
        Ending::Broken => events(stream::iter([Err(std::io::Error::other("broken"))]).boxed()),
    }
}

/// Whether the request was let through.
async fn carry_out(rig: &Rig, token: &str, plan: &Plan) -> bool {
    let mut answer = soon(rig.post(token, "chat/completions", plan.body()).send()).await.unwrap();
    if answer.status() == 429 {
        return false;
    }
    let read = async {
        let whole = plan.ending != Ending::Left;
        while let Ok(Some(_)) = answer.chunk().await {
            if !whole {
                return;
            }
        }
    };
    soon(read).await;
    true
}

async fn all_at_once(limit: u64, plans: Vec<Plan>) {
    let upstream = Upstream { charged: Arc::default(), limit };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(upstream);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let grant = json!({ "models": ["*"], "budget": { "tokens_per_day": limit } });
    let rig = Rig::granting(&[openai("up", address)], &grant).await;
    let token = rig.mine().await;
    let passed = join_all(plans.iter().map(|plan| carry_out(&rig, &token, plan))).await;
    rig.audit_rows(plans.len()).await;
    let charges = plans.iter().zip(&passed).filter(|(_, passed)| **passed).map(|(plan, _)| plan.charge());
    let (least, most) = charges.fold((0, 0), |sum, charge| (sum.0 + charge.0, sum.1 + charge.1));
    assert!(least <= limit && passed.contains(&true));
    soon(async {
        loop {
            let state = rig.ask("GET", "/admin/v1/usage", "").await.1["budgets"][0].clone();
            let tokens = |key: &str| state[key].as_u64().unwrap_or(u64::MAX);
            assert!(tokens("tokens_today") <= limit || state.is_null(), "{state}");
            if tokens("tokens_held") == 0 && (least..=most).contains(&tokens("tokens_today")) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_requests_at_once_never_overspend_and_broken_streams_are_counted() {
    let mut runner = TestRunner::deterministic();
    for limit in [200, 900, 100_000] {
        let plans = plans().new_tree(&mut runner).unwrap().current();
        all_at_once(limit, plans).await;
    }
}
