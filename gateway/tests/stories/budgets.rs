//! Rates and budgets, from the client's side.

use std::time::Duration;

use doorward_gateway::Ending;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{RawUpstream, Rig, error, openai, soon};

/// 22:13:20, so 106 minutes and 40 seconds before midnight.
const UNTIL_MIDNIGHT: u64 = 6_400;

fn limited(more: &Value) -> Value {
    let mut grant = json!({ "models": ["gpt-*"] });
    grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    grant
}

fn using(prompt: u64, completion: u64) -> ResponseTemplate {
    let usage = json!({ "usage": { "prompt_tokens": prompt, "completion_tokens": completion } });
    ResponseTemplate::new(200).set_body_json(usage)
}

async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

/// Asks for an answer of ten tokens at most; the status, once the answer is read.
async fn ask(rig: &Rig, token: &str) -> reqwest::Response {
    rig.post(token, "chat/completions", r#"{"model":"gpt-5","max_tokens":10}"#).send().await.unwrap()
}

/// Waits until a call is charged: its row is written after that.
async fn ended(rig: &Rig, rows: usize) {
    rig.audit_rows(rows).await;
}

#[tokio::test]
async fn requests_above_the_rate_are_told_when_to_come_back() {
    let server = server(using(1, 1)).await;
    let rig =
        Rig::granting(&[openai("up", *server.address())], &limited(&json!({ "rate": { "requests_per_minute": 3 } })))
            .await;
    let token = rig.mine().await;
    for _ in 0..3 {
        assert_eq!(ask(&rig, &token).await.status(), 200);
    }
    let refused = ask(&rig, &token).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    // SDKs heed no more than 60.
    assert!((1..=60).contains(&wait), "{wait}");
    let refusal = error(refused, 429).await;
    assert_eq!((&refusal["type"], &refusal["code"]), (&json!("rate_limit_error"), &json!("over_budget")));
    assert!(refusal["message"].as_str().unwrap().contains("3 requests per minute"), "{refusal}");
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
    rig.clock.advance(Duration::from_secs(wait));
    assert_eq!(ask(&rig, &token).await.status(), 200);
}

#[tokio::test]
async fn a_budget_that_is_used_up_refuses_until_midnight() {
    let server = server(using(50, 45)).await;
    let budget = json!({ "budget": { "tokens_per_day": 100 } });
    let rig = Rig::granting(&[openai("up", *server.address())], &limited(&budget)).await;
    let token = rig.mine().await;
    ask(&rig, &token).await.bytes().await.unwrap();
    ended(&rig, 1).await;
    let refused = ask(&rig, &token).await;
    assert_eq!(refused.headers()["retry-after"], UNTIL_MIDNIGHT.to_string().as_str());
    let refusal = error(refused, 429).await;
    assert!(refusal["message"].as_str().unwrap().contains("100 tokens a day: 5 tokens left"), "{refusal}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    rig.clock.advance(Duration::from_secs(UNTIL_MIDNIGHT));
    let token = rig.mine().await;
    assert_eq!(ask(&rig, &token).await.status(), 200);
}

#[tokio::test]
async fn a_budget_is_each_consumers_own() {
    let server = server(using(50, 45)).await;
    let budget = json!({ "budget": { "tokens_total": 100 } });
    let rig = Rig::granting(&[openai("up", *server.address())], &limited(&budget)).await;
    let (alice, bob) = (rig.mine().await, rig.token_of("bob", "mine").await);
    ask(&rig, &alice).await.bytes().await.unwrap();
    ended(&rig, 1).await;
    assert_eq!(ask(&rig, &alice).await.status(), 429);
    assert_eq!(ask(&rig, &bob).await.status(), 200);
}

#[tokio::test]
async fn a_failed_request_costs_nothing() {
    let server = server(
        ResponseTemplate::new(500).set_body_json(json!({ "usage": { "prompt_tokens": 90, "completion_tokens": 9 } })),
    )
    .await;
    let budget = json!({ "budget": { "tokens_per_day": 100 } });
    let rig = Rig::granting(&[openai("up", *server.address())], &limited(&budget)).await;
    let token = rig.mine().await;
    for row in 1..4 {
        assert_eq!(ask(&rig, &token).await.status(), 500);
        ended(&rig, row).await;
    }
    assert_eq!(rig.post(&token, "chat/completions", r#"{"model":"o3"}"#).send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_stream_that_the_client_leaves_is_charged_for_what_came() {
    let upstream = RawUpstream::start().await;
    let budget = json!({ "budget": { "tokens_per_day": 100 } });
    let rig = Rig::granting(&[openai("up", upstream.address())], &limited(&budget)).await;
    let token = rig.mine().await;
    let sent = tokio::spawn(rig.post(&token, "chat/completions", r#"{"model":"gpt-5","stream":true}"#).send());
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    // A hundred bytes of events for a token: far more than is left.
    let event = format!("data: {}\n\n", "x".repeat(92));
    for _ in 0..150 {
        call.send_chunk(&event).await;
    }
    let mut answer = soon(sent).await.unwrap().unwrap();
    let mut seen = 0;
    while seen < 15_000 {
        seen += soon(answer.chunk()).await.unwrap().unwrap().len();
    }
    drop(answer);
    soon(call.closed()).await;
    assert_eq!(rig.audit_row().await.ending, Ending::ClientGone);
    assert_eq!(ask(&rig, &token).await.status(), 429);
}

#[tokio::test]
async fn a_request_that_is_still_running_holds_what_it_may_use() {
    let upstream = RawUpstream::start().await;
    let budget = json!({ "budget": { "tokens_total": 30 } });
    let rig = Rig::granting(&[openai("up", upstream.address())], &limited(&budget)).await;
    let token = rig.mine().await;
    let body = r#"{"model":"gpt-5","max_tokens":15}"#;
    let sent = tokio::spawn(rig.post(&token, "chat/completions", body).send());
    let mut call = soon(upstream.call()).await;
    let refusal = error(rig.post(&token, "chat/completions", body).send().await.unwrap(), 429).await;
    assert!(refusal["message"].as_str().unwrap().contains("still running"), "{refusal}");
    call.answer(r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}}"#).await;
    soon(sent).await.unwrap().unwrap().bytes().await.unwrap();
    rig.audit_rows(2).await;
    let sent = tokio::spawn(rig.post(&token, "chat/completions", body).send());
    let mut call = soon(upstream.call()).await;
    call.answer("{}").await;
    assert_eq!(soon(sent).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn money_is_counted_by_the_price_of_the_model() {
    let server = server(using(1_000_000, 0)).await;
    let mut config = crate::rig::config(&[openai("up", *server.address())]);
    config.prices = serde_json::from_value(json!({ "gpt-5": { "input": 1.0, "output": 2.0 } })).unwrap();
    let rig = Rig::granting_with(config, &limited(&json!({ "budget": { "usd_per_day": 1.5 } }))).await;
    let token = rig.mine().await;
    for (row, status) in [(1, 200), (2, 200), (3, 429)] {
        let answer = ask(&rig, &token).await;
        assert_eq!(answer.status(), status);
        answer.bytes().await.unwrap();
        ended(&rig, row).await;
    }
    let unknown = rig.post(&token, "chat/completions", r#"{"model":"gpt-unheard-of"}"#).send().await.unwrap();
    assert!(unknown.headers().get("retry-after").is_none());
    assert!(error(unknown, 403).await["message"].as_str().unwrap().contains("price"), "no price, no request");
}

#[tokio::test]
async fn what_takes_too_long_may_have_been_answered_and_is_charged_and_not_asked_again() {
    let upstream = RawUpstream::start().await;
    let mut slow = openai("up", upstream.address());
    slow["timeouts"] = json!({ "first_byte": "1s" });
    slow["fallback"] = json!("other");
    let other = server(using(1, 1)).await;
    let grant = limited(&json!({ "budget": { "tokens_total": 25 } }));
    let rig = Rig::granting(&[slow, openai("other", *other.address())], &grant).await;
    let token = rig.mine().await;
    let sent = tokio::spawn(rig.post(&token, "chat/completions", r#"{"model":"gpt-5","max_tokens":10}"#).send());
    let _call = soon(upstream.call()).await;
    assert_eq!(error(soon(sent).await.unwrap().unwrap(), 504).await["code"], "upstream_timeout");
    assert!(other.received_requests().await.unwrap().is_empty());
    ended(&rig, 1).await;
    // 9 tokens of prompt and 10 of answer were charged, so that no more than 6 are left.
    assert_eq!(ask(&rig, &token).await.status(), 429);
}
