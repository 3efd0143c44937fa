//! Every command, typed in a room, and what is answered.

use doorward_testkit::{on_both_engines, wait_for};
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::agent::{AgentName, AgentState};
use crate::testing::{Stage, a_while, message, says};

/// A stage with alice, in a room with her, the manager, an owner and another person.
async fn open(url: String) -> Stage {
    open_with(url, &["manager", "worker-alice", "owner", "you"]).await
}

async fn open_with(url: String, members: &[&str]) -> Stage {
    let mut stage = Stage::open(url, says("unused")).await;
    stage.homeserver.members(members).await;
    stage.add_worker("alice").await;
    stage.connect();
    stage
}

/// Types a line, and gives the answer.
async fn answer(stage: &Stage, sender: &str, line: &str) -> String {
    let before = stage.said().await.len();
    let id = format!("$after-{before}");
    stage.homeserver.push(stage, &[message(&id, sender, line)]).await;
    let said = wait_for(line, async || stage.said().await.into_iter().nth(before)).await;
    assert_eq!((said.sender.as_str(), said.msgtype.as_str()), ("@manager:example.org", "m.notice"), "{said:?}");
    said.body
}

async fn state(stage: &Stage, name: &str) -> Option<AgentState> {
    let agent = stage.house().roster.find(&AgentName::worker(name).unwrap()).await.unwrap();
    agent.map(|agent| agent.state)
}

#[tokio::test]
async fn every_command_has_its_answer() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        for (line, expected) in [
            ("!help", "`!worker create NAME"),
            ("!worker list", "- **alice** (@worker-alice:example.org, builtin, gpt-5): idle"),
            ("!worker show alice", "**alice** (@worker-alice:example.org"),
            ("!worker show bob", "there is no worker bob; `!worker list` shows who is there."),
            ("!worker create alice", "there is a worker alice already"),
            ("!worker remove bob", "there is no worker bob; `!worker list` shows who is there."),
            ("!worker remove manager", "the manager cannot be removed."),
            ("!status", "- **manager** (@manager:example.org"),
            ("!stop", "Nothing is being done here that could be stopped."),
            ("!stop bob", "there is no worker bob; `!worker list` shows who is there."),
            ("!pause", "alice is paused. What you say is kept"),
            ("!resume", "alice is at work again."),
            ("!pause manager", "manager is paused."),
            ("!resume manager", "manager is at work again."),
            ("!pause bob", "there is no worker bob; `!worker list` shows who is there."),
            ("!usage", "No model was asked yet."),
            ("!worker", "write it like this: `!worker create NAME"),
            ("!stauts", "did you mean `!status`?"),
        ] {
            let said = answer(&stage, "you", line).await;
            assert!(said.contains(expected), "{line}: {said}");
        }
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn the_command_line_names_its_own_command_where_a_room_names_a_room_command() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        let bob = AgentName::worker("bob").unwrap();
        let workers = stage.agents.workers();
        let cure = "there is no worker bob; `doorward worker list` shows who is there";
        assert_eq!(workers.show(&bob).await.unwrap_err().to_string(), cure);
        assert_eq!(workers.pause(&bob).await.unwrap_err().to_string(), cure);
        assert_eq!(workers.resume(&bob).await.unwrap_err().to_string(), cure);
        assert_eq!(workers.remove(&bob).await.unwrap_err().to_string(), cure);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn usage_is_a_line_for_each_consumer_and_a_gateway_that_is_away_is_named() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        let usage = json!({"usage": [{"consumer": "worker-alice", "model": "gpt-5", "requests": 2, "prompt_tokens": 11,
            "completion_tokens": null}]});
        let get = Mock::given(method("GET")).and(path("/admin/v1/usage"));
        get.respond_with(ResponseTemplate::new(200).set_body_json(usage))
            .up_to_n_times(1)
            .with_priority(1)
            .mount(&stage.gateway)
            .await;
        let said = answer(&stage, "you", "!usage").await;
        assert_eq!(said, "- worker-alice, gpt-5: 2 requests, 11 tokens in, ? tokens out");
        let get = Mock::given(method("GET")).and(path("/admin/v1/usage"));
        let refusal = ResponseTemplate::new(500).set_body_json(json!({"error": "the database is away"}));
        get.respond_with(refusal).with_priority(1).mount(&stage.gateway).await;
        assert_eq!(answer(&stage, "you", "!usage").await, "the database is away.");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn only_an_owner_chooses_a_grant() {
    on_both_engines(async |url| {
        let mut stage = open(url).await;
        let said = answer(&stage, "you", "!worker create bob grant=coder").await;
        assert_eq!(said, "only an owner may choose a grant: leave grant= out, and default is used.");
        assert_eq!(state(&stage, "bob").await, None);
        let default = message("$default", "you", "!worker create carol grant=default");
        let coder = message("$coder", "owner", "!worker create bob grant=coder");
        stage.homeserver.push(&stage, &[default, coder]).await;
        stage.provision();
        stage.wait_for_body("carol is there").await;
        stage.wait_for_body("bob is there").await;
        let bob = stage.house().roster.get(&AgentName::worker("bob").unwrap()).await.unwrap();
        assert_eq!(bob.grant, "coder");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_description_that_no_room_topic_holds_is_refused() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        let line = format!("!worker create bob description={}", "x".repeat(2_000));
        assert_eq!(answer(&stage, "you", &line).await, "the description is too long: use at most 1000 bytes.");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn who_is_no_human_of_ours_commands_nothing_and_neither_does_an_agent() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        let mut stranger = message("$1", "you", "!pause alice");
        stranger["sender"] = json!("@you:elsewhere.net");
        let agent = message("$2", "worker-alice", "!pause manager");
        stage.homeserver.push(&stage, &[stranger, agent]).await;
        a_while().await;
        assert_eq!(stage.bodies().await, Vec::<String>::new());
        assert_eq!(state(&stage, "alice").await, Some(AgentState::Active));
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn of_several_agents_one_that_cannot_be_paused_does_not_keep_the_others_from_it() {
    on_both_engines(async |url| {
        let stage = open_with(url, &["manager", "worker-alice", "worker-bob", "you"]).await;
        stage.add_worker("bob").await;
        stage.execute("UPDATE agent SET state = 'creating', retry_at = 9000000000000000000 WHERE name = 'alice'").await;
        let said = answer(&stage, "you", "!pause").await;
        assert!(said.starts_with("alice is creating just now: try again when that is done. bob is paused."), "{said}");
        assert_eq!(state(&stage, "bob").await, Some(AgentState::Paused));
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn many_workers_are_listed_in_several_messages() {
    on_both_engines(async |url| {
        let stage = open(url).await;
        for number in 0..150 {
            stage.add_worker(&format!("worker-number-{number}")).await;
        }
        answer(&stage, "you", "!worker list").await;
        let said = stage.bodies().await;
        assert!(said.len() > 1 && said.iter().all(|body| body.len() < 13_000), "{}", said.len());
        let lines: usize = said.iter().map(|body| body.lines().count()).sum();
        assert_eq!(lines, 151);
        stage.end().await;
    })
    .await;
}
