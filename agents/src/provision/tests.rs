use doorward_base::{Clock, SystemClock};
use doorward_testkit::{on_both_engines, wait_for};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use super::*;
use crate::testing::{Stage, a_while, place, says, user};
use crate::workers::{self, Wish};

fn alice() -> AgentName {
    AgentName::worker("alice").unwrap()
}

fn away() -> ResponseTemplate {
    ResponseTemplate::new(502).set_body_string("bad gateway")
}

fn refused() -> ResponseTemplate {
    ResponseTemplate::new(403).set_body_json(json!({"errcode": "M_FORBIDDEN", "error": "no"}))
}

/// A stage on which somebody in a room has asked for alice.
async fn asked(url: String) -> Stage {
    let stage = Stage::open(url, says("unused")).await;
    // The room is found again by what the manager wrote into it when it made it.
    let new = workers::plan(stage.house(), "alice", Wish::default(), &user("you"), Some(place())).unwrap();
    let mut tx = stage.house().database.write().await.unwrap();
    stage.house().roster.create(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    stage
}

async fn ask_for_removal(stage: &Stage) -> Result<(), crate::RosterError> {
    let mut tx = stage.house().database.write().await.unwrap();
    stage.house().roster.remove(&mut tx, &alice(), Some(&place())).await?;
    tx.commit().await.unwrap();
    stage.house().wake_all();
    Ok(())
}

/// Ends the pause before the next try. An attempt that goes on holds its errand for longer than any pause here is; it has to keep it,
/// or a second one begins beside it.
async fn hurry(stage: &Stage) {
    let soon = SystemClock.now().plus(LEASE / 2).as_millis();
    sqlx::query("UPDATE agent SET retry_at = 0 WHERE retry_at < $1")
        .bind(soon)
        .execute(stage.house().database.reader())
        .await
        .unwrap();
    stage.house().errands.notify_one();
}

/// Waits until alice is there, without waiting out the pauses between tries.
async fn is_there(stage: &Stage) -> Agent {
    wait_for("alice", async || {
        let agent = stage.house().roster.get(&alice()).await.unwrap();
        if agent.trouble.is_some() && agent.state == AgentState::Creating {
            hurry(stage).await;
        }
        (agent.state == AgentState::Active).then_some(agent)
    })
    .await
}

async fn trouble(stage: &Stage) -> String {
    wait_for("trouble", async || stage.house().roster.get(&alice()).await.unwrap().trouble).await
}

#[tokio::test]
async fn a_worker_gets_a_room_with_who_asked_and_both_are_told() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        stage.provision();
        let agent = is_there(&stage).await;
        assert_eq!(agent.home_room.unwrap(), "!made:example.org");
        let made = stage.homeserver.requests("POST", "/createRoom").await;
        assert_eq!(made.len(), 1);
        assert_eq!(made[0].1["invite"], json!(["@you:example.org"]));
        let said = stage.said().await;
        assert_eq!(said[0].sender, "@worker-alice:example.org");
        assert!(
            said[0].body.starts_with("Hello, I am alice.") && said[1].body.starts_with("alice is there:"),
            "{said:?}"
        );
        assert_eq!(said.len(), 2);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn whatever_step_fails_at_first_is_repeated_and_makes_one_room_only() {
    for (verb, path) in [
        ("POST", "/register$"),
        ("PUT", "/displayname$"),
        ("POST", "/upload$"),
        ("PUT", "/avatar_url$"),
        ("GET", "/joined_members$"),
        ("POST", "/invite$"),
        ("POST", "/join$"),
    ] {
        on_both_engines(async |url| {
            let mut stage = asked(url).await;
            stage.homeserver.once(verb, path, 1, away()).await;
            stage.provision();
            is_there(&stage).await;
            let made = stage.homeserver.requests("POST", "/createRoom").await;
            assert_eq!(made.len(), 1, "{path}");
            stage.end().await;
        })
        .await;
    }
}

#[tokio::test]
async fn a_room_whose_making_was_not_answered_is_found_again() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        let id = stage.house().roster.get(&alice()).await.unwrap().id;
        stage.homeserver.once("POST", "/createRoom$", 1, away()).await;
        stage
            .homeserver
            .on("GET", "/joined_rooms$", 200, json!({"joined_rooms": ["!closed:example.org", "!lost:example.org"]}))
            .await;
        let create = |room: &str| format!("/rooms/{room}:example.org/state/m.room.create$");
        stage.homeserver.once("GET", &create("!closed"), 9, refused()).await;
        stage.homeserver.on("GET", &create("!lost"), 200, json!({ROOM_OF: id})).await;
        stage.provision();
        assert_eq!(is_there(&stage).await.home_room.unwrap(), "!lost:example.org");
        assert_eq!(stage.homeserver.requests("POST", "/createRoom").await.len(), 1);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_passing_trouble_is_told_once_shown_in_the_list_and_got_over() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        stage.homeserver.once("POST", "/createRoom$", 3, away()).await;
        stage.provision();
        trouble(&stage).await;
        let list = workers::overview(stage.house()).await.unwrap();
        assert!(list.contains("creating") && list.contains("Trouble: what answers at"), "{list}");
        is_there(&stage).await;
        let told = stage.bodies().await.into_iter().filter(|body| body.contains("is not ready")).collect::<Vec<_>>();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].ends_with("I keep trying."));
        assert!(!workers::overview(stage.house()).await.unwrap().contains("Trouble"));
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_name_that_a_person_has_is_told_once_and_is_free_again_after_removal() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        let in_use = json!({"errcode": "M_USER_IN_USE", "error": "taken"});
        stage.homeserver.on("POST", "/register$", 400, in_use).await;
        stage.homeserver.on("GET", "/account_data/", 404, json!({"errcode": "M_NOT_FOUND", "error": "no"})).await;
        stage.homeserver.on("GET", "/devices$", 200, json!({"devices": [{"device_id": "PHONE"}]})).await;
        stage.provision();
        assert!(trouble(&stage).await.contains("is not ours"));
        hurry(&stage).await;
        a_while().await;
        let bodies = stage.bodies().await;
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        assert!(bodies[0].ends_with("`!worker remove` makes the name free again."), "{bodies:?}");
        ask_for_removal(&stage).await.unwrap();
        stage.wait_for_body("alice is gone").await;
        assert!(stage.house().roster.find(&alice()).await.unwrap().is_none());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_came_to_nothing_may_be_asked_for_again() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        stage.provision();
        is_there(&stage).await;
        let refusal = ResponseTemplate::new(401).set_body_json(json!({"error": "the operator's token is wrong"}));
        let revoke = wiremock::Mock::given(wiremock::matchers::method("DELETE"));
        revoke.respond_with(refusal).up_to_n_times(1).with_priority(1).mount(&stage.gateway).await;
        ask_for_removal(&stage).await.unwrap();
        assert_eq!(trouble(&stage).await, "the operator's token is wrong");
        stage
            .wait_for_body("alice is not gone yet: the operator's token is wrong. `!worker remove` tries again.")
            .await;
        ask_for_removal(&stage).await.unwrap();
        stage.wait_for_body("alice is gone").await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_removed_worker_leaves_its_rooms_and_takes_what_it_knew_along() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        stage.provision();
        let agent = is_there(&stage).await;
        stage.hear(&agent, "you", "$1", "a secret", 0).await;
        let claim = stage.house().sessions.claim().await.unwrap().unwrap();
        stage.house().sessions.take_up(&claim).await.unwrap();
        let rooms = json!({"joined_rooms": ["!one:example.org", "!two:example.org"]});
        stage.homeserver.on("GET", "/joined_rooms$", 200, rooms).await;
        stage.homeserver.once("POST", "/rooms/!one:example.org/leave$", 1, refused()).await;
        ask_for_removal(&stage).await.unwrap();
        stage.wait_for_body("alice is gone").await;
        let left = stage.homeserver.requests("POST", "/leave").await;
        assert_eq!(left.len(), 2, "a refusal for one room keeps it in no other: {left:?}");
        for table in ["session", "session_input", "session_entry", "turn"] {
            let rows = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let rows: i64 = sqlx::query_scalar(rows).fetch_one(stage.house().database.reader()).await.unwrap();
            assert_eq!(rows, 0, "{table}");
        }
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_a_homeserver_gives_no_picture_is_there_without_one() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        stage.homeserver.once("POST", "/upload$", 9, refused()).await;
        stage.provision();
        is_there(&stage).await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_in_the_middle_gives_the_errand_back_and_the_next_start_goes_on_at_once() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        let slow = ResponseTemplate::new(200).set_body_json(json!({})).set_delay(Duration::from_secs(20));
        stage.homeserver.once("POST", "/invite$", 1, slow).await;
        stage.provision();
        stage
            .until("the invitation", async |stage| !stage.homeserver.requests("POST", "/invite").await.is_empty())
            .await;
        let mut next = stage.beside(says("unused")).await;
        stage.end().await;
        let began = tokio::time::Instant::now();
        next.provision();
        is_there(&next).await;
        assert!(began.elapsed() < LEASE / 3, "nobody waits for the lease of a process that has ended");
        assert_eq!(next.homeserver.requests("POST", "/createRoom").await.len(), 1);
        next.end().await;
    })
    .await;
}

#[tokio::test]
async fn two_processes_make_a_worker_once_and_a_slow_errand_holds_up_no_other() {
    on_both_engines(async |url| {
        let mut stage = asked(url).await;
        let mut next = stage.beside(says("unused")).await;
        let slow = ResponseTemplate::new(200).set_body_json(json!({"room_id": "!slow:example.org"}));
        stage.homeserver.once("POST", "/createRoom$", 1, slow.set_delay(Duration::from_secs(2))).await;
        stage.provision();
        next.provision();
        stage.until("the room", async |stage| !stage.homeserver.requests("POST", "/createRoom").await.is_empty()).await;
        let bob = workers::plan(stage.house(), "bob", Wish::default(), &user("you"), Some(place())).unwrap();
        let mut tx = stage.house().database.write().await.unwrap();
        stage.house().roster.create(&mut tx, &bob).await.unwrap();
        tx.commit().await.unwrap();
        stage.wait_for_body("bob is there").await;
        assert_eq!(stage.house().roster.get(&alice()).await.unwrap().state, AgentState::Creating);
        is_there(&stage).await;
        let made = stage.homeserver.requests("POST", "/createRoom").await;
        let named = |name: &str| made.iter().filter(|(_, body): &&(String, Value)| body["name"] == name).count();
        assert_eq!((named("alice"), named("bob")), (1, 1));
        next.end().await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_manager_whose_name_a_person_has_is_the_end_and_whoever_runs_us_learns_why() {
    on_both_engines(async |url| {
        let stage = Stage::open(url, says("unused")).await;
        let in_use = json!({"errcode": "M_USER_IN_USE", "error": "taken"});
        stage.homeserver.on("POST", "/register$", 400, in_use).await;
        stage.homeserver.on("GET", "/account_data/", 404, json!({"errcode": "M_NOT_FOUND", "error": "no"})).await;
        stage.homeserver.on("GET", "/devices$", 200, json!({"devices": [{"device_id": "PHONE"}]})).await;
        let error = stage.agents.run(stage.stop.clone()).await.unwrap_err();
        assert!(error.to_string().contains("@manager:example.org exists already"), "{error}");
        assert!(!stage.stop.is_cancelled(), "the reason is found before the end");
        stage.end().await;
    })
    .await;
}
