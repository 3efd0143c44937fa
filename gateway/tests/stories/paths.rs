//! Forms, and paths that only `paths` of a grant opens.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{RawUpstream, Rig, error, openai, soon};

/// A form with a file of every byte, and a preamble that a parser would drop.
fn form(model: &str) -> Vec<u8> {
    let mut body =
        b"ignored preamble\r\n--b0und\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
        Content-Type: audio/wav\r\n\r\n"
            .to_vec();
    body.extend((0..=255_u8).cycle().take(50_000));
    body.extend_from_slice(b"\r\n--b0und\r\ncontent-disposition:form-data;name=model\r\n\r\n");
    body.extend_from_slice(model.as_bytes());
    body.extend_from_slice(b"\r\n--b0und--\r\nand an epilogue");
    body
}

fn transcribe(rig: &Rig, token: &str, path: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    let request = rig.client.post(rig.url(path)).bearer_auth(token);
    request.header("content-type", "multipart/form-data; boundary=b0und").body(body)
}

#[tokio::test]
async fn a_form_reaches_the_upstream_byte_for_byte() {
    for path in ["audio/transcriptions", "audio/translations", "images/edits", "images/variations"] {
        let upstream = RawUpstream::start().await;
        let rig = Rig::granting(&[openai("up", upstream.address())], &json!({ "models": ["whisper-*"] })).await;
        let token = rig.mine().await;
        let sent = tokio::spawn(transcribe(&rig, &token, &format!("/v1/{path}"), form("whisper-1")).send());
        let mut call = soon(upstream.call()).await;
        assert!(call.head.starts_with(&format!("post /v1/{path} ")), "{}", call.head);
        assert_eq!(call.header("content-type"), Some("multipart/form-data; boundary=b0und"));
        assert_eq!(Sha256::digest(&call.body), Sha256::digest(form("whisper-1")));
        call.answer("{}").await;
        assert_eq!(soon(sent).await.unwrap().unwrap().status(), 200);
    }
}

#[tokio::test]
async fn a_form_for_another_model_or_for_two_never_leaves() {
    let server = MockServer::start().await;
    let rig = Rig::granting(&[openai("up", *server.address())], &json!({ "models": ["whisper-*"] })).await;
    let token = rig.mine().await;
    let send = async |body| transcribe(&rig, &token, "/v1/audio/transcriptions", body).send().await.unwrap();
    assert_eq!(error(send(form("gpt-5")).await, 403).await["code"], "model_not_found");
    let mut two = form("whisper-1");
    let again = b"\r\n--b0und\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-5\r\n--b0und--\r\n";
    let end = two.windows(9).rposition(|window| window == b"--b0und--").unwrap() - 2;
    two.splice(end.., again.iter().copied());
    error(send(two).await, 400).await;
    error(send(form("")).await, 400).await;
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_path_beyond_the_table_is_open_to_the_grant_that_names_it_and_its_body_is_read_all_the_same() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("{}")).mount(&server).await;
    let grant = json!({ "models": ["gpt-*"], "paths": ["/v1/batches/**", "/v1/files/*/content"] });
    let rig = Rig::granting(&[openai("up", *server.address())], &grant).await;
    let token = rig.mine().await;
    let ask = async |method: &str, path: &str, body: &str| {
        let request = rig.client.request(method.parse().unwrap(), rig.url(path)).bearer_auth(&token);
        let answer = request.header("content-type", "application/json").body(body.to_owned()).send().await.unwrap();
        answer.status().as_u16()
    };
    for (method, path, body) in [
        ("POST", "/v1/batches", r#"{"input_file_id":"f"}"#),
        ("GET", "/v1/batches/b1?limit=2", ""),
        ("POST", "/v1/batches/b1/cancel", ""),
        ("GET", "/v1/files/f1/content", ""),
        ("POST", "/v1/batches", r#"{"model":"gpt-5"}"#),
    ] {
        assert_eq!(ask(method, path, body).await, 200, "{method} {path} {body}");
    }
    let heard: Vec<_> =
        server.received_requests().await.unwrap().iter().map(|sent| sent.url.path().to_owned()).collect();
    assert_eq!(
        heard,
        ["/v1/batches", "/v1/batches/b1", "/v1/batches/b1/cancel", "/v1/files/f1/content", "/v1/batches"]
    );
    for (method, path, body, status) in [
        ("POST", "/v1/files", "", 403),
        ("DELETE", "/v1/files/f1", "", 403),
        ("GET", "/v1/files/f1/x/content", "", 403),
        ("GET", "/v1/batchesx", "", 403),
        ("GET", "/v1/fine_tuning/jobs", "", 403),
        ("POST", "/v1/batches", r#"{"model":"o3"}"#, 403),
        ("POST", "/v1/batches", r#"{"model":"gpt-5","model":"o3"}"#, 400),
        ("POST", "/v1/batches", r#"{"model":"gpt-5","tools":[{"type":"web_search"}]}"#, 403),
    ] {
        assert_eq!(ask(method, path, body).await, status, "{method} {path} {body}");
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_path_of_anthropic_is_opened_by_its_own_pattern_alone() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_string("{}")).mount(&server).await;
    let claude =
        json!({ "name": "claude", "kind": "anthropic", "base_url": server.uri(), "credential": { "env": "KEY" } });
    let grant = json!({ "models": ["*"], "paths": ["/anthropic/v1/messages/batches/**"] });
    let rig = Rig::granting(&[claude, openai("up", *server.address())], &grant).await;
    let token = rig.mine().await;
    let get = async |path: &str| rig.client.get(rig.url(path)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(get("/anthropic/v1/messages/batches/b1").await.status(), 200);
    assert_eq!(get("/anthropic/v1/files").await.json::<Value>().await.unwrap()["error"]["type"], "permission_error");
    assert_eq!(get("/v1/messages/batches/b1").await.status(), 403);
    assert_eq!(server.received_requests().await.unwrap()[0].url.path(), "/v1/messages/batches/b1");
}
