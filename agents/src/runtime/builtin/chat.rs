//! The OpenAI chat completions wire format, streamed
//! ([reference](https://platform.openai.com/docs/api-reference/chat-streaming)).

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use crate::gateway::{ConsumerToken, Gateway};
use crate::runtime::TurnError;
use crate::session::ToolCall;

/// A model that says nothing for so long has died.
const LONGEST_SILENCE: Duration = Duration::from_secs(180);

/// One answer of the model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChatError {
    #[error("the gateway did not accept my token")]
    TokenRefused,
    #[error("the gateway does not answer")]
    Unreachable,
    #[error("{message}")]
    Refused { status: StatusCode, message: String, retry_after: Option<Duration> },
    #[error("the model's answer broke off")]
    BrokeOff,
    #[error("the model said nothing for {} seconds", LONGEST_SILENCE.as_secs())]
    Silent,
    #[error("the model's answer cannot be understood: {0}")]
    Garbage(&'static str),
}

impl From<ChatError> for TurnError {
    fn from(error: ChatError) -> Self {
        let reason = format!("I have no answer from my model: {}.", error.to_string().trim_end_matches('.'));
        match error {
            ChatError::Refused { status, retry_after, .. } => {
                let worth_retrying = status.is_server_error()
                    || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                if worth_retrying { Self::Retry { reason, after: retry_after } } else { Self::fail(reason) }
            }
            _ => Self::retry(reason),
        }
    }
}

/// Asks the model; `show` gets the whole text so far each time that it grows.
pub(super) async fn complete(
    gateway: &Gateway,
    token: &ConsumerToken,
    request: &Value,
    show: impl Fn(&str),
) -> Result<Answer, ChatError> {
    let url = gateway.consumer_url("/v1/chat/completions");
    let request = gateway.client().post(url).bearer_auth(token.expose()).json(request);
    let response = within(request.send()).await?.map_err(|_| ChatError::Unreachable)?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let is_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/event-stream"));
    if is_stream { read_stream(response, show).await } else { read_whole(response, show).await }
}

async fn within<F: Future>(future: F) -> Result<F::Output, ChatError> {
    tokio::time::timeout(LONGEST_SILENCE, future).await.map_err(|_| ChatError::Silent)
}

async fn refusal(response: Response) -> ChatError {
    let status = response.status();
    if status == StatusCode::UNAUTHORIZED {
        return ChatError::TokenRefused;
    }
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let body: Value = response.json().await.unwrap_or_default();
    let said = body["error"]["message"].as_str().map_or_else(|| format!("it answered {status}"), str::to_owned);
    ChatError::Refused { status, message: said, retry_after: retry_after.map(Duration::from_secs) }
}

async fn read_whole(response: Response, show: impl Fn(&str)) -> Result<Answer, ChatError> {
    let body = within(response.bytes()).await?.map_err(|_| ChatError::BrokeOff)?;
    let whole: Whole = serde_json::from_slice(&body).map_err(|_| ChatError::Garbage("it is no chat completion"))?;
    let choice = whole.choices.into_iter().next().ok_or(ChatError::Garbage("it has no choices"))?;
    let mut answer = Answer { text: choice.message.content.unwrap_or_default(), calls: Vec::new() };
    for (index, call) in choice.message.tool_calls.into_iter().flatten().enumerate() {
        merge(&mut answer.calls, CallDelta { index: Some(index), ..call });
    }
    show(&answer.text);
    finished(answer)
}

async fn read_stream(response: Response, show: impl Fn(&str)) -> Result<Answer, ChatError> {
    let mut events = response.bytes_stream().eventsource();
    let mut answer = Answer::default();
    let mut ended = false;
    while let Some(event) = within(events.next()).await? {
        let data = event.map_err(|_| ChatError::BrokeOff)?.data;
        if data == "[DONE]" {
            ended = true;
            break;
        }
        let chunk: Chunk =
            serde_json::from_str(&data).map_err(|_| ChatError::Garbage("a part of it is no JSON of the kind"))?;
        if chunk.error.is_some() {
            return Err(ChatError::BrokeOff);
        }
        for choice in chunk.choices.into_iter().take(1) {
            ended |= choice.finish_reason.is_some();
            if let Some(text) = choice.delta.content.filter(|text| !text.is_empty()) {
                answer.text.push_str(&text);
                show(&answer.text);
            }
            choice.delta.tool_calls.into_iter().flatten().for_each(|delta| merge(&mut answer.calls, delta));
        }
    }
    if ended { finished(answer) } else { Err(ChatError::BrokeOff) }
}

fn finished(mut answer: Answer) -> Result<Answer, ChatError> {
    if answer.calls.iter().any(|call| call.name.is_empty()) {
        return Err(ChatError::Garbage("a tool call has no name"));
    }
    // The journal tells calls apart by their ids, and some models give the same to all.
    for index in 1..answer.calls.len() {
        let (before, rest) = answer.calls.split_at_mut(index);
        if before.iter().any(|call| call.id == rest[0].id) {
            rest[0].id.push_str(&format!("_{index}"));
        }
    }
    Ok(answer)
}

fn merge(calls: &mut Vec<ToolCall>, delta: CallDelta) {
    let index = delta.index.unwrap_or(calls.len().saturating_sub(1)).min(calls.len());
    if index == calls.len() {
        calls.push(ToolCall { id: format!("call_{index}"), name: String::new(), arguments: String::new() });
    }
    let call = &mut calls[index];
    if let Some(id) = delta.id.filter(|id| !id.is_empty()) {
        call.id = id;
    }
    call.name.push_str(&delta.function.name.unwrap_or_default());
    call.arguments.push_str(&delta.function.arguments.unwrap_or_default());
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Delta {
    content: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<usize>,
    id: Option<String>,
    #[serde(default)]
    function: FunctionDelta,
}

#[derive(Default, Deserialize)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<String>,
}

#[derive(Deserialize)]
struct Whole {
    choices: Vec<WholeChoice>,
}

#[derive(Deserialize)]
struct WholeChoice {
    message: Delta,
}

#[cfg(test)]
mod tests;
