use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use doorward_base::{DatabaseUrl, Engine, ManualClock, Timestamp};
use doorward_testkit::{on_both_engines, postgres_database};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::open_database;

const NOON: i64 = 1_700_049_600_000;

/// One gateway process: its budgets, and the task that writes them.
struct Process {
    budgets: Budgets,
    database: Database,
    clock: ManualClock,
    grants: Grants,
    stop: CancellationToken,
    run: JoinHandle<()>,
}

async fn open(url: String) -> Database {
    open_database(&DatabaseUrl::try_from(url).unwrap()).await.unwrap()
}

fn noon() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(NOON))
}

impl Process {
    fn start(database: &Database, clock: &ManualClock, grants: &Value) -> Self {
        let grants: Grants = serde_json::from_value(grants.clone()).unwrap();
        let table = serde_json::from_value(json!({ "m": { "input": 1, "output": 10 } })).unwrap();
        let prices = Prices::compile(&table).unwrap();
        let (budgets, ledger) =
            Budgets::new(database.clone(), Arc::new(clock.clone()), Random::from_os(), &grants, prices);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let run = tokio::spawn(async move { ledger.run(&stopped).await });
        Self { budgets, database: database.clone(), clock: clock.clone(), grants, stop, run }
    }

    async fn reserve(&self, grants: &[&str], tokens: u64) -> Result<Reserved, NotReserved> {
        self.reserve_for(&alice(), grants, estimate(0, Some(tokens.saturating_sub(1)))).await
    }

    async fn reserve_for(
        &self,
        consumer: &ConsumerName,
        grants: &[&str],
        estimate: Estimate,
    ) -> Result<Reserved, NotReserved> {
        self.budgets.reserve(consumer, grants, Some(ModelUse { models: &["m"], estimate })).await
    }

    async fn over(&self, grants: &[&str], tokens: u64) -> OverBudget {
        match self.reserve(grants, tokens).await {
            Err(NotReserved::Over(over)) => over,
            other => panic!("{other:?}"),
        }
    }

    async fn states(&self) -> Vec<BudgetState> {
        budget_states(&self.database, &self.grants, None, self.clock.now()).await.unwrap()
    }

    /// Tokens of today, in all, and held, by grant.
    async fn tokens(&self, grant: &str) -> (u64, u64, u64) {
        let states = self.states().await;
        let state = states.iter().find(|state| state.grant == grant);
        state.map_or((0, 0, 0), |state| (state.tokens_today, state.tokens_total, state.tokens_held))
    }

    async fn has_tokens(&self, grant: &str, expected: (u64, u64, u64)) {
        let arrived = async {
            while self.tokens(grant).await != expected {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), arrived).await.is_ok();
        assert!(in_time, "{:?} instead of {expected:?}", self.tokens(grant).await);
    }

    /// Stops and waits until everything is written.
    async fn stop(self) -> Database {
        self.stop.cancel();
        self.run.await.unwrap();
        self.database
    }

    /// The process is gone, and nothing that it held in memory was written.
    async fn kill(self) {
        self.run.abort();
        assert!(self.run.await.unwrap_err().is_cancelled());
    }
}

fn alice() -> ConsumerName {
    ConsumerName::new("alice").unwrap()
}

fn completion(tokens: u64) -> Spent {
    Spent { completion: tokens, ..Spent::default() }
}

async fn rows(database: &Database, table: &'static str) -> usize {
    let query = match table {
        "lease" => "SELECT id FROM budget_lease",
        "hold" => "SELECT lease FROM budget_hold",
        _ => "SELECT consumer FROM budget",
    };
    sqlx::query(query).fetch_all(database.reader()).await.unwrap().len()
}

#[tokio::test]
async fn the_first_grant_with_room_pays_and_a_request_is_refused_only_if_none_has() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let grants = json!({
            "a": { "budget": { "tokens_per_day": 100 } },
            "b": { "budget": { "tokens_total": 50 } },
            "open": {}
        });
        let process = Process::start(&database, &noon(), &grants);
        process.reserve(&["a", "b"], 80).await.unwrap().settle(&completion(80));
        process.reserve(&["a", "b"], 40).await.unwrap().settle(&completion(40));
        process.reserve(&["gone", "a"], 20).await.unwrap().settle(&completion(20));
        process.has_tokens("a", (100, 100, 0)).await;
        process.has_tokens("b", (40, 40, 0)).await;
        let over = process.over(&["a", "b"], 11).await;
        assert_eq!(over.retry_after_seconds(), Some(12 * 60 * 60));
        assert!(over.to_string().starts_with("grant `a` allows 100 tokens a day: 0 tokens left"), "{over}");
        assert!(process.over(&["b"], 11).await.to_string().contains("not renewed"));
        process.reserve(&["a", "open"], 1_000).await.unwrap().settle(&completion(1_000));
        process.has_tokens("a", (100, 100, 0)).await;
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_no_grant_limits_never_touches_the_database() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let grants = json!({ "open": {}, "tokens": { "budget": { "tokens_per_day": 1 } } });
        let process = Process::start(&database, &noon(), &grants);
        // Nobody writes any more: a request that had to wait for the database would be refused.
        process.run.abort();
        let budgets = process.budgets.clone();
        while process.reserve(&["tokens"], 1).await.is_ok() || !process.run.is_finished() {
            tokio::task::yield_now().await;
        }
        process.reserve(&["open", "tokens"], 1_000).await.unwrap().settle(&completion(5));
        drop(budgets.reserve(&alice(), &["tokens"], None).await.unwrap());
        assert_eq!(process.reserve(&["tokens"], 1).await.unwrap_err(), NotReserved::Stopping);
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn each_consumer_has_its_own_budget() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let process = Process::start(&database, &noon(), &json!({ "g": { "budget": { "tokens_per_day": 10 } } }));
        process.reserve(&["g"], 10).await.unwrap().settle(&completion(10));
        let bob = ConsumerName::new("bob").unwrap();
        process.reserve_for(&bob, &["g"], estimate(4, Some(9))).await.unwrap().settle(&completion(3));
        let database = process.stop().await;
        let states = budget_states(&database, &Grants::new(), None, Timestamp::from_millis(NOON)).await.unwrap();
        let used: Vec<_> = states.iter().map(|state| (state.consumer.as_str(), state.tokens_today)).collect();
        assert_eq!(used, [("alice", 10), ("bob", 3)]);
        let json = serde_json::to_value(&states[1]).unwrap();
        assert_eq!((&json["usd_today"], &json["renews_at"]), (&json!(0.000_03), &json!("2023-11-16T00:00:00Z")));
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_daily_budget_is_renewed_at_midnight_and_a_total_one_is_not() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let grants = json!({ "g": { "budget": { "tokens_per_day": 10, "tokens_total": 25 } } });
        let process = Process::start(&database, &clock, &grants);
        process.reserve(&["g"], 10).await.unwrap().settle(&completion(10));
        process.has_tokens("g", (10, 10, 0)).await;
        clock.advance(Duration::from_secs(12 * 60 * 60 - 1));
        assert_eq!(process.over(&["g"], 1).await.retry_after_seconds(), Some(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!(process.tokens("g").await, (0, 10, 0));
        process.reserve(&["g"], 10).await.unwrap().settle(&completion(10));
        process.has_tokens("g", (10, 20, 0)).await;
        clock.advance(Duration::from_secs(24 * 60 * 60));
        assert!(process.over(&["g"], 6).await.to_string().contains("25 tokens in all: 5 tokens left"));
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_runs_past_midnight_holds_the_new_day_too_and_counts_there() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let process = Process::start(&database, &clock, &json!({ "g": { "budget": { "tokens_per_day": 10 } } }));
        let long = process.reserve(&["g"], 8).await.unwrap();
        clock.advance(Duration::from_secs(12 * 60 * 60));
        assert_eq!(process.over(&["g"], 3).await.retry_after_seconds(), Some(5));
        long.settle(&completion(6));
        process.has_tokens("g", (6, 6, 0)).await;
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn more_than_was_held_is_charged_truly_and_the_next_request_is_refused() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let grants = json!({ "g": { "budget": { "tokens_per_day": 100, "usd_per_day": 1 } } });
        let process = Process::start(&database, &noon(), &grants);
        let spent = Spent { prompt: 100, cached: 20, cache_written: 3, completion: 500 };
        process.reserve(&["g"], 10).await.unwrap().settle(&spent);
        process.has_tokens("g", (623, 623, 0)).await;
        assert_eq!(process.states().await[0].usd_today.to_string(), "$0.005123");
        assert!(process.over(&["g"], 1).await.to_string().contains("0 tokens left"));
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_settled_and_a_failed_request_costs_nothing() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let process = Process::start(&database, &noon(), &json!({ "g": { "budget": { "tokens_total": 10_000 } } }));
        let reserve = || async { process.reserve_for(&alice(), &["g"], estimate(400, Some(2_000))).await.unwrap() };
        reserve().await.release();
        drop(reserve().await);
        process.has_tokens("g", (0, 0, 0)).await;
        reserve().await.settle_by_bytes(None, 4_000, AnswerForm::Events);
        process.has_tokens("g", (140, 140, 0)).await;
        let counted = Spent { prompt: 90, cached: 10, completion: 1, ..Spent::default() };
        reserve().await.settle_by_bytes(Some(counted), 4_000, AnswerForm::Events);
        process.has_tokens("g", (280, 280, 0)).await;
        // More than the caller asked for: an upstream need not have heeded that.
        reserve().await.settle_by_bytes(None, 12_000, AnswerForm::Whole);
        process.has_tokens("g", (3_380, 3_380, 0)).await;
        let mut sent = reserve().await;
        sent.sent();
        process.has_tokens("g", (3_380, 3_380, 2_100)).await;
        drop(sent);
        process.has_tokens("g", (4_480, 4_480, 0)).await;
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_caller_that_gives_up_while_it_waits_holds_nothing() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let process = Process::start(&database, &noon(), &json!({ "g": { "budget": { "tokens_total": 100 } } }));
        for _ in 0..20 {
            let waiting = process.reserve(&["g"], 100);
            let _ = tokio::time::timeout(Duration::from_micros(50), waiting).await;
        }
        process.has_tokens("g", (0, 0, 0)).await;
        let database = process.stop().await;
        assert_eq!(rows(&database, "hold").await, 0);
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_stop_waits_for_what_runs_and_leaves_no_lease_behind() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let process = Process::start(&database, &noon(), &json!({ "g": { "budget": { "tokens_total": 100 } } }));
        let running = process.reserve(&["g"], 10).await.unwrap();
        assert_eq!((rows(&database, "hold").await, rows(&database, "lease").await), (1, 1));
        process.stop.cancel();
        while process.reserve(&["g"], 1).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert!(!process.run.is_finished());
        running.settle(&completion(7));
        let database = process.stop().await;
        let states = budget_states(&database, &Grants::new(), None, Timestamp::from_millis(NOON)).await.unwrap();
        assert_eq!((states[0].tokens_total, states[0].tokens_held), (7, 0));
        assert_eq!((rows(&database, "hold").await, rows(&database, "lease").await), (0, 0));
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_process_held_is_charged_by_estimate_once_its_lease_is_over() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let grants = json!({ "g": { "budget": { "tokens_total": 100_000 } } });
        let killed = Process::start(&database, &clock, &grants);
        let lost = killed.reserve_for(&alice(), &["g"], estimate(400, Some(50_000))).await.unwrap();
        killed.has_tokens("g", (0, 0, 50_100)).await;
        killed.kill().await;
        drop(lost);
        if database.engine() == Engine::Postgres {
            // Another replica may be alive: only the end of the lease tells.
            let early = Process::start(&database, &clock, &grants);
            assert!(early.over(&["g"], 50_000).await.to_string().contains("still running"));
            early.stop().await;
            clock.advance(ledger::LEASE + Duration::from_millis(1));
        }
        let next = Process::start(&database, &clock, &grants);
        next.has_tokens("g", (1_100, 1_100, 0)).await;
        assert_eq!(rows(&database, "hold").await, 0);
        next.reserve(&["g"], 98_900).await.unwrap().release();
        next.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_process_that_was_taken_for_dead_charges_only_what_was_not_charged_yet() {
    let database = open(postgres_database().await).await;
    let clock = noon();
    let grants = json!({ "g": { "budget": { "tokens_total": 10_000 } } });
    let sleeper = Process::start(&database, &clock, &grants);
    let (less, more) = (sleeper.reserve(&["g"], 11).await.unwrap(), sleeper.reserve(&["g"], 21).await.unwrap());
    while estimated(&database).await != 30 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    clock.advance(ledger::LEASE + Duration::from_millis(1));
    let other = Process::start(&database, &clock, &grants);
    // Two prompts of nothing, and the answers of 10 and 20 that were asked for.
    other.has_tokens("g", (30, 30, 0)).await;
    less.settle(&completion(4));
    more.settle(&completion(29));
    sleeper.has_tokens("g", (39, 39, 0)).await;
    sleeper.reserve(&["g"], 5).await.unwrap().settle(&completion(5));
    sleeper.has_tokens("g", (44, 44, 0)).await;
    sleeper.stop().await;
    other.stop().await.close().await;
}

#[tokio::test]
async fn what_was_not_written_down_when_a_lease_ran_out_is_charged_whole() {
    let database = open(postgres_database().await).await;
    let clock = noon();
    let grants = json!({ "g": { "budget": { "tokens_total": 10_000 } } });
    let sleeper = Process::start(&database, &clock, &grants);
    let (written, unwritten) = (sleeper.reserve(&["g"], 11).await.unwrap(), sleeper.reserve(&["g"], 21).await.unwrap());
    let lease: String = sqlx::query_scalar("SELECT id FROM budget_lease").fetch_one(database.reader()).await.unwrap();
    let now = clock.now();
    store::end_lease(&database, &lease, now.plus(2 * ledger::LEASE), now).await.unwrap();
    written.settle(&completion(15));
    unwritten.settle(&completion(29));
    sleeper.has_tokens("g", (44, 44, 0)).await;
    sleeper.stop().await.close().await;
}

/// What would be charged if every process died now.
async fn estimated(database: &Database) -> i64 {
    sqlx::query_scalar("SELECT CAST(COALESCE(SUM(tokens_if_lost), 0) AS BIGINT) FROM budget_hold")
        .fetch_one(database.reader())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_left_is_found_although_another_replica_holds_a_slice_of_it() {
    let database = open(postgres_database().await).await;
    let grants = json!({ "g": { "budget": { "tokens_total": 10_000 } } });
    let (one, other) = (Process::start(&database, &noon(), &grants), Process::start(&database, &noon(), &grants));
    one.reserve(&["g"], 10).await.unwrap().settle(&completion(10));
    assert!(one.tokens("g").await.2 > 10, "a slice is held");
    assert_eq!(other.over(&["g"], 9_990).await.retry_after_seconds(), Some(5));
    one.has_tokens("g", (10, 10, 0)).await;
    other.reserve(&["g"], 9_990).await.unwrap().settle(&completion(9_990));
    one.has_tokens("g", (10_000, 10_000, 0)).await;
    assert!(one.over(&["g"], 1).await.to_string().contains("not renewed"));
    one.stop().await;
    other.stop().await.close().await;
}

#[tokio::test]
async fn a_request_served_from_the_slice_is_written_down_soon_and_survives_a_kill() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let grants = json!({ "g": { "budget": { "tokens_total": 100_000 }, "rate": { "requests_per_minute": 5 } } });
        let killed = Process::start(&database, &clock, &grants);
        killed.reserve(&["g"], 10).await.unwrap().settle(&completion(10));
        let _running = killed.reserve(&["g"], 101).await.unwrap();
        while estimated(&database).await != 100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        killed.kill().await;
        clock.advance(ledger::LEASE + Duration::from_millis(1));
        let next = Process::start(&database, &clock, &grants);
        next.has_tokens("g", (110, 110, 0)).await;
        next.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_rate_holds_for_all_replicas_together_and_says_when_to_try_again() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let grants = json!({ "g": { "rate": { "requests_per_minute": 5 } } });
        let one = Process::start(&database, &clock, &grants);
        let mut processes = vec![one];
        if database.engine() == Engine::Postgres {
            processes.push(Process::start(&database, &clock, &grants));
        }
        let mut let_through = 0;
        for turn in 0..10 {
            let process = &processes[turn % processes.len()];
            let_through += usize::from(process.budgets.reserve(&alice(), &["g"], None).await.is_ok());
        }
        assert_eq!(let_through, 5);
        let over = processes[0].over(&["g"], 1).await;
        assert_eq!(over.to_string(), "grant `g` allows 5 requests per minute, and they are used up");
        assert_eq!(over.retry_after_seconds(), Some(60));
        clock.advance(Duration::from_millis(59_999));
        assert_eq!(processes[0].over(&["g"], 1).await.retry_after_seconds(), Some(1));
        clock.advance(Duration::from_millis(1));
        processes[0].reserve(&["g"], 1).await.unwrap();
        for process in processes {
            process.stop().await;
        }
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_under_a_budget_in_money_and_the_dearest_fallback_is_charged() {
    on_both_engines(async |url| {
        let database = open(url).await;
        let grants =
            json!({ "usd": { "budget": { "usd_per_day": 1 } }, "tokens": { "budget": { "tokens_total": 500 } } });
        let process = Process::start(&database, &noon(), &grants);
        let reserve = async |models: &[&str], grants: &[&str]| {
            let wanted = ModelUse { models, estimate: estimate(4, Some(9)) };
            process.budgets.reserve(&alice(), grants, Some(wanted)).await
        };
        let Err(NotReserved::Over(over)) = reserve(&["m", "unheard-of"], &["usd"]).await else { panic!() };
        assert_eq!(over.retry_after_seconds(), None);
        assert!(over.to_string().contains("the price of the model `unheard-of` is unknown"), "{over}");
        reserve(&["unheard-of"], &["usd", "tokens"]).await.unwrap().settle(&completion(10));
        process.has_tokens("tokens", (10, 10, 0)).await;
        // gpt-5-nano is cheaper than `m` in both directions, o1 is dearer.
        reserve(&["gpt-5-nano", "m"], &["usd"]).await.unwrap().settle(&completion(1_000));
        reserve(&["o1", "m"], &["usd"]).await.unwrap().settle(&completion(1_000));
        process.has_tokens("usd", (2_000, 2_000, 0)).await;
        let states = process.states().await;
        assert_eq!(states[1].usd_total.to_string(), "$0.07");
        process.stop().await.close().await;
    })
    .await;
}

#[tokio::test]
async fn accounts_that_were_never_charged_are_forgotten() {
    on_both_engines(async |url| {
        let (database, clock) = (open(url).await, noon());
        let grants =
            json!({ "rate": { "rate": { "requests_per_minute": 5 } }, "g": { "budget": { "tokens_total": 9 } } });
        let process = Process::start(&database, &clock, &grants);
        process.reserve(&["rate"], 1).await.unwrap();
        process.reserve(&["g"], 1).await.unwrap().settle(&completion(1));
        let database = process.stop().await;
        assert_eq!(rows(&database, "budget").await, 2);
        clock.advance(Duration::from_secs(3 * 24 * 60 * 60));
        let next = Process::start(&database, &clock, &grants);
        while rows(&database, "budget").await != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(next.tokens("g").await, (0, 1, 0));
        next.stop().await;
        database.close().await;
    })
    .await;
}

/// What one request does: how much it wants, how much of it it uses, how it ends.
#[derive(Clone, Copy, Debug)]
struct Plan {
    tokens: u64,
    percent: u64,
    ending: u8,
    process: bool,
}

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (2_u64..120, 0_u64..=100, 0_u8..4, any::<bool>()).prop_map(|(tokens, percent, ending, process)| Plan {
        tokens,
        percent,
        ending,
        process,
    });
    proptest::collection::vec(plan, 40..80)
}

/// What the tests know: settled and running at most, and settled in the end.
#[derive(Default)]
struct Truth {
    at_most: AtomicU64,
    settled: AtomicU64,
}

async fn carry_out(budgets: Budgets, plan: Plan, truth: Arc<Truth>, limit: u64) {
    let asked = estimate(0, Some(plan.tokens - 1));
    let wanted = ModelUse { models: &["m"], estimate: asked };
    let Ok(mut reserved) = budgets.reserve(&alice(), &["g"], Some(wanted)).await else { return };
    let most = truth.at_most.fetch_add(plan.tokens, Ordering::SeqCst) + plan.tokens;
    assert!(most <= limit, "{most} of {limit} tokens are settled or running");
    tokio::task::yield_now().await;
    let used = match plan.ending {
        0 => 0,
        1 => plan.tokens - 1,
        _ => plan.tokens * plan.percent / 100,
    };
    truth.settled.fetch_add(used, Ordering::SeqCst);
    truth.at_most.fetch_sub(plan.tokens - used, Ordering::SeqCst);
    match plan.ending {
        0 => reserved.release(),
        1 => {
            // The client goes away: the estimate is the answer that was asked for.
            reserved.sent();
            drop(reserved);
        }
        _ => reserved.settle(&completion(used)),
    }
}

async fn all_at_once(processes: &[Process], plans: Vec<Plan>, limit: u64) {
    let truth = Arc::new(Truth::default());
    let tasks: Vec<_> = plans
        .into_iter()
        .map(|plan| {
            let process = &processes[usize::from(plan.process) % processes.len()];
            tokio::spawn(carry_out(process.budgets.clone(), plan, truth.clone(), limit))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let settled = truth.settled.load(Ordering::SeqCst);
    processes[0].has_tokens("g", (settled, settled, 0)).await;
}

/// Requests that come at once, use part of what they hold, fail or are dropped never get more than the budget, and the sum is exact.
#[test]
fn many_requests_at_once_never_overspend_and_every_token_is_counted() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(on_both_engines(async |url| {
        let mut runner = TestRunner::default();
        for limit in [300_u64, 1_500, 100_000] {
            let database = open(url.clone()).await;
            let grants = json!({ "g": { "budget": { "tokens_per_day": limit, "usd_total": 1_000 } } });
            let plans = plans().new_tree(&mut runner).unwrap().current();
            let clock = noon();
            let mut processes = vec![Process::start(&database, &clock, &grants)];
            if database.engine() == Engine::Postgres {
                processes.push(Process::start(&open(url.clone()).await, &clock, &grants));
            }
            all_at_once(&processes, plans, limit).await;
            for process in processes {
                process.stop().await;
            }
            assert_eq!((rows(&database, "hold").await, rows(&database, "lease").await), (0, 0));
            sqlx::query("DELETE FROM budget").execute(database.reader()).await.unwrap();
            database.close().await;
        }
    }));
}
