//! What was acknowledged is kept, and counts once.

use std::sync::Arc;

use axum::http::StatusCode;
use doorward_appservice::{Appservice, EventHandler, HandlerError, LeasedEvent, Outgoing};
use doorward_testkit::{on_both_engines, wait_for};
use serde_json::{Value, json};
use sqlx::Row;

use crate::support::{Bot, Homeserver, Running, event, open, open_deaf, put, rows, sqlite};

/// Answers each message with its own content, in one transaction with its completion.
struct Echo(Appservice);

#[async_trait::async_trait]
impl EventHandler for Echo {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        let mut tx = self.0.database().write().await?;
        let send = Outgoing {
            sender: self.0.sender().user_id().to_owned(),
            room_id: event.room_id.clone(),
            event_type: event.event_type.clone(),
            content: event.content().unwrap(),
        };
        self.0.outbox().enqueue(&mut tx, send).await?;
        event.complete(&mut tx).await?;
        tx.commit().await?;
        self.0.outbox().wake();
        Ok(())
    }
}

async fn delivered(appservice: &Appservice, count: i64) {
    wait_for("the answers", async || (rows(appservice, "outbox", Some("delivered")).await == count).then_some(()))
        .await;
}

#[tokio::test]
async fn a_transaction_sent_twice_is_answered_once() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        let appservice = open(url, &homeserver.url()).await;
        let running = Running::start(&appservice, Arc::new(Echo(appservice.clone())));
        let events = [event("$1", "!a", "hi")];
        assert_eq!(put(&appservice, "1", &events).await, StatusCode::OK);
        delivered(&appservice, 1).await;
        assert_eq!(put(&appservice, "1", &events).await, StatusCode::OK);
        assert_eq!(put(&appservice, "2", &[event("$2", "!a", "bye")]).await, StatusCode::OK);
        delivered(&appservice, 2).await;
        running.stop().await;
        let bodies: Vec<_> = homeserver.sends().iter().map(|send| send.content["body"].clone()).collect();
        assert_eq!(bodies, ["hi", "bye"]);
        assert_eq!(rows(&appservice, "inbox", Some("handled")).await, 2);
    })
    .await;
}

#[tokio::test]
async fn a_transaction_id_used_again_with_other_events_loses_none() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        put(&appservice, "1", &[event("$1", "!a", "before the homeserver was restarted")]).await;
        put(&appservice, "1", &[event("$2", "!a", "after")]).await;
        put(&appservice, "1", &[event("$2", "!a", "after"), event("$3", "!a", "and more"), event("$3", "!a", "twice")])
            .await;
        assert_eq!(rows(&appservice, "inbox", Some("waiting")).await, 3);
    })
    .await;
}

#[tokio::test]
async fn a_malformed_event_is_set_aside_once_with_its_reason_and_stops_nothing() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Bot::content();
        let running = Running::start(&appservice, bot.clone());
        let mut no_sender = event("$bad", "!a", "x");
        no_sender.as_object_mut().unwrap().remove("sender");
        let mut nul = event("$nul\u{0}", "!\u{0}", "x");
        nul["sender"] = json!("@\u{0}:x");
        let events = [
            event("$1", "!a", "one"),
            no_sender,
            nul,
            json!("text"),
            json!(null),
            json!({"room_id": "!a"}),
            event("$2", "!a", "two"),
        ];
        for _ in 0..2 {
            assert_eq!(put(&appservice, "1", &events).await, StatusCode::OK);
        }
        assert_eq!(bot.has_seen(2).await, ["one", "two"]);
        running.stop().await;
        assert_eq!(rows(&appservice, "quarantine", None).await, 5);
        let row = sqlx::query("SELECT reason, raw, room_id FROM quarantine WHERE id = '$bad'");
        let row = row.fetch_one(appservice.database().reader()).await.unwrap();
        assert!(row.get::<String, _>("reason").contains("sender"), "{}", row.get::<String, _>("reason"));
        assert_eq!(row.get::<String, _>("room_id"), "!a");
        assert_eq!(serde_json::from_str::<Value>(row.get("raw")).unwrap(), events[1]);
    })
    .await;
}

#[tokio::test]
async fn one_transaction_sent_by_many_connections_at_once_is_stored_once() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let events: Vec<Value> = (0..100).map(|n| event(&format!("${n}"), &format!("!{}", n % 7), "hi")).collect();
        let puts = (0..8).map(|_| {
            let (appservice, events) = (appservice.clone(), events.clone());
            tokio::spawn(async move { put(&appservice, "1", &events).await })
        });
        for put in puts.collect::<Vec<_>>() {
            assert_eq!(put.await.unwrap(), StatusCode::OK);
        }
        assert_eq!(rows(&appservice, "inbox", None).await, 100);
        let bot = Bot::content();
        let running = Running::start(&appservice, bot.clone());
        bot.has_seen(100).await;
        running.stop().await;
        assert_eq!(bot.seen().len(), 100);
        assert_eq!(rows(&appservice, "inbox", Some("handled")).await, 100);
    })
    .await;
}

#[tokio::test]
async fn what_was_acknowledged_before_a_restart_is_handled_after_it_in_order() {
    let (_folder, url) = sqlite();
    let before = open_deaf(url.clone()).await;
    let events: Vec<Value> = (0..250).map(|n| event(&format!("${n}"), "!a", &n.to_string())).collect();
    put(&before, "1", &events).await;
    before.database().close().await;
    let after = open_deaf(url).await;
    let bot = Bot::content();
    let running = Running::start(&after, bot.clone());
    let seen = bot.has_seen(250).await;
    running.stop().await;
    assert_eq!(seen, (0..250).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_handled_event_is_known_by_its_id_and_its_text_is_gone() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Bot::content();
        let running = Running::start(&appservice, bot.clone());
        put(&appservice, "1", &[event("$1", "!a", "one")]).await;
        bot.has_seen(1).await;
        put(&appservice, "2", &[event("$1", "!a", "one"), event("$2", "!a", "two")]).await;
        assert_eq!(bot.has_seen(2).await, ["one", "two"]);
        running.stop().await;
        let kept = "SELECT COUNT(*) FROM inbox WHERE raw IS NOT NULL";
        let kept: i64 = sqlx::query_scalar(kept).fetch_one(appservice.database().reader()).await.unwrap();
        assert_eq!(kept, 0);
    })
    .await;
}
