//! The Python package `anthropic`.

use axum::Router;
use axum::body::Bytes;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};

use crate::client::python;
use crate::fake::{Fake, Key, events};
use crate::stage::{Plan, Stage};

const REAL_KEY: &str = "sk-ant-real-Vq81canaryTT0";

async fn fake() -> Fake {
    let router = Router::new()
        .route("/v1/messages", post(messages))
        .route("/v1/messages/count_tokens", post(async || axum::Json(json!({"input_tokens": 9}))));
    Fake::serve(Key::new("x-api-key", REAL_KEY.to_owned()), router).await
}

async fn messages(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let message = |content: Value, stop: Value, output: u64| {
        json!({"id": "m1", "type": "message", "role": "assistant", "model": asked["model"], "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": {"input_tokens": 5, "output_tokens": output}})
    };
    if asked["messages"][0]["content"] == "Be overloaded" {
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        return (axum::http::StatusCode::from_u16(529).unwrap(), axum::Json(error)).into_response();
    }
    if asked["stream"] != true {
        return axum::Json(message(json!([{"type": "text", "text": "Hello there"}]), json!("end_turn"), 2))
            .into_response();
    }
    let delta =
        |text| json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
    let steps = [
        json!({"type": "message_start", "message": message(json!([]), Value::Null, 1)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        delta("Hello"),
        delta(" there"),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": {"output_tokens": 2}}),
        json!({"type": "message_stop"}),
    ];
    events(steps.iter().map(|step| format!("event: {}\ndata: {step}\n\n", step["type"].as_str().unwrap())))
}

async fn stage(fake: &Fake) -> Stage {
    let config = format!(
        r#"
        [[gateway.upstreams]]
        name = "anthropic"
        kind = "anthropic"
        base_url = "{}"
        credential = {{ secret = "anthropic" }}

        [grants.small]
        models = ["claude-haiku-*"]

        [grants.slow]
        models = ["claude-*"]
        rate = {{ requests_per_minute = 1 }}
        "#,
        fake.url
    );
    Stage::open(Plan { config, secrets: &[("anthropic", REAL_KEY)], tls: false }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_package_anthropic_does_what_the_grant_says() {
    let fake = fake().await;
    let stage = stage(&fake).await;
    let (small, slow) = (stage.token("ann", "small").await, stage.token("bob", "slow").await);
    stage
        .client(python())
        .args(["-"])
        .env("ANTHROPIC_BASE_URL", &format!("{}/anthropic", stage.url()))
        .env("ANTHROPIC_API_KEY", &small)
        .env("SLOW_TOKEN", &slow)
        .succeeds_on(include_str!("python/anthropic_story.py"))
        .await;

    fake.heard_the_real_key_alone();
    let asked = fake.heard_at(&Method::POST, "/v1/messages");
    assert!(asked.iter().all(|heard| heard.json()["model"] == "claude-haiku-5"), "{asked:?}");
    assert!(asked.iter().all(|heard| heard.header("anthropic-version").starts_with("20")), "{asked:?}");
    assert_eq!(asked.len(), 5, "{asked:?}");
    stage.keeps_nothing_of(&[REAL_KEY, &small, "Hello there"]);
}
