use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use doorward_base::{DatabaseUrl, ManualClock, Migrations};
use doorward_testkit::{on_both_engines, postgres_database};
use tokio_util::sync::CancellationToken;

use super::*;

async fn open(url: String, clock: &ManualClock, seed: u64) -> RoomQueue {
    let database = Database::open(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
    let migrations = Migrations {
        table: "_migrations_appservice",
        sqlite: sqlx::migrate!("../migrations/appservice/sqlite"),
        postgres: sqlx::migrate!("../migrations/appservice/postgres"),
    };
    database.migrate(&migrations).await.unwrap();
    RoomQueue::new("inbox", database, Arc::new(clock.clone()), Random::seeded(seed))
}

async fn add(queue: &RoomQueue, room: &str, count: i64) {
    let mut tx = queue.database.write().await.unwrap();
    queue.add(&mut tx, &BTreeMap::from([(room.to_owned(), count)])).await.unwrap();
    tx.commit().await.unwrap();
}

async fn finish(queue: &RoomQueue, lease: &RoomLease) -> Result<(), Lost> {
    let mut tx = queue.database.write().await.unwrap();
    let done = queue.finish_one(&mut tx, lease).await.unwrap();
    tx.commit().await.unwrap();
    done
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::from_millis(1_000_000))
}

#[tokio::test]
async fn a_claimed_room_is_no_one_elses_until_its_lease_ends() {
    on_both_engines(async |url| {
        let clock = clock();
        let (one, other) = (open(url.clone(), &clock, 1).await, open(url, &clock, 2).await);
        add(&one, "!a", 2).await;
        let lease = one.claim(10).await.unwrap().remove(0);
        assert!(other.claim(10).await.unwrap().is_empty());
        clock.advance(LEASE * 2 / 3);
        one.renew(&lease).await.unwrap().unwrap();
        clock.advance(LEASE * 2 / 3);
        assert!(other.claim(10).await.unwrap().is_empty(), "a renewed lease goes on");
        clock.advance(LEASE / 2);
        let taken = other.claim(10).await.unwrap().remove(0);
        assert!(one.renew(&lease).await.unwrap().is_err(), "what was taken over is lost");
        finish(&one, &lease).await.unwrap_err();
        one.release(&lease, Duration::ZERO).await.unwrap();
        finish(&other, &taken).await.unwrap();
        assert!(one.claim(10).await.unwrap().is_empty(), "who lost a lease does not give it away");
    })
    .await;
}

#[tokio::test]
async fn a_room_is_ready_when_its_back_off_is_over_and_something_waits() {
    on_both_engines(async |url| {
        let clock = clock();
        let queue = open(url, &clock, 1).await;
        assert_eq!(queue.next_ready().await.unwrap(), None);
        add(&queue, "!a", 1).await;
        let lease = queue.claim(1).await.unwrap().remove(0);
        queue.release(&lease, Duration::from_secs(5)).await.unwrap();
        add(&queue, "!a", 1).await;
        assert!(queue.claim(1).await.unwrap().is_empty(), "a new row does not end the back-off");
        assert_eq!(queue.next_ready().await.unwrap(), Some(clock.now().plus(Duration::from_secs(5))));
        clock.advance(Duration::from_secs(5));
        let lease = queue.claim(1).await.unwrap().remove(0);
        finish(&queue, &lease).await.unwrap();
        finish(&queue, &lease).await.unwrap();
        queue.release(&lease, Duration::ZERO).await.unwrap();
        assert_eq!(queue.next_ready().await.unwrap(), None, "nothing waits any more");
    })
    .await;
}

#[tokio::test]
async fn claims_made_at_once_never_share_a_room() {
    on_both_engines(async |url| {
        let clock = clock();
        let queue = open(url, &clock, 1).await;
        let rooms: BTreeMap<String, i64> = (0..250).map(|number| (format!("!{number}"), 1)).collect();
        let mut tx = queue.database.write().await.unwrap();
        queue.add(&mut tx, &rooms).await.unwrap();
        tx.commit().await.unwrap();
        let claims = (0..10).map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move { queue.claim(40).await.unwrap() })
        });
        let mut claimed = Vec::new();
        for claim in claims.collect::<Vec<_>>() {
            claimed.extend(claim.await.unwrap().into_iter().map(|lease| lease.room_id));
        }
        claimed.extend(queue.claim(1000).await.unwrap().into_iter().map(|lease| lease.room_id));
        assert_eq!(claimed.len(), 250);
        claimed.sort();
        claimed.dedup();
        assert_eq!(claimed.len(), 250);
    })
    .await;
}

/// SQLite has one writer, so this is a matter of PostgreSQL alone.
#[tokio::test]
async fn a_claim_on_postgresql_leaves_a_room_that_is_being_added_to_and_does_not_wait_for_it() {
    let queue = open(postgres_database().await, &clock(), 1).await;
    add(&queue, "!a", 1).await;
    add(&queue, "!b", 1).await;
    let mut adding = queue.database.write().await.unwrap();
    queue.add(&mut adding, &BTreeMap::from([("!a".to_owned(), 1)])).await.unwrap();
    let claimed = tokio::time::timeout(Duration::from_secs(10), queue.claim(10)).await;
    let claimed = claimed.expect("a claim waits for no other transaction").unwrap();
    assert_eq!(claimed.iter().map(|lease| lease.room_id.as_str()).collect::<Vec<_>>(), ["!b"]);
    adding.commit().await.unwrap();
    assert_eq!(queue.claim(10).await.unwrap().remove(0).room_id, "!a");
}

#[tokio::test]
async fn what_a_dead_process_left_claimed_on_sqlite_is_ready_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let queue = open(format!("sqlite://{}", folder.path().join("queue.db").display()), &clock, 1).await;
    add(&queue, "!a", 1).await;
    let dead = queue.claim(1).await.unwrap().remove(0);
    queue.forget_leases_of_the_dead().await.unwrap();
    assert_eq!(queue.claim(1).await.unwrap().len(), 1);
    finish(&queue, &dead).await.unwrap_err();
}

struct Counting {
    queue: RoomQueue,
    working: AtomicUsize,
    most: AtomicUsize,
    done: Mutex<BTreeSet<OwnedRoomId>>,
    stop: CancellationToken,
}

#[async_trait]
impl Work for Counting {
    async fn step(&self, lease: &RoomLease) -> Result<Step, StoreError> {
        if self.done.lock().unwrap().contains(&lease.room_id) {
            return Ok(Step::Empty);
        }
        let working = self.working.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(working, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let finished = finish(&self.queue, lease).await;
        self.working.fetch_sub(1, Ordering::SeqCst);
        let mut done = self.done.lock().unwrap();
        done.insert(lease.room_id.clone());
        if done.len() == 150 {
            self.stop.cancel();
        }
        assert!(finished.is_ok());
        Ok(Step::Worked)
    }
}

#[tokio::test]
async fn rooms_are_worked_side_by_side_but_not_all_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let queue = open(format!("sqlite://{}", folder.path().join("queue.db").display()), &clock(), 1).await;
    for number in 0..150 {
        add(&queue, &format!("!{number}"), 1).await;
    }
    let stop = CancellationToken::new();
    let zero = || AtomicUsize::new(0);
    let work = Arc::new(Counting {
        queue: queue.clone(),
        working: zero(),
        most: zero(),
        done: Mutex::default(),
        stop: stop.clone(),
    });
    run(queue.clone(), Arc::clone(&work) as Arc<dyn Work>, stop).await;
    let most = work.most.load(Ordering::SeqCst);
    assert!((2..=64).contains(&most), "{most} at once");
    assert_eq!(queue.next_ready().await.unwrap(), None);
}

#[tokio::test]
async fn a_room_is_given_back_with_its_last_row_and_not_before() {
    on_both_engines(async |url| {
        let queue = open(url, &clock(), 1).await;
        add(&queue, "!a", 2).await;
        let lease = queue.claim(1).await.unwrap().remove(0);
        let finish = async || {
            let mut tx = queue.database.write().await.unwrap();
            let finished = queue.finish_one_and_release(&mut tx, &lease).await.unwrap();
            tx.commit().await.unwrap();
            finished
        };
        assert!(matches!(finish().await, Ok(Step::Worked)));
        assert!(queue.claim(1).await.unwrap().is_empty());
        assert!(matches!(finish().await, Ok(Step::WorkedLast)));
        assert!(finish().await.is_err(), "the room is no longer ours");
        add(&queue, "!a", 1).await;
        assert_eq!(queue.claim(1).await.unwrap().len(), 1);
    })
    .await;
}
