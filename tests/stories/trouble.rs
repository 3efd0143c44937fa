//! When things are broken, the person hears it where they look, in one sentence, and nothing is lost.

use std::time::Duration;

use doorward_testkit::RoomLine;
use serde_json::json;
use tokio::process::Command;
use wiremock::ResponseTemplate;

use crate::model::{Reply, SlowModel, model};
use crate::stage::{DOORWARD, Stage};

#[tokio::test]
async fn a_model_that_is_down_or_talks_garbage_is_named_in_the_room_and_the_message_is_kept() {
    let broken = ResponseTemplate::new(200).set_body_raw("data: {{{ garbage\n\n", "text/event-stream");
    let model = model(move |asked| match asked.said() {
        "@you: go on" if asked.remembers("what is the time") => Reply::text("I remember: the time."),
        said if said.contains("garbage") => Reply::Raw(broken.clone()),
        _ => Reply::Raw(ResponseTemplate::new(500).set_body_json(json!({"error": {"message": "out of order"}}))),
    })
    .await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "what is the time?", &[]).await;
    let sentence =
        stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no answer from my model")).await;
    assert_eq!(sentence.msgtype, "m.notice");
    assert!(sentence.body.contains("Your message is kept"), "{}", sentence.body);
    stage.human.say(stage.room(), "say garbage", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("cannot be understood")).await;
    stage.human.say(stage.room(), "go on", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "I remember: the time.").await;
}

#[tokio::test]
async fn an_unreachable_model_is_named_in_the_room() {
    let nobody = format!("http://127.0.0.1:{}", doorward_testkit::free_port());
    let stage = Stage::open(&nobody).await;
    stage.human.say(stage.room(), "hello?", &[]).await;
    let manager = Stage::user("manager");
    let sentence =
        stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no answer from my model")).await;
    assert!(sentence.body.contains("openai") && !sentence.body.contains("sk-"), "{}", sentence.body);
}

#[tokio::test]
async fn without_any_model_commands_work_and_a_request_is_told_which_setting_is_missing() {
    let stage = Stage::open_with("http://127.0.0.1:1", &[("OPENAI_API_KEY", "")]).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "!worker list", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no workers yet")).await;
    stage.human.say(stage.room(), "hello?", &[]).await;
    let sentence =
        stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no answer from my model")).await;
    assert!(
        sentence.body.contains("[[gateway.upstreams]]") && sentence.body.contains("OPENAI_API_KEY"),
        "{}",
        sentence.body
    );
}

#[tokio::test]
async fn a_homeserver_that_comes_back_is_noticed_without_a_restart_and_nothing_is_lost() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let mut stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.wait_for_line(stage.room(), &manager, |_| true).await;
    stage.stop().await;
    stage.start_without_homeserver().await;
    let ready = format!("http://127.0.0.1:{}/ready", stage.local.ports.appservice);
    let answer = doorward_testkit::wait_for("/ready to say why not", async || {
        let answer = reqwest::get(&ready).await.ok()?;
        (answer.status() == 503).then_some(answer)
    })
    .await;
    let reason = answer.text().await.unwrap();
    assert!(reason.contains(&stage.homeserver()), "{reason}");
    let homeserver = stage.start_homeserver().await;
    stage.human.say(stage.room(), "hello again", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "You said: @you: hello again").await;
    let is_ready = async || reqwest::get(&ready).await.ok().filter(|answer| answer.status() == 200);
    doorward_testkit::wait_for("/ready to say yes", is_ready).await;
    drop(homeserver);
}

#[tokio::test]
async fn a_message_typed_while_doorward_was_dead_is_answered_after_the_start() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let mut stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.wait_for_line(stage.room(), &manager, |_| true).await;
    stage.stop().await;
    let homeserver = stage.start_homeserver().await;
    stage.human.say(stage.room(), "anybody there?", &[]).await;
    stage.start_without_homeserver().await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "You said: @you: anybody there?").await;
    stage.kill().await;
    drop(homeserver);
}

#[tokio::test]
async fn an_answer_that_was_being_written_when_the_program_died_is_finished_in_the_same_message() {
    let model = SlowModel::start(vec!["one ", "two ", "three ", "four ", "five"], Duration::from_millis(500)).await;
    let mut stage = Stage::open(&model.url).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "count", &[]).await;
    let begun = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with('…')).await;
    stage.kill().await;
    stage.start().await;
    let whole = |line: &RoomLine| line.body == "one two three four five";
    let done = stage.human.wait_for_line(stage.room(), &manager, whole).await;
    assert_eq!(done.event_id, begun.event_id);
    let answers = stage.human.lines(stage.room()).await.into_iter().filter(|line| line.body.starts_with("one"));
    assert_eq!(answers.count(), 1);
}

#[tokio::test]
async fn a_manager_that_a_person_owns_is_not_taken_over() {
    let model = model(|_| Reply::text("unused")).await;
    let mut stage = Stage::open(&model.uri()).await;
    stage.another_human("boss").await;
    stage.stop().await;
    // The same house, under a registration whose sender is that person.
    let data = stage.data();
    let registration = std::fs::read_to_string(data.join("registration.yaml")).unwrap().replace("manager", "boss");
    std::fs::write(data.join("registration.yaml"), registration).unwrap();
    let homeserver = stage.start_homeserver().await;
    let program = Command::new(DOORWARD).args(["up", "--config"]).arg(data.join("doorward.toml")).output();
    let output = tokio::time::timeout(Duration::from_secs(30), program).await.expect("it gives up").unwrap();
    drop(homeserver);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    let sentence = said.lines().last().unwrap_or_default();
    assert!(sentence.contains("@boss:doorward.local"), "{said}");
}
