//! What a grant holds for a human beyond GitHub: paths of HTTP upstreams and tools of MCP servers.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::rig::{RawUpstream, Rig, soon};

struct Held {
    rig: Rig,
    upstream: RawUpstream,
    token: String,
}

async fn start() -> Held {
    let upstream = RawUpstream::start().await;
    let base = format!("http://{}", upstream.address());
    let of = |name: &str, kind: &str| json!({ "name": name, "kind": kind, "base_url": base, "credential": { "env": "KEY" } });
    let grant = json!({
        "http": [{ "upstream": "shop", "allow": ["GET /**"], "approve": ["POST /orders/*"] }],
        "mcp": [{ "upstream": "memory", "tools": ["read_*"], "approve": ["delete_*"] }],
    });
    let rig = Rig::granting(&[of("shop", "http"), of("memory", "mcp")], &grant).await;
    let token = rig.mine().await;
    Held { rig, upstream, token }
}

impl Held {
    fn post(&self, path: &str, body: &'static [u8]) -> JoinHandle<(u16, String)> {
        let request = self.rig.client.post(self.rig.url(path)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/json").body(body);
        tokio::spawn(async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    }

    async fn shown(&self) -> Value {
        soon(async {
            loop {
                let (_, list) = self.rig.ask("GET", "/admin/v1/approvals", "").await;
                if list["approvals"][0].is_object() {
                    return list["approvals"][0].clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    async fn answer(&self, id: &Value, answer: &str) {
        let body = json!({ "answer": answer, "by": "@you:example.org", "reason": "because" }).to_string();
        let path = format!("/admin/v1/approvals/{}", id.as_str().unwrap());
        assert_eq!(self.rig.ask("POST", &path, body).await.0, 200);
    }
}

#[tokio::test]
async fn an_approved_order_goes_out_with_its_query_and_its_bytes() {
    let held = start().await;
    let body = b"{ \"card_token\" :\"canary-4711\", \"amount\":1.00}\n";
    let ordering = held.post("/http/shop/orders/7?express=%31", body);
    let shown = held.shown().await;
    assert_eq!((&shown["method"], &shown["path"]), (&json!("POST"), &json!("/http/shop/orders/7")));
    let summary = shown["summary"].as_str().unwrap();
    for line in ["query:", "  express=1", "body:", "  card_token=[masked]", "  amount=1"] {
        assert!(summary.lines().any(|found| found == line), "{line} in {summary}");
    }
    assert!(!shown.to_string().contains("canary"), "{shown}");
    held.answer(&shown["id"], "approve").await;
    let mut call = soon(held.upstream.call()).await;
    assert!(call.head.starts_with("post /orders/7?express=%31 "), "{}", call.head);
    assert_eq!(call.body, body);
    call.answer("done").await;
    assert_eq!(soon(ordering).await.unwrap(), (200, "done".to_owned()));
}

#[tokio::test]
async fn a_denied_tool_is_403_in_the_words_of_its_protocol() {
    let held = start().await;
    let delete = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_all","arguments":{"token":"canary"}}}"#;
    let calling = held.post("/mcp/memory", delete);
    let shown = held.shown().await;
    assert!(shown["effects"].to_string().contains("delete_all"), "{shown}");
    assert!(!shown.to_string().contains("canary"), "what looks like a secret is masked: {shown}");
    held.answer(&shown["id"], "deny").await;
    let (status, answer) = soon(calling).await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["jsonrpc"]), (403, &json!("2.0")));
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("@you:example.org said no: because"), "{answer}");
    let nothing = tokio::time::timeout(Duration::from_millis(50), held.upstream.call()).await;
    assert!(nothing.is_err(), "the server hears nothing");
}

#[tokio::test]
async fn what_is_neither_allowed_nor_held_is_refused_and_what_is_allowed_is_not_held() {
    let held = start().await;
    assert_eq!(soon(held.post("/http/shop/refunds/7", b"{}")).await.unwrap().0, 403);
    let reading =
        held.post("/mcp/memory", br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_x"}}"#);
    let mut call = soon(held.upstream.call()).await;
    call.answer("{}").await;
    assert_eq!(soon(reading).await.unwrap().0, 200);
    assert_eq!(held.rig.ask("GET", "/admin/v1/approvals?state=all", "").await.1["approvals"], json!([]));
}
