//! Anthropic's wire format.

use doorward_gateway::{Decision, Ending};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, KEY_2, RawUpstream, Rig, openai, soon};

const BODY: &str = "{\"model\" : \"claude-x\",\n\"max_tokens\":16, \"messages\":[], \"x-unknown\":[1.0,2e3]}";

fn anthropic(name: &str, base: &str, models: &[&str]) -> Value {
    json!({ "name": name, "kind": "anthropic", "base_url": base, "credential": { "env": "KEY" }, "models": models })
}

async fn rig(upstreams: &[Value]) -> (Rig, String) {
    let rig = Rig::granting(upstreams, &json!({ "models": ["claude-*", "gpt-*"] })).await;
    let token = rig.mine().await;
    (rig, token)
}

fn messages(rig: &Rig, token: &str, body: &str) -> reqwest::RequestBuilder {
    let request = rig.client.post(rig.url("/anthropic/v1/messages")).header("x-api-key", token);
    request.header("anthropic-version", "2023-06-01").header("content-type", "application/json").body(body.to_owned())
}

#[tokio::test]
async fn a_message_goes_out_byte_for_byte_with_the_key_where_anthropic_wants_it() {
    let upstream = RawUpstream::start().await;
    let base = format!("http://{}", upstream.address());
    let (rig, token) = rig(&[openai("other", upstream.address()), anthropic("claude", &base, &["claude-*"])]).await;
    let sent = tokio::spawn(messages(&rig, &token, BODY).header("anthropic-beta", "b1").send());
    let mut call = soon(upstream.call()).await;
    assert!(call.head.starts_with("post /v1/messages http/1.1\r\n"), "{}", call.head);
    assert_eq!(Sha256::digest(&call.body), Sha256::digest(BODY));
    assert_eq!((call.header("x-api-key"), call.header("authorization")), (Some(KEY), None));
    assert_eq!((call.header("anthropic-version"), call.header("anthropic-beta")), (Some("2023-06-01"), Some("b1")));
    let answer = r#"{"type":"message","usage":{"input_tokens":3,"cache_read_input_tokens":4,"output_tokens":5}}"#;
    call.answer(answer).await;
    assert_eq!(soon(sent).await.unwrap().unwrap().text().await.unwrap(), answer);
    let row = rig.audit_row().await;
    assert_eq!((row.prompt_tokens, row.completion_tokens, row.upstream.as_deref()), (Some(7), Some(5), Some("claude")));
}

#[tokio::test]
async fn a_stream_of_messages_flows_event_by_event_and_its_usage_is_counted() {
    let upstream = RawUpstream::start().await;
    let (rig, token) = rig(&[anthropic("claude", &format!("http://{}", upstream.address()), &["claude-*"])]).await;
    let sent = tokio::spawn(messages(&rig, &token, BODY).send());
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    let events = [
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":12}}\n\n",
    ];
    call.send_chunk(events[0]).await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), events[0]);
    for event in &events[1..] {
        call.send_chunk(event).await;
        assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), *event);
    }
    call.end_events().await;
    assert!(soon(answer.chunk()).await.unwrap().is_none());
    let row = rig.audit_row().await;
    assert_eq!((row.prompt_tokens, row.completion_tokens, row.ending), (Some(9), Some(12), Ending::Complete));
}

#[tokio::test]
async fn a_model_goes_to_the_upstream_of_its_kind_and_of_no_other() {
    let server = MockServer::start().await;
    for name in ["one", "two"] {
        let at = Mock::given(path(format!("/{name}/v1/messages")));
        at.respond_with(ResponseTemplate::new(200).set_body_string(name)).mount(&server).await;
    }
    let base = |name: &str| format!("{}/{name}", server.uri());
    let upstreams = [
        openai("gpt", *server.address()),
        anthropic("one", &base("one"), &["claude-haiku*"]),
        anthropic("two", &base("two"), &["claude-*"]),
    ];
    let (rig, token) = rig(&upstreams).await;
    for (model, expected) in [("claude-haiku-4", "one"), ("claude-opus", "two")] {
        let answer = messages(&rig, &token, &json!({ "model": model }).to_string()).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), expected);
    }
    // `gpt-5` is granted, but no upstream of this kind has it.
    let answer = messages(&rig, &token, r#"{"model":"gpt-5"}"#).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["type"], "not_found_error");
}

#[tokio::test]
async fn a_tool_that_anthropic_runs_needs_a_grant_and_one_of_the_caller_does_not() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let (rig, token) = rig(&[anthropic("claude", &server.uri(), &["claude-*"])]).await;
    let with = |more: Value| {
        let mut body = json!({ "model": "claude-x", "messages": [] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        messages(&rig, &token, &body.to_string())
    };
    for refused in [
        json!({ "tools": [{ "type": "web_search_20250305", "name": "web_search" }] }),
        json!({ "tools": [{ "type": "web_fetch_20250910", "name": "web_fetch" }] }),
        json!({ "tools": [{ "type": "code_execution_20250825", "name": "code_execution" }] }),
        json!({ "mcp_servers": [{ "type": "url", "url": "https://evil.example", "name": "x" }] }),
    ] {
        let answer = with(refused.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 403, "{refused}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("permission_error")));
    }
    assert!(server.received_requests().await.unwrap().is_empty());
    for own in [
        json!({ "tools": [{ "name": "f", "input_schema": { "type": "object" } }] }),
        json!({ "tools": [{ "type": "bash_20250124", "name": "bash" }, { "type": "custom", "name": "g" }] }),
    ] {
        assert_eq!(with(own.clone()).send().await.unwrap().status(), 200, "{own}");
    }
}

#[tokio::test]
async fn the_list_of_models_is_one_page_of_what_is_granted() {
    let server = MockServer::start().await;
    let models = json!([{ "type": "model", "id": "claude-a" }, { "type": "model", "id": "secret-b" }, { "type": "model", "id": "claude-c" }]);
    Mock::given(path("/v1/models"))
        .and(header("x-api-key", KEY))
        .and(header("anthropic-version", "2023-06-01"))
        .and(query_param("limit", "1000"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": models, "has_more": false })))
        .mount(&server)
        .await;
    let mut upstream = anthropic("claude", &server.uri(), &[]);
    upstream.as_object_mut().unwrap().remove("models");
    let (rig, token) = rig(&[upstream]).await;
    let list =
        |rest: &str| rig.client.get(rig.url(&format!("/anthropic/v1/models{rest}"))).header("x-api-key", &token).send();
    let page: Value = list("?limit=1").await.unwrap().json().await.unwrap();
    let expected = json!({
        "data": [{ "type": "model", "id": "claude-a" }, { "type": "model", "id": "claude-c" }],
        "first_id": "claude-a", "last_id": "claude-c", "has_more": false,
    });
    assert_eq!(page, expected);
    assert_eq!(list("/claude-c").await.unwrap().json::<Value>().await.unwrap()["id"], "claude-c");
    assert_eq!(list("/secret-b").await.unwrap().status(), 404);
}

#[tokio::test]
async fn an_sdk_reads_a_refusal_and_a_401_challenges_nobody_for_basic() {
    let (rig, token) = rig(&[]).await;
    let answer = messages(&rig, "dw_wrong", BODY).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    assert_eq!(answer.json::<Value>().await.unwrap()["error"]["type"], "authentication_error");
    let answer = messages(&rig, &token, r#"{"model":"o3"}"#).send().await.unwrap();
    let body: Value = answer.json().await.unwrap();
    assert_eq!((&body["type"], &body["error"]["type"]), (&json!("error"), &json!("permission_error")));
    assert!(body["error"]["message"].as_str().unwrap().contains("`o3` is not granted"), "{body}");
    assert!(rig.audit_rows(2).await.iter().all(|row| row.decision == Decision::Refused));
    assert!(!body.to_string().contains(KEY_2));
}
