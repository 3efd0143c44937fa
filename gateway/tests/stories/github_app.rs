//! A GitHub App as the credential: tokens for one repository, with what the grant allows there.

use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{Rig, config};

const PRIVATE_KEY: &str = include_str!("../../src/credentials/tests/app.pkcs8.pem");
const INSTALLATION_TOKEN: &str = "ghs_installation0123456789";

/// A GitHub where the app is installed on `acme/widgets` alone.
async fn github() -> MockServer {
    let server = MockServer::start().await;
    let answering = |status, body: Value| ResponseTemplate::new(status).set_body_json(body);
    let installation = json!({ "id": 42, "permissions": { "metadata": "read", "issues": "write", "contents": "write", "pull_requests": "write" } });
    Mock::given(path("/repos/acme/widgets/installation"))
        .respond_with(answering(200, installation))
        .mount(&server)
        .await;
    let minted = json!({ "token": INSTALLATION_TOKEN, "expires_at": "2100-01-01T00:00:00Z" });
    Mock::given(method("POST"))
        .and(path("/app/installations/42/access_tokens"))
        .respond_with(answering(201, minted))
        .mount(&server)
        .await;
    let bearer = format!("Bearer {INSTALLATION_TOKEN}");
    let issue = json!({ "number": 1, "body": format!("echo {INSTALLATION_TOKEN}") });
    Mock::given(path("/repos/acme/widgets/issues"))
        .and(header("authorization", bearer.as_str()))
        .respond_with(answering(201, issue))
        .mount(&server)
        .await;
    let node = json!({ "__typename": "Repository", "nameWithOwner": "acme/widgets" });
    Mock::given(path("/graphql"))
        .and(header("authorization", bearer.as_str()))
        .respond_with(answering(200, json!({ "data": { "nodes": [node] } })))
        .mount(&server)
        .await;
    server
}

async fn rig(server: &MockServer) -> (Rig, String) {
    let credential = json!({ "app_id": 7, "private_key": { "env": "APP" } });
    let upstream = json!({ "name": "github", "kind": "github", "base_url": server.uri(), "credential": credential });
    let rule = json!({ "repos": ["acme/*"], "allow": ["read", "issues:write"] });
    let rig = Rig::granting_with(config(&[upstream]), &json!({ "github": [rule] })).await;
    rig.environment.lock().unwrap().insert("APP".to_owned(), PRIVATE_KEY.to_owned());
    let token = rig.mine().await;
    (rig, token)
}

#[tokio::test]
async fn a_token_is_minted_once_for_the_repository_and_what_is_granted_there_and_never_shown() {
    let server = github().await;
    let (rig, token) = rig(&server).await;
    for _ in 0..2 {
        let request = rig.client.post(rig.url("/api/v3/repos/acme/widgets/issues")).bearer_auth(&token);
        let answer = request.json(&json!({ "title": "t" })).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let body = answer.text().await.unwrap();
        assert!(body.contains("echo ***") && !body.contains("ghs_"), "{body}");
    }
    let received = server.received_requests().await.unwrap();
    let minting: Vec<_> = received.iter().filter(|sent| sent.url.path().ends_with("/access_tokens")).collect();
    assert_eq!(minting.len(), 1);
    let asked: Value = minting[0].body_json().unwrap();
    assert_eq!(asked["repositories"], json!(["widgets"]));
    assert_eq!(asked["permissions"]["issues"], "write");
    assert_eq!(asked["permissions"]["contents"], "read", "the grant reads alone, whatever the installation may");
}

#[tokio::test]
async fn nodes_are_looked_up_with_the_token_of_the_repository_that_was_asked_about_before() {
    let server = github().await;
    let (rig, token) = rig(&server).await;
    let create = json!({
        "query": "mutation($id: ID!) { createIssue(input: {repositoryId: $id, title: \"t\"}) { issue { id } } }",
        "variables": { "id": "R_kgDOABCDEF" },
    });
    let graphql = || rig.client.post(rig.url("/api/graphql")).bearer_auth(&token).json(&create).send();
    assert_eq!(graphql().await.unwrap().status(), 502, "an app acts on repositories, and none was asked about yet");
    let request = rig.client.post(rig.url("/api/v3/repos/acme/widgets/issues")).bearer_auth(&token);
    assert_eq!(request.json(&json!({ "title": "t" })).send().await.unwrap().status(), 201);
    assert_eq!(graphql().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_repository_without_the_app_gets_a_sentence_that_says_so() {
    let server = github().await;
    let (rig, token) = rig(&server).await;
    let request = rig.client.post(rig.url("/api/v3/repos/acme/other/issues")).bearer_auth(&token);
    let answer = request.json(&json!({ "title": "t" })).send().await.unwrap();
    assert_eq!(answer.status(), 502);
    let message = answer.json::<Value>().await.unwrap()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("acme/other"), "{message}");
}
