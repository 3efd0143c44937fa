use std::sync::{Arc, Mutex};

use doorward_base::{SystemClock, Timestamp};
use serde_json::json;
use wiremock::matchers::{bearer_token, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::gateway::GatewayEndpoint;

async fn ask(answer: ResponseTemplate) -> (Result<Answer, ChatError>, Vec<String>) {
    let server = MockServer::start().await;
    let chat = Mock::given(method("POST")).and(path("/v1/chat/completions")).and(bearer_token("dw_test"));
    chat.respond_with(answer).mount(&server).await;
    let url: reqwest::Url = server.uri().parse().unwrap();
    let endpoint =
        GatewayEndpoint { consumer_url: url.clone(), admin_url: url, admin_token_file: "unused".into(), tls: None };
    let gateway = Gateway::new(endpoint, Arc::new(SystemClock));
    let token = ConsumerToken::for_test("dw_test", Timestamp::from_millis(i64::MAX));
    let shown = Mutex::new(Vec::new());
    let result = complete(&gateway, &token, &json!({}), |text| shown.lock().unwrap().push(text.to_owned())).await;
    (result, shown.into_inner().unwrap())
}

fn stream(events: &[serde_json::Value], done: bool) -> ResponseTemplate {
    let mut body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    if done {
        body.push_str("data: [DONE]\n\n");
    }
    ResponseTemplate::new(200).set_body_raw(body, "text/event-stream")
}

fn delta(delta: &serde_json::Value) -> serde_json::Value {
    json!({"choices": [{"index": 0, "delta": delta}]})
}

#[tokio::test]
async fn text_is_shown_as_it_grows() {
    let parts = [delta(&json!({"content": "Hel"})), delta(&json!({"content": "lo"}))];
    let (answer, shown) = ask(stream(&parts, true)).await;
    assert_eq!(answer.unwrap().text, "Hello");
    assert_eq!(shown, ["Hel", "Hello"]);
}

#[tokio::test]
async fn a_tool_call_is_put_together_from_its_parts() {
    let parts = [
        delta(&json!({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "write_file", "arguments": ""}}]})),
        delta(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"path\":"}}]})),
        delta(
            &json!({"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "list_files", "arguments": "{}"}}]}),
        ),
        delta(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"a\"}"}}]})),
    ];
    let (answer, _) = ask(stream(&parts, true)).await;
    let calls = answer.unwrap().calls;
    assert_eq!((calls[0].id.as_str(), calls[0].arguments.as_str()), ("c1", r#"{"path":"a"}"#));
    assert_eq!((calls[1].id.as_str(), calls[1].name.as_str()), ("c2", "list_files"));
}

#[tokio::test]
async fn calls_that_a_model_gave_the_same_id_are_told_apart() {
    let call = json!({"id": "call", "function": {"name": "list_files", "arguments": "{}"}});
    let body = json!({"choices": [{"message": {"content": null, "tool_calls": [call, call, call]}}]});
    let (answer, _) = ask(ResponseTemplate::new(200).set_body_json(body)).await;
    let ids: Vec<_> = answer.unwrap().calls.into_iter().map(|call| call.id).collect();
    assert_eq!(ids, ["call", "call_1", "call_2"]);
}

#[tokio::test]
async fn an_upstream_that_does_not_stream_is_understood_too() {
    let body = json!({"choices": [{"message": {"content": "Hello", "tool_calls": null}}]});
    let (answer, shown) = ask(ResponseTemplate::new(200).set_body_json(body)).await;
    assert_eq!(answer.unwrap().text, "Hello");
    assert_eq!(shown, ["Hello"]);
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let (answer, _) = ask(stream(&[delta(&json!({"content": "The result is 4"}))], false)).await;
    assert!(matches!(answer, Err(ChatError::BrokeOff)));
}

#[tokio::test]
async fn garbage_is_called_so_and_is_worth_another_try() {
    for answer in [
        ResponseTemplate::new(200).set_body_raw("data: {{{\n\n", "text/event-stream"),
        ResponseTemplate::new(200).set_body_string("<html>"),
        ResponseTemplate::new(200).set_body_json(json!({"choices": []})),
    ] {
        let (answer, _) = ask(answer).await;
        let error = answer.unwrap_err();
        assert!(matches!(error, ChatError::Garbage(_)));
        assert!(matches!(TurnError::from(error), TurnError::Retry { .. }));
    }
}

#[tokio::test]
async fn what_the_gateway_says_of_a_refusal_reaches_the_room() {
    let body = json!({"error": {"message": "the grant \"default\" does not cover the model gpt-9"}});
    let (answer, _) = ask(ResponseTemplate::new(403).set_body_json(body)).await;
    let TurnError::Fail { reason } = answer.unwrap_err().into() else { panic!("a refusal is final") };
    assert!(reason.contains("does not cover the model gpt-9"), "{reason}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_it_says() {
    let (answer, _) = ask(ResponseTemplate::new(429).insert_header("Retry-After", "7")).await;
    let TurnError::Retry { after, .. } = answer.unwrap_err().into() else { panic!("a limit passes") };
    assert_eq!(after, Some(Duration::from_secs(7)));
}
