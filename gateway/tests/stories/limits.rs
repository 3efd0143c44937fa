//! Limits of size, which an upstream may have of its own.

use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{Rig, error, openai};

#[tokio::test]
async fn an_upstream_may_have_limits_of_its_own() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_body_string("a".repeat(100));
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let mut small = openai("small", *server.address());
    small["limits"] = json!({ "request_body": "64B", "response": "50B" });
    let rig = Rig::start(&[small]).await;
    let token = rig.token("default").await;
    let long = json!({ "model": "gpt-5", "input": "a".repeat(100) }).to_string();
    assert_eq!(
        error(rig.post(&token, "responses", long).send().await.unwrap(), 413).await["code"],
        "request_too_large"
    );
    assert_eq!(server.received_requests().await.unwrap().len(), 0);
    let answer = rig.post(&token, "responses", r#"{"model":"gpt-5"}"#).send().await;
    assert!(answer.is_err() || answer.unwrap().bytes().await.is_err(), "an answer that is too long breaks off");
}
