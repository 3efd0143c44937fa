//! How events reach the handler.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use doorward_appservice::{Appservice, EventHandler, HandlerError, LeasedEvent};
use doorward_testkit::{on_both_engines, wait_for};
use sqlx::Row;
use tokio::sync::{Notify, watch};

use crate::support::{Bot, Running, event, membership, open_deaf, put, rows, sqlite};

fn retry(after: Option<Duration>) -> Result<(), HandlerError> {
    Err(HandlerError::Retry { reason: "not now".to_owned(), after })
}

/// Holds one room back until told otherwise.
struct Holding {
    room: &'static str,
    go: Notify,
    seen: watch::Sender<Vec<String>>,
}

#[async_trait]
impl EventHandler for Holding {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        if event.room_id == self.room {
            self.go.notified().await;
        }
        self.seen.send_modify(|seen| seen.push(event.event_id.to_string()));
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_room_holds_up_no_other_and_keeps_its_own_order() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Arc::new(Holding { room: "!slow", go: Notify::new(), seen: watch::Sender::new(Vec::new()) });
        let running = Running::start(&appservice, bot.clone());
        let events = [("$s1", "!slow"), ("$s2", "!slow"), ("$f1", "!fast"), ("$f2", "!fast")];
        put(&appservice, "1", &events.map(|(id, room)| event(id, room, "x"))).await;
        let mut seen = bot.seen.subscribe();
        assert_eq!(*seen.wait_for(|seen| seen.len() == 2).await.unwrap(), ["$f1", "$f2"]);
        bot.go.notify_one();
        bot.seen.subscribe().wait_for(|seen| seen.len() == 3).await.unwrap();
        bot.go.notify_one();
        let seen = bot.seen.subscribe().wait_for(|seen| seen.len() == 4).await.unwrap().clone();
        assert_eq!(seen[2..], ["$s1", "$s2"]);
        running.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_that_is_to_be_retried_holds_up_its_room_alone_and_its_attempts_are_counted() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Bot::new(|event| {
            let early = event.room_id == "!a" && event.attempts() < 2;
            if early { retry(Some(Duration::from_millis(30))) } else { Ok(()) }
        });
        put(&appservice, "1", &[event("$1", "!a", "a1"), event("$2", "!a", "a2"), event("$3", "!b", "b1")]).await;
        let running = Running::start(&appservice, bot.clone());
        let seen = bot.has_seen(7).await;
        running.stop().await;
        let in_a: Vec<_> = seen.iter().filter(|body| body.starts_with('a')).collect();
        assert_eq!(in_a, ["a1", "a1", "a1", "a2", "a2", "a2"]);
        assert!(seen.iter().position(|body| body == "b1").unwrap() < 3, "{seen:?}");
        assert_eq!(rows(&appservice, "inbox", Some("handled")).await, 3);
    })
    .await;
}

async fn set_aside(appservice: &Appservice, id: &'static str) -> (String, String) {
    let row = wait_for("the quarantine", async || {
        let query = sqlx::query("SELECT reason, raw FROM quarantine WHERE id = $1").bind(id);
        query.fetch_optional(appservice.database().reader()).await.unwrap()
    });
    let row = row.await;
    (row.get("reason"), row.get("raw"))
}

#[tokio::test]
async fn an_event_that_the_handler_refuses_is_set_aside_and_its_room_goes_on() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Bot::new(|event| match event.event_id.as_str() {
            "$1" => Err(HandlerError::Quarantine { reason: "makes no sense".to_owned() }),
            _ => Ok(()),
        });
        let running = Running::start(&appservice, bot.clone());
        put(&appservice, "1", &[event("$1", "!a", "one"), event("$2", "!a", "two")]).await;
        assert_eq!(bot.has_seen(2).await, ["one", "two"]);
        let (reason, raw) = set_aside(&appservice, "$1").await;
        assert!(reason == "makes no sense" && raw.contains("one"), "{reason} {raw}");
        running.stop().await;
        assert_eq!(rows(&appservice, "inbox", Some("quarantined")).await, 1);
    })
    .await;
}

#[tokio::test]
async fn an_event_that_makes_the_handler_panic_is_tried_three_times_and_set_aside() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let bot = Bot::new(|event| {
        assert!(event.event_id != "$1", "a bug");
        Ok(())
    });
    let running = Running::start(&appservice, bot.clone());
    put(&appservice, "1", &[event("$1", "!a", "one"), event("$2", "!a", "two"), event("$3", "!b", "three")]).await;
    let seen = bot.has_seen(5).await;
    assert_eq!(seen.iter().filter(|body| *body == "one").count(), 3);
    assert_eq!(seen.last().unwrap(), "two");
    let (reason, _) = set_aside(&appservice, "$1").await;
    assert!(reason.contains("panicked") && reason.contains("a bug"), "{reason}");
    running.stop().await;
}

/// Completes the event in a transaction that is then dropped, the first time.
struct Forgetful {
    appservice: Appservice,
    calls: AtomicUsize,
    says_so: bool,
}

#[async_trait]
impl EventHandler for Forgetful {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        let mut tx = self.appservice.database().write().await?;
        event.complete(&mut tx).await?;
        if self.calls.fetch_add(1, Ordering::SeqCst) > 0 {
            tx.commit().await?;
            return Ok(());
        }
        drop(tx);
        if self.says_so { retry(Some(Duration::ZERO)) } else { Ok(()) }
    }
}

async fn calls_of_forgetful(url: String, says_so: bool) -> usize {
    let appservice = open_deaf(url).await;
    let bot = Arc::new(Forgetful { appservice: appservice.clone(), calls: AtomicUsize::new(0), says_so });
    let running = Running::start(&appservice, bot.clone());
    put(&appservice, "1", &[event("$1", "!a", "one")]).await;
    wait_for("the end", async || (rows(&appservice, "inbox", Some("handled")).await == 1).then_some(())).await;
    running.stop().await;
    bot.calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn an_event_whose_completion_was_rolled_back_is_handled_again() {
    on_both_engines(async |url| assert_eq!(calls_of_forgetful(url, true).await, 2)).await;
}

#[tokio::test]
async fn an_event_whose_completion_was_rolled_back_but_which_was_handled_is_completed() {
    on_both_engines(async |url| assert_eq!(calls_of_forgetful(url, false).await, 1)).await;
}

/// Keeps its event beyond the end of its handling.
struct Keeping(std::sync::Mutex<Vec<LeasedEvent>>, Notify);

#[async_trait]
impl EventHandler for Keeping {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        self.0.lock().unwrap().push(event);
        self.1.notify_one();
        Ok(())
    }
}

#[tokio::test]
async fn who_no_longer_has_an_event_cannot_complete_it() {
    on_both_engines(async |url| {
        let appservice = open_deaf(url).await;
        let bot = Arc::new(Keeping(std::sync::Mutex::default(), Notify::new()));
        let running = Running::start(&appservice, bot.clone());
        put(&appservice, "1", &[event("$1", "!a", "one")]).await;
        bot.1.notified().await;
        running.stop().await;
        let event = bot.0.lock().unwrap().pop().unwrap();
        let mut tx = appservice.database().write().await.unwrap();
        let error = event.complete(&mut tx).await.unwrap_err();
        assert!(matches!(error, doorward_appservice::CompleteError::LeaseLost), "{error}");
    })
    .await;
}

#[tokio::test]
async fn two_processes_on_one_database_share_the_rooms_and_handle_each_event_once() {
    on_both_engines(async |url| {
        if url.starts_with("sqlite") {
            return;
        }
        let (one, other) = (open_deaf(url.clone()).await, open_deaf(url).await);
        let (bot_one, bot_other) = (Bot::content(), Bot::content());
        let running = [Running::start(&one, bot_one.clone()), Running::start(&other, bot_other.clone())];
        let events: Vec<_> =
            (0..300).map(|n| event(&format!("${n}"), &format!("!{}", n % 30), &format!("{n}"))).collect();
        for (number, events) in events.chunks(50).enumerate() {
            put(if number % 2 == 0 { &one } else { &other }, &number.to_string(), events).await;
        }
        wait_for("all", async || (rows(&one, "inbox", Some("handled")).await == 300).then_some(())).await;
        for running in running {
            running.stop().await;
        }
        let mut seen = [bot_one.seen(), bot_other.seen()].concat();
        assert_eq!(seen.len(), 300);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 300);
    })
    .await;
}

#[tokio::test]
async fn state_events_reach_the_handler_like_all_others() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let bot = Bot::new(|event| {
        assert!(event.is_state());
        Ok(())
    });
    let running = Running::start(&appservice, bot.clone());
    put(&appservice, "1", &[membership("$1", "!a", "@bot:example.org", "invite")]).await;
    assert_eq!(bot.has_seen(1).await, ["$1"]);
    running.stop().await;
}
