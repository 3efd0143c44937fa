//! Models behind the gateway: the one thing in these stories that is not real.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// The real key, which no agent may ever see.
pub const REAL_KEY: &str = "sk-real-b7GqX29canaryZk41";

/// What the model was asked.
pub struct Asked {
    /// The whole request.
    pub request: Value,
}

impl Asked {
    fn messages(&self) -> &[Value] {
        self.request["messages"].as_array().map_or(&[], Vec::as_slice)
    }

    /// The latest thing that somebody said.
    pub fn said(&self) -> &str {
        let user = self.messages().iter().rev().find(|message| message["role"] == "user");
        user.and_then(|message| message["content"].as_str()).unwrap_or_default()
    }

    /// The result of a tool, if that is what the model is to go on with.
    pub fn tool_result(&self) -> Option<&str> {
        let last = self.messages().last().filter(|message| message["role"] == "tool")?;
        last["content"].as_str()
    }

    /// Whether `text` stands anywhere in the conversation.
    pub fn remembers(&self, text: &str) -> bool {
        self.messages().iter().any(|message| message["content"].as_str().is_some_and(|content| content.contains(text)))
    }
}

/// What the model answers.
pub enum Reply {
    /// Text, streamed.
    Text(String),
    /// A call of a tool, streamed.
    Call(&'static str, Value),
    /// Anything else.
    Raw(ResponseTemplate),
}

impl Reply {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

struct Script<F>(F);

impl<F: Fn(&Asked) -> Reply + Send + Sync> Respond for Script<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let asked = Asked { request: serde_json::from_slice(&request.body).unwrap() };
        let delta = match (self.0)(&asked) {
            Reply::Text(text) => json!({"content": text}),
            Reply::Call(name, arguments) => json!({"tool_calls": [{"index": 0, "id": format!("call_{name}"),
                "function": {"name": name, "arguments": arguments.to_string()}}]}),
            Reply::Raw(template) => return template,
        };
        ResponseTemplate::new(200).set_body_raw(events(&delta), "text/event-stream")
    }
}

fn events(delta: &Value) -> String {
    let chunk = json!({"choices": [{"index": 0, "delta": delta}]});
    let usage = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}});
    format!("data: {chunk}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A scripted model that only answers to the real key.
pub async fn model(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .and(path("/v1/chat/completions"))
        .and(header("authorization", format!("Bearer {REAL_KEY}")))
        .respond_with(Script(script))
        .mount(&server)
        .await;
    server
}

/// A model that writes a word every `pause` and counts the streams that were not read to their end.
pub struct SlowModel {
    pub url: String,
    broken_off: Arc<AtomicUsize>,
}

impl SlowModel {
    pub async fn start(words: Vec<&'static str>, pause: Duration) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let model = Self { url, broken_off: Arc::default() };
        let broken_off = Arc::clone(&model.broken_off);
        let answer = move || std::future::ready(stream_words(words.clone(), pause, Arc::clone(&broken_off)));
        let router = axum::Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        model
    }

    /// How many streams were given up by the other side.
    pub fn broken_off(&self) -> usize {
        self.broken_off.load(Ordering::SeqCst)
    }
}

/// Counts its end as a break, unless it was told that all was read.
struct Ending(Arc<AtomicUsize>, bool);

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.1 {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

const END: &str =
    "data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}]}\n\ndata: [DONE]\n\n";

fn delta(word: &str) -> Value {
    json!({"choices": [{"index": 0, "delta": {"content": word}}]})
}

fn stream_words(words: Vec<&'static str>, pause: Duration, broken_off: Arc<AtomicUsize>) -> Response {
    let ending = Ending(broken_off, false);
    let chunks = stream::unfold((words.into_iter(), ending), move |(mut words, mut ending)| async move {
        if ending.1 {
            return None;
        }
        tokio::time::sleep(pause).await;
        let word = words.next();
        ending.1 = word.is_none();
        let chunk = word.map_or_else(|| END.to_owned(), |word| format!("data: {}\n\n", delta(word)));
        Some((Ok::<_, Infallible>(Bytes::from(chunk)), (words, ending)))
    });
    ([("content-type", "text/event-stream")], Body::from_stream(chunks)).into_response()
}
