//! A request that the grant holds for a human.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use doorward_base::{ManualClock, Timestamp};
use doorward_gateway::{AuditFilter, ConsumerName, Environment, Gateway};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{body_string, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{HOUR, KEY, client, config, open, soon};

const MERGE: &str = "/repos/acme/widgets/pulls/7/merge";
/// Odd white space: these very bytes have to arrive.
const BODY: &str = "{ \"merge_method\" :\"squash\"}";

/// A gateway before a GitHub where merges wait for a human.
struct Held {
    gateway: Gateway,
    github: MockServer,
    clock: ManualClock,
    consumer: SocketAddr,
    admin: SocketAddr,
    token: String,
    folder: tempfile::TempDir,
}

async fn start() -> Held {
    let github = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path(MERGE))
        .and(body_string(BODY))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({ "merged": true })))
        .mount(&github)
        .await;
    let upstream =
        json!({ "name": "github", "kind": "github", "base_url": github.uri(), "credential": { "env": "KEY" } });
    let github_rules = json!([{ "repos": ["acme/*"], "allow": ["read", "pulls:write"], "approve": ["pulls:merge"] }]);
    let grants = serde_json::from_value(json!({ "merger": { "github": github_rules } })).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let environment: Environment = Arc::new(|name: &str| (name == "KEY").then(|| KEY.to_owned()));
    let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
    let gateway = open(folder.path(), config(&[upstream]), grants, environment, clock.clone()).await.unwrap();
    tokio::spawn({
        let gateway = gateway.clone();
        async move { gateway.run(CancellationToken::new()).await }
    });
    let (consumer, admin) = (serve(gateway.consumer_router()).await, serve(gateway.admin_router()).await);
    let minted = gateway.tokens().mint(ConsumerName::new("alice").unwrap(), vec!["merger".to_owned()], HOUR).await;
    let token = minted.unwrap().token.expose().to_owned();
    Held { gateway, github, clock, consumer, admin, token, folder }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

impl Held {
    /// Asks for the merge, which waits.
    fn merge(&self) -> JoinHandle<(u16, Value)> {
        let request = client().put(format!("http://{}/api/v3{MERGE}", self.consumer)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(BODY);
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json().await.unwrap())
        })
    }

    async fn admin(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let token = std::fs::read_to_string(self.folder.path().join("admin.token")).unwrap();
        let answer = request.bearer_auth(token.trim()).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/admin/v1/approvals{rest}", self.admin)
    }

    /// The request that waits, as the admin interface shows it.
    async fn waiting(&self) -> Value {
        soon(async {
            loop {
                let (_, list) = self.admin(client().get(self.url(""))).await;
                if list["approvals"][0].is_object() {
                    return list["approvals"][0].clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    async fn answer(&self, id: &Value, answer: Value) -> (u16, Value) {
        let url = self.url(&format!("/{}", id.as_str().unwrap()));
        self.admin(client().post(url).body(answer.to_string())).await
    }

    async fn arrived(&self) -> usize {
        self.github.received_requests().await.unwrap().len()
    }
}

#[tokio::test]
async fn an_approved_merge_reaches_github_with_the_bytes_that_were_shown() {
    let held = start().await;
    let merging = held.merge();
    let shown = held.waiting().await;
    assert_eq!((&shown["consumer"], &shown["upstream"]), (&json!("alice"), &json!("github")));
    assert!(shown["effects"].to_string().contains("pulls:merge"), "{shown}");
    assert!(shown["summary"].as_str().unwrap().contains("merge_method=squash"), "{shown}");
    assert_eq!(held.arrived().await, 0);
    let (status, _) = held.answer(&shown["id"], json!({ "answer": "approve", "by": "@you:example.org" })).await;
    assert_eq!(status, 200);
    assert_eq!(soon(merging).await.unwrap(), (200, json!({ "merged": true })));
    assert_eq!(held.arrived().await, 1);
    let (status, again) = held.answer(&shown["id"], json!({ "answer": "deny", "by": "@eve:example.org" })).await;
    assert!(status == 409 && again["error"].as_str().unwrap().contains("@you:example.org"), "{again}");
    let audited = async {
        loop {
            let rows = held.gateway.audit().list(&AuditFilter::default(), 10).await.unwrap();
            if let [row] = rows.as_slice() {
                return row.approved_by.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert_eq!(soon(audited).await.as_deref(), Some("@you:example.org"), "the audit log says who said yes");
}

#[tokio::test]
async fn a_denied_merge_is_403_with_the_reason_and_never_leaves() {
    let held = start().await;
    let merging = held.merge();
    let shown = held.waiting().await;
    held.answer(&shown["id"], json!({ "answer": "deny", "by": "you", "reason": "not on a Friday" })).await;
    let (status, refusal) = soon(merging).await.unwrap();
    assert!(status == 403 && refusal["message"].as_str().unwrap().contains("not on a Friday"), "{refusal}");
    assert_eq!(held.arrived().await, 0);
}

#[tokio::test]
async fn a_merge_that_nobody_answers_is_408() {
    let held = start().await;
    let merging = held.merge();
    held.waiting().await;
    held.clock.advance(Duration::from_secs(600));
    assert_eq!(soon(merging).await.unwrap().0, 408);
    assert_eq!(held.arrived().await, 0);
}

#[tokio::test]
async fn a_revoked_token_takes_its_held_merge_with_it() {
    let held = start().await;
    let merging = held.merge();
    let shown = held.waiting().await;
    held.gateway.tokens().revoke("alice").await.unwrap();
    assert_eq!(soon(merging).await.unwrap().0, 401);
    soon(async {
        while held.answer(&shown["id"], json!({ "answer": "approve", "by": "you" })).await.0 != 409 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(held.arrived().await, 0);
}

#[tokio::test]
async fn a_client_that_goes_away_withdraws_its_held_merge() {
    let held = start().await;
    let merging = held.merge();
    let shown = held.waiting().await;
    merging.abort();
    soon(async {
        while held.admin(client().get(held.url(""))).await.1["approvals"] != json!([]) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let (status, answer) = held.answer(&shown["id"], json!({ "answer": "approve", "by": "you" })).await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(held.arrived().await, 0);
}
