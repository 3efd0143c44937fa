//! The admin listener.

use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::rig::{Rig, contains, openai};

async fn ask(rig: &Rig, method: &str, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let request = rig.client.request(method.parse::<Method>().unwrap(), format!("http://{}{path}", rig.admin));
    let answer = request.bearer_auth(rig.admin_token()).body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap())
}

#[tokio::test]
async fn nothing_but_health_readiness_and_metrics_is_for_those_without_the_operators_token() {
    let rig = Rig::start(&[]).await;
    let consumer = rig.token("all").await;
    let operator = rig.admin_token();
    assert!(operator.starts_with("dwa_"));
    for path in ["/admin/v1/tokens", "/admin/v1/secrets", "/admin/v1/audit", "/admin/v1/usage", "/nowhere"] {
        for token in ["", consumer.as_str(), &operator[..operator.len() - 1], &format!("{operator}x")] {
            let answer = rig.client.get(format!("http://{}{path}", rig.admin)).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 401, "{path}");
            assert!(answer.json::<Value>().await.unwrap()["error"].as_str().unwrap().contains("admin_token_file"));
        }
    }
    for listener in [rig.admin, rig.consumer] {
        for path in ["/health", "/ready"] {
            assert_eq!(rig.client.get(format!("http://{listener}{path}")).send().await.unwrap().status(), 200);
        }
    }
    let metrics = rig.client.get(format!("http://{}/metrics", rig.admin)).send().await.unwrap();
    assert_eq!(metrics.status(), 200);
}

#[tokio::test]
async fn a_token_is_minted_listed_used_and_revoked() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200)).mount(&server).await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let body = json!({ "consumer": "@worker-bob:example.org", "grants": ["default"], "ttl_seconds": 60 }).to_string();
    let (status, minted) = ask(&rig, "POST", "/admin/v1/tokens", body).await;
    assert_eq!(status, 201);
    assert_eq!(minted["expires_at"], "2023-11-14T22:14:20Z");
    assert_eq!(minted["grants"], json!(["default"]));
    let token = minted["token"].as_str().unwrap();
    assert_eq!(rig.chat(token, "gpt-5").send().await.unwrap().status(), 200);

    let (_, list) = ask(&rig, "GET", "/admin/v1/tokens", "").await;
    assert_eq!(list["tokens"][0]["id"], minted["id"]);
    assert_eq!(list["tokens"][0]["revoked_at"], Value::Null);
    assert!(!list.to_string().contains(token));

    assert_eq!(
        ask(&rig, "DELETE", "/admin/v1/tokens/@worker-bob:example.org", "").await,
        (200, json!({ "revoked": 1 }))
    );
    assert_eq!(ask(&rig, "DELETE", "/admin/v1/tokens/@worker-bob:example.org", "").await.0, 404);
    assert_eq!(rig.chat(token, "gpt-5").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_wrong_request_for_a_token_is_refused_with_one_sentence() {
    let rig = Rig::start(&[]).await;
    for (body, part) in [
        (
            json!({ "consumer": "bob", "grants": ["codr"] }),
            "there is no grant `codr`; the configuration has `all`, `default`, `searcher`",
        ),
        (json!({ "consumer": "bob", "grants": [] }), "at least one grant"),
        (json!({ "consumer": "a b", "grants": ["default"] }), "consumer's name"),
        (json!({ "consumer": "bob", "grants": ["default"], "ttl_seconds": 0 }), "ttl_seconds"),
        (json!({ "consumer": "bob", "grants": ["default"], "ttl": 5 }), "unknown field"),
        (json!("bob"), "invalid type"),
    ] {
        let (status, answer) = ask(&rig, "POST", "/admin/v1/tokens", body.to_string()).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(ask(&rig, "PATCH", "/admin/v1/tokens", "").await.0, 405);
    assert_eq!(ask(&rig, "GET", "/admin/v1/nowhere", "").await.0, 404);
}

#[tokio::test]
async fn a_secret_goes_in_and_never_comes_out() {
    let rig = Rig::start(&[]).await;
    assert_eq!(ask(&rig, "PUT", "/admin/v1/secrets/openai", "sk-hunter2\n").await, (200, json!({ "name": "openai" })));
    let (_, list) = ask(&rig, "GET", "/admin/v1/secrets", "").await;
    assert_eq!(list["secrets"][0]["name"], "openai");
    assert!(!contains(list.to_string().as_bytes(), "hunter2"));
    assert_eq!(ask(&rig, "PUT", "/admin/v1/secrets/openai", "\n").await.0, 400);
    assert_eq!(ask(&rig, "PUT", "/admin/v1/secrets/a%20b", "x").await.0, 400);
    assert_eq!(ask(&rig, "DELETE", "/admin/v1/secrets/openai", "").await.0, 200);
    assert_eq!(ask(&rig, "DELETE", "/admin/v1/secrets/openai", "").await.0, 404);
}

#[tokio::test]
async fn audit_usage_and_metrics_tell_what_was_asked() {
    let server = MockServer::start().await;
    let answer = json!({ "usage": { "prompt_tokens": 7, "completion_tokens": 5 } });
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&server).await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("default").await;
    for model in ["gpt-5", "gpt-5", "o3"] {
        rig.chat(&token, model).send().await.unwrap().bytes().await.unwrap();
    }
    rig.audit_rows(3).await;
    let (_, audit) = ask(&rig, "GET", "/admin/v1/audit?consumer=alice&limit=1", "").await;
    assert_eq!((&audit["audit"][0]["model"], &audit["audit"][0]["decision"]), (&json!("o3"), &json!("refused")));
    assert_eq!(audit["audit"].as_array().unwrap().len(), 1);

    let used = json!([{
        "consumer": "alice", "model": "gpt-5", "requests": 2,
        "prompt_tokens": 14, "cached_tokens": 0, "completion_tokens": 10, "usd": 0.000_117_5,
    }]);
    for since in ["", "consumer=&since=", "since=1h", "since=2023-11-14T22:00:00Z"] {
        let (status, usage) = ask(&rig, "GET", &format!("/admin/v1/usage?{since}"), "").await;
        assert_eq!((status, &usage["usage"]), (200, &used));
    }
    let later = ask(&rig, "GET", "/admin/v1/usage?since=2024-01-01T00:00:00Z", "").await.1;
    assert_eq!(later["usage"], json!([]));
    for query in ["usage?since=yesterday", "usage?sinse=1h", "audit?limit=many"] {
        let (status, answer) = ask(&rig, "GET", &format!("/admin/v1/{query}"), "").await;
        assert!(status == 400 && answer["error"].is_string(), "{query}: {answer}");
    }

    let metrics = rig.client.get(format!("http://{}/metrics", rig.admin)).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    for line in [
        "doorward_gateway_requests_total{wire=\"openai\",decision=\"allowed\",status=\"200\"} 2",
        "doorward_gateway_requests_total{wire=\"openai\",decision=\"refused\",status=\"403\"} 1",
        "doorward_gateway_tokens_total{upstream=\"up\",kind=\"prompt\"} 14",
        "doorward_gateway_open_calls 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn a_lost_master_key_makes_the_gateway_unready_and_says_why() {
    let rig = Rig::start(&[]).await;
    rig.set_secret("openai", "sk-one").await;
    let key = rig.folder.path().join("master.key");
    let kept = std::fs::read(&key).unwrap();
    let folder = rig.stop().await;
    std::fs::remove_file(&key).unwrap();
    let again = Rig::start_in(folder).await;
    let ready = again.client.get(again.url("/ready")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert!(ready.json::<Value>().await.unwrap()["reason"].as_str().unwrap().contains("master key"));
    assert!(!kept.is_empty());
}
