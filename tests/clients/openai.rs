//! The Python package `openai`.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::client::python;
use crate::fake::{Fake, Key, events};
use crate::stage::{Plan, Stage};

const REAL_KEY: &str = "sk-real-b7GqX29canaryZk41";

async fn fake() -> Fake {
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/responses", post(response))
        .route("/v1/embeddings", post(async || json_answer(json!({
            "object": "list", "model": "text-embedding-3-small", "usage": {"prompt_tokens": 2, "total_tokens": 2},
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}],
        }))))
        .route("/v1/models", get(async || json_answer(json!({"object": "list", "data": [
            {"id": "gpt-5", "object": "model", "created": 1, "owned_by": "openai"},
            {"id": "o9-huge", "object": "model", "created": 1, "owned_by": "openai"},
        ]}))))
        .route("/v1/audio/transcriptions", post(async || json_answer(json!({"text": "it rang"}))));
    Fake::serve(Key::new("authorization", format!("Bearer {REAL_KEY}")), router).await
}

fn json_answer(value: Value) -> Response {
    axum::Json(value).into_response()
}

async fn chat(headers: HeaderMap, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(headers["content-type"], "application/json");
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    if asked["stream"] != true {
        return json_answer(json!({
            "id": "c1", "object": "chat.completion", "created": 1, "model": asked["model"], "usage": usage,
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there"}}],
        }));
    }
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let last = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": asked["model"],
        "choices": [], "usage": usage});
    events([
        chunk(json!({"role": "assistant", "content": "Hello"}), Value::Null),
        chunk(json!({"content": " there"}), json!("stop")),
        format!("data: {last}\n\n"),
        "data: [DONE]\n\n".to_owned(),
    ])
}

async fn response(body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let item = json!({"type": "message", "id": "m1", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "Hello there", "annotations": []}]});
    let usage = json!({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}});
    let whole = json!({"id": "r1", "object": "response", "created_at": 1, "status": "completed", "model": asked["model"],
        "output": [item], "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "usage": usage});
    if asked["stream"] != true {
        return json_answer(whole);
    }
    let mut begun = whole.clone();
    (begun["status"], begun["output"], begun["usage"]) = (json!("in_progress"), json!([]), Value::Null);
    let steps = [
        json!({"type": "response.created", "response": begun}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "m1",
            "role": "assistant", "status": "in_progress", "content": []}}),
        json!({"type": "response.content_part.added", "item_id": "m1", "output_index": 0, "content_index": 0,
            "part": {"type": "output_text", "text": "", "annotations": []}}),
        json!({"type": "response.output_text.delta", "item_id": "m1", "output_index": 0, "content_index": 0,
            "delta": "Hello there", "logprobs": []}),
        json!({"type": "response.completed", "response": whole}),
    ];
    events(steps.iter().enumerate().map(|(number, step)| {
        let mut step = step.clone();
        step["sequence_number"] = json!(number);
        format!("event: {}\ndata: {step}\n\n", step["type"].as_str().unwrap())
    }))
}

async fn stage(fake: &Fake) -> Stage {
    let config = format!(
        r#"
        [[gateway.upstreams]]
        name = "openai"
        kind = "openai"
        base_url = "{}/v1"
        credential = {{ secret = "openai" }}

        [grants.small]
        models = ["gpt-*", "text-embedding-*", "whisper-*"]

        [grants.slow]
        models = ["gpt-*"]
        rate = {{ requests_per_minute = 1 }}
        "#,
        fake.url
    );
    Stage::open(Plan { config, secrets: &[("openai", REAL_KEY)], tls: false }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_package_openai_does_what_the_grant_says() {
    let fake = fake().await;
    let stage = stage(&fake).await;
    let (small, slow) = (stage.token("ann", "small").await, stage.token("bob", "slow").await);
    stage
        .client(python())
        .args(["-"])
        .env("OPENAI_BASE_URL", &format!("{}/v1", stage.url()))
        .env("OPENAI_API_KEY", &small)
        .env("SLOW_TOKEN", &slow)
        .succeeds_on(include_str!("python/openai_story.py"))
        .await;

    fake.heard_the_real_key_alone();
    let chats = fake.heard_at(&Method::POST, "/v1/chat/completions");
    assert!(chats.iter().all(|heard| heard.json()["model"] == "gpt-5"), "{chats:?}");
    // Two that were granted, one streamed, one before the rate was used up; the refused ones stayed here.
    assert_eq!(chats.len(), 3, "{chats:?}");
    assert_eq!(chats[0].json()["metadata"], json!({"unheard-of": "stays"}));
    let upload = &fake.heard_at(&Method::POST, "/v1/audio/transcriptions")[0];
    assert!(
        upload.header("content-type").starts_with("multipart/form-data") && upload.text().contains("RIFF of a bell")
    );
    stage.keeps_nothing_of(&[REAL_KEY, &small, "Hello there", "RIFF of a bell"]);
}
