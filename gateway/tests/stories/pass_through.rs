//! What goes through, and that it goes through unchanged.

use serde_json::json;
use sha2::{Digest, Sha256};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, RawUpstream, Rig, openai, soon};

/// Odd white space, an unknown field, equal keys, a number that no float holds, escapes: what a parser would tidy up.
const ODD_BODY: &str = "\t{ \"messages\" :[\n{\"role\":\"user\",\"content\":\"\\u00e9\\/ é\"} ],\r\n \"seed\":123456789012345678901234567890.10,\
    \"x-unknown\":{\"a\":1,\"a\":2},\"dup\":1 , \"dup\":2,  \"model\"\t:  \"gpt-5\"}  \n";

#[tokio::test]
async fn a_request_body_reaches_the_upstream_byte_for_byte() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.post(&token, "chat/completions", ODD_BODY).send());
    let mut call = soon(upstream.call()).await;
    assert_eq!(Sha256::digest(&call.body), Sha256::digest(ODD_BODY));
    assert!(call.head.starts_with("post /v1/chat/completions http/1.1\r\n"), "{}", call.head);
    call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!(soon(sent).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn an_answer_reaches_the_client_byte_for_byte() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").header("accept-encoding", "gzip, zstd").send());
    let mut call = soon(upstream.call()).await;
    assert_eq!(call.header("accept-encoding"), Some("identity"), "what is compressed cannot be searched");
    assert_eq!(call.head.matches("accept-encoding").count(), 1);
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let head = format!(
        "HTTP/1.1 203 Non-Authoritative Information\r\nx-request-id: r1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    call.send(head.as_bytes()).await;
    call.send(&body).await;
    let answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(answer.status(), 203);
    assert_eq!(answer.headers()["x-request-id"], "r1");
    assert_eq!(answer.headers()["content-length"], "100000");
    assert_eq!(Sha256::digest(soon(answer.bytes()).await.unwrap()), Sha256::digest(&body));
    let row = rig.audit_row().await;
    assert_eq!((row.status, row.response_bytes, row.prompt_tokens), (203, 100_000, None));
}

#[tokio::test]
async fn the_upstream_sees_the_real_key_and_nothing_of_the_callers_credentials_or_connection() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let request = rig.chat(&token, "gpt-5").header("x-api-key", &token);
    let request = [
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic eDp5"),
        ("api-key", "foreign"),
        ("x-goog-api-key", "foreign"),
        ("openai-organization", "org-other"),
        ("x-forwarded-for", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("te", "trailers"),
        ("x-hop", "1"),
        ("connection", "keep-alive, X-Hop"),
        ("openai-beta", "assistants=v2"),
        ("x-stainless-lang", "python"),
    ]
    .into_iter()
    .fold(request, |request, (name, value)| request.header(name, value));
    let sent = tokio::spawn(request.send());
    let mut call = soon(upstream.call()).await;
    assert_eq!(call.header("authorization"), Some(format!("bearer {KEY}").as_str()));
    assert_eq!(call.header("host"), Some(upstream.address().to_string().as_str()));
    assert_eq!(call.header("openai-beta"), Some("assistants=v2"));
    assert_eq!(call.header("x-stainless-lang"), Some("python"));
    let gone = [
        "x-api-key",
        "cookie",
        "proxy-",
        "api-key",
        "organization",
        "forwarded",
        "override",
        "original",
        "te:",
        "x-hop",
        "foreign",
        "dw_",
    ];
    for part in gone {
        assert!(
            !call.head.lines().any(|line| line.starts_with(part)) && !call.head.contains(&format!("{part}:")),
            "{part} in {}",
            call.head
        );
    }
    assert!(!call.head.contains("dw_") && !call.head.contains("foreign"), "{}", call.head);
    call.send(b"HTTP/1.1 200 OK\r\nset-cookie: s=1\r\nalt-svc: h3\r\nconnection: x-secret\r\nx-secret: 1\r\ncontent-length: 2\r\n\r\n{}").await;
    let answer = soon(sent).await.unwrap().unwrap();
    for name in ["set-cookie", "alt-svc", "x-secret"] {
        assert!(!answer.headers().contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn a_changed_credential_is_used_without_a_restart() {
    let server = MockServer::start().await;
    for (model, key) in
        [("file", "key-1"), ("file", "key-2"), ("secret", "sec-1"), ("secret", "sec-2"), ("env", "env-2")]
    {
        let answer = ResponseTemplate::new(200).set_body_string(format!("{model} {key}"));
        Mock::given(path(format!("/{model}/responses")))
            .and(header("authorization", format!("Bearer {key}").as_str()))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let up = |name: &str, credential| {
        json!({
            "name": name, "kind": "openai", "base_url": format!("{}/{name}", server.uri()), "credential": credential, "models": [name],
        })
    };
    let rig = Rig::start(&[
        up("file", json!({ "file": "key.txt" })),
        up("secret", json!({ "secret": "openai" })),
        up("env", json!({ "env": "KEY" })),
    ])
    .await;
    let token = rig.token("all").await;
    let ask = async |model: &str| {
        let answer = rig.post(&token, "responses", json!({ "model": model }).to_string()).send().await.unwrap();
        answer.text().await.unwrap()
    };
    for turn in ["1", "2"] {
        std::fs::write(rig.folder.path().join("key.txt"), format!("key-{turn}\n")).unwrap();
        rig.set_secret("openai", &format!("sec-{turn}")).await;
        assert_eq!(ask("file").await, format!("file key-{turn}"));
        assert_eq!(ask("secret").await, format!("secret sec-{turn}"));
    }
    rig.environment.lock().unwrap().insert("KEY".to_owned(), "env-2".to_owned());
    assert_eq!(ask("env").await, "env env-2");
}

#[tokio::test]
async fn a_model_goes_to_the_first_upstream_that_serves_it() {
    let server = MockServer::start().await;
    for name in ["one", "two", "rest"] {
        Mock::given(path(format!("/{name}/embeddings")))
            .respond_with(ResponseTemplate::new(200).set_body_string(name))
            .mount(&server)
            .await;
    }
    let up = |name: &str, models: Option<&[&str]>| {
        let mut upstream = json!({ "name": name, "kind": "openai", "base_url": format!("{}/{name}", server.uri()) });
        if let Some(models) = models {
            upstream["models"] = json!(models);
        }
        upstream
    };
    let rig = Rig::start(&[up("one", Some(&["gpt-4*"])), up("two", Some(&["gpt-*"])), up("rest", None)]).await;
    let token = rig.token("all").await;
    for (model, expected) in [("gpt-4o", "one"), ("gpt-5", "two"), ("meta/llama", "rest")] {
        let answer = rig.post(&token, "embeddings", json!({ "model": model }).to_string()).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), expected);
    }
    let upstreams: Vec<_> = rig.audit_rows(3).await.into_iter().rev().map(|row| row.upstream.unwrap()).collect();
    assert_eq!(upstreams, ["one", "two", "rest"]);
}

#[tokio::test]
async fn a_query_goes_along_but_for_the_parameter_that_holds_the_key() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let mut upstream = openai("up", *server.address());
    upstream["inject"] = json!({ "query": "key" });
    let rig = Rig::start(&[upstream]).await;
    let token = rig.token("default").await;
    let body = r#"{"model":"gpt-5"}"#;
    assert_eq!(rig.post(&token, "completions?v=1&v=%32", body).send().await.unwrap().status(), 200);
    for query in ["key=mine", "KEY=mine", "%6bey=mine", "a=1&key"] {
        assert_eq!(
            rig.post(&token, &format!("completions?{query}"), body).send().await.unwrap().status(),
            400,
            "{query}"
        );
    }
    let received = server.received_requests().await.unwrap();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].url.query(), Some(format!("v=1&v=%32&key={KEY}").as_str()));
    assert!(received[0].headers.get("authorization").is_none());
}

#[tokio::test]
async fn every_call_leaves_one_row_with_who_what_and_how_much() {
    let server = MockServer::start().await;
    let answer = json!({ "choices": [], "usage": { "prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12 } });
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(&answer)).mount(&server).await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("default").await;
    rig.chat(&token, "gpt-5").send().await.unwrap().bytes().await.unwrap();
    let row = serde_json::to_value(rig.audit_row().await).unwrap();
    let id = rig.gateway.tokens().list().await.unwrap()[0].id.to_string();
    for (key, expected) in [
        ("at", json!("2023-11-14T22:13:20Z")),
        ("consumer", json!("alice")),
        ("token_id", json!(id)),
        ("method", json!("POST")),
        ("path", json!("/v1/chat/completions")),
        ("model", json!("gpt-5")),
        ("upstream", json!("up")),
        ("decision", json!("allowed")),
        ("reason", json!(null)),
        ("status", json!(200)),
        ("ending", json!("complete")),
        ("request_bytes", json!(31)),
        ("response_bytes", json!(answer.to_string().len())),
        ("prompt_tokens", json!(7)),
        ("completion_tokens", json!(5)),
    ] {
        assert_eq!(row[key], expected, "{key}");
    }
}
