use std::sync::Arc;
use std::time::Duration;

use doorward_base::{ManualClock, Random, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::approvals::{Content, Held, NotApproved, RequestDigest, Summary};
use crate::open_database;
use crate::tokens::{ConsumerName, Tokens};

/// The routes on a port of their own, and one request that waits.
struct Rig {
    url: String,
    clock: ManualClock,
    waiting: tokio::task::JoinHandle<Result<crate::approvals::Approved, NotApproved>>,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("gateway.db").display());
        let database = open_database(&url.try_into().unwrap()).await.unwrap();
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let tokens = Tokens::new(database.clone(), Arc::new(clock.clone()), Random::seeded(1));
        let approvals = Approvals::new(database, Arc::new(clock.clone()), Random::seeded(2), Duration::from_secs(600));
        let consumer = ConsumerName::new("alice").unwrap();
        let minted = tokens.mint(consumer.clone(), Vec::new(), Duration::from_secs(60)).await.unwrap();
        let held = Held {
            consumer,
            token_id: minted.record.id,
            effects: vec!["pulls:merge on acme/widgets".to_owned()],
            method: "PUT".to_owned(),
            path: "/a".to_owned(),
            upstream: "github".to_owned(),
            summary: Summary::of("PUT", "/a", "github", &[], &Content::default()),
            digest: RequestDigest::of("PUT", "/a", b""),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/admin/v1/approvals", listener.local_addr().unwrap());
        tokio::spawn({
            let approvals = approvals.clone();
            async move { approvals.run(&CancellationToken::new()).await }
        });
        tokio::spawn(axum::serve(listener, router(approvals.clone())).into_future());
        let waiting = tokio::spawn(async move { approvals.hold(held).await });
        Self { url, clock, waiting, folder }
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        // An error means that another test has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::new();
        let request = client.request(method, format!("{}{path}", self.url)).body(body.to_string());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(reqwest::Method::GET, path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask(reqwest::Method::POST, path, body).await
    }

    /// The id of the request that waits.
    async fn id(&self) -> String {
        for _ in 0..500 {
            let (status, list) = self.get("").await;
            assert_eq!(status, 200);
            if let Some(id) = list["approvals"][0]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no request waits");
    }
}

#[tokio::test]
async fn a_request_is_listed_shown_and_answered_once() {
    let rig = Rig::start().await;
    let id = rig.id().await;
    let (status, shown) = rig.get(&format!("/{}", id.to_uppercase())).await;
    assert_eq!(
        (status, &shown["effects"][0], &shown["state"]),
        (200, &json!("pulls:merge on acme/widgets"), &json!("open"))
    );
    let answer = json!({ "answer": "deny", "by": "@you:example.org", "reason": "no" });
    let (status, answered) = rig.post(&format!("/{id}"), answer).await;
    assert_eq!((status, &answered["state"], &answered["reason"]), (200, &json!("denied"), &json!("no")));
    let (status, again) = rig.post(&format!("/{id}"), json!({ "answer": "approve", "by": "@eve:example.org" })).await;
    let sentence = "the request was denied by @you:example.org at 1970-01-01T00:16:40Z already";
    assert_eq!((status, again), (409, json!({ "error": sentence })));
    assert!(matches!(rig.waiting.await.unwrap(), Err(NotApproved::Denied { .. })));
    assert!(rig.folder.path().exists());
}

#[tokio::test]
async fn answered_requests_are_listed_among_all() {
    let rig = Rig::start().await;
    let id = rig.id().await;
    rig.post(&format!("/{id}"), json!({ "answer": "approve", "by": "you" })).await;
    assert_eq!(rig.get("?state=open").await, (200, json!({ "approvals": [] })));
    let (_, all) = rig.get("?state=all").await;
    assert_eq!(all["approvals"][0]["answered_by"], "you");
    assert_eq!(rig.get("?state=closed").await.0, 400);
}

#[tokio::test]
async fn what_cannot_be_answered_says_why() {
    let rig = Rig::start().await;
    let id = rig.id().await;
    for (wrong, part) in [
        (json!({ "answer": "approve" }), "by"),
        (json!({ "answer": "approve", "by": " " }), "`by`"),
        (json!({ "answer": "perhaps", "by": "a" }), "perhaps"),
        (json!({ "answer": "deny", "by": "a", "why": "b" }), "why"),
    ] {
        let (status, answer) = rig.post(&format!("/{id}"), wrong).await;
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(rig.ask(reqwest::Method::DELETE, &format!("/{id}"), Value::Null).await.0, 405);
    for unknown in ["/zzzzzz", "/x"] {
        assert_eq!(rig.get(unknown).await.0, 404);
        assert_eq!(rig.post(unknown, json!({ "answer": "deny", "by": "a" })).await.0, 404);
    }
    rig.clock.advance(Duration::from_secs(600));
    let (status, late) = rig.post(&format!("/{id}"), json!({ "answer": "approve", "by": "a" })).await;
    assert!(status == 409 && late["error"].as_str().unwrap().contains("no longer waiting"), "{late}");
}
