//! The one task of a process that writes budgets: it takes what requests want to reserve and what others have used, and writes all
//! that has come meanwhile in one transaction. So the database is written once for many requests, and no two of one process wait
//! for each other's locks.
//!
//! What the running requests of a process hold is one row per account under the lease of that process. The row is always set to
//! what this task knows to be running, so that it mends itself after a commit of which nobody knows whether it happened. Where a
//! process dies, its lease runs out, and another one charges by estimate what was held.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Engine, Random, StoreError, Timestamp, Tx};
use tokio::sync::mpsc::{OwnedPermit, Receiver};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::NotReserved;
use super::account::{Account, Amount, Wish, day_of};
use super::limits::Limits;
use super::refusal::OverBudget;
use super::reserved::{Open, Reserved, Settlement, amount_of};
use super::store::{self, Begun, Hold, Key};

const BATCH: usize = 256;
/// Nobody waits for a settlement: it may wait for others, and for the next reservation.
const SETTLE_WITHIN: Duration = Duration::from_millis(50);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often what is left is tried once the gateway has been told to stop.
const LAST_TRIES: u32 = 3;
/// A process that was not heard of for so long holds nothing any more.
pub(super) const LEASE: Duration = Duration::from_secs(5 * 60);
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// What requests send.
#[derive(Debug)]
pub(super) enum Message {
    Reserve(Ask),
    Settle(Settlement),
}

/// A request that wants to reserve.
#[derive(Debug)]
pub(super) struct Ask {
    /// The grants that allow it, in order.
    pub(super) candidates: Vec<(Key, Limits)>,
    /// Whether a grant without limits allows it too, after those.
    pub(super) free_after: bool,
    pub(super) wish: Option<Wish>,
    /// Where its settlement will go.
    pub(super) place: OwnedPermit<Message>,
    pub(super) answer: oneshot::Sender<Result<Reserved, NotReserved>>,
}

/// A decision on an [`Ask`]: which candidate pays, and how much is held; none if it needs to hold nothing.
type Decision = Result<Option<(usize, Hold)>, OverBudget>;

/// Writes budgets. See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    receiver: Receiver<Message>,
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
    lease: Lease,
    /// What is running under the lease.
    holds: BTreeMap<Key, Hold>,
    /// Waiting to be written.
    settlements: Vec<Settlement>,
    due: Option<Instant>,
    /// What the last batch would have settled, if it is not known whether it was written.
    in_doubt: Option<Vec<Settlement>>,
    /// The accounts whose row may hold what does not run.
    dirty: BTreeSet<Key>,
    /// On SQLite one process at a time works: at the start every lease is one of a dead process.
    others_are_dead: bool,
}

#[derive(Debug)]
struct Lease {
    id: String,
    generation: u64,
    /// The number of the last batch that was written.
    batch: i64,
}

/// One account, while a batch is put together.
struct Entry {
    account: Account,
    before: Account,
    hold: Hold,
    hold_before: Hold,
}

enum Attempt {
    Written(Vec<Decision>),
    WrittenBefore,
    LeaseLost,
}

impl Ledger {
    pub(super) fn new(receiver: Receiver<Message>, database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        let others_are_dead = database.engine() == Engine::Sqlite;
        let lease = Lease { id: random.id(), generation: 0, batch: 0 };
        let (holds, settlements, dirty) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self {
            receiver,
            database,
            clock,
            random,
            lease,
            holds,
            settlements,
            due: None,
            in_doubt: None,
            dirty,
            others_are_dead,
        }
    }

    /// Answers and writes until `stop`, then what the requests that are still running settle; returns when that has been written.
    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        let mut ticks = interval(TIDY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.receiver.is_closed() => self.receiver.close(),
                _ = ticks.tick() => self.tidy().await,
                () = until(self.due) => self.flush(Vec::new()).await,
                received = self.receiver.recv_many(&mut messages, BATCH) => {
                    if received == 0 {
                        return self.finish().await;
                    }
                    self.take(messages.drain(..)).await;
                }
            }
        }
    }

    async fn take(&mut self, messages: impl Iterator<Item = Message>) {
        let mut asks = Vec::new();
        for message in messages {
            match message {
                Message::Reserve(ask) => asks.push(ask),
                Message::Settle(settlement) => self.settlements.push(settlement),
            }
        }
        if !asks.is_empty() || self.settlements.len() >= BATCH {
            self.flush(asks).await;
        } else if self.due.is_none() {
            self.due = Some(Instant::now() + SETTLE_WITHIN);
        }
    }

    /// Writes all that waits and answers `asks`.
    async fn flush(&mut self, asks: Vec<Ask>) {
        self.due = None;
        match self.write_all(&asks).await {
            Ok(decisions) => {
                for (ask, decision) in asks.into_iter().zip(decisions) {
                    ask.answer(decision, self.lease.generation);
                }
            }
            Err(error) => {
                let (asks_waiting, settlements) = (asks.len(), self.settlements.len());
                tracing::warn!(%error, asks = asks_waiting, settlements, "budgets wait for the database");
                self.due = Some(Instant::now() + RETRY_AFTER);
                for ask in asks {
                    // A caller that is gone needs no answer.
                    let _ = ask.answer.send(Err(NotReserved::Unavailable));
                }
            }
        }
    }

    async fn write_all(&mut self, asks: &[Ask]) -> Result<Vec<Decision>, StoreError> {
        if let Some(settlements) = self.in_doubt.take() {
            self.write(&[], settlements).await?;
        }
        let settlements = mem::take(&mut self.settlements);
        self.write(asks, settlements).await
    }

    async fn write(&mut self, asks: &[Ask], settlements: Vec<Settlement>) -> Result<Vec<Decision>, StoreError> {
        loop {
            match self.attempt(asks, &settlements).await {
                Ok(Attempt::Written(decisions)) => return Ok(decisions),
                Ok(Attempt::WrittenBefore) => {
                    self.forget_settled(&settlements);
                    return Ok(Vec::new());
                }
                Ok(Attempt::LeaseLost) => self.begin_lease(),
                Err(error) => {
                    self.dirty.extend(keys_of(asks, &settlements));
                    self.in_doubt = Some(settlements);
                    return Err(error);
                }
            }
        }
    }

    async fn attempt(&mut self, asks: &[Ask], settlements: &[Settlement]) -> Result<Attempt, StoreError> {
        let (now, batch) = (self.clock.now(), self.lease.batch + 1);
        let mut tx = self.database.write().await?;
        match store::begin(&mut tx, &self.lease.id, batch, now.plus(LEASE)).await? {
            Begun::New => {}
            Begun::LeaseLost => return Ok(Attempt::LeaseLost),
            Begun::Written => {
                self.lease.batch = batch;
                return Ok(Attempt::WrittenBefore);
            }
        }
        let mut entries = self.load(&mut tx, keys_of(asks, settlements), now).await?;
        for settlement in settlements {
            settle(&mut entries, settlement, self.lease.generation);
        }
        let decisions = asks.iter().map(|ask| ask.decide(&mut entries, now)).collect();
        self.save(&mut tx, &entries).await?;
        tx.commit().await?;
        self.lease.batch = batch;
        self.dirty.clear();
        self.remember(entries);
        Ok(Attempt::Written(decisions))
    }

    /// Locks and reads the accounts of a batch.
    async fn load(&self, tx: &mut Tx, keys: BTreeSet<Key>, now: Timestamp) -> Result<BTreeMap<Key, Entry>, StoreError> {
        let mut entries = BTreeMap::new();
        for key in keys.union(&self.dirty) {
            let before = store::lock_account(tx, key).await?;
            let hold_before = store::hold(tx, &self.lease.id, key).await?;
            let hold = self.holds.get(key).copied().unwrap_or_default();
            entries.insert(key.clone(), Entry::new(before, hold_before, hold, now));
        }
        Ok(entries)
    }

    async fn save(&self, tx: &mut Tx, entries: &BTreeMap<Key, Entry>) -> Result<(), StoreError> {
        for (key, entry) in entries {
            if entry.account != entry.before {
                store::save_account(tx, key, &entry.account).await?;
            }
            if entry.hold != entry.hold_before {
                store::save_hold(tx, &self.lease.id, key, &entry.hold).await?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, entries: BTreeMap<Key, Entry>) {
        for (key, entry) in entries {
            if entry.hold == Hold::default() {
                self.holds.remove(&key);
            } else {
                self.holds.insert(key, entry.hold);
            }
        }
    }

    /// The settlements stand in the database already, but not yet here.
    fn forget_settled(&mut self, settlements: &[Settlement]) {
        for settlement in settlements.iter().filter(|settlement| settlement.generation == self.lease.generation) {
            if let Some(hold) = self.holds.get_mut(&settlement.key) {
                *hold = hold.minus(settlement.hold);
            }
        }
    }

    /// What was held under the old lease has been charged by whoever ended it.
    fn begin_lease(&mut self) {
        tracing::warn!("the lease on budgets ran out: requests that were running have been charged by estimate");
        self.lease = Lease { id: self.random.id(), generation: self.lease.generation + 1, batch: 0 };
        self.holds.clear();
    }

    /// Extends the lease, charges what dead processes held, forgets what is over.
    async fn tidy(&mut self) {
        if self.lease.batch > 0 {
            self.flush(Vec::new()).await;
        }
        match self.tidy_others().await {
            Ok(()) => self.others_are_dead = false,
            Err(error) => tracing::warn!(%error, "what dead processes hold of budgets could not be settled"),
        }
    }

    async fn tidy_others(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let horizon = if self.others_are_dead { Timestamp::from_millis(i64::MAX) } else { now };
        for lease in store::leases_before(&self.database, horizon, &self.lease.id).await? {
            store::end_lease(&self.database, &lease, horizon, now).await?;
        }
        store::purge(&self.database, day_of(now)).await
    }

    /// Writes the last settlements; without a hold left, the lease goes too.
    async fn finish(&mut self) {
        for last in (0..LAST_TRIES).rev() {
            if self.settlements.is_empty() && self.in_doubt.is_none() {
                break;
            }
            self.flush(Vec::new()).await;
            if self.due.is_some() && last > 0 {
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
        let lost = self.settlements.len() + self.in_doubt.as_ref().map_or(0, Vec::len);
        if lost > 0 {
            tracing::error!(lost, "requests will be charged by estimate: the database does not take what they used");
        } else if self.lease.batch > 0 {
            self.end_own_lease().await;
        }
    }

    async fn end_own_lease(&self) {
        let now = self.clock.now();
        if let Err(error) =
            store::end_lease(&self.database, &self.lease.id, Timestamp::from_millis(i64::MAX), now).await
        {
            tracing::warn!(%error, "the lease on budgets is left to run out");
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn keys_of(asks: &[Ask], settlements: &[Settlement]) -> BTreeSet<Key> {
    let asked = asks.iter().flat_map(|ask| ask.candidates.iter().map(|(key, _)| key));
    asked.chain(settlements.iter().map(|settlement| &settlement.key)).cloned().collect()
}

fn settle(entries: &mut BTreeMap<Key, Entry>, settlement: &Settlement, generation: u64) {
    let Some(entry) = entries.get_mut(&settlement.key) else { return };
    if settlement.generation == generation {
        entry.hold = entry.hold.minus(settlement.hold);
        entry.account.held = entry.account.held.minus(settlement.hold.amount);
        entry.account.charge(settlement.spent);
    } else {
        // Whoever ended the lease has charged the estimate.
        entry.account.charge(settlement.spent.minus(settlement.hold.if_lost));
    }
}

impl Entry {
    fn new(before: Account, hold_before: Hold, hold: Hold, now: Timestamp) -> Self {
        let mut account = before.clone();
        account.turn_to(now);
        account.held = account.held.minus(hold_before.amount).plus(hold.amount);
        Self { account, before, hold, hold_before }
    }
}

impl Ask {
    /// The first candidate with room pays.
    fn decide(&self, entries: &mut BTreeMap<Key, Entry>, now: Timestamp) -> Decision {
        let mut refused: Option<OverBudget> = None;
        for (index, (key, limits)) in self.candidates.iter().enumerate() {
            let Some(entry) = entries.get_mut(key) else { continue };
            match entry.account.reserve(limits, self.wish.as_ref(), now) {
                Ok(amount) if amount == Amount::default() => return Ok(None),
                Ok(amount) => {
                    let hold = Hold { amount, if_lost: self.if_lost() };
                    entry.hold = entry.hold.plus(hold);
                    return Ok(Some((index, hold)));
                }
                Err(lack) => {
                    let lack = OverBudget { grant: key.grant.clone(), lack };
                    refused = Some(refused.map_or(lack.clone(), |other| other.or_sooner(lack)));
                }
            }
        }
        refused.filter(|_| !self.free_after).map_or(Ok(None), Err)
    }

    fn if_lost(&self) -> Amount {
        self.wish.as_ref().map(|wish| amount_of(wish.price, &wish.estimate.if_lost())).unwrap_or_default()
    }

    /// A caller that is gone drops what it gets, and so releases it.
    fn answer(self, decision: Decision, generation: u64) {
        let Self { mut candidates, wish, place, answer, .. } = self;
        let reserved = match (decision, wish) {
            (Ok(Some((index, hold))), Some(wish)) => {
                let (key, _) = candidates.swap_remove(index);
                let (estimate, price) = (wish.estimate, wish.price);
                Ok(Reserved::of(Open { place, key, hold, generation, estimate, price, sent: false }))
            }
            (Ok(_), _) => Ok(Reserved::nothing()),
            (Err(over), _) => Err(NotReserved::Over(over)),
        };
        let _ = answer.send(reserved);
    }
}

#[cfg(test)]
mod tests;
