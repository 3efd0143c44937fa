//! The journal of a turn: what was begun, what became of it, and in whose name.

use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use super::*;
use crate::runtime::builtin::Builtin;

fn call(name: &str, arguments: &Value) -> ToolCall {
    ToolCall { id: "call_1".to_owned(), name: name.to_owned(), arguments: arguments.to_string() }
}

/// Has the tool called, and answers with its result.
fn calls(name: &'static str, arguments: Value) -> Arc<dyn Runtime> {
    scripted(move |turn| {
        let call = call(name, &arguments);
        Box::pin(async move {
            turn.absorb().await?;
            turn.record_answer("", std::slice::from_ref(&call)).await?;
            turn.call_tool(&call).await?;
            match turn.history().await?.pop() {
                Some(Step::ToolResult { text, .. }) => Ok(text),
                step => panic!("{step:?} is no result"),
            }
        })
    })
}

/// A model whose answers come one after the other, as the gateway gives them.
async fn model(stage: &Stage, answers: &[Value]) {
    for (position, message) in answers.iter().enumerate() {
        let answer = ResponseTemplate::new(200).set_body_json(json!({"choices": [{"message": message}]}));
        let mock = Mock::given(method("POST")).and(path("/v1/chat/completions")).respond_with(answer);
        mock.up_to_n_times(1).with_priority(u8::try_from(position).unwrap() + 1).mount(&stage.gateway).await;
    }
}

#[tokio::test]
async fn a_tool_that_runs_when_the_agent_is_paused_is_not_run_again_and_its_outcome_is_called_unknown() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, Arc::new(Builtin)).await;
        // Nobody makes workers here, so that the tool goes on until it is dropped.
        let wanted = json!({"name": "alice", "description": ""}).to_string();
        let call = json!({"id": "call_1", "function": {"name": "create_worker", "arguments": wanted}});
        model(&stage, &[json!({"content": null, "tool_calls": [call]}), json!({"content": "I shall look."})]).await;
        stage.ask("$1", "make alice").await;
        stage.work();
        stage.until("the tool", async |stage| stage.house().roster.list().await.unwrap().len() == 2).await;
        pause(&stage).await;
        is_put_aside(&stage).await;
        resume(&stage).await;
        stage.wait_for_turn("done").await;
        assert_eq!(stage.bodies().await, ["→ `create_worker` `alice`", "I shall look."]);
        let asked = stage.gateway.received_requests().await.unwrap();
        let last: Value =
            asked.iter().rev().find(|asked| asked.url.path().ends_with("completions")).unwrap().body_json().unwrap();
        let result = last["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(result["role"], "tool");
        assert!(result["content"].as_str().unwrap().starts_with("The outcome is unknown"), "{result}");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_agent_says_during_a_turn_of_a_human_counts_as_a_hop_of_the_jobs_that_follow() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, calls("assign_job", json!({"worker": "alice", "job": "dig"}))).await;
        let alice = stage.add_worker("alice").await;
        let manager = stage.manager().await;
        stage.ask("$1", "let alice dig").await;
        let claim = stage.house().sessions.claim().await.unwrap().unwrap();
        stage.house().sessions.take_up(&claim).await.unwrap().unwrap();
        stage.hear(&manager, "worker-alice", "$2", "and then?", 5).await;
        stage.house().sessions.release(&claim, Duration::ZERO).await.unwrap();
        stage.work();
        stage.wait_for_turn("done").await;
        let job: String = sqlx::query_scalar("SELECT content FROM outbox WHERE room_id = '!home:example.org'")
            .fetch_one(stage.house().database.reader())
            .await
            .unwrap();
        let job: Value = serde_json::from_str(&job).unwrap();
        assert_eq!(job[content::HOPS], 6);
        assert_eq!(job["m.mentions"]["user_ids"], json!([alice.user_id]));
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn no_agent_gains_power_by_asking_another_one() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, calls("remove_worker", json!({"worker": "bob"}))).await;
        stage.add_worker("bob").await;
        let manager = stage.manager().await;
        stage.hear(&manager, "worker-alice", "$1", "remove bob", 1).await;
        stage.work();
        stage.wait_for_turn("done").await;
        stage.wait_for_body("@worker-alice:example.org asked for this, and only a person may").await;
        let bob = stage.house().roster.get(&AgentName::worker("bob").unwrap()).await.unwrap();
        assert_eq!(bob.state, crate::agent::AgentState::Active);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_job_that_does_not_fit_into_a_message_is_refused_and_not_lost() {
    on_both_engines(async |url| {
        let job = json!({"worker": "alice", "job": "dig ".repeat(20_000)});
        let mut stage = Stage::open(url, calls("assign_job", job)).await;
        stage.add_worker("alice").await;
        stage.ask("$1", "let alice dig").await;
        stage.work();
        stage.wait_for_body("the job is too long for one message").await;
        stage.end().await;
    })
    .await;
}
