//! The built-in runtime: a loop of model answers and tool calls, streamed through the gateway's `/v1/chat/completions`.

mod chat;
mod prompt;

use async_trait::async_trait;

use super::{Runtime, TurnError};
use crate::session::{Step, ToolCall};
use crate::turn::TurnContext;
use chat::Answer;

/// More model answers than this in one turn are a loop, not work.
const MOST_ROUNDS: usize = 40;

/// The built-in runtime.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builtin;

#[async_trait]
impl Runtime for Builtin {
    async fn react(&self, turn: &TurnContext) -> Result<String, TurnError> {
        finish_calls(turn).await?;
        for _ in 0..MOST_ROUNDS {
            turn.absorb().await?;
            let answer = ask(turn).await?;
            if answer.calls.is_empty() {
                return Ok(answer.text);
            }
            turn.record_answer(&answer.text, &answer.calls).await?;
            finish_calls(turn).await?;
        }
        Err(TurnError::fail(format!(
            "I stopped myself after {MOST_ROUNDS} steps without coming to an end. Tell me to go on, or ask for less at once."
        )))
    }
}

/// Carries out the calls of the latest answer that have not been carried out. A call that had begun when the process died is not repeated.
async fn finish_calls(turn: &TurnContext) -> Result<(), TurnError> {
    let history = turn.history().await?;
    for (call, progress) in open_calls(&history) {
        match progress {
            Progress::NotBegun => turn.call_tool(&call).await?,
            Progress::Begun => turn.record_unknown_outcome(&call).await?,
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    NotBegun,
    Begun,
}

fn open_calls(history: &[Step]) -> Vec<(ToolCall, Progress)> {
    let Some(latest) = history.iter().rposition(|step| matches!(step, Step::Model { .. })) else { return Vec::new() };
    let (Step::Model { calls, .. }, after) = (&history[latest], &history[latest + 1..]) else { return Vec::new() };
    let has = |wanted: &dyn Fn(&Step) -> bool| after.iter().any(wanted);
    calls
        .iter()
        .filter(|call| !has(&|step| matches!(step, Step::ToolResult { call_id, .. } if *call_id == call.id)))
        // What was said after a turn that ended early is not a part of that turn.
        .filter(|_| !has(&|step| matches!(step, Step::Input { .. })))
        .map(|call| {
            let begun = has(&|step| matches!(step, Step::ToolStarted { call_id } if *call_id == call.id));
            (call.clone(), if begun { Progress::Begun } else { Progress::NotBegun })
        })
        .collect()
}

async fn ask(turn: &TurnContext) -> Result<Answer, TurnError> {
    let history = turn.history().await?;
    let request = prompt::request(turn, &history);
    let token = turn.consumer_token().await?;
    let result = chat::complete(turn.gateway(), &token, &request, |text| turn.show(text)).await;
    if let Err(chat::ChatError::TokenRefused) = &result {
        turn.gateway().discard_token(turn.agent()).await;
    }
    result.map_err(TurnError::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: &str) -> ToolCall {
        ToolCall { id: id.to_owned(), name: "write_file".to_owned(), arguments: "{}".to_owned() }
    }

    fn answer(ids: &[&str]) -> Step {
        Step::Model { text: String::new(), calls: ids.iter().map(|id| call(id)).collect() }
    }

    fn started(id: &str) -> Step {
        Step::ToolStarted { call_id: id.to_owned() }
    }

    fn result(id: &str) -> Step {
        Step::ToolResult { call_id: id.to_owned(), text: "done".to_owned() }
    }

    #[test]
    fn a_call_that_had_begun_when_the_process_died_is_told_apart_from_one_that_had_not() {
        let history = [answer(&["a", "b", "c"]), started("a"), result("a"), started("b")];
        assert_eq!(open_calls(&history), [(call("b"), Progress::Begun), (call("c"), Progress::NotBegun)]);
    }

    #[test]
    fn calls_of_a_turn_that_was_stopped_are_left_alone_in_the_next_one() {
        let said = Step::Input { sender: ruma::user_id!("@you:example.org").to_owned(), body: "go on".to_owned() };
        assert_eq!(open_calls(&[answer(&["a"]), started("a"), said]), []);
    }
}
