//! What does not go through, and that the upstream never hears of it.

use doorward_gateway::{Decision, config::ByteSize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

use crate::rig::{HOUR, Rig, config, error, openai, soon};

/// A gateway whose upstream says yes to everything.
async fn rig() -> (Rig, MockServer) {
    let server = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(ResponseTemplate::new(200).set_body_string("{}")).mount(&server).await;
    (Rig::start(&[openai("up", *server.address())]).await, server)
}

async fn heard(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn without_a_good_token_nothing_is_answered_and_nothing_is_read() {
    let (rig, server) = rig().await;
    let token = rig.token("default").await;
    let mut wrong = token.clone();
    wrong.replace_range(10..11, if &token[10..11] == "a" { "b" } else { "a" });
    let chat = || rig.client.post(rig.url("/v1/chat/completions")).body("not even JSON");
    for (request, part) in [
        (chat(), "no consumer token"),
        (chat().bearer_auth("sk-foreign"), "not a consumer token"),
        (chat().bearer_auth(wrong), "not a consumer token"),
        (chat().bearer_auth(&token).header("x-api-key", rig.token("default").await), "two different tokens"),
        (rig.client.get(rig.url("/nowhere")), "no consumer token"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["www-authenticate"], "Bearer");
        let error = error(answer, 401).await;
        assert_eq!(error["code"], "invalid_api_key");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    assert_eq!(heard(&server).await, 0);
    let rows = rig.audit_rows(5).await;
    assert!(rows.iter().all(|row| row.consumer.is_none() && row.decision == Decision::Refused && row.status == 401));
}

#[tokio::test]
async fn an_expired_and_a_revoked_token_are_refused_by_name() {
    let (rig, server) = rig().await;
    let revoked = rig.token("default").await;
    rig.gateway.tokens().revoke("alice").await.unwrap();
    let expired = rig.token("default").await;
    rig.clock.advance(HOUR);
    for (token, part) in [(revoked, "revoked"), (expired, "expired")] {
        let error = error(rig.chat(&token, "gpt-5").send().await.unwrap(), 401).await;
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    assert_eq!(heard(&server).await, 0);
}

#[tokio::test]
async fn every_place_for_a_token_works() {
    let (rig, server) = rig().await;
    let token = rig.token("default").await;
    let chat = || rig.client.post(rig.url("/v1/responses")).json(&json!({ "model": "gpt-5" }));
    for request in [
        chat().bearer_auth(&token),
        chat().header("authorization", format!("token {token}")),
        chat().header("x-api-key", &token),
        chat().basic_auth("x", Some(&token)),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    assert_eq!(heard(&server).await, 4);
}

#[tokio::test]
async fn a_model_beyond_the_grant_is_refused_also_as_a_fallback() {
    let (rig, server) = rig().await;
    let token = rig.token("default").await;
    let ask = async |body: &str| error(rig.post(&token, "chat/completions", body).send().await.unwrap(), 403).await;
    for body in [r#"{"model":"o3"}"#, r#"{"model":"gpt-5","models":["o3"]}"#] {
        let error = ask(body).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("model_not_found"), &json!("the model `o3` is not granted to this token"))
        );
    }
    assert_eq!(heard(&server).await, 0);
    assert_eq!(rig.audit_rows(2).await[1].model.as_deref(), Some("o3"));
}

#[tokio::test]
async fn a_grant_that_is_configured_no_longer_allows_nothing() {
    let (rig, server) = rig().await;
    let token = rig.token("gone").await;
    error(rig.chat(&token, "gpt-5").send().await.unwrap(), 403).await;
    assert_eq!(heard(&server).await, 0);
}

#[tokio::test]
async fn a_granted_model_without_an_upstream_is_not_found() {
    let rig = Rig::start(&[]).await;
    let token = rig.token("default").await;
    assert_eq!(error(rig.chat(&token, "gpt-5").send().await.unwrap(), 404).await["code"], "model_not_found");
}

#[tokio::test]
async fn a_tool_that_the_provider_runs_needs_a_grant() {
    let (rig, server) = rig().await;
    let (plain, searcher) = (rig.token("default").await, rig.token("searcher").await);
    let search = r#"{"model":"gpt-5","tools":[{"type":"web_search_preview"}]}"#;
    let shell = r#"{"model":"gpt-5","tools":[{"type":"code_interpreter"}]}"#;
    for (token, body) in [(&plain, search), (&plain, shell), (&searcher, shell)] {
        let error = error(rig.post(token, "responses", body).send().await.unwrap(), 403).await;
        assert!(error["message"].as_str().unwrap().contains("provider_tools"), "{error}");
    }
    assert_eq!(heard(&server).await, 0);
    assert_eq!(rig.post(&searcher, "responses", search).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_can_be_read_in_two_ways_or_in_none_is_refused() {
    let (rig, server) = rig().await;
    let token = rig.token("all").await;
    for body in [
        r#"{"model":"gpt-5","model":"o3"}"#,
        r#"{"model":"gpt-5","Model":"o3"}"#,
        r#"{"model":"gpt-5""#,
        "",
        "[]",
        "{}",
    ] {
        error(rig.post(&token, "chat/completions", body).send().await.unwrap(), 400).await;
    }
    let text = rig.client.post(rig.url("/v1/responses")).bearer_auth(&token).body(r#"{"model":"gpt-5"}"#);
    error(text.send().await.unwrap(), 415).await;
    let packed = rig.post(&token, "responses", "{}").header("content-encoding", "gzip");
    error(packed.send().await.unwrap(), 415).await;
    assert_eq!(heard(&server).await, 0);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_announced_or_not() {
    let server = MockServer::start().await;
    Mock::given(matchers::any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let mut config = config(&[openai("up", *server.address())]);
    config.limits.request_body = ByteSize(1024);
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    let body = |length: usize| {
        let start = r#"{"model":"gpt-5","x":""#;
        format!("{start}{}\"}}", "a".repeat(length - start.len() - 2))
    };
    assert_eq!(rig.post(&token, "responses", body(1024)).send().await.unwrap().status(), 200);
    let announced = error(rig.post(&token, "responses", body(1025)).send().await.unwrap(), 413).await;
    assert_eq!(
        (&announced["code"], &announced["message"]),
        (&json!("request_too_large"), &json!("the request body is larger than 1KB"))
    );
    let chunks = futures_util::stream::iter([Ok::<_, std::io::Error>(body(1025))]);
    let unannounced = rig.post(&token, "responses", "").body(reqwest::Body::wrap_stream(chunks));
    error(unannounced.send().await.unwrap(), 413).await;
    error(soon(rig.post(&token, "responses", body(8 << 20)).send()).await.unwrap(), 413).await;
    assert_eq!(heard(&server).await, 1);
}

#[tokio::test]
async fn a_path_that_is_not_in_the_table_is_refused_with_a_sentence() {
    let (rig, server) = rig().await;
    let token = rig.token("all").await;
    for (method, path, status, code) in [
        ("POST", "/v1/files", 403, "not_granted"),
        ("POST", "/v1/audio/transcriptions", 415, "unsupported_media_type"),
        ("POST", "/v1/images/generations", 415, "unsupported_media_type"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/gpt-5", 405, "method_not_allowed"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/models%2fgpt-5", 400, "ambiguous_path"),
        ("GET", "/metrics", 404, "not_found"),
        ("GET", "/admin/v1/tokens", 404, "not_found"),
    ] {
        let request = rig.client.request(method.parse().unwrap(), rig.url(path)).bearer_auth(&token);
        assert_eq!(error(request.send().await.unwrap(), status).await["code"], code, "{method} {path}");
    }
    assert_eq!(heard(&server).await, 0);
}

#[tokio::test]
async fn a_refusal_has_the_shape_that_the_client_of_its_path_reads() {
    let (rig, server) = rig().await;
    let token = rig.token("all").await;
    for (path, key, part) in [
        ("/v1/files", "/error/message", "this path is not granted"),
        ("/anthropic/v1/files", "/error/message", "this path is not granted"),
        ("/api/v3/repos/acme/widgets", "/message", "is not granted to this token"),
        ("/mcp/memory", "/error/message", "the MCP server `memory` is not granted"),
        ("/http/weather/v1/today", "/error/message", "`GET /v1/today` of upstream `weather` is not granted"),
    ] {
        let answer = rig.client.get(rig.url(path)).bearer_auth(&token).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (403, &"application/json".parse().unwrap())
        );
        let body: Value = answer.json().await.unwrap();
        assert!(
            body.pointer(key).and_then(Value::as_str).is_some_and(|message| message.contains(part)),
            "{path}: {body}"
        );
    }
    let git = rig.client.get(rig.url("/git/acme/widgets.git/info/refs?service=git-upload-pack")).bearer_auth(&token);
    let answer = git.send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (403, &"text/plain; charset=utf-8".parse().unwrap())
    );
    assert_eq!(answer.text().await.unwrap(), "read on acme/widgets is not granted to this token\n");
    assert_eq!(heard(&server).await, 0);
}

/// Sends a request line as it stands, which no client library would.
async fn raw(rig: &Rig, token: &str, line: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(rig.consumer).await.unwrap();
    let request = format!("{line}\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer)).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn a_target_that_two_servers_could_read_in_two_ways_is_refused() {
    let (rig, server) = rig().await;
    let token = rig.token("all").await;
    for target in [
        "http://evil.example/v1/models",
        "//v1/models",
        "//evil.example/v1/models",
        "/v1/../v1/models",
        "/v1/./models",
        "/v1/%2e%2e/v1/models",
        "/v1\\models",
        "/v1/models%5c",
        "/v1%2Fmodels",
        "/v1/models%00",
        "/v1/models;a=b",
        "/v1//models",
        "/v1/%252e%252e/models",
        "/v1/models/..",
        "*",
    ] {
        let (status, body) = raw(&rig, &token, &format!("GET {target} HTTP/1.1")).await;
        assert!(status == 400, "{target}: {status} {body}");
    }
    assert_eq!(heard(&server).await, 0);
    assert_eq!(raw(&rig, &token, "GET /v1/models HTTP/1.1").await.0, 502, "an answer that is no list of models");
}
