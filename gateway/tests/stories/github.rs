//! GitHub by REST and GraphQL: effects are granted, however they are spelt.

use serde_json::{Value, json};
use wiremock::matchers::{any, body_string_contains, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{KEY, Rig, config};

const GATEWAY: &str = "https://gateway.example";

async fn rig(server: &MockServer, rule: Value) -> (Rig, String) {
    let upstream = json!({
        "name": "github", "kind": "github", "base_url": server.uri(), "uploads_url": format!("{}/uploads", server.uri()),
        "git_url": format!("{}/git", server.uri()), "credential": { "env": "KEY" },
    });
    let mut config = config(&[upstream]);
    config.url = Some(GATEWAY.parse().unwrap());
    let rig = Rig::granting_with(config, &json!({ "github": [rule] })).await;
    let token = rig.mine().await;
    (rig, token)
}

fn rule() -> Value {
    json!({ "repos": ["acme/*"], "allow": ["read", "issues:write", "pulls:write"], "push": ["refs/heads/agent/*"] })
}

async fn agreeing() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!({}))).mount(&server).await;
    server
}

struct Client<'a>(&'a Rig, &'a str);

impl Client<'_> {
    async fn rest(&self, method: &str, path: &str, body: &Value) -> reqwest::Response {
        let request = self.0.client.request(method.parse().unwrap(), self.0.url(&format!("/api/v3{path}")));
        let request = request.header("authorization", format!("token {}", self.1));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request.body(body).send().await.unwrap()
    }

    async fn graphql(&self, query: &str, variables: Value) -> reqwest::Response {
        let request = self.0.client.post(self.0.url("/api/graphql")).bearer_auth(self.1);
        request.json(&json!({ "query": query, "variables": variables })).send().await.unwrap()
    }
}

async fn refused(answer: reqwest::Response, part: &str) {
    assert_eq!(answer.status(), 403);
    let body: Value = answer.json().await.unwrap();
    assert!(body["message"].as_str().unwrap().contains(part), "{body}");
    assert_eq!(body["message"], body["errors"][0]["message"], "GraphQL clients read `errors`");
}

#[tokio::test]
async fn what_is_granted_reaches_github_with_the_real_key() {
    let server = agreeing().await;
    let (rig, token) = rig(&server, rule()).await;
    let client = Client(&rig, &token);
    for (method, path, body) in [
        ("GET", "/repos/acme/widgets", Value::Null),
        ("POST", "/repos/acme/widgets/issues", json!({ "title": "t" })),
        ("PATCH", "/repos/ACME/widgets/issues/7", json!({ "state": "closed" })),
        ("POST", "/repos/acme/widgets/pulls", json!({ "title": "t", "head": "agent/x", "base": "main" })),
    ] {
        assert_eq!(client.rest(method, path, &body).await.status(), 200, "{method} {path}");
    }
    let received = server.received_requests().await.unwrap();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|sent| sent.headers["authorization"] == format!("Bearer {KEY}").as_str()));
    assert_eq!(received[2].url.path(), "/repos/ACME/widgets/issues/7");
}

#[tokio::test]
async fn a_merge_is_refused_however_it_is_asked_for() {
    let server = MockServer::start().await;
    let node = json!({ "__typename": "PullRequest", "repository": { "nameWithOwner": "acme/widgets" }, "headRefName": "agent/x", "headRepository": { "nameWithOwner": "acme/widgets" } });
    Mock::given(path("/graphql"))
        .and(body_string_contains("nodes(ids:$ids)"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": { "nodes": [node] } })))
        .mount(&server)
        .await;
    let (rig, token) = rig(&server, rule()).await;
    let client = Client(&rig, &token);
    refused(client.rest("PUT", "/repos/acme/widgets/pulls/7/merge", &json!({})).await, "pulls:merge").await;
    let moved = json!({ "sha": "a".repeat(40) });
    refused(client.rest("PATCH", "/repos/acme/widgets/git/refs/heads/main", &moved).await, "refs/heads/main").await;
    let merges = json!({ "base": "main", "head": "agent/x" });
    refused(client.rest("POST", "/repos/acme/widgets/merges", &merges).await, "acme/widgets").await;
    let merge = "mutation($id:ID!){mergePullRequest(input:{pullRequestId:$id}){clientMutationId}}";
    refused(client.graphql(merge, json!({ "id": "PR_x" })).await, "pulls:merge").await;
    let later = "mutation($id:ID!){enablePullRequestAutoMerge(input:{pullRequestId:$id}){clientMutationId}}";
    refused(client.graphql(later, json!({ "id": "PR_x" })).await, "pulls:merge").await;
    let sent = server.received_requests().await.unwrap();
    let lookups = sent.iter().filter(|sent| String::from_utf8_lossy(&sent.body).contains("nodes(ids:$ids)"));
    assert_eq!(lookups.count(), sent.len(), "nothing but questions of where a node is");
}

#[tokio::test]
async fn other_repositories_are_out_of_reach_by_name_and_by_node() {
    let server = MockServer::start().await;
    let issue = |repository: &str| json!({ "__typename": "Issue", "repository": { "nameWithOwner": repository } });
    for (id, repository) in [("I_ours", "acme/widgets"), ("I_theirs", "torvalds/linux")] {
        Mock::given(method("POST"))
            .and(path("/graphql"))
            .and(body_string_contains("nodes(ids:$ids)"))
            .and(body_string_contains(id))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": { "nodes": [issue(repository)] } })))
            .mount(&server)
            .await;
    }
    Mock::given(path("/graphql"))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "data": {} })))
        .with_priority(9)
        .mount(&server)
        .await;
    let (rig, token) = rig(&server, rule()).await;
    let client = Client(&rig, &token);
    refused(client.rest("GET", "/repos/torvalds/linux", &Value::Null).await, "torvalds/linux").await;
    refused(client.rest("POST", "/repos/torvalds/linux/issues", &json!({ "title": "t" })).await, "torvalds/linux")
        .await;
    let comment = "mutation($id:ID!){addComment(input:{subjectId:$id,body:\"b\"}){clientMutationId}}";
    refused(
        client.graphql(comment, json!({ "id": "I_theirs" })).await,
        "the repository of the node `I_theirs` is not granted",
    )
    .await;
    let count = server.received_requests().await.unwrap().len();
    assert_eq!(count, 1, "the lookup alone");
    assert_eq!(client.graphql(comment, json!({ "id": "I_ours" })).await.status(), 200);
    assert_eq!(server.received_requests().await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_node_that_cannot_be_located_is_refused_in_the_words_for_one_that_is_elsewhere() {
    let server = MockServer::start().await;
    let nothing = ResponseTemplate::new(200).set_body_json(json!({ "data": { "nodes": [null] } }));
    Mock::given(any()).respond_with(nothing).mount(&server).await;
    let (rig, token) = rig(&server, rule()).await;
    let comment = "mutation{addComment(input:{subjectId:\"I_gone\",body:\"b\"}){clientMutationId}}";
    refused(Client(&rig, &token).graphql(comment, json!({})).await, "the repository of the node").await;
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused() {
    let server = agreeing().await;
    let (rig, token) = rig(&server, rule()).await;
    let client = Client(&rig, &token);
    for (query, status) in [
        ("mutation{", 403),
        ("{viewer{", 403),
        ("mutation{somethingNew(input:{}){clientMutationId}}", 403),
        ("subscription{x}", 403),
        ("{viewer{repositories(first:9){nodes{name}}}}", 403),
    ] {
        assert_eq!(client.graphql(query, json!({})).await.status(), status, "{query}");
    }
    for (method, path) in
        [("POST", "/repos/acme/widgets/something-new"), ("GET", "/user/repos"), ("DELETE", "/repos/acme/widgets")]
    {
        assert_eq!(client.rest(method, path, &Value::Null).await.status(), 403, "{method} {path}");
    }
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn links_lead_back_to_the_gateway_in_bodies_and_in_headers() {
    let server = MockServer::start().await;
    let (api, git) = (server.uri(), format!("{}/git", server.uri()));
    let body = json!({
        "url": format!("{api}/repos/acme/widgets"), "clone_url": format!("{git}/acme/widgets.git"),
        "body": format!("see {api} yourself"), "elsewhere": "https://example.org/repos/x",
    });
    let answer = ResponseTemplate::new(200)
        .set_body_json(&body)
        .insert_header("link", format!("<{api}/repositories/1/issues?page=2>; rel=\"next\"").as_str())
        .insert_header("location", format!("{api}/repos/acme/widgets/issues/1").as_str());
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let (rig, token) = rig(&server, rule()).await;
    let answer = Client(&rig, &token).rest("GET", "/repos/acme/widgets/issues", &Value::Null).await;
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    assert!(link.starts_with(&format!("<{GATEWAY}/api/v3/")) && link.ends_with("page=2>; rel=\"next\""), "{link}");
    assert_eq!(answer.headers()["location"], format!("{GATEWAY}/api/v3/repos/acme/widgets/issues/1").as_str());
    let got: Value = answer.json().await.unwrap();
    assert_eq!(got["url"], format!("{GATEWAY}/api/v3/repos/acme/widgets"));
    assert_eq!(got["clone_url"], format!("{GATEWAY}/git/acme/widgets.git"));
    assert_eq!((&got["body"], &got["elsewhere"]), (&body["body"], &body["elsewhere"]));
}
