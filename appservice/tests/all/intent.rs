//! The client-server API as one of our users.

use std::time::Duration;

use doorward_appservice::{CreateRoom, Intent, IntentError};
use ruma::{EventId, OwnedEventId, RoomId, TransactionId, UserId};
use serde_json::{Value, json};

use crate::support::{Homeserver, open, sqlite};

struct Stage {
    _folder: tempfile::TempDir,
    homeserver: Homeserver,
    intent: Intent,
}

async fn stage() -> Stage {
    let (folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    let appservice = open(url, &homeserver.url()).await;
    let ann = appservice.user_id("bot-ann").unwrap();
    Stage { _folder: folder, intent: appservice.intent(&ann).unwrap(), homeserver }
}

impl Stage {
    async fn send(&self, room: &str) -> Result<OwnedEventId, IntentError> {
        let transaction = <&TransactionId>::from("t1");
        self.intent.send(&RoomId::parse(room).unwrap(), transaction, "m.room.message", &json!({"body": "hi"})).await
    }

    async fn paths(&self, verb: &str, part: &str) -> Vec<String> {
        self.homeserver.requests(verb, part).await.into_iter().map(|(path, _)| path).collect()
    }
}

fn forbidden() -> Value {
    json!({"errcode": "M_FORBIDDEN", "error": "not in the room"})
}

#[tokio::test]
async fn a_user_who_is_not_in_the_room_joins_and_sends_again_under_the_same_id() {
    let stage = stage().await;
    stage.homeserver.refuse("PUT", "/send/", 1, 403, forbidden()).await;
    assert_eq!(stage.send("!a").await.unwrap(), "$t1");
    let sends = stage.paths("PUT", "/send/").await;
    assert!(sends.len() == 2 && sends[0] == sends[1], "{sends:?}");
    assert_eq!(stage.paths("POST", "/join").await.len(), 1);
}

#[tokio::test]
async fn a_user_who_may_not_join_either_learns_why_the_send_was_refused() {
    let stage = stage().await;
    stage.homeserver.refuse("PUT", "/send/", 9, 403, forbidden()).await;
    stage.homeserver.refuse("POST", "/join$", 9, 403, json!({"errcode": "M_FORBIDDEN", "error": "banned"})).await;
    let error = stage.send("!a").await.unwrap_err();
    assert!(error.to_string().contains("not in the room") && !error.is_retryable(), "{error}");
    assert_eq!(stage.paths("PUT", "/send/").await.len(), 1);
}

#[tokio::test]
async fn a_device_that_is_gone_is_made_again_and_the_send_keeps_its_id() {
    for errcode in ["M_UNKNOWN_DEVICE", "M_INVALID_PARAM"] {
        let stage = stage().await;
        stage.homeserver.refuse("PUT", "/send/", 1, 400, json!({"errcode": errcode, "error": "what device?"})).await;
        stage.send("!a").await.unwrap();
        let devices = stage.paths("PUT", "/devices/").await;
        assert!(devices.len() == 2 && devices[0] == devices[1], "{devices:?}");
        let sends = stage.paths("PUT", "/send/").await;
        assert!(sends.len() == 2 && sends[0] == sends[1], "{sends:?}");
    }
}

#[tokio::test]
async fn a_join_is_tried_again_while_it_is_refused_and_not_longer_than_asked_for() {
    let stage = stage().await;
    let room = RoomId::parse("!a").unwrap();
    stage.homeserver.refuse("POST", "/join$", 2, 403, forbidden()).await;
    stage.intent.join(&room).await.unwrap();
    assert_eq!(stage.paths("POST", "/join").await.len(), 3);
    stage.homeserver.refuse("POST", "/join$", 99, 403, forbidden()).await;
    let error = stage.intent.join_within(&room, Duration::from_millis(300)).await.unwrap_err();
    assert!(error.errcode() == Some("M_FORBIDDEN"), "{error}");
    stage.homeserver.refuse("POST", "/join$", 99, 404, json!({"errcode": "M_NOT_FOUND", "error": "no room"})).await;
    assert!(stage.paths("POST", "/join").await.len() <= 5);
}

#[tokio::test]
async fn ids_are_escaped_in_paths_and_the_token_stands_in_no_url() {
    let stage = stage().await;
    stage.send("!a/b?c#d%e").await.unwrap();
    let path = stage.paths("PUT", "/send/").await.remove(0);
    assert!(path.starts_with("/_matrix/client/v3/rooms/!a%2Fb%3Fc%23d%25e/send/m.room.message/t1?user_id="), "{path}");
    let requests = stage.homeserver.server.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| !request.url.as_str().contains("the-as-token")));
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer the-as-token"));
}

#[tokio::test]
async fn each_request_has_the_path_and_body_of_the_specification() {
    let stage = stage().await;
    let homeserver = &stage.homeserver;
    for (verb, path, answer) in [
        ("POST", "/createRoom$", json!({"room_id": "!new"})),
        ("POST", "/(leave|invite)$", json!({})),
        ("PUT", "/(typing|profile)/", json!({})),
        ("PUT", "/state/", json!({"event_id": "$state"})),
        ("POST", "/receipt/", json!({})),
        ("POST", "/_matrix/media/v3/upload$", json!({"content_uri": "mxc://example.org/abc"})),
        ("GET", "/joined_members$", json!({"joined": {"@x:y": {"display_name": "X"}, "@z:y": {}, "bad": {}}})),
        ("GET", "/joined_rooms$", json!({"joined_rooms": ["!a", "!b"]})),
    ] {
        homeserver.on(verb, path, answer).await;
    }
    let (intent, room, friend) = (&stage.intent, RoomId::parse("!a").unwrap(), UserId::parse("@x:y").unwrap());
    let new = CreateRoom { name: Some("Den".into()), invite: vec![friend.clone()], ..CreateRoom::default() };
    assert_eq!(intent.create_room(new).await.unwrap(), "!new");
    intent.invite(&room, &friend).await.unwrap();
    intent.leave(&room).await.unwrap();
    intent.set_display_name("Ann").await.unwrap();
    intent.typing(&room, Some(Duration::from_secs(3))).await.unwrap();
    intent.typing(&room, None).await.unwrap();
    intent.read_receipt(&room, &EventId::parse("$e").unwrap()).await.unwrap();
    assert_eq!(intent.set_state(&room, "m.room.topic", "", &json!({"topic": "x"})).await.unwrap(), "$state");
    let uri = intent.upload(&b"png"[..], "image/png", "a b.png").await.unwrap();
    intent.set_avatar_url(&uri).await.unwrap();
    let members = intent.joined_members(&room).await.unwrap();
    assert_eq!(members.into_values().collect::<Vec<_>>(), [Some("X".to_owned()), None]);
    assert_eq!(intent.joined_rooms().await.unwrap().len(), 2);

    let body = async |verb: &str, part: &str| homeserver.requests(verb, part).await.pop().unwrap().1;
    let room_body = json!({"name": "Den", "invite": ["@x:y"], "is_direct": false, "preset": "private_chat"});
    assert_eq!(body("POST", "/createRoom").await, room_body);
    assert_eq!(body("POST", "/invite").await, json!({"user_id": "@x:y"}));
    assert_eq!(body("PUT", "/profile/@bot-ann:example.org/displayname").await, json!({"displayname": "Ann"}));
    assert_eq!(
        body("PUT", "/profile/@bot-ann:example.org/avatar_url").await,
        json!({"avatar_url": "mxc://example.org/abc"})
    );
    assert_eq!(body("PUT", "/rooms/!a/typing/@bot-ann:example.org").await, json!({"typing": false}));
    assert_eq!(body("POST", "/rooms/!a/receipt/m.read/$e").await, json!({}));
    assert_eq!(body("PUT", "/rooms/!a/state/m.room.topic").await, json!({"topic": "x"}));
    assert!(stage.paths("POST", "/upload").await[0].contains("filename=a+b.png"));
}

#[tokio::test]
async fn what_is_not_there_is_none_and_what_speaks_no_matrix_is_named() {
    let stage = stage().await;
    let room = RoomId::parse("!a").unwrap();
    stage.homeserver.refuse("GET", "/state/", 1, 404, json!({"errcode": "M_NOT_FOUND", "error": "none"})).await;
    assert_eq!(stage.intent.state_event(&room, "m.room.name", "").await.unwrap(), None);
    let error = stage.intent.state_event(&room, "m.room.name", "").await.unwrap_err();
    assert!(matches!(error, IntentError::Foreign { status: 404, .. }), "{error:?}");
    let (_folder, url) = sqlite();
    let error = open(url, "http://127.0.0.1:1").await.sender().joined_rooms().await.unwrap_err();
    assert!(error.is_retryable() && error.to_string().contains("127.0.0.1:1"), "{error}");
}

#[tokio::test]
async fn inviting_someone_who_is_there_is_no_error() {
    let stage = stage().await;
    let (room, friend) = (RoomId::parse("!a").unwrap(), UserId::parse("@x:y").unwrap());
    stage.homeserver.refuse("POST", "/invite$", 2, 403, forbidden()).await;
    stage.homeserver.refuse("GET", "/state/m.room.member/", 1, 200, json!({"membership": "join"})).await;
    stage.intent.invite(&room, &friend).await.unwrap();
    stage.homeserver.on("GET", "/state/m.room.member/", json!({"membership": "ban"})).await;
    assert!(stage.intent.invite(&room, &friend).await.is_err());
}
