//! Invite the manager, make a worker, get an answer through the gateway.

use std::time::Duration;

use doorward_testkit::postgres_database;
use serde_json::json;

use crate::model::{Reply, SlowModel, model};
use crate::stage::Stage;

#[tokio::test]
async fn the_manager_greets_whoever_invites_it_and_says_how_to_begin() {
    let model = model(|_| Reply::text("unused")).await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    let greeting = stage.human.wait_for_line(stage.room(), &manager, |_| true).await;
    assert!(greeting.body.contains("!worker create alice") && greeting.body.contains("!help"), "{}", greeting.body);
    assert_eq!(greeting.msgtype, "m.notice");
    let another = stage.human.create_room(&[&manager]).await;
    stage.human.wait_for_line(&another, &manager, |line| line.body.contains("I am the manager")).await;
}

#[tokio::test]
async fn a_worker_made_by_command_answers_through_the_gateway() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    let alice = Stage::user("worker-alice");
    let mut members = stage.human.members(&room).await;
    members.sort();
    assert_eq!(members, [Stage::user("manager"), alice.clone(), Stage::user("you")]);
    let profile = stage.human.profile(&alice).await;
    assert_eq!(profile["displayname"], "alice");
    assert!(profile["avatar_url"].as_str().unwrap().starts_with("mxc://"));
    stage.human.wait_for_line(&room, &alice, |line| line.body.starts_with("Hello, I am alice")).await;
    stage.human.say(&room, "@worker-alice say hello", &[]).await;
    let answer = stage.human.wait_for_line(&room, &alice, |line| line.body.starts_with("You said")).await;
    assert_eq!(answer.body, "You said: @you: say hello");
    assert_eq!(answer.msgtype, "m.text");
}

#[tokio::test]
async fn everything_is_the_same_on_postgresql() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let (doorward, gateway) = (postgres_database().await, postgres_database().await);
    let environment =
        [("DOORWARD__APPSERVICE__DATABASE", doorward.as_str()), ("DOORWARD__GATEWAY__DATABASE", &gateway)];
    let mut stage = Stage::open_with(&model.uri(), &environment).await;
    let room = stage.create_worker("alice").await;
    let alice = Stage::user("worker-alice");
    stage.human.say(&room, "@worker-alice first", &[]).await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "You said: @you: first").await;
    assert!(!stage.data().join("doorward.db").exists());
    stage.kill().await;
    stage.start().await;
    stage.human.say(&room, "@worker-alice second", &[]).await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "You said: @you: second").await;
}

#[tokio::test]
async fn a_worker_is_made_from_natural_language_in_one_tool_call() {
    let model = model(|asked| match asked.tool_result() {
        Some(result) => Reply::text(format!("Done. {result}")),
        None => Reply::Call("create_worker", json!({"name": "alice", "description": "writes Rust"})),
    })
    .await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "Create a worker alice who writes Rust", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "→ `create_worker` `alice`").await;
    let done = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.starts_with("Done.")).await;
    assert!(done.body.contains("alice is there: @worker-alice:doorward.local"), "{}", done.body);
    let room = stage.human.wait_for_invite(&[stage.room()]).await;
    let alice = Stage::user("worker-alice");
    let hello = stage.human.wait_for_line(&room, &alice, |_| true).await;
    assert!(hello.body.contains("writes Rust"), "{}", hello.body);
    assert_eq!(model.received_requests().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_job_that_the_manager_hands_over_is_done_in_the_workers_room_step_by_step() {
    let model = model(|asked| match (asked.tool_result(), asked.said()) {
        (Some(_), said) if said.starts_with("@manager: ") => Reply::text("The file is written."),
        (Some(_), _) => Reply::text("alice has it."),
        (None, said) if said.starts_with("@manager: ") => {
            Reply::Call("write_file", json!({"path": "notes/hello.md", "content": "hello"}))
        }
        (None, _) => Reply::Call("assign_job", json!({"worker": "alice", "job": "write hello into notes/hello.md"})),
    })
    .await;
    let stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    stage.human.say(stage.room(), "Let alice write hello into a file", &[]).await;
    let alice = Stage::user("worker-alice");
    stage
        .human
        .wait_for_line(&room, &Stage::user("manager"), |line| line.body.contains("write hello into notes/hello.md"))
        .await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "→ `write_file` `notes/hello.md`").await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "The file is written.").await;
    let file = stage.data().join("workspaces/alice/notes/hello.md");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "hello");
}

#[tokio::test]
async fn an_answer_appears_while_it_is_being_written() {
    let model =
        SlowModel::start(vec!["one ", "two ", "three ", "four ", "five ", "six"], Duration::from_millis(600)).await;
    let stage = Stage::open(&model.url).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "count", &[]).await;
    stage.human.wait_for_typing(stage.room(), &manager).await;
    let begun = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with('…')).await;
    assert!(begun.body.starts_with("one") && !begun.body.contains("six"), "{}", begun.body);
    let done = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.ends_with("six")).await;
    assert_eq!(done.body, "one two three four five six");
    assert_eq!(done.event_id, begun.event_id, "the message is edited, not repeated");
    assert!(done.edits >= 2, "{done:?}");
}

#[tokio::test]
async fn an_answer_stays_in_the_thread_of_its_request_and_each_thread_is_a_conversation() {
    let model =
        model(|asked| Reply::text(if asked.remembers("blue") { "I know: blue" } else { "I know nothing" })).await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    let root = stage.human.say(stage.room(), "the color is blue", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "I know: blue").await;
    stage.human.say_in_thread(stage.room(), &root, "which color?", &[]).await;
    let answer = stage.human.wait_for_line(stage.room(), &manager, |line| line.thread.is_some()).await;
    assert_eq!((answer.body.as_str(), answer.thread), ("I know nothing", Some(root)));
}

#[tokio::test]
async fn a_human_outside_the_access_list_is_ignored() {
    let model = model(|_| Reply::text("hello")).await;
    let stage = Stage::open_with(&model.uri(), &[("DOORWARD__ACCESS__HUMANS", r#"["@you:doorward.local"]"#)]).await;
    let manager = Stage::user("manager");
    let stranger = stage.another_human("mallory").await;
    let room = stranger.create_room(&[&manager]).await;
    let declined = json!("leave");
    doorward_testkit::wait_for("the invitation to be declined", async || {
        let events = stranger.events(&room).await;
        events
            .into_iter()
            .find(|event| event["state_key"] == manager.as_str() && event["content"]["membership"] == declined)
    })
    .await;
    stage.human.invite(stage.room(), &stranger.user_id).await;
    stranger.join(stage.room()).await;
    stranger.say(stage.room(), "@manager create a worker", &[&manager]).await;
    stranger.say(stage.room(), "!worker create evil", &[]).await;
    // What the owner says afterwards is answered; events of a room are handled in order, so the stranger's were before.
    stage.human.say(stage.room(), "!worker list", &[]).await;
    let list = stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no workers yet")).await;
    assert_eq!(list.msgtype, "m.notice");
    assert!(model.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_restart_keeps_workers_rooms_and_sessions() {
    let model = model(|asked| Reply::text(if asked.remembers("the word is plum") { "plum" } else { "no idea" })).await;
    let mut stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    let alice = Stage::user("worker-alice");
    stage.human.say(&room, "@worker-alice the word is plum", &[]).await;
    stage.human.wait_for_line(&room, &alice, |line| line.body == "plum").await;
    assert!(stage.stop().await.success());
    stage.start().await;
    let asked = stage.human.say(&room, "@worker-alice which word?", &[]).await;
    let after = |line: &doorward_testkit::RoomLine| line.body == "plum" && line.event_id != asked;
    doorward_testkit::wait_for("a second answer", async || {
        let lines = stage.human.lines(&room).await;
        (lines.iter().filter(|line| line.sender == alice && after(line)).count() == 2).then_some(())
    })
    .await;
    let list = stage.command(&["worker", "list"]).await;
    assert!(String::from_utf8_lossy(&list.stdout).contains("alice"));
}

#[tokio::test]
async fn a_message_that_arrives_in_two_transactions_is_answered_once() {
    let model = model(|_| Reply::text("once")).await;
    let stage = Stage::open(&model.uri()).await;
    let manager = Stage::user("manager");
    stage.human.wait_for_line(stage.room(), &manager, |_| true).await;
    let registration = std::fs::read_to_string(stage.data().join("registration.yaml")).unwrap();
    let token =
        registration.lines().find_map(|line| line.strip_prefix("hs_token: ")).unwrap().trim_matches(['"', '\'']);
    let event = json!({"type": "m.room.message", "event_id": "$sent-twice", "room_id": stage.room(), "sender": Stage::user("you"),
        "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": "answer me"}});
    for transaction in ["t1", "t1", "t2"] {
        let url =
            format!("http://127.0.0.1:{}/_matrix/app/v1/transactions/{transaction}", stage.local.ports.appservice);
        let sent = reqwest::Client::new().put(url).bearer_auth(token).json(&json!({"events": [event]}));
        assert_eq!(sent.send().await.unwrap().status(), 200);
    }
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "once").await;
    stage.human.say(stage.room(), "!status", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("**manager**")).await;
    let answers = stage.human.lines(stage.room()).await.into_iter().filter(|line| line.body == "once");
    assert_eq!(answers.count(), 1);
}

#[tokio::test]
async fn the_command_line_makes_and_removes_workers_of_the_running_program() {
    let model = model(|_| Reply::text("hello")).await;
    let stage = Stage::open(&model.uri()).await;
    let created = stage.command(&["worker", "create", "bob"]).await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let room = stage.human.wait_for_invite(&[stage.room()]).await;
    stage.human.wait_for_line(&room, &Stage::user("worker-bob"), |line| line.body.contains("I am bob")).await;
    let again = stage.command(&["worker", "create", "bob"]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("there is a worker bob already"));
    stage.human.say(stage.room(), "!worker remove bob", &[]).await;
    stage.human.wait_for_line(stage.room(), &Stage::user("manager"), |line| line.body.starts_with("bob is gone")).await;
    assert!(!stage.human.members(&room).await.contains(&Stage::user("worker-bob")));
}
