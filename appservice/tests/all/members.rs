//! Who is in a room, without asking each time.

use std::time::Duration;

use doorward_appservice::Appservice;
use doorward_testkit::{on_both_engines, wait_for};
use ruma::RoomId;
use serde_json::{Value, json};
use wiremock::matchers::path_regex;
use wiremock::{Mock, ResponseTemplate};

use crate::support::{Bot, Homeserver, Running, membership, open, put, sqlite};

fn joined(users: &[&str]) -> Value {
    json!({ "joined": users.iter().map(|user| ((*user).to_owned(), json!({}))).collect::<serde_json::Map<_, _>>() })
}

async fn members(appservice: &Appservice) -> Vec<String> {
    let members = appservice.members().joined(&RoomId::parse("!a").unwrap()).await.unwrap();
    members.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_list_is_asked_for_once_and_kept_by_the_events_that_follow() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        homeserver.on("GET", "/joined_members$", joined(&["@bot:example.org", "@ann:example.org"])).await;
        let appservice = open(url, &homeserver.url()).await;
        assert_eq!(members(&appservice).await, ["@ann:example.org", "@bot:example.org"]);
        let bot = Bot::content();
        let running = Running::start(&appservice, bot.clone());
        let mut no_user = membership("$4", "!a", "@cee:example.org", "join");
        no_user["state_key"] = json!("not a user");
        let events = [
            membership("$1", "!a", "@bea:example.org", "join"),
            membership("$2", "!a", "@ann:example.org", "leave"),
            membership("$3", "!a", "@cee:example.org", "invite"),
            no_user,
        ];
        put(&appservice, "1", &events).await;
        bot.has_seen(4).await;
        assert_eq!(members(&appservice).await, ["@bea:example.org", "@bot:example.org"]);
        running.stop().await;
        assert_eq!(homeserver.requests("GET", "/joined_members").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_change_is_known_before_the_handler_sees_its_event() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    homeserver.on("GET", "/joined_members$", joined(&["@bot:example.org"])).await;
    let appservice = open(url, &homeserver.url()).await;
    members(&appservice).await;
    let bot = Bot::content();
    let running = Running::start(&appservice, bot.clone());
    put(&appservice, "1", &[membership("$1", "!a", "@bea:example.org", "join")]).await;
    bot.has_seen(1).await;
    assert_eq!(members(&appservice).await.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn a_list_that_one_of_ours_no_longer_sees_is_asked_for_again() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    homeserver.on("GET", "/joined_members$", joined(&["@bot:example.org", "@bot-ann:example.org"])).await;
    let appservice = open(url, &homeserver.url()).await;
    members(&appservice).await;
    let bot = Bot::content();
    let running = Running::start(&appservice, bot.clone());
    put(&appservice, "1", &[membership("$1", "!a", "@bot:example.org", "leave")]).await;
    bot.has_seen(1).await;
    running.stop().await;
    let forbidden = json!({"errcode": "M_FORBIDDEN", "error": "you are not in this room"});
    homeserver.refuse("GET", "/joined_members$", 1, 403, forbidden).await;
    members(&appservice).await;
    let asked: Vec<_> = homeserver.requests("GET", "/joined_members").await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[2].contains("bot-ann"), "as the one of ours who is still there: {asked:?}");
}

#[tokio::test]
async fn a_room_that_was_forgotten_is_asked_for_again() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    homeserver.on("GET", "/joined_members$", joined(&["@bot:example.org"])).await;
    let appservice = open(url, &homeserver.url()).await;
    let room = RoomId::parse("!a").unwrap();
    assert!(appservice.members().is_joined(&room, appservice.sender().user_id()).await.unwrap());
    appservice.members().forget(&room).await.unwrap();
    members(&appservice).await;
    assert_eq!(homeserver.requests("GET", "/joined_members").await.len(), 2);
}

#[tokio::test]
async fn a_list_that_an_event_overtakes_on_its_way_is_asked_for_again() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        let late = ResponseTemplate::new(200).set_body_json(joined(&["@bot:example.org", "@ann:example.org"]));
        let slow = Mock::given(path_regex("/joined_members$")).respond_with(late.set_delay(Duration::from_millis(700)));
        slow.up_to_n_times(1).with_priority(1).mount(&homeserver.server).await;
        homeserver.on("GET", "/joined_members$", joined(&["@bot:example.org"])).await;
        let appservice = open(url, &homeserver.url()).await;
        let bot = Bot::content();
        let running = Running::start(&appservice, bot.clone());
        let asking = tokio::spawn({
            let appservice = appservice.clone();
            async move { members(&appservice).await }
        });
        let asked = async || (!homeserver.requests("GET", "/joined_members").await.is_empty()).then_some(());
        wait_for("the question", asked).await;
        put(&appservice, "1", &[membership("$1", "!a", "@ann:example.org", "leave")]).await;
        bot.has_seen(1).await;
        assert_eq!(asking.await.unwrap(), ["@bot:example.org"]);
        assert_eq!(members(&appservice).await, ["@bot:example.org"]);
        running.stop().await;
    })
    .await;
}
