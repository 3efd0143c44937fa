use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doorward_base::{Clock, SystemClock, Timestamp};
use doorward_testkit::{on_both_engines, wait_for};

use super::*;
use crate::agent::AgentName;
use crate::runtime::Runtime;
use crate::session::{LEASE, Scope};
use crate::testing::{Stage, a_while, place, says, scripted};

/// A clock that is ahead, as if time had passed.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }
}

fn fails(error: impl Fn() -> TurnError + Send + Sync + 'static) -> (Arc<dyn Runtime>, Arc<AtomicUsize>) {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let runtime = scripted(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let error = error();
        Box::pin(async move { Err(error) })
    });
    (runtime, tries)
}

/// Never comes to an answer; says how often it has begun.
fn hangs() -> (Arc<dyn Runtime>, Arc<AtomicUsize>) {
    let begun = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&begun);
    let runtime = scripted(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::pending())
    });
    (runtime, begun)
}

async fn stop_all(stage: &Stage) -> u64 {
    let mut tx = stage.house().database.write().await.unwrap();
    let reached = stage.house().sessions.request_stop(&mut tx, &Scope::Room(&place().room)).await.unwrap();
    tx.commit().await.unwrap();
    stage.house().wake_all();
    reached
}

async fn pause(stage: &Stage) {
    let mut tx = stage.house().database.write().await.unwrap();
    stage.house().roster.pause(&mut tx, &AgentName::manager()).await.unwrap();
    tx.commit().await.unwrap();
    stage.house().wake_all();
}

async fn resume(stage: &Stage) {
    let mut tx = stage.house().database.write().await.unwrap();
    stage.house().roster.resume(&mut tx, &AgentName::manager()).await.unwrap();
    tx.commit().await.unwrap();
    stage.house().wake_all();
}

async fn is_put_aside(stage: &Stage) {
    let sql = "SELECT COUNT(*) FROM session WHERE lease_token IS NULL";
    stage
        .until("the session to be given back", async |stage| {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(stage.house().database.reader()).await.unwrap() == 1
        })
        .await;
}

#[tokio::test]
async fn the_end_of_a_turn_and_its_answer_become_true_together() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, says("hello")).await;
        stage.execute("ALTER TABLE outbox RENAME TO elsewhere").await;
        stage.ask("$1", "hi").await;
        stage.work();
        a_while().await;
        assert_eq!(stage.turns().await.pop().unwrap().1, "open", "a turn without its answer has not ended");
        stage.execute("ALTER TABLE elsewhere RENAME TO outbox").await;
        stage.wait_for_turn("done").await;
        assert_eq!(stage.bodies().await, ["hello"]);
        let answers = "SELECT COUNT(*) FROM session_entry WHERE kind = 'model'";
        let answers: i64 = sqlx::query_scalar(answers).fetch_one(stage.house().database.reader()).await.unwrap();
        assert_eq!(answers, 1, "no try left a journalled answer behind");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_passing_fault_is_tried_four_times_and_told_once() {
    on_both_engines(async |url| {
        let (runtime, tries) = fails(|| TurnError::retry("The model is away."));
        let mut stage = Stage::open(url, runtime).await;
        // Pauses between the tries are not waited for.
        stage.ask("$1", "hi").await;
        stage.work();
        let hurry = async {
            loop {
                stage.execute("UPDATE session SET not_before = 0 WHERE ready = 1").await;
                stage.house().turns.notify_one();
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = hurry => {}
            _ = stage.wait_for_turn("failed") => {}
        }
        a_while().await;
        assert_eq!(tries.load(Ordering::SeqCst), 4);
        let said = stage.said().await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert_eq!(said[0].msgtype, "m.notice");
        assert!(said[0].body.starts_with("The model is away. I have tried 4 times."), "{said:?}");
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_lasting_fault_is_told_once_and_not_tried_again() {
    on_both_engines(async |url| {
        let (runtime, tries) = fails(|| TurnError::fail("The grant does not cover this model."));
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        stage.work();
        stage.wait_for_turn("failed").await;
        a_while().await;
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        assert_eq!(stage.bodies().await, ["The grant does not cover this model."]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_runtime_that_panics_is_told_in_the_room_and_the_engine_goes_on() {
    on_both_engines(async |url| {
        let runtime = scripted(|turn| {
            Box::pin(async move {
                let asked = turn.history().await?.into_iter().rev().find_map(|step| match step {
                    Step::Input { body, .. } => Some(body),
                    _ => None,
                });
                assert_ne!(asked.unwrap(), "break");
                Ok("hello".to_owned())
            })
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "break").await;
        stage.work();
        wait_for("the first try", async || {
            let failures = "SELECT COUNT(*) FROM turn WHERE failures >= 1";
            let failures: i64 = sqlx::query_scalar(failures).fetch_one(stage.house().database.reader()).await.unwrap();
            (failures == 1).then_some(())
        })
        .await;
        stage.execute("UPDATE turn SET failures = 3").await;
        stage.wait_for_turn("failed").await;
        assert!(stage.bodies().await[0].starts_with("Something in me broke"));
        stage.ask("$2", "say hello").await;
        stage.wait_for_body("hello").await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_turn_whose_lease_was_lost_changes_nothing() {
    on_both_engines(async |url| {
        let runtime = scripted(|turn| {
            Box::pin(async move {
                turn.record_answer("I look into it", &[]).await?;
                Ok("late".to_owned())
            })
        });
        let stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        let claim = stage.house().sessions.claim().await.unwrap().unwrap();
        let turn = stage.house().sessions.take_up(&claim).await.unwrap().unwrap();
        let context = TurnContext::new(stage.house().clone(), stage.manager().await, claim, turn);
        let other = stage.beside_with(says("from the other one"), Arc::new(Ahead(LEASE * 2))).await;
        let claim = other.house().sessions.claim().await.unwrap().expect("the lease has run out");
        let runtime = Arc::clone(&stage.house().runtimes["builtin"]);
        assert!(matches!(runtime.react(&context).await, Err(TurnError::LeaseLost)));
        let closed = context.close(TurnState::Done, Ending::Answer("late")).await;
        assert!(matches!(closed, Err(SessionError::LeaseLost)));
        assert_eq!(stage.bodies().await, Vec::<String>::new());
        assert_eq!(stage.house().sessions.history(&claim, 10).await.unwrap().len(), 1, "only what was asked");
        assert!(other.house().sessions.holds(&claim).await.unwrap());
        other.end().await;
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_paused_turn_is_put_aside_and_the_same_turn_goes_on_after_resume() {
    on_both_engines(async |url| {
        let (runtime, begun) = hangs();
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        stage.work();
        let first = stage.wait_for_turn("open").await;
        wait_for("the runtime", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        pause(&stage).await;
        is_put_aside(&stage).await;
        a_while().await;
        assert_eq!(begun.load(Ordering::SeqCst), 1, "a paused agent does nothing");
        resume(&stage).await;
        wait_for("the runtime", async || (begun.load(Ordering::SeqCst) == 2).then_some(())).await;
        assert_eq!(stage.turns().await, [(first, "open".to_owned())]);
        assert_eq!(stage.bodies().await, Vec::<String>::new());
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn stop_ends_a_running_turn_and_says_so() {
    on_both_engines(async |url| {
        let (runtime, begun) = hangs();
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        stage.work();
        wait_for("the runtime", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        assert_eq!(stop_all(&stage).await, 1);
        stage.wait_for_turn("stopped").await;
        assert_eq!(stage.bodies().await, ["Stopped."]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn stop_ends_a_turn_that_waits_for_its_next_try_or_whose_agent_is_paused_and_nothing_runs_again() {
    on_both_engines(async |url| {
        let (runtime, tries) = fails(|| TurnError::Retry {
            reason: "Too many requests.".to_owned(),
            after: Some(Duration::from_secs(50)),
        });
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        stage.work();
        wait_for("the first try", async || (tries.load(Ordering::SeqCst) == 1).then_some(())).await;
        is_put_aside(&stage).await;
        pause(&stage).await;
        stop_all(&stage).await;
        stage.wait_for_turn("stopped").await;
        assert_eq!(tries.load(Ordering::SeqCst), 1);
        assert_eq!(stage.bodies().await, ["Stopped."]);
        stage.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_leaves_the_turn_open_and_the_next_start_goes_on_with_it() {
    on_both_engines(async |url| {
        let (runtime, begun) = hangs();
        let mut stage = Stage::open(url, runtime).await;
        stage.ask("$1", "hi").await;
        stage.work();
        wait_for("the runtime", async || (begun.load(Ordering::SeqCst) == 1).then_some(())).await;
        let turn = stage.wait_for_turn("open").await;
        let mut next = stage.beside(says("here I am again")).await;
        stage.end().await;
        assert_eq!(next.bodies().await, Vec::<String>::new());
        next.work();
        assert_eq!(next.wait_for_turn("done").await, turn);
        assert_eq!(next.bodies().await, ["here I am again"]);
        next.end().await;
    })
    .await;
}

#[tokio::test]
async fn two_engines_on_one_database_never_work_on_one_session_at_once() {
    on_both_engines(async |url| {
        let (now, most, all) =
            (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let runtime = |name: &'static str| {
            let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
            scripted(move |_| {
                let (now, most, all) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
                Box::pin(async move {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    all.fetch_add(1, Ordering::SeqCst);
                    Ok(name.to_owned())
                })
            })
        };
        let mut one = Stage::open(url, runtime("one")).await;
        let mut two = one.beside(runtime("two")).await;
        one.work();
        two.work();
        for number in 0..30 {
            let stage = if number % 2 == 0 { &one } else { &two };
            stage.ask(&format!("${number}"), "hi").await;
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let waiting = "SELECT COUNT(*) FROM session WHERE ready = 1";
        one.until("all to be answered", async |stage| {
            sqlx::query_scalar::<_, i64>(waiting).fetch_one(stage.house().database.reader()).await.unwrap() == 0
        })
        .await;
        assert_eq!(most.load(Ordering::SeqCst), 1);
        assert_eq!(one.bodies().await.len(), all.load(Ordering::SeqCst), "each turn has one answer");
        two.end().await;
        one.end().await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_whose_runtime_is_missing_says_which() {
    on_both_engines(async |url| {
        let mut stage = Stage::open(url, says("unused")).await;
        stage.execute("UPDATE agent SET runtime = 'quantum'").await;
        stage.ask("$1", "hi").await;
        stage.work();
        stage.wait_for_turn("failed").await;
        assert_eq!(stage.bodies().await, ["My runtime \"quantum\" is not known to this doorward; it knows builtin."]);
        stage.end().await;
    })
    .await;
}

mod live_answers;
mod steps;
