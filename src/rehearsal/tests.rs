//! The stand-in, asked as the gateway asks it.

use serde_json::Value;

use super::*;

const TOOLS: [&str; 5] = ["create_worker", "list_workers", "remove_worker", "assign_job", "write_file"];

fn request(messages: &Value, stream: bool) -> Value {
    let tools: Vec<Value> = TOOLS.iter().map(|name| json!({"type": "function", "function": {"name": name}})).collect();
    json!({"model": MODEL, "messages": messages, "tools": tools, "stream": stream, "stream_options": {"include_usage": true}})
}

fn said(text: &str) -> script::Reply {
    let messages = json!([{"role": "system", "content": "You are @manager."}, {"role": "user", "content": text}]);
    script::reply(&serde_json::from_value(request(&messages, false)).unwrap())
}

async fn ask(key: &str, body: &Value) -> (StatusCode, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/chat/completions", listener.local_addr().unwrap());
    let router = router("the-key".into(), Random::seeded(1));
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    crate::install_tls();
    let response = reqwest::Client::new().post(url).bearer_auth(key).json(body).send().await.unwrap();
    let answer = (response.status(), response.text().await.unwrap());
    server.abort();
    answer
}

#[test]
fn each_sentence_of_its_help_calls_its_tool() {
    let table = [
        (
            "Create a worker alice who writes Rust",
            "create_worker",
            json!({"name": "alice", "description": "writes Rust"}),
        ),
        ("@you: make a worker named Bob.", "create_worker", json!({"name": "bob", "description": ""})),
        ("@manager:doorward.local list workers", "list_workers", json!({})),
        ("who is there?", "list_workers", json!({})),
        ("remove the worker alice", "remove_worker", json!({"name": "alice"})),
        ("ask alice to say good morning", "assign_job", json!({"worker": "alice", "job": "say good morning"})),
        ("let alice write a poem", "assign_job", json!({"worker": "alice", "job": "write a poem"})),
        ("write hello there to notes.txt", "write_file", json!({"path": "notes.txt", "content": "hello there"})),
        ("create a file a.md with # Title", "write_file", json!({"path": "a.md", "content": "# Title"})),
    ];
    for (text, tool, arguments) in table {
        assert_eq!(said(text), script::Reply::Call { tool, arguments }, "{text}");
    }
}

#[test]
fn say_is_repeated_and_anything_else_is_told_what_this_is() {
    assert_eq!(said("@you: @worker-alice say hello  you"), script::Reply::Say("(rehearsal) hello  you".to_owned()));
    for question in ["What is the weather?", "tell me a story", ""] {
        let script::Reply::Say(text) = said(question) else { panic!("it has no tool for {question:?}") };
        assert!(text.contains("rehearsal stand-in"));
    }
}

#[test]
fn the_result_of_a_tool_is_told() {
    let messages = json!([
        {"role": "user", "content": "list workers"},
        {"role": "assistant", "content": null, "tool_calls": []},
        {"role": "tool", "tool_call_id": "call_1", "content": "alice: idle"},
    ]);
    let reply = script::reply(&serde_json::from_value(request(&messages, false)).unwrap());
    assert_eq!(reply, script::Reply::Say("(rehearsal) alice: idle".to_owned()));
}

#[test]
fn a_tool_that_is_not_offered_is_not_called() {
    let body = json!({"model": MODEL, "messages": [{"role": "user", "content": "list workers"}]});
    let reply = script::reply(&serde_json::from_value(body).unwrap());
    assert!(matches!(reply, script::Reply::Say(text) if text.contains("no tool")));
}

#[tokio::test]
async fn a_stream_is_words_then_usage_then_done() {
    let (status, text) = ask("the-key", &request(&json!([{"role": "user", "content": "say one two"}]), true)).await;
    assert_eq!(status, StatusCode::OK);
    let events: Vec<&str> = text.split("\n\n").filter(|event| !event.is_empty()).collect();
    assert_eq!(*events.last().unwrap(), "data: [DONE]");
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|e| serde_json::from_str(&e["data: ".len()..]).unwrap()).collect();
    let words: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(words, "(rehearsal) one two");
    assert!(chunks.last().unwrap()["usage"]["completion_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_whole_answer_carries_the_tool_call() {
    let (_, text) = ask("the-key", &request(&json!([{"role": "user", "content": "remove alice"}]), false)).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{\"name\":\"alice\"}");
}

#[tokio::test]
async fn another_key_is_refused() {
    let (status, text) = ask("another", &request(&json!([]), false)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(text.contains("another key"));
}
