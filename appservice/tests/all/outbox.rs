//! How sends reach the homeserver.

use std::time::Duration;

use doorward_appservice::{Appservice, Delivery, OutboxId, Outgoing};
use doorward_testkit::{on_both_engines, wait_for};
use ruma::{EventId, RoomId};
use serde_json::json;

use crate::support::{Bot, Homeserver, Running, open, rows, sqlite};

fn message(appservice: &Appservice, user: &str, room: &str, body: &str) -> Outgoing {
    Outgoing {
        sender: appservice.user_id(user).unwrap(),
        room_id: RoomId::parse(room).unwrap(),
        event_type: "m.room.message".to_owned(),
        content: json!({"msgtype": "m.text", "body": body}),
    }
}

async fn enqueue(appservice: &Appservice, sends: Vec<Outgoing>) -> Vec<OutboxId> {
    let mut tx = appservice.database().write().await.unwrap();
    let mut ids = Vec::new();
    for send in sends {
        ids.push(appservice.outbox().enqueue(&mut tx, send).await.unwrap());
    }
    tx.commit().await.unwrap();
    appservice.outbox().wake();
    ids
}

async fn ended(appservice: &Appservice, id: OutboxId) -> Delivery {
    wait_for("a delivery", async || {
        let delivery = appservice.outbox().delivery(id).await.unwrap().unwrap();
        (delivery != Delivery::Waiting).then_some(delivery)
    })
    .await
}

#[tokio::test]
async fn sends_go_out_in_order_within_a_room_as_their_user_and_its_device() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        let appservice = open(url, &homeserver.url()).await;
        let running = Running::start(&appservice, Bot::content());
        let sends =
            (0..20).map(|n| message(&appservice, if n % 2 == 0 { "bot" } else { "bot-ann" }, "!a", &n.to_string()));
        let ids = enqueue(&appservice, sends.collect()).await;
        let last = ended(&appservice, *ids.last().unwrap()).await;
        running.stop().await;
        let sends = homeserver.sends();
        let bodies: Vec<_> = sends.iter().map(|send| send.content["body"].as_str().unwrap().to_owned()).collect();
        assert_eq!(bodies, (0..20).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!((sends[0].user.as_str(), sends[1].user.as_str()), ("@bot:example.org", "@bot-ann:example.org"));
        assert!(sends.iter().all(|send| send.device.len() == 10) && sends[0].device != sends[1].device);
        let transaction = &sends.last().unwrap().transaction;
        assert_eq!(last, Delivery::Delivered(EventId::parse(format!("${transaction}")).unwrap()));
    })
    .await;
}

#[tokio::test]
async fn a_send_that_is_repeated_keeps_its_transaction_id_and_no_two_share_one() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    homeserver.refuse("PUT", "/send/", 2, 502, json!({"errcode": "M_UNKNOWN", "error": "restarting"})).await;
    let appservice = open(url, &homeserver.url()).await;
    let running = Running::start(&appservice, Bot::content());
    let both = vec![message(&appservice, "bot", "!a", "same"), message(&appservice, "bot-ann", "!a", "same")];
    for id in enqueue(&appservice, both).await {
        ended(&appservice, id).await;
    }
    running.stop().await;
    let paths: Vec<_> = homeserver.requests("PUT", "/send/").await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths.len(), 4, "{paths:?}");
    assert!(paths[0] == paths[1] && paths[1] == paths[2], "{paths:?}");
    assert_eq!(homeserver.sends().len(), 2);
    assert_ne!(homeserver.sends()[0].transaction, homeserver.sends()[1].transaction);
}

#[tokio::test]
async fn a_refused_send_is_marked_failed_with_the_reason_and_its_room_goes_on() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        homeserver.refuse("PUT", "/send/", 1, 413, json!({"errcode": "M_TOO_LARGE", "error": "event too large"})).await;
        let appservice = open(url, &homeserver.url()).await;
        let running = Running::start(&appservice, Bot::content());
        let both = vec![message(&appservice, "bot", "!a", "big"), message(&appservice, "bot", "!a", "small")];
        let ids = enqueue(&appservice, both).await;
        let Delivery::Failed { reason } = ended(&appservice, ids[0]).await else { panic!("it was delivered") };
        assert!(reason.contains("M_TOO_LARGE") && reason.contains("event too large"), "{reason}");
        assert!(matches!(ended(&appservice, ids[1]).await, Delivery::Delivered(_)));
        running.stop().await;
        assert_eq!(rows(&appservice, "outbox", Some("waiting")).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_homeserver_that_wants_to_be_left_alone_is_left_alone_for_that_long_and_other_rooms_go_on() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    let slow_down = json!({"errcode": "M_LIMIT_EXCEEDED", "error": "slow down", "retry_after_ms": 1500});
    homeserver.refuse("PUT", "/rooms/!a/send/", 1, 429, slow_down).await;
    let appservice = open(url, &homeserver.url()).await;
    let running = Running::start(&appservice, Bot::content());
    let begun = tokio::time::Instant::now();
    let both = vec![message(&appservice, "bot", "!a", "limited"), message(&appservice, "bot", "!b", "free")];
    let ids = enqueue(&appservice, both).await;
    ended(&appservice, ids[1]).await;
    assert_eq!(appservice.outbox().delivery(ids[0]).await.unwrap(), Some(Delivery::Waiting));
    ended(&appservice, ids[0]).await;
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
    running.stop().await;
}

#[tokio::test]
async fn what_was_rolled_back_is_never_sent_and_a_redaction_goes_out_in_its_turn() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    let appservice = open(url, &homeserver.url()).await;
    let running = Running::start(&appservice, Bot::content());
    let mut tx = appservice.database().write().await.unwrap();
    appservice.outbox().enqueue(&mut tx, message(&appservice, "bot", "!a", "never")).await.unwrap();
    drop(tx);
    let bot = appservice.sender().user_id().to_owned();
    let target = EventId::parse("$target").unwrap();
    let redaction = Outgoing::redaction(bot, RoomId::parse("!a").unwrap(), &target, Some("a mistake"));
    let ids = enqueue(&appservice, vec![message(&appservice, "bot", "!a", "said"), redaction]).await;
    ended(&appservice, ids[1]).await;
    running.stop().await;
    let sends = homeserver.sends();
    assert_eq!(sends.len(), 2, "{sends:?}");
    assert_eq!(sends[1].content, json!({"reason": "a mistake"}));
    let redactions = homeserver.requests("PUT", "/redact/").await;
    assert!(redactions[0].0.contains("/rooms/!a/redact/$target/"), "{}", redactions[0].0);
}

#[tokio::test]
async fn what_another_process_enqueued_is_found_without_being_told() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    let appservice = open(url.clone(), &homeserver.url()).await;
    let running = Running::start(&appservice, Bot::content());
    let command_line = open(url, &homeserver.url()).await;
    let ids = enqueue(&command_line, vec![message(&appservice, "bot", "!a", "from elsewhere")]).await;
    ended(&appservice, ids[0]).await;
    running.stop().await;
    assert_eq!(homeserver.sends().len(), 1);
}

#[tokio::test]
async fn a_homeserver_that_comes_back_gets_what_waited_for_it() {
    let (_folder, url) = sqlite();
    let port = doorward_testkit::free_port();
    let appservice = open(url, &format!("http://127.0.0.1:{port}")).await;
    let running = Running::start(&appservice, Bot::content());
    let ids = enqueue(&appservice, vec![message(&appservice, "bot", "!a", "patient")]).await;
    let mut health = appservice.health();
    health.wait_for(|health| matches!(health, doorward_appservice::Health::Unreachable { .. })).await.unwrap();
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let homeserver = Homeserver::start_on(listener).await;
    assert!(matches!(ended(&appservice, ids[0]).await, Delivery::Delivered(_)));
    health.wait_for(|health| matches!(health, doorward_appservice::Health::Ready { .. })).await.unwrap();
    running.stop().await;
    assert_eq!(homeserver.sends().len(), 1);
}

#[tokio::test]
async fn an_edit_points_at_what_its_original_became_or_stands_for_itself_if_that_was_refused() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        homeserver
            .refuse("PUT", "/rooms/!refused/send/", 1, 403, json!({"errcode": "M_BAD_STATE", "error": "no"}))
            .await;
        let appservice = open(url, &homeserver.url()).await;
        let running = Running::start(&appservice, Bot::content());
        for room in ["!a", "!refused"] {
            let original = enqueue(&appservice, vec![message(&appservice, "bot", room, "draft")]).await[0];
            let mut tx = appservice.database().write().await.unwrap();
            let edit = message(&appservice, "bot", room, "final");
            let edit = appservice.outbox().enqueue_replacement(&mut tx, edit, original).await.unwrap();
            tx.commit().await.unwrap();
            appservice.outbox().wake();
            assert!(matches!(ended(&appservice, edit).await, Delivery::Delivered(_)));
        }
        running.stop().await;
        let sends = homeserver.sends();
        let draft = format!("${}", sends[0].transaction);
        assert_eq!(sends[1].content["m.relates_to"], json!({"rel_type": "m.replace", "event_id": draft}));
        assert_eq!(sends[1].content["m.new_content"]["body"], "final");
        assert_eq!(sends[2].content, json!({"msgtype": "m.text", "body": "final"}));
    })
    .await;
}
