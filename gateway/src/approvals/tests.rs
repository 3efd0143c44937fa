use doorward_base::{DatabaseUrl, ManualClock};
use doorward_testkit::on_both_engines;
use sqlx::Row;
use tokio::task::JoinHandle;

use super::*;
use crate::open_database;
use crate::tokens::{ConsumerName, TokenId, Tokens};

const TIMEOUT: Duration = Duration::from_secs(600);
const BODY: &[u8] = b"{\"merge_method\":\"squash\"}";

/// One process with its clock.
struct Process {
    approvals: Approvals,
    clock: ManualClock,
    token_id: TokenId,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Process {
    async fn start(url: &str, seed: u64) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        Self::start_with(url, seed, clock).await
    }

    async fn start_with(url: &str, seed: u64, clock: ManualClock) -> Self {
        let database = open_database(&DatabaseUrl::try_from(url.to_owned()).unwrap()).await.unwrap();
        let (shared, random) = (Arc::new(clock.clone()), Random::seeded(seed));
        let tokens = Tokens::new(database.clone(), shared.clone(), random.clone());
        let minted = tokens.mint(ConsumerName::new("alice").unwrap(), Vec::new(), TIMEOUT).await.unwrap();
        let approvals = Approvals::new(database, shared, random, TIMEOUT).by_its_own_clock();
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (approvals, stop) = (approvals.clone(), stop.clone());
            async move { approvals.run(&stop).await }
        });
        Self { approvals, clock, token_id: minted.record.id, stop, running }
    }

    fn held(&self, consumer: &str) -> Held {
        let effects = vec!["pulls:merge on acme/widgets".to_owned()];
        let path = "/repos/acme/widgets/pulls/7/merge";
        Held {
            consumer: ConsumerName::new(consumer).unwrap(),
            token_id: self.token_id.clone(),
            summary: Summary::of("PUT", path, "github", &effects, &Content::body(None, true, BODY)),
            effects,
            method: "PUT".to_owned(),
            path: path.to_owned(),
            upstream: "github".to_owned(),
            digest: RequestDigest::of("PUT", path, BODY),
        }
    }

    /// A request that waits, and its id.
    async fn hold(&self) -> (ApprovalId, JoinHandle<Result<Approved, NotApproved>>) {
        let before = self.open().await;
        let (approvals, held) = (self.approvals.clone(), self.held("alice"));
        let waiting = tokio::spawn(async move { approvals.hold(held).await });
        let id = soon(async {
            loop {
                let new = self.open().await.into_iter().find(|id| !before.contains(id));
                if let Some(id) = new {
                    return id;
                }
                tokio::task::yield_now().await;
            }
        });
        (id.await, waiting)
    }

    async fn open(&self) -> Vec<ApprovalId> {
        self.approvals.list(WhichApprovals::Open).await.unwrap().into_iter().map(|record| record.id).collect()
    }

    async fn state(&self, id: &ApprovalId) -> ApprovalState {
        self.approvals.get(id).await.unwrap().unwrap().state
    }

    async fn stored_state(&self, id: &ApprovalId) -> String {
        let row = sqlx::query("SELECT state FROM approval WHERE id = $1").bind(id.as_str());
        row.fetch_one(self.approvals.database.reader()).await.unwrap().get(0)
    }

    /// Waits until the database says so.
    async fn becomes(&self, id: &ApprovalId, state: &str) {
        soon(async {
            while self.stored_state(id).await != state {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    async fn stop(self) {
        self.stop.cancel();
        soon(self.running).await.unwrap();
        self.approvals.database.close().await;
    }

    /// Ends as a killed process does: nothing is written down.
    async fn die(self) {
        self.running.abort();
        let _ = self.running.await;
        self.approvals.database.close().await;
    }
}

/// Nothing in a test may hang.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("it happens within half a minute")
}

fn yes() -> Answer {
    Answer::new(Verdict::Approve, "@you:example.org", None).unwrap()
}

fn no() -> Answer {
    Answer::new(Verdict::Deny, "@eve:example.org", Some("not on a Friday")).unwrap()
}

#[tokio::test]
async fn an_approved_request_goes_on_with_the_proof_for_its_exact_bytes() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        let record = process.approvals.answer(&id, &yes()).await.unwrap();
        assert_eq!((record.state, record.answered_by.as_deref()), (ApprovalState::Approved, Some("@you:example.org")));
        let approved = soon(waiting).await.unwrap().unwrap();
        assert!(!approved.lets_through(&RequestDigest::of("PUT", "/repos/acme/widgets/pulls/8/merge", BODY)));
        assert!(!approved.lets_through(&RequestDigest::of(
            "PUT",
            "/repos/acme/widgets/pulls/7/merge",
            b"{\"merge_method\":\"squash\" }"
        )));
        assert!(approved.lets_through(&RequestDigest::of("PUT", "/repos/acme/widgets/pulls/7/merge", BODY)));
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_denied_request_is_told_who_and_why() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        process.approvals.answer(&id, &no()).await.unwrap();
        let refused = soon(waiting).await.unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "@eve:example.org said no: not on a Friday");
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_waits_is_shown_with_all_that_a_human_needs() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        let records = process.approvals.list(WhichApprovals::Open).await.unwrap();
        let shown = serde_json::to_value(&records).unwrap();
        let digest = RequestDigest::of("PUT", "/repos/acme/widgets/pulls/7/merge", BODY).to_string();
        let expected = serde_json::json!([{
            "id": id.as_str(), "consumer": "alice", "token_id": process.token_id.as_str(),
            "effects": ["pulls:merge on acme/widgets"], "method": "PUT", "path": "/repos/acme/widgets/pulls/7/merge",
            "upstream": "github", "digest": digest, "summary": records[0].summary,
            "created_at": "1970-01-01T00:16:40Z", "expires_at": "1970-01-01T00:26:40Z",
            "state": "open", "answered_by": null, "answered_at": null, "reason": null,
        }]);
        assert_eq!(shown, expected);
        assert!(records[0].summary.ends_with("merge_method=squash"));
        waiting.abort();
        process.becomes(&id, "withdrawn").await;
        assert!(process.open().await.is_empty());
        assert_eq!(process.approvals.list(WhichApprovals::All).await.unwrap().len(), 1);
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn no_name_that_a_caller_chose_reaches_a_terminal_with_what_steers_it() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let steering = "the tool `\u{1b}[2J\u{202e}x`";
        let (effects, path) = (vec![steering.to_owned()], steering.to_owned());
        let held = Held { effects, path, method: steering.to_owned(), ..process.held("alice") };
        let waiting = tokio::spawn({
            let approvals = process.approvals.clone();
            async move { approvals.hold(held).await }
        });
        soon(async {
            while process.open().await.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let record = process.approvals.list(WhichApprovals::Open).await.unwrap().remove(0);
        let seen = "the tool `\u{fffd}[2J\u{fffd}x`";
        assert_eq!((&*record.effects[0], &*record.path, &*record.method), (seen, seen, seen));
        waiting.abort();
        drop(waiting);
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_through_another_process_is_heard() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        // The command line: over the database alone, with nothing running.
        let database = open_database(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
        let command = Approvals::new(database.clone(), Arc::new(process.clock.clone()), Random::seeded(2), TIMEOUT);
        let command = command.by_its_own_clock();
        assert_eq!(command.list(WhichApprovals::Open).await.unwrap()[0].id, id);
        command.answer(&id, &yes()).await.unwrap();
        assert!(soon(waiting).await.unwrap().is_ok());
        database.close().await;
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn of_many_answers_at_once_one_counts_and_the_others_hear_of_it() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        for _ in 0..5 {
            let (id, waiting) = process.hold().await;
            let answers: Vec<_> = (0..8)
                .map(|n| {
                    let (approvals, id) = (process.approvals.clone(), id.clone());
                    let verdict = if n % 2 == 0 { Verdict::Approve } else { Verdict::Deny };
                    let answer = Answer::new(verdict, &format!("human{n}"), None).unwrap();
                    tokio::spawn(async move { approvals.answer(&id, &answer).await })
                })
                .collect();
            let mut winners = Vec::new();
            let mut told = Vec::new();
            for answer in answers {
                match soon(answer).await.unwrap() {
                    Ok(record) => winners.push(record),
                    Err(AnswerError::AlreadyAnswered { state, by, .. }) => told.push((state, by)),
                    Err(other) => panic!("{other}"),
                }
            }
            let [winner] = &winners[..] else { panic!("{winners:?}") };
            let by = winner.answered_by.clone().unwrap();
            assert!(told.len() == 7 && told.iter().all(|heard| *heard == (winner.state, by.clone())), "{told:?}");
            assert_eq!(soon(waiting).await.unwrap().is_ok(), winner.state == ApprovalState::Approved);
        }
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_refused_to_the_millisecond() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        // The lease is renewed along the way.
        for _ in 0..59 {
            process.clock.advance(Duration::from_secs(10));
            process.approvals.waiting.wake();
            soon(async {
                while process.state(&id).await != ApprovalState::Open || process.lease_left(&id).await < LEASE {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
        process.clock.advance(Duration::from_millis(9_999));
        assert_eq!(process.state(&id).await, ApprovalState::Open);
        process.clock.advance(Duration::from_millis(1));
        assert!(matches!(process.approvals.answer(&id, &yes()).await, Err(AnswerError::Expired { .. })));
        let refused = soon(waiting).await.unwrap().unwrap_err();
        assert!(matches!(refused, NotApproved::Expired(TIMEOUT)), "{refused}");
        process.becomes(&id, "expired").await;
        process.stop().await;
    })
    .await;
}

impl Process {
    async fn lease_left(&self, id: &ApprovalId) -> Duration {
        let row = sqlx::query("SELECT lease_until FROM approval WHERE id = $1").bind(id.as_str());
        let until: i64 = row.fetch_one(self.approvals.database.reader()).await.unwrap().get(0);
        Timestamp::from_millis(until).since(self.clock.now())
    }
}

#[tokio::test]
async fn an_answer_that_comes_with_the_last_moment_counts_on_both_sides_or_on_neither() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        for round in 0..10 {
            let (id, waiting) = process.hold().await;
            process.clock.advance(TIMEOUT.checked_sub(Duration::from_secs(3)).unwrap());
            process.approvals.waiting.wake();
            soon(async {
                while process.state(&id).await != ApprovalState::Open {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            let answer = tokio::spawn({
                let (approvals, id) = (process.approvals.clone(), id.clone());
                async move { approvals.answer(&id, &yes()).await }
            });
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            process.clock.advance(Duration::from_secs(3));
            process.approvals.waiting.wake();
            let (answer, waited) = (soon(answer).await.unwrap(), soon(waiting).await.unwrap());
            assert_eq!(answer.is_ok(), waited.is_ok(), "{answer:?} {waited:?}");
        }
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_goes_away_while_it_is_answered_leaves_a_row_that_does_not_claim_it_was_done() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        for round in 0..10 {
            let (id, waiting) = process.hold().await;
            let answer = tokio::spawn({
                let (approvals, id) = (process.approvals.clone(), id.clone());
                async move { approvals.answer(&id, &yes()).await }
            });
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            // With whatever it was told in the last moment.
            waiting.abort();
            drop(waiting);
            match soon(answer).await.unwrap() {
                Ok(_) => process.becomes(&id, "approved_not_sent").await,
                Err(AnswerError::Withdrawn) => process.becomes(&id, "withdrawn").await,
                Err(other) => panic!("{other}"),
            }
        }
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_request_whose_client_has_gone_cannot_be_approved() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        waiting.abort();
        process.becomes(&id, "withdrawn").await;
        let error = process.approvals.answer(&id, &yes()).await.unwrap_err();
        assert!(matches!(error, AnswerError::Withdrawn) && error.to_string().contains("no longer waiting"), "{error}");
        let unknown = ApprovalId::read("zzzzzz").unwrap();
        assert!(matches!(process.approvals.answer(&unknown, &yes()).await, Err(AnswerError::Unknown)));
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_killed_process_held_is_a_refusal() {
    on_both_engines(async |url| {
        let killed = Process::start(&url, 1).await;
        let clock = killed.clock.clone();
        let (id, waiting) = killed.hold().await;
        let engine = killed.approvals.database.engine();
        killed.running.abort();
        waiting.abort();
        assert_eq!(killed.stored_state(&id).await, "open");
        killed.die().await;
        let next = Process::start_with(&url, 2, clock).await;
        match engine {
            // One process at a time: whoever starts knows that nobody waits.
            Engine::Sqlite => next.becomes(&id, "withdrawn").await,
            Engine::Postgres => next.clock.advance(LEASE),
        }
        assert!(next.open().await.is_empty());
        assert_eq!(next.state(&id).await, ApprovalState::Withdrawn);
        assert!(matches!(next.approvals.answer(&id, &yes()).await, Err(AnswerError::Withdrawn)));
        next.approvals.purge().await.unwrap();
        assert_eq!(next.stored_state(&id).await, "withdrawn");
        next.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_approval_is_not_carried_out_by_a_machine_that_slept_since() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        // As another replica answered it, whose clock went on while this one slept.
        let mut tx = process.approvals.database.write().await.unwrap();
        process.clock.advance(LEASE + Duration::from_secs(1));
        sqlx::query("UPDATE approval SET state = 'approved', answered_by = 'a', answered_at = 1000000 WHERE id = $1")
            .bind(id.as_str())
            .execute(tx.connection())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(soon(waiting).await.unwrap(), Err(NotApproved::Expired(_))));
        assert_eq!(process.stored_state(&id).await, "approved_not_sent");
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_approved_counts_as_done_only_once_it_is_about_to_be_sent() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (sent, waiting) = process.hold().await;
        process.approvals.answer(&sent, &yes()).await.unwrap();
        let approved = soon(waiting).await.unwrap().unwrap();
        assert!(approved.lets_through(&process.held("alice").digest));
        assert!(!approved.lets_through(&process.held("alice").digest), "a yes is for once");
        drop(approved);
        // As when the credential is missing, or the client leaves while it is fetched.
        let (unsent, waiting) = process.hold().await;
        process.approvals.answer(&unsent, &yes()).await.unwrap();
        let approved = soon(waiting).await.unwrap().unwrap();
        assert!(!approved.lets_through(&RequestDigest::of("PUT", "/", b"other bytes")));
        drop(approved);
        process.becomes(&unsent, "approved_not_sent").await;
        assert_eq!(process.stored_state(&sent).await, "approved");
        let error = process.approvals.answer(&unsent, &no()).await.unwrap_err().to_string();
        assert!(error.contains("was approved, but not sent, by @you:example.org"), "{error}");
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_yes_to_a_process_that_was_killed_before_it_heard_of_it_is_not_claimed_to_be_done() {
    on_both_engines(async |url| {
        let killed = Process::start(&url, 1).await;
        let clock = killed.clock.clone();
        let (id, waiting) = killed.hold().await;
        let engine = killed.approvals.database.engine();
        killed.running.abort();
        killed.approvals.answer(&id, &yes()).await.unwrap();
        waiting.abort();
        killed.die().await;
        let next = Process::start_with(&url, 2, clock).await;
        match engine {
            Engine::Sqlite => next.becomes(&id, "approved_not_sent").await,
            Engine::Postgres => {
                next.clock.advance(LEASE);
                assert_eq!(next.state(&id).await, ApprovalState::Approved);
                next.clock.advance(Duration::from_millis(1));
            }
        }
        assert_eq!(next.state(&id).await, ApprovalState::ApprovedNotSent);
        next.approvals.purge().await.unwrap();
        assert_eq!(next.stored_state(&id).await, "approved_not_sent");
        next.stop().await;
    })
    .await;
}

#[tokio::test]
async fn replicas_whose_clocks_are_an_hour_apart_agree_about_what_waits() {
    on_both_engines(async |url| {
        let database = open_database(&DatabaseUrl::try_from(url.clone()).unwrap()).await.unwrap();
        // On SQLite all processes are on one machine.
        let apart = if database.engine() == Engine::Postgres { 3_600_000 } else { 0 };
        let mut process = Process::start(&url, 1).await;
        process.running.abort();
        process.approvals.clock_is_shared = database.engine() == Engine::Postgres;
        let running = tokio::spawn({
            let (approvals, stop) = (process.approvals.clone(), process.stop.clone());
            async move { approvals.run(&stop).await }
        });
        let others = [1_000_000 + apart, 1_000_000 - apart].map(|at| {
            let clock = Arc::new(ManualClock::new(Timestamp::from_millis(at)));
            Approvals::new(database.clone(), clock, Random::seeded(2), TIMEOUT)
        });
        for other in &others {
            let (id, waiting) = process.hold().await;
            for other in &others {
                other.purge().await.unwrap();
                let listed = other.list(WhichApprovals::Open).await.unwrap();
                assert!(listed.iter().any(|record| record.id == id), "neither too old nor left alone");
            }
            other.answer(&id, &yes()).await.unwrap();
            let approved = soon(waiting).await.unwrap();
            assert!(approved.is_ok_and(|approved| approved.lets_through(&process.held("alice").digest)));
        }
        process.running = running;
        process.stop().await;
        database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_consumer_has_at_most_twenty_requests_waiting_on_all_replicas_together() {
    on_both_engines(async |url| {
        let one = Process::start(&url, 1).await;
        // One process at a time works on a SQLite database: a second one would close what the first holds.
        let two = match one.approvals.database.engine() {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Process::start(&url, 2).await),
        };
        let mut waiting = tokio::task::JoinSet::new();
        for n in 0..30 {
            let process = two.as_ref().filter(|_| n % 2 == 0).unwrap_or(&one);
            let (approvals, held) = (process.approvals.clone(), process.held("alice"));
            waiting.spawn(async move { approvals.hold(held).await });
        }
        for _ in 0..10 {
            let refused = soon(waiting.join_next()).await.unwrap().unwrap().unwrap_err();
            assert!(matches!(refused, NotApproved::TooMany), "{refused}");
        }
        soon(async {
            while one.open().await.len() < 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let bob = tokio::spawn({
            let (approvals, held) = (one.approvals.clone(), one.held("bob"));
            async move { approvals.hold(held).await }
        });
        soon(async {
            while one.open().await.len() < 21 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        bob.abort();
        waiting.shutdown().await;
        // What has been withdrawn makes room.
        soon(async {
            while !one.open().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let (_, again) = one.hold().await;
        again.abort();
        let _ = again.await;
        one.stop().await;
        if let Some(two) = two {
            two.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn old_rows_are_forgotten() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (id, waiting) = process.hold().await;
        process.approvals.answer(&id, &no()).await.unwrap();
        soon(waiting).await.unwrap().unwrap_err();
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        process.clock.advance(month);
        assert_eq!(process.approvals.purge().await.unwrap(), 0);
        process.clock.advance(Duration::from_millis(1));
        assert_eq!(process.approvals.purge().await.unwrap(), 1);
        assert!(process.approvals.list(WhichApprovals::All).await.unwrap().is_empty());
        process.stop().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_database_a_held_request_is_refused_in_the_end() {
    on_both_engines(async |url| {
        let process = Process::start(&url, 1).await;
        let (_, waiting) = process.hold().await;
        process.approvals.database.close().await;
        process.clock.advance(TIMEOUT + LEASE);
        process.approvals.waiting.wake();
        assert!(matches!(soon(waiting).await.unwrap(), Err(NotApproved::Expired(_))));
        process.stop().await;
    })
    .await;
}
