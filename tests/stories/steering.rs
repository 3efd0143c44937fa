//! People step in by typing.

use std::time::Duration;

use doorward_testkit::wait_for;
use serde_json::json;
use tokio::time::Instant;

use crate::model::{Reply, SlowModel, model};
use crate::stage::Stage;

#[tokio::test]
async fn a_stopped_turn_ends_within_two_seconds_and_its_model_call_with_it() {
    let words = vec![
        "I ", "go ", "on ", "and ", "on ", "and ", "on ", "and ", "on ", "and ", "on ", "and ", "on ", "and ", "on ",
    ];
    let model = SlowModel::start(words, Duration::from_millis(700)).await;
    let stage = Stage::open(&model.url).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "tell me a story", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with('…')).await;
    let said = Instant::now();
    stage.human.say(stage.room(), "!stop", &[]).await;
    let stopped = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with("(stopped)")).await;
    assert!(said.elapsed() < Duration::from_secs(2), "{:?}", said.elapsed());
    assert!(stopped.body.contains('…'), "a half answer does not look whole: {}", stopped.body);
    wait_for("the model call to end", async || (model.broken_off() == 1).then_some(())).await;
}

#[tokio::test]
async fn a_request_that_is_taken_back_is_forgotten() {
    let model = SlowModel::start(
        vec!["well ", "well ", "well ", "well ", "well ", "well ", "well "],
        Duration::from_millis(700),
    )
    .await;
    let stage = Stage::open(&model.url).await;
    let manager = Stage::user("manager");
    let request = stage.human.say(stage.room(), "my password is hunter2", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with('…')).await;
    stage.human.redact(stage.room(), &request).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with("(stopped)")).await;
    wait_for("the model call to end", async || (model.broken_off() == 1).then_some(())).await;
}

#[tokio::test]
async fn what_is_typed_during_a_turn_reaches_the_agent_at_its_next_step() {
    let model = model(|asked| match asked.tool_result() {
        _ if asked.remembers("make it green") => Reply::text("green it is"),
        None => Reply::Call("list_workers", json!({})),
        // Slow enough for a person to say more.
        Some(_) => Reply::Raw(wiremock::ResponseTemplate::new(503).set_delay(Duration::from_millis(700))),
    })
    .await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "paint the door", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "→ `list_workers`").await;
    stage.human.say(stage.room(), "make it green", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "green it is").await;
    let answers = stage.human.lines(stage.room()).await.into_iter().filter(|line| line.body == "green it is");
    assert_eq!(answers.count(), 1, "both messages are one turn");
}

#[tokio::test]
async fn what_is_typed_to_a_paused_worker_is_answered_after_resume() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    let alice = Stage::user("worker-alice");
    stage.human.say(&room, "!pause", &[]).await;
    stage.human.wait_for_line(&room, &Stage::user("manager"), |line| line.body.starts_with("alice is paused")).await;
    stage.human.say(&room, "@worker-alice are you there?", &[&alice]).await;
    stage.human.wait_for_line(&room, &alice, |line| line.body.contains("is kept")).await;
    assert!(model.received_requests().await.unwrap().is_empty());
    stage.human.say(&room, "!resume alice", &[]).await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "You said: @you: are you there?").await;
}

#[tokio::test]
async fn in_a_room_of_three_only_who_is_mentioned_answers() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    stage.human.say(&room, "lovely weather", &[]).await;
    stage.human.say(&room, "hello", &[&Stage::user("worker-alice")]).await;
    stage.human.wait_for_line(&room, &Stage::user("worker-alice"), |line| line.body == "You said: @you: hello").await;
    assert_eq!(model.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_mistyped_command_gets_a_sentence_and_changes_nothing() {
    let model = model(|_| Reply::text("unused")).await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    for (typed, answer) in [
        ("!worker create A/B", "cannot be a worker's name"),
        ("!wroker list", "did you mean `!worker`?"),
        ("!worker remove nobody", "there is no worker nobody"),
        ("!worker create eve runtime=quantum", "there is no runtime \"quantum\"; there is builtin"),
        ("!stop", "Nothing is being done here"),
    ] {
        stage.human.say(stage.room(), typed, &[]).await;
        stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains(answer)).await;
    }
    assert!(model.received_requests().await.unwrap().is_empty());
}
