//! Replies in the wire format of OpenAI's chat completions, whole or as server-sent events, a word at a time.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use doorward_base::Random;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use super::request::ChatRequest;
use super::script::Reply;

/// About the pace of a fast model, so that live edits can be watched.
const EACH_WORD: Duration = Duration::from_millis(40);

/// One answer, ready to be sent in either way.
pub(super) struct Completion {
    id: String,
    model: String,
    reply: Reply,
    call_id: String,
    usage: Value,
    wants_usage: bool,
}

impl Completion {
    pub(super) fn new(request: &ChatRequest, reply: Reply, request_bytes: usize, random: &Random) -> Self {
        let answer_bytes = match &reply {
            Reply::Say(text) => text.len(),
            Reply::Call { arguments, .. } => arguments.to_string().len(),
        };
        // Four bytes a token: near enough for a meter to show something.
        let (prompt, completion) = (request_bytes / 4, answer_bytes.div_ceil(4));
        Self {
            id: format!("chatcmpl-rehearsal-{}", random.id()),
            call_id: format!("call_{}", random.id()),
            model: request.model.clone(),
            reply,
            usage: json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}),
            wants_usage: request.wants_usage(),
        }
    }

    /// One JSON object.
    pub(super) fn whole(self) -> Response {
        let message = match &self.reply {
            Reply::Say(text) => json!({"role": "assistant", "content": text}),
            Reply::Call { tool, arguments } => json!({
                "role": "assistant",
                "content": null,
                "tool_calls": [self.tool_call(tool, &arguments.to_string())],
            }),
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": self.finish_reason()});
        let mut answer = self.envelope("chat.completion", &json!([choice]));
        answer["usage"] = self.usage;
        Json(answer).into_response()
    }

    /// Server-sent events.
    pub(super) fn streamed(self) -> Response {
        let events = stream::iter(self.events()).then(async |event| {
            tokio::time::sleep(EACH_WORD).await;
            Ok::<_, Infallible>(event)
        });
        let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
        (headers, Body::from_stream(events)).into_response()
    }

    fn events(&self) -> Vec<String> {
        let mut events = vec![self.delta(&json!({"role": "assistant", "content": ""}), None)];
        match &self.reply {
            Reply::Say(text) => {
                let words = text.split_inclusive(char::is_whitespace);
                events.extend(words.map(|word| self.delta(&json!({"content": word}), None)));
            }
            Reply::Call { tool, arguments } => {
                let begun = json!({"tool_calls": [self.tool_call(tool, "")]});
                let rest = json!({"tool_calls": [{"index": 0, "function": {"arguments": arguments.to_string()}}]});
                events.push(self.delta(&begun, None));
                events.push(self.delta(&rest, None));
            }
        }
        events.push(self.delta(&json!({}), Some(self.finish_reason())));
        if self.wants_usage {
            let mut last = self.envelope("chat.completion.chunk", &json!([]));
            last["usage"] = self.usage.clone();
            events.push(event(&last));
        }
        events.push("data: [DONE]\n\n".to_owned());
        events
    }

    fn delta(&self, delta: &Value, finish_reason: Option<&str>) -> String {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish_reason});
        event(&self.envelope("chat.completion.chunk", &json!([choice])))
    }

    fn envelope(&self, object: &str, choices: &Value) -> Value {
        json!({"id": self.id, "object": object, "created": 0, "model": self.model, "choices": choices})
    }

    fn tool_call(&self, tool: &str, arguments: &str) -> Value {
        let function = json!({"name": tool, "arguments": arguments});
        json!({"index": 0, "id": self.call_id, "type": "function", "function": function})
    }

    fn finish_reason(&self) -> &'static str {
        match self.reply {
            Reply::Say(_) => "stop",
            Reply::Call { .. } => "tool_calls",
        }
    }
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}
