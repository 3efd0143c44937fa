//! Works the rooms of a queue: each in order, many side by side, until told to stop.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_base::StoreError;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{LEASE, RoomLease, RoomQueue};

/// Rooms worked at the same time.
const ROOMS: usize = 64;
/// Rows worked before a room goes back to the end of the queue.
const STEPS_PER_LEASE: usize = 100;
/// How often another process's additions are looked for.
const POLL: Duration = Duration::from_secs(1);
/// What a running step gets when the program stops.
const GRACE: Duration = Duration::from_secs(10);
/// Before a room is tried again whose step failed in a way that is not the row's fault.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What became of the oldest row of a room.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is done with.
    Worked,
    /// It is done with, there is no other, and the room was given back.
    WorkedLast,
    /// There was none.
    Empty,
    /// It waits, and so does the rest of its room.
    Later(Duration),
    /// Another process has the room now.
    Lost,
}

/// What is done with the rows of a queue.
#[async_trait]
pub(crate) trait Work: Send + Sync + 'static {
    /// Works the oldest row of a room that is leased to us.
    async fn step(&self, lease: &RoomLease) -> Result<Step, StoreError>;
}

/// Works until `stop`; what is running then is given [`GRACE`] to end.
pub(crate) async fn run(queue: RoomQueue, work: Arc<dyn Work>, stop: CancellationToken) {
    if let Err(error) = queue.forget_leases_of_the_dead().await {
        warn!(queue = queue.name, %error, "old leases are left to end by themselves");
    }
    let mut runner = Runner { queue, work, stop, tasks: JoinSet::new(), leases: HashMap::new(), failing: false };
    runner.work_until_stopped().await;
    runner.finish().await;
}

struct Runner {
    queue: RoomQueue,
    work: Arc<dyn Work>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    leases: HashMap<Id, RoomLease>,
    failing: bool,
}

impl Runner {
    async fn work_until_stopped(&mut self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let wait = self.start_what_is_ready().await;
            let full = self.tasks.len() >= ROOMS;
            tokio::select! {
                () = stop.cancelled() => {}
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended).await,
                () = self.queue.wake.notified(), if !full => {}
                () = sleep(wait), if !full => {}
            }
        }
    }

    /// Starts a task for each room that can be claimed. Returns how long nothing more is to be expected without a wake-up.
    async fn start_what_is_ready(&mut self) -> Duration {
        let claimed = self.claim().await;
        if let Err(error) = &claimed
            && !self.failing
        {
            error!(queue = self.queue.name, %error, "no room can be claimed; trying on");
        }
        if claimed.is_ok() && self.failing {
            info!(queue = self.queue.name, "rooms can be claimed again");
        }
        self.failing = claimed.is_err();
        claimed.unwrap_or(POLL)
    }

    async fn claim(&mut self) -> Result<Duration, StoreError> {
        let Some(ready_at) = self.queue.next_ready().await? else { return Ok(POLL) };
        let now = self.queue.clock.now();
        let free = ROOMS.saturating_sub(self.tasks.len());
        if ready_at > now || free == 0 {
            return Ok(ready_at.since(now).min(POLL));
        }
        for lease in self.queue.claim(free).await? {
            let task = work_room(self.queue.clone(), Arc::clone(&self.work), lease.clone(), self.stop.clone());
            self.leases.insert(self.tasks.spawn(task).id(), lease);
        }
        // Another process may have been faster: then the next look comes soon, but not at once.
        Ok(self.queue.random.jitter(Duration::from_millis(20)))
    }

    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let lease = self.leases.remove(&id);
        if let (Err(error), Some(lease)) = (ended, lease) {
            warn!(queue = self.queue.name, room_id = %lease.room_id, %error, "the work in a room was cut short");
            give_back(&self.queue, &lease, AFTER_FAILURE).await;
        }
    }

    async fn finish(mut self) {
        let in_time = timeout(GRACE, async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.ended(ended).await;
            }
        });
        if in_time.await.is_err() {
            self.tasks.shutdown().await;
            for lease in self.leases.values() {
                give_back(&self.queue, lease, Duration::ZERO).await;
            }
        }
    }
}

async fn work_room(queue: RoomQueue, work: Arc<dyn Work>, lease: RoomLease, stop: CancellationToken) {
    for _ in 0..STEPS_PER_LEASE {
        if stop.is_cancelled() {
            break;
        }
        // A step is dropped, at its next await, when the room is no longer ours.
        let step = tokio::select! {
            step = work.step(&lease) => step,
            () = lost(&queue, &lease) => Ok(Step::Lost),
        };
        match step {
            Ok(Step::Worked) => {}
            Ok(Step::WorkedLast) => return,
            Ok(Step::Empty) => break,
            Ok(Step::Later(after)) => return give_back(&queue, &lease, after).await,
            Ok(Step::Lost) => {
                warn!(queue = queue.name, room_id = %lease.room_id, "the lease was lost");
                break;
            }
            Err(error) => {
                warn!(queue = queue.name, room_id = %lease.room_id, %error, "the work in a room failed; trying again");
                return give_back(&queue, &lease, AFTER_FAILURE).await;
            }
        }
    }
    give_back(&queue, &lease, Duration::ZERO).await;
}

/// Renews the lease while the step works; returns when it cannot be renewed any more.
async fn lost(queue: &RoomQueue, lease: &RoomLease) {
    let mut ticks = interval(LEASE / 3);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        // A database that does not answer for a moment is not a lost lease: what the step does will find out.
        if let Ok(Err(_)) = queue.renew(lease).await {
            return;
        }
    }
}

async fn give_back(queue: &RoomQueue, lease: &RoomLease, after: Duration) {
    if let Err(error) = queue.release(lease, after).await {
        warn!(queue = queue.name, room_id = %lease.room_id, %error, "a room stays leased until its lease ends");
    }
    queue.wake();
}
