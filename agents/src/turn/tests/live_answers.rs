//! What the room sees while an answer grows, and at its end.

use doorward_appservice::replacement;
use ruma::event_id;
use tokio::sync::Notify;

use super::*;

/// Shows each text for a while, and then answers with the last one, or goes on for ever.
fn writes(texts: &'static [&'static str], ends: bool) -> Arc<dyn Runtime> {
    scripted(move |turn| {
        Box::pin(async move {
            for text in texts {
                turn.show(text);
                tokio::time::sleep(Duration::from_millis(900)).await;
            }
            if !ends {
                std::future::pending::<()>().await;
            }
            Ok(texts.last().unwrap().to_string())
        })
    })
}

#[tokio::test]
async fn a_long_answer_comes_in_parts_that_the_homeserver_takes_in_order_and_in_its_thread() {
    on_both_engines(async |url| {
        let text = (0..600).map(|number| format!("{number} {}", "word ".repeat(20))).collect::<Vec<_>>().join("\n\n");
        let whole = text.clone();
        let runtime = scripted(move |_| {
            let text = whole.clone();
            Box::pin(async move { Ok(text) })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "tell me everything").await;
        stage.execute("UPDATE session SET thread = '$root'").await;
        stage.work();
        stage.wait_for_turn("done").await;
        let parts = stage.bodies().await;
        assert!(parts.len() > 4, "{}", parts.len());
        let again: Vec<_> = parts.iter().flat_map(|part| part.split("\n\n")).map(str::trim).collect();
        assert_eq!(again, text.split("\n\n").map(str::trim).collect::<Vec<_>>());
        let rows: Vec<String> = sqlx::query_scalar("SELECT content FROM outbox ORDER BY seq")
            .fetch_all(stage.house().database.reader())
            .await
            .unwrap();
        for row in rows {
            let content: Value = serde_json::from_str(&row).unwrap();
            assert_eq!(content["m.relates_to"]["event_id"], "$root");
            assert!(replacement(&content, event_id!("$some-event")).to_string().len() < 60_000);
        }
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_model_that_takes_long_is_told_once_and_waited_for() {
    on_both_engines(async |url| {
        let go = Arc::new(Notify::new());
        let waited = Arc::clone(&go);
        let runtime = scripted(move |_| {
            let waited = Arc::clone(&waited);
            Box::pin(async move {
                waited.notified().await;
                Ok("at last".to_owned())
            })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.agents.house.patience = Duration::from_millis(20);
        stage.ask("$1", "think hard").await;
        stage.work();
        stage.until("the notice", async |stage| stage.bodies().await.len() == 1).await;
        go.notify_one();
        stage.wait_for_turn("done").await;
        let said = stage.said().await;
        assert_eq!((said[0].msgtype.as_str(), said[1].body.as_str()), ("m.notice", "at last"));
        assert!(said[0].body.contains("Nothing has come back") && said[0].body.contains("!stop"), "{}", said[0].body);
        assert_eq!(said.len(), 2);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_live_answer_never_looks_whole_before_it_is_and_its_end_comes_last() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, writes(&["One", "One two", "One two three."], true)).await;
        // The second thing that is sent, an edit, takes longer than the rest of the turn.
        stage.homeserver.slow_edits(Duration::from_secs(2)).await;
        stage.ask("$1", "count").await;
        stage.work();
        stage.connect();
        stage.wait_for_turn("done").await;
        let bodies = async || stage.homeserver.bodies().await;
        wait_for("the end", async || bodies().await.iter().any(|body| body == "One two three.").then_some(())).await;
        a_while().await;
        let (last, before) = {
            let mut bodies = bodies().await;
            (bodies.pop().unwrap(), bodies)
        };
        assert_eq!(last, "One two three.");
        assert!(!before.is_empty() && before.iter().all(|body| body.ends_with('…')), "{before:?}");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_stopped_while_its_last_edit_is_on_the_way_ends_in_the_message_that_it_began() {
    on_both_engines(async |url| {
        let reached = Arc::new(Notify::new());
        let arrived = Arc::clone(&reached);
        let runtime = scripted(move |turn| {
            let arrived = Arc::clone(&arrived);
            Box::pin(async move {
                turn.show("I think");
                tokio::time::sleep(Duration::from_millis(1_200)).await;
                turn.show("I think so");
                tokio::time::sleep(Duration::from_millis(300)).await;
                arrived.notify_one();
                // Waits for the edit that is on its way.
                turn.record_answer("I think so too", &[]).await?;
                std::future::pending().await
            })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.homeserver.slow_edits(Duration::from_secs(3)).await;
        stage.ask("$1", "do you think so?").await;
        stage.work();
        stage.connect();
        reached.notified().await;
        stop_all(&stage).await;
        stage.wait_for_turn("stopped").await;
        let said = stage.said().await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].replaces && said[1].body == "I think so …\n\n(stopped)", "{said:?}");
        stage
            .until("the end", async |stage| stage.homeserver.bodies().await.last().unwrap().ends_with("(stopped)"))
            .await;
        a_while().await;
        assert!(stage.homeserver.bodies().await.last().unwrap().ends_with("(stopped)"));
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_is_stopped_after_a_restart_ends_in_the_message_that_was_begun_before() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, writes(&["Once upon a time"], false)).await;
        stage.ask("$1", "tell me a story").await;
        stage.work();
        stage.wait_for_body("Once upon a time …").await;
        let (runtime, begun) = hangs();
        let mut next = stage.beside(runtime).await;
        stage.end().await;
        next.work();
        wait_for("the runtime", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        stop_all(&next).await;
        next.wait_for_turn("stopped").await;
        let said = next.said().await;
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[1].replaces && said[1].body == "Stopped.", "{said:?}");
        next.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_that_fails_in_the_middle_of_an_answer_marks_it_as_broken_off() {
    on_both_engines(async |url| {
        let runtime = scripted(|turn| {
            Box::pin(async move {
                turn.show("```rust\nlet x");
                tokio::time::sleep(Duration::from_millis(900)).await;
                Err(TurnError::fail("The model is gone."))
            })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "write code").await;
        stage.work();
        stage.wait_for_turn("failed").await;
        let bodies = stage.bodies().await;
        assert_eq!(bodies[1..], ["```rust\nlet x\n```\n\n…\n\n(broken off)", "The model is gone."]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn of_a_long_answer_that_grows_the_first_part_is_shown_and_the_rest_follows() {
    on_both_engines(async |url| {
        let runtime = scripted(|turn| {
            Box::pin(async move {
                let text = "word ".repeat(6_000);
                turn.show(&text);
                tokio::time::sleep(Duration::from_millis(900)).await;
                Ok(text)
            })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "write").await;
        stage.work();
        stage.wait_for_turn("done").await;
        let said = stage.said().await;
        assert!(said[0].body.len() < 13_000 && said[0].body.ends_with('…'));
        assert_eq!(said.iter().map(|said| said.replaces).collect::<Vec<_>>(), [false, true, false, false]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn who_has_lost_a_session_edits_its_answer_no_more() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, says("unused")).await;
        stage.connect();
        stage.ask("$1", "tell me a story").await;
        let claim = stage.house().sessions.claim().await.unwrap().unwrap();
        let turn = stage.house().sessions.take_up(&claim).await.unwrap().unwrap();
        let context = TurnContext::new(stage.house().clone(), stage.manager().await, claim, turn);
        context.show("Once");
        stage.until("the first text", async |stage| stage.homeserver.bodies().await == ["Once …"]).await;
        let other = stage.beside_with(says("unused"), Arc::new(Ahead(LEASE * 2))).await;
        other.house().sessions.claim().await.unwrap().expect("the lease has run out");
        context.show("Once upon a time");
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(stage.homeserver.bodies().await, ["Once …"]);
        drop(context);
        other.end().await;
        stage.end().await;
    })
    .await;
}
