use doorward_testkit::on_both_engines;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::agent::AgentName;
use crate::testing::{Stage, a_while, membership, mention, message, place, says};

async fn open(url: String, members: &[&str]) -> Stage {
    let mut stage = Stage::open(url, says("unused")).await;
    stage.homeserver.members(members).await;
    stage.connect();
    stage
}

async fn waiting(stage: &Stage) -> Vec<String> {
    let sql = "SELECT body FROM session_input ORDER BY received_at, event_id";
    sqlx::query_scalar(sql).fetch_all(stage.house().database.reader()).await.unwrap()
}

/// Waits until every event was handled.
async fn handled(stage: &Stage) {
    let sql = "SELECT COUNT(*) FROM inbox WHERE state = 'waiting'";
    stage
        .until("all events to be handled", async |stage| {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(stage.house().database.reader()).await.unwrap() == 0
        })
        .await;
}

fn refused() -> ResponseTemplate {
    ResponseTemplate::new(403).set_body_json(json!({"errcode": "M_FORBIDDEN", "error": "no"}))
}

fn leaves(requests: &[(String, Value)]) -> Vec<String> {
    let users = requests.iter().filter_map(|(path, _)| path.split("user_id=").nth(1));
    users.map(|user| user.replace("%40", "@").replace("%3A", ":")).collect()
}

#[tokio::test]
async fn an_invitation_of_a_stranger_is_declined() {
    on_both_engines(async |url| {
        let stage = open(url, &[]).await;
        let mut invite = membership("$1", "you", "manager", "invite");
        invite["sender"] = json!("@you:elsewhere.net");
        stage.homeserver.push(&stage, &[invite]).await;
        handled(&stage).await;
        assert_eq!(stage.homeserver.requests("POST", "/leave").await.len(), 1);
        assert!(stage.homeserver.requests("POST", "/join").await.is_empty());
        assert_eq!(stage.bodies().await, Vec::<String>::new());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_invitation_of_a_human_is_followed_and_greeted_once_even_if_it_is_handled_twice() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        let away = ResponseTemplate::new(502).set_body_string("bad gateway");
        stage.homeserver.once("GET", "/state/m.room.encryption", 1, away).await;
        let invite = membership("$1", "you", "manager", "invite");
        stage.homeserver.push(&stage, std::slice::from_ref(&invite)).await;
        stage.homeserver.push(&stage, &[invite]).await;
        handled(&stage).await;
        assert_eq!(stage.homeserver.requests("POST", "/join").await.len(), 2, "handled twice");
        let said = stage.bodies().await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("Hello, I am the manager."), "{said:?}");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_invitation_of_a_worker_that_is_not_there_makes_no_account_for_a_stranger() {
    on_both_engines(async |url| {
        let stage = open(url, &[]).await;
        let mut invite = membership("$1", "you", "worker-nobody", "invite");
        invite["sender"] = json!("@you:elsewhere.net");
        stage.homeserver.push(&stage, &[invite]).await;
        handled(&stage).await;
        assert!(stage.homeserver.requests("POST", "/register").await.is_empty());
        stage.homeserver.push(&stage, &[membership("$2", "you", "worker-nobody", "invite")]).await;
        handled(&stage).await;
        assert_eq!(stage.homeserver.requests("POST", "/leave").await.len(), 1, "a human of ours sees it declined");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn in_an_encrypted_room_the_greeting_says_what_to_do() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.homeserver.on("GET", "/state/m.room.encryption", 200, json!({"algorithm": "m.megolm.v1.aes-sha2"})).await;
        stage.homeserver.push(&stage, &[membership("$1", "you", "manager", "invite")]).await;
        stage.wait_for_body("This room is encrypted").await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_follows_the_manager_without_a_word_and_one_that_is_being_removed_follows_nobody() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.add_worker("alice").await;
        stage.homeserver.push(&stage, &[membership("$1", "manager", "worker-alice", "invite")]).await;
        handled(&stage).await;
        assert_eq!(stage.homeserver.requests("POST", "/join").await.len(), 1);
        stage.execute("UPDATE agent SET state = 'removing' WHERE name = 'alice'").await;
        stage.homeserver.push(&stage, &[membership("$2", "you", "worker-alice", "invite")]).await;
        handled(&stage).await;
        assert_eq!(stage.homeserver.requests("POST", "/join").await.len(), 1);
        assert_eq!(stage.homeserver.requests("POST", "/leave").await.len(), 1);
        assert_eq!(stage.bodies().await, Vec::<String>::new());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_room_without_humans_is_left_by_all_of_us() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "worker-alice", "you"]).await;
        let alice = stage.add_worker("alice").await;
        stage.house().roster.set_home_room(&alice, &place().room).await.unwrap();
        stage.homeserver.push(&stage, &[message("$1", "you", "bye")]).await;
        handled(&stage).await;
        assert!(stage.homeserver.requests("POST", "/leave").await.is_empty());
        stage.homeserver.push(&stage, &[membership("$2", "you", "you", "leave")]).await;
        handled(&stage).await;
        let left = leaves(&stage.homeserver.requests("POST", "/leave").await);
        assert_eq!(left, ["@manager:example.org", "@worker-alice:example.org"]);
        let alice = stage.house().roster.get(&AgentName::worker("alice").unwrap()).await.unwrap();
        assert_eq!(alice.home_room, None, "no job is put where nobody is");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_room_that_is_closed_to_us_does_not_hold_up_a_later_invitation_to_it() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.homeserver.once("GET", "/joined_members$", 1, refused()).await;
        let events = [message("$1", "you", "hello?"), membership("$2", "you", "manager", "invite")];
        stage.homeserver.push(&stage, &events).await;
        stage.wait_for_body("Hello, I am the manager.").await;
        assert_eq!(waiting(&stage).await, Vec::<String>::new());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_said_to_a_paused_agent_is_kept_and_that_is_said_once() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.execute("UPDATE agent SET state = 'paused'").await;
        let events = [message("$1", "you", "one"), message("$2", "you", "two"), message("$3", "you", "three")];
        stage.homeserver.push(&stage, &events).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await, ["one", "two", "three"]);
        assert_eq!(
            stage.bodies().await,
            ["manager is paused. Your message is kept, and answered after `!resume manager`."]
        );
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_message_with_a_nul_in_it_holds_up_neither_database() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.homeserver.push(&stage, &[message("$1", "you", "a\0b")]).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await, ["a\u{fffd}b"]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn between_agents_only_a_mention_wakes_one_and_not_for_ever() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "worker-alice", "you"]).await;
        stage.add_worker("alice").await;
        let said = message("$0", "manager", "@worker-alice look");
        let woken = mention("$1", "manager", "look", 6, "worker-alice");
        let too_far = mention("$2", "manager", "look again", 7, "worker-alice");
        stage.homeserver.push(&stage, &[said, woken, too_far]).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await, ["look"]);
        stage.wait_for_body("We agents have talked enough").await;
        assert_eq!(stage.bodies().await.len(), 1);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn agents_wake_each_other_so_often_in_a_room_until_a_human_speaks_and_jobs_of_humans_do_not_count() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "worker-alice", "you"]).await;
        stage.add_worker("alice").await;
        let woken = |from: usize, to: usize, hops: i64| -> Vec<Value> {
            (from..to).map(|number| mention(&format!("${number}"), "manager", "look", hops, "worker-alice")).collect()
        };
        stage.homeserver.push(&stage, &woken(0, 40, 1)).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await.len(), 40, "each of these was asked for by a human");
        stage.homeserver.push(&stage, &woken(40, 66, 2)).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await.len(), 64);
        stage.homeserver.push(&stage, &[message("$you", "you", "@worker-alice go on")]).await;
        stage.homeserver.push(&stage, &woken(66, 67, 2)).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await.len(), 66);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_redaction_is_followed_only_in_the_room_of_the_message() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        stage.homeserver.push(&stage, &[message("$1", "you", "my password is hunter2")]).await;
        handled(&stage).await;
        let redaction = |id: &str, room: &str| {
            json!({"event_id": id, "room_id": room, "sender": "@eve:elsewhere.net", "type": "m.room.redaction",
                "origin_server_ts": 1, "content": {"redacts": "$1"}})
        };
        stage.homeserver.push(&stage, &[redaction("$2", "!elsewhere:example.org")]).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await.len(), 1);
        stage.homeserver.push(&stage, &[redaction("$3", place().room.as_str())]).await;
        handled(&stage).await;
        assert_eq!(waiting(&stage).await, Vec::<String>::new());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn who_is_no_human_of_ours_is_not_heard() {
    on_both_engines(async |url| {
        let stage = open(url, &["manager", "you"]).await;
        let mut stranger = message("$1", "you", "hello");
        stranger["sender"] = json!("@you:elsewhere.net");
        stage.homeserver.push(&stage, &[stranger, message("$2", "you", "hi")]).await;
        handled(&stage).await;
        a_while().await;
        assert_eq!(waiting(&stage).await, ["hi"]);
        assert!(stage.house().roster.find(&AgentName::manager()).await.unwrap().is_some());
        stage.end().await;
    })
    .await;
}
