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
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;

use super::NotReserved;
use super::account::{Amount, day_of};
use super::ask::{Ask, Decision, Entry, Message, settle};
use super::reserved::{Settlement, Since};
use super::slice::Local;
use super::store::{self, Begun, Hold, Key};

const BATCH: usize = 256;
/// Nobody waits for a settlement: it may wait for others, and for the next reservation.
const SETTLE_WITHIN: Duration = Duration::from_millis(100);
/// A slice that nobody asks for is given back.
const IDLE_AFTER: Duration = Duration::from_secs(1);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often what is left is tried once the gateway has been told to stop.
const LAST_TRIES: u32 = 3;
/// A process that was not heard of for so long holds nothing any more.
pub(super) const LEASE: Duration = Duration::from_secs(5 * 60);
const TIDY_EVERY: Duration = Duration::from_secs(60);

/// Writes budgets. See the module.
#[derive(Debug)]
pub(crate) struct Ledger {
    receiver: Receiver<Message>,
    database: Database,
    clock: Arc<dyn Clock>,
    random: Random,
    lease: Lease,
    /// The last batch that was written under each lease that ran out.
    lost: Vec<i64>,
    /// The accounts under which something runs, or a slice is held.
    locals: BTreeMap<Key, Local>,
    /// Waiting to be written.
    settlements: Vec<Settlement>,
    due: Option<Instant>,
    /// What the last batch would have settled, if it is not known whether it was written.
    in_doubt: Option<Vec<Settlement>>,
    /// The accounts whose row does not say what is running.
    dirty: BTreeSet<Key>,
    /// On SQLite one process at a time works.
    alone: bool,
    /// And so at its start every lease is one of a dead process.
    others_are_dead: bool,
}

#[derive(Debug)]
struct Lease {
    id: String,
    /// The number of the last batch that was written.
    batch: i64,
    expires_at: Timestamp,
}

enum Attempt {
    Written(Vec<Decision>),
    WrittenBefore,
    LeaseLost,
}

impl Ledger {
    pub(super) fn new(receiver: Receiver<Message>, database: Database, clock: Arc<dyn Clock>, random: Random) -> Self {
        let alone = database.engine() == Engine::Sqlite;
        let lease = Lease::new(&random);
        let (locals, settlements, dirty) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        Self {
            receiver,
            database,
            clock,
            random,
            lease,
            lost: Vec::new(),
            locals,
            settlements,
            due: None,
            in_doubt: None,
            dirty,
            alone,
            others_are_dead: alone,
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
                () = until(self.due) => self.on_time().await,
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
                Message::Reserve(ask) => asks.extend(self.answer_at_once(ask)),
                Message::Settle(settlement) => self.note(settlement),
            }
        }
        if !asks.is_empty() || self.settlements.len() >= BATCH {
            self.flush(asks).await;
        }
    }

    /// Answers out of the slice, if the first candidate has one that is large enough; else gives the request back.
    fn answer_at_once(&mut self, ask: Ask) -> Option<Ask> {
        let now = self.clock.now();
        if self.in_doubt.is_some() || now >= self.lease.expires_at {
            return Some(ask);
        }
        let Some((key, limits)) = ask.candidates.first() else { return Some(ask) };
        let Some(local) = self.locals.get_mut(key) else { return Some(ask) };
        let Some(amount) = local.reserve(limits, ask.wish.as_ref(), now, self.alone) else { return Some(ask) };
        let hold = ask.hold(amount);
        if let Some(hold) = hold {
            local.hold = local.hold.plus(hold);
        }
        self.dirty.insert(key.clone());
        self.hurry(SETTLE_WITHIN);
        let since = Since { generation: self.lost.len(), batch: self.lease.batch };
        ask.answer(Ok(hold.map(|hold| (0, hold))), since);
        None
    }

    fn note(&mut self, settlement: Settlement) {
        if !settlement.spent.fits_into(settlement.hold.amount) {
            // More was used than was held: before anything else is handed out, the account has to be looked at.
            if let Some(local) = self.locals.get_mut(&settlement.key) {
                local.stored = Amount::default();
            }
        }
        self.settlements.push(settlement);
        self.hurry(SETTLE_WITHIN);
    }

    fn hurry(&mut self, within: Duration) {
        let due = Instant::now() + within;
        self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
    }

    /// Writes what waits, and gives back the slices that nobody asked for since the last write.
    async fn on_time(&mut self) {
        self.due = None;
        let idle = |(key, local): (&Key, &Local)| {
            (local.last.is_none() && local.slice() != Amount::default()).then(|| key.clone())
        };
        self.dirty.extend(self.locals.iter().filter_map(idle));
        self.locals.retain(|_, local| local.last.is_some() || local.hold != Hold::default());
        if !self.dirty.is_empty() || !self.settlements.is_empty() || self.in_doubt.is_some() {
            self.flush(Vec::new()).await;
        }
    }

    /// Writes all that waits and answers `asks`.
    async fn flush(&mut self, asks: Vec<Ask>) {
        self.due = None;
        match self.write_all(&asks).await {
            Ok(decisions) => {
                let since = Since { generation: self.lost.len(), batch: self.lease.batch - 1 };
                for (ask, decision) in asks.into_iter().zip(decisions) {
                    ask.answer(decision, since);
                }
                if self.locals.values().any(|local| local.slice() != Amount::default() || local.last.is_some()) {
                    self.hurry(IDLE_AFTER);
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
                    // It is not known what the database holds for this process.
                    self.locals.values_mut().for_each(|local| local.stored = Amount::default());
                    self.in_doubt = Some(settlements);
                    return Err(error);
                }
            }
        }
    }

    async fn attempt(&mut self, asks: &[Ask], settlements: &[Settlement]) -> Result<Attempt, StoreError> {
        let (now, batch) = (self.clock.now(), self.lease.batch + 1);
        let expires_at = now.plus(LEASE);
        let mut tx = self.database.write().await?;
        match store::begin(&mut tx, &self.lease.id, batch, expires_at).await? {
            Begun::New => {}
            Begun::LeaseLost => return Ok(Attempt::LeaseLost),
            Begun::Written => {
                self.lease.batch = batch;
                return Ok(Attempt::WrittenBefore);
            }
        }
        let mut entries = self.load(&mut tx, keys_of(asks, settlements), now).await?;
        for settlement in settlements {
            settle(&mut entries, settlement, &self.lost);
        }
        let decisions = asks.iter().map(|ask| ask.decide(&mut entries, now)).collect();
        entries.values_mut().for_each(Entry::take_slice);
        self.save(&mut tx, &entries).await?;
        tx.commit().await?;
        (self.lease.batch, self.lease.expires_at) = (batch, expires_at);
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
            let mut entry = Entry::new(before, hold_before, self.locals.get(key), now);
            if let Some(local) = self.locals.get(key).filter(|_| self.alone) {
                entry.account.window = local.window.clone();
            }
            entries.insert(key.clone(), entry);
        }
        Ok(entries)
    }

    async fn save(&self, tx: &mut Tx, entries: &BTreeMap<Key, Entry>) -> Result<(), StoreError> {
        for (key, entry) in entries {
            if entry.account != entry.before {
                store::save_account(tx, key, &entry.account).await?;
            }
            let hold = Hold { amount: entry.hold.amount.plus(entry.slice), if_lost: entry.hold.if_lost };
            if hold != entry.hold_before {
                store::save_hold(tx, &self.lease.id, key, &hold).await?;
            }
        }
        Ok(())
    }

    fn remember(&mut self, entries: BTreeMap<Key, Entry>) {
        for (key, Entry { account, hold, slice, last, .. }) in entries {
            if last.is_none() && hold == Hold::default() {
                self.locals.remove(&key);
            } else {
                let (day, stored) = (account.day, hold.amount.plus(slice));
                self.locals.insert(key, Local { hold, stored, day, window: account.window, last: None });
            }
        }
    }

    /// The settlements stand in the database already, but not yet here.
    fn forget_settled(&mut self, settlements: &[Settlement]) {
        for settlement in settlements.iter().filter(|settlement| settlement.since.generation == self.lost.len()) {
            if let Some(local) = self.locals.get_mut(&settlement.key) {
                local.hold = local.hold.minus(settlement.hold);
            }
        }
    }

    /// What was held under the old lease has been charged by whoever ended it.
    fn begin_lease(&mut self) {
        tracing::warn!("the lease on budgets ran out: requests that were running have been charged by estimate");
        self.lost.push(self.lease.batch);
        self.lease = Lease::new(&self.random);
        self.locals.clear();
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
            if self.in_doubt.is_some() && last > 0 {
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

impl Lease {
    fn new(random: &Random) -> Self {
        Self { id: random.id(), batch: 0, expires_at: Timestamp::from_millis(0) }
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

#[cfg(test)]
mod tests;
