//! Secrets and prompts must not be where they do not belong.

use doorward_gateway::Decision;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{Rig, contains, files};

#[tokio::test]
async fn neither_keys_nor_tokens_nor_prompts_nor_answers_are_in_any_file() {
    let server = MockServer::start().await;
    let answer = json!({ "choices": [{ "message": { "content": "canary-answer" } }] });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    let upstream =
        json!({ "name": "up", "kind": "openai", "base_url": server.uri(), "credential": { "secret": "openai" } });
    let rig = Rig::start(&[upstream]).await;
    rig.set_secret("openai", "canary-key").await;
    let token = rig.token("default").await;
    let body = json!({ "model": "gpt-5", "messages": [{ "content": "canary-prompt" }] }).to_string();
    let received = rig.post(&token, "chat/completions?trace=canary-query", body).send().await.unwrap();
    assert!(received.text().await.unwrap().contains("canary-answer"));
    let row = rig.audit_row().await;
    assert_eq!((row.decision, row.path.as_str()), (Decision::Allowed, "/v1/chat/completions"));
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent[0].headers["authorization"], "Bearer canary-key");
    let folder = rig.stop().await;
    let files = files(folder.path());
    assert!(files.iter().any(|(path, _)| path.ends_with("gateway.db")));
    for (path, bytes) in files {
        for needle in ["canary-", token.as_str()] {
            assert!(!contains(&bytes, needle), "{needle} in {}", path.display());
        }
    }
}
