//! Upstreams in trouble.

use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_gateway::Ending;
use doorward_gateway::config::HumanDuration;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, RawUpstream, Rig, config, error, nobody, openai, soon};

async fn answering(answer: ResponseTemplate) -> (Rig, MockServer) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    (Rig::start(&[openai("up", *server.address())]).await, server)
}

#[tokio::test]
async fn an_upstream_that_is_down_gives_502_and_is_reported_as_down() {
    let rig = Rig::start(&[openai("up", nobody().await)]).await;
    let token = rig.token("default").await;
    let error = error(rig.chat(&token, "gpt-5").send().await.unwrap(), 502).await;
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("upstream_unreachable"), &json!("upstream `up` cannot be reached"))
    );
    let ready = rig.client.get(rig.url("/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.json::<serde_json::Value>().await.unwrap()["upstreams"]["up"], "unreachable");
    assert_eq!(rig.audit_row().await.reason.as_deref(), Some("upstream_unreachable"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_in_time_gives_504_and_is_let_go() {
    let upstream = RawUpstream::start().await;
    let mut config = config(&[openai("up", upstream.address())]);
    config.timeouts.first_byte = HumanDuration(Duration::from_millis(100));
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    assert_eq!(error(soon(sent).await.unwrap().unwrap(), 504).await["code"], "upstream_timeout");
    soon(call.closed()).await;
}

#[tokio::test]
async fn an_answer_slower_than_the_first_byte_timeout_is_not_cut_once_it_has_begun() {
    let upstream = RawUpstream::start().await;
    let mut config = config(&[openai("up", upstream.address())]);
    config.timeouts.first_byte = HumanDuration(Duration::from_millis(300));
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    call.send_chunk("data: late\n\n").await;
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), "data: late\n\n");
}

#[tokio::test]
async fn an_upstream_that_refuses_its_credential_is_not_quoted() {
    let (rig, _server) = answering(ResponseTemplate::new(401).set_body_string(format!("bad key {KEY}"))).await;
    let token = rig.token("default").await;
    let error = error(rig.chat(&token, "gpt-5").send().await.unwrap(), 502).await;
    assert!(error["message"].as_str().unwrap().contains("refused its credential"), "{error}");
    assert!(!error.to_string().contains(KEY));
}

#[tokio::test]
async fn a_redirect_is_never_followed_nor_passed_on() {
    let elsewhere = MockServer::start().await;
    let redirect = ResponseTemplate::new(307).insert_header("location", elsewhere.uri().as_str());
    let (rig, _server) = answering(redirect).await;
    let token = rig.token("default").await;
    let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
    assert!(!answer.headers().contains_key("location"));
    error(answer, 502).await;
    assert!(elsewhere.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn other_errors_of_an_upstream_pass_as_they_are() {
    for status in [400, 403, 404, 429, 500, 503] {
        let body = r#"{"error":{"message":"as it came"}}"#;
        let answer = ResponseTemplate::new(status).set_body_string(body).insert_header("retry-after", "7");
        let (rig, _server) = answering(answer).await;
        let token = rig.token("default").await;
        let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (status, &"7".parse().unwrap()));
        assert_eq!(answer.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn in_an_error_that_mentions_the_credential_it_is_overwritten_and_all_else_stays() {
    let encoded = STANDARD.encode(format!("user:{KEY}"));
    let body = format!(r#"{{"error":"wrong key: {KEY}","headers":["Basic {encoded}"],"id":7}}"#);
    for status in [400, 403, 500] {
        let (rig, _server) = answering(ResponseTemplate::new(status).set_body_string(&body)).await;
        let token = rig.token("default").await;
        let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
        assert_eq!(answer.status(), status);
        let text = answer.text().await.unwrap();
        assert_eq!(text.len(), body.len());
        assert!(
            text.starts_with(&format!(r#"{{"error":"wrong key: {}","headers":["Basic "#, "*".repeat(KEY.len()))),
            "{text}"
        );
        assert!(text.ends_with(r#""],"id":7}"#) && !text.contains(&encoded[8..24]), "{text}");
    }
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_answer_that_comes_compressed_is_decompressed_and_searched() {
    let answer =
        |bytes: Vec<u8>| ResponseTemplate::new(500).set_body_bytes(bytes).insert_header("content-encoding", "gzip");
    let (rig, _server) = answering(answer(gzipped(&format!("as it came, but for {KEY}")))).await;
    let token = rig.token("default").await;
    let received = rig.chat(&token, "gpt-5").send().await.unwrap();
    assert_eq!(received.status(), 500);
    assert!(!received.headers().contains_key("content-encoding") && !received.headers().contains_key("content-length"));
    assert_eq!(received.text().await.unwrap(), format!("as it came, but for {}", "*".repeat(KEY.len())));
}

#[tokio::test]
async fn what_does_not_decompress_is_not_passed_on() {
    let (rig, _server) =
        answering(ResponseTemplate::new(200).set_body_string("no gzip").insert_header("content-encoding", "gzip"))
            .await;
    let token = rig.token("default").await;
    let whole = async { rig.chat(&token, "gpt-5").send().await?.bytes().await };
    assert!(whole.await.is_err(), "it must not look whole");
    assert_eq!(rig.audit_row().await.ending, Ending::UpstreamBroke);
    for coding in ["br", "gzip, br", "zstd"] {
        let unknown = ResponseTemplate::new(200).set_body_string(KEY).insert_header("content-encoding", coding);
        let (rig, _server) = answering(unknown).await;
        let token = rig.token("default").await;
        let error = error(rig.chat(&token, "gpt-5").send().await.unwrap(), 502).await;
        assert!(error["message"].as_str().unwrap().contains("asked not to be"), "{error}");
    }
}

#[tokio::test]
async fn a_header_that_holds_the_credential_is_removed_from_any_answer() {
    for status in [200, 404] {
        let encoded = STANDARD.encode(format!("user:{KEY}"));
        let answer = ResponseTemplate::new(status)
            .set_body_string("as it came")
            .insert_header("x-echo", format!("Bearer {KEY}").as_str())
            .insert_header("x-basic", encoded.as_str())
            .insert_header("x-request-id", "r1");
        let (rig, _server) = answering(answer).await;
        let token = rig.token("default").await;
        let answer = rig.chat(&token, "gpt-5").send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["x-request-id"]), (status, &"r1".parse().unwrap()));
        assert!(!answer.headers().contains_key("x-echo") && !answer.headers().contains_key("x-basic"));
        assert_eq!(answer.text().await.unwrap(), "as it came");
    }
}

#[tokio::test]
async fn a_missing_credential_is_named_and_the_upstream_is_not_asked() {
    let server = MockServer::start().await;
    let up = |name: &str, credential| {
        json!({
            "name": name, "kind": "openai", "base_url": server.uri(), "credential": credential, "models": [name],
        })
    };
    let rig = Rig::start(&[
        up("env", json!({ "env": "UNSET_KEY" })),
        up("file", json!({ "file": "key.txt" })),
        up("secret", json!({ "secret": "openai" })),
        up("broken", json!({ "env": "BROKEN" })),
    ])
    .await;
    rig.environment.lock().unwrap().insert("BROKEN".to_owned(), "two\nlines".to_owned());
    let token = rig.token("all").await;
    for (model, part) in [
        ("env", "upstream `env` has no credential: set the environment variable UNSET_KEY"),
        ("file", "key.txt"),
        ("secret", "doorward secret set openai"),
        ("broken", "characters that cannot stand in a request"),
    ] {
        let error = error(rig.chat(&token, model).send().await.unwrap(), 502).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part) && !message.contains("lines"), "{message}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_check_says_of_each_upstream_what_is_wrong_and_what_to_do() {
    let server = MockServer::start().await;
    let respond = async |path: &str, status| {
        let at = Mock::given(wiremock::matchers::path(format!("/{path}/models")));
        at.respond_with(ResponseTemplate::new(status)).mount(&server).await;
    };
    respond("good", 200).await;
    respond("refusing", 401).await;
    respond("moved", 302).await;
    let up = |name: &str, base: String, env: &str| {
        json!({
            "name": name, "kind": "openai", "base_url": base, "credential": { "env": env },
        })
    };
    let rig = Rig::start(&[
        up("good", format!("{}/good", server.uri()), "KEY"),
        up("refusing", format!("{}/refusing", server.uri()), "KEY"),
        up("moved", format!("{}/moved", server.uri()), "KEY"),
        up("down", format!("http://{}", nobody().await), "KEY"),
        up("keyless", format!("{}/good", server.uri()), "UNSET_KEY"),
    ])
    .await;
    let findings = rig.gateway.check_upstreams().await;
    let expected = [
        ("upstream good", true, "takes its credential"),
        ("upstream refusing", false, "refuses its credential"),
        ("upstream moved", false, "redirect"),
        ("upstream down", false, "cannot be reached"),
        ("upstream keyless", false, "no credential"),
    ];
    assert_eq!(findings.len(), expected.len());
    for (finding, (name, ok, part)) in findings.iter().zip(expected) {
        assert_eq!((finding.name.as_str(), finding.ok, finding.cure.is_none()), (name, ok, ok), "{finding:?}");
        assert!(finding.message.contains(part), "{finding:?}");
    }
    assert!(findings[4].cure.as_ref().unwrap().contains("UNSET_KEY"));
}
