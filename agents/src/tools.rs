//! What agents can do besides talking: the manager leads its workers, a worker has a folder of files.

mod files;
mod manager;

use ruma::OwnedUserId;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::house::House;
use crate::place::Place;
use crate::session::ToolCall;

/// The longest result that a model gets to read.
const LONGEST_RESULT: usize = 32_000;
/// The longest part of a call that is shown in the room, in bytes.
const LONGEST_SHOWN: usize = 80;

/// What became of a call.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the model reads.
    pub(crate) text: String,
    /// What is said in rooms because of it, in the transaction that journals the result.
    pub(crate) effects: Vec<Effect>,
}

/// Something to be said as the agent.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) place: Place,
    pub(crate) content: Value,
}

impl Outcome {
    /// A result that nobody but the model sees.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), effects: Vec::new() }
    }
}

/// Why a call did nothing: a sentence for the model.
#[derive(Debug)]
pub(crate) struct ToolError(String);

impl<E: std::error::Error> From<E> for ToolError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Who calls, in whose name, and how many agents woke each other before.
pub(crate) struct Caller<'a> {
    pub(crate) house: &'a House,
    pub(crate) agent: &'a Agent,
    pub(crate) requester: OwnedUserId,
    pub(crate) hops: i64,
}

impl Caller<'_> {
    /// What changes who is there, a person has to ask for: no agent gains power by asking another one.
    fn for_a_person(&self) -> Result<(), ToolError> {
        if self.house.access.is_human(&self.requester) {
            return Ok(());
        }
        Err(ToolError(format!("{} asked for this, and only a person may", self.requester)))
    }
}

/// The tools of an agent, in the wire format of chat completions.
pub(crate) fn specs(agent: &Agent) -> Vec<Value> {
    if agent.name.is_manager() { manager::specs() } else { files::specs() }
}

/// Carries a call out. An agent has no tools but those in its [`specs`].
pub(crate) async fn run(house: &House, agent: &Agent, requester: OwnedUserId, hops: i64, call: &ToolCall) -> Outcome {
    let caller = Caller { house, agent, requester, hops };
    let result =
        if agent.name.is_manager() { manager::run(&caller, call).await } else { files::run(&caller, call).await };
    let mut outcome = result.unwrap_or_else(|ToolError(reason)| Outcome::text(format!("This did not work: {reason}")));
    shorten(&mut outcome.text, LONGEST_RESULT);
    outcome
}

/// What the room sees of a call before it runs.
pub(crate) fn describe(call: &ToolCall) -> String {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    let shown = ["name", "worker", "path"].iter().find_map(|key| arguments[key].as_str());
    let name = in_code(&call.name);
    match shown {
        Some(argument) => format!("→ `{name}` `{}`", in_code(argument)),
        None => format!("→ `{name}`"),
    }
}

/// What a model wrote, so that it stays within a code span of a notice.
fn in_code(text: &str) -> String {
    let mut text = text.replace('`', "").replace(['\n', '\r'], " ");
    shorten(&mut text, LONGEST_SHOWN);
    text
}

fn arguments<T: DeserializeOwned>(call: &ToolCall) -> Result<T, ToolError> {
    let text = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    serde_json::from_str(text).map_err(|error| ToolError(format!("the arguments do not fit the tool: {error}")))
}

fn unknown(call: &ToolCall) -> ToolError {
    ToolError(format!("there is no tool {:?}", call.name))
}

fn spec(name: &str, description: &str, properties: &Value, required: &[&str]) -> Value {
    let parameters =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    json!({"type": "function", "function": {"name": name, "description": description, "parameters": parameters}})
}

fn shorten(text: &mut String, longest: usize) {
    if text.len() > longest {
        let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" … (shortened)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_sees_which_tool_runs_on_what_but_no_contents() {
        let call =
            |arguments: &str| ToolCall { id: "1".into(), name: "write_file".into(), arguments: arguments.into() };
        assert_eq!(describe(&call(r#"{"path":"a.txt","content":"long"}"#)), "→ `write_file` `a.txt`");
        assert_eq!(describe(&call("no json")), "→ `write_file`");
        assert_eq!(describe(&call(r#"{"path":"`x`\ny"}"#)), "→ `write_file` `x y`");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let mut text = "é".repeat(10);
        shorten(&mut text, 5);
        assert_eq!(text, "éé … (shortened)");
    }
}
