//! A request that wants to reserve, and the accounts that a batch of them is decided on.

use std::collections::BTreeMap;

use doorward_base::Timestamp;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::oneshot;

use super::NotReserved;
use super::account::{Account, Amount, Wish};
use super::limits::Limits;
use super::refusal::OverBudget;
use super::reserved::{Open, Reserved, Settlement, Since, amount_of};
use super::slice::{Local, slice_of};
use super::store::{Hold, Key};

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
pub(super) type Decision = Result<Option<(usize, Hold)>, OverBudget>;

/// One account, while a batch is put together.
pub(super) struct Entry {
    pub(super) account: Account,
    pub(super) before: Account,
    pub(super) hold: Hold,
    pub(super) hold_before: Hold,
    pub(super) slice: Amount,
    pub(super) last: Option<(Limits, Amount)>,
}

pub(super) fn settle(entries: &mut BTreeMap<Key, Entry>, settlement: &Settlement, lost: &[i64]) {
    let Some(entry) = entries.get_mut(&settlement.key) else { return };
    let Settlement { hold, since, spent, .. } = settlement;
    match lost.get(since.generation) {
        None => {
            entry.hold = entry.hold.minus(*hold);
            entry.account.held = entry.account.held.minus(hold.amount);
            entry.account.charge(*spent);
        }
        // Whoever ended the lease has charged the estimate of all that was written down.
        Some(last) if since.batch < *last => entry.account.charge(spent.minus(hold.if_lost)),
        Some(_) => entry.account.charge(*spent),
    }
}

impl Entry {
    pub(super) fn new(before: Account, hold_before: Hold, local: Option<&Local>, now: Timestamp) -> Self {
        let (hold, last) = local.map_or_else(Default::default, |local| (local.hold, local.last));
        let mut account = before.clone();
        account.turn_to(now);
        account.held = account.held.minus(hold_before.amount).plus(hold.amount);
        Self { account, before, hold, hold_before, slice: Amount::default(), last }
    }

    pub(super) fn take_slice(&mut self) {
        if let Some((limits, last)) = &self.last {
            self.slice = slice_of(&self.account, limits, *last);
            self.account.held = self.account.held.plus(self.slice);
        }
    }
}

impl Ask {
    /// The first candidate with room pays.
    pub(super) fn decide(&self, entries: &mut BTreeMap<Key, Entry>, now: Timestamp) -> Decision {
        let mut refused: Option<OverBudget> = None;
        for (index, (key, limits)) in self.candidates.iter().enumerate() {
            let Some(entry) = entries.get_mut(key) else { continue };
            match entry.account.reserve(limits, self.wish.as_ref(), now) {
                Ok(amount) => {
                    entry.last = Some((*limits, amount));
                    let hold = self.hold(amount);
                    entry.hold = entry.hold.plus(hold.unwrap_or_default());
                    return Ok(hold.map(|hold| (index, hold)));
                }
                Err(lack) => {
                    let lack = OverBudget { grant: key.grant.clone(), lack };
                    refused = Some(refused.map_or(lack.clone(), |other| other.or_sooner(lack)));
                }
            }
        }
        refused.filter(|_| !self.free_after).map_or(Ok(None), Err)
    }

    /// What is to be held; none if that is nothing.
    pub(super) fn hold(&self, amount: Amount) -> Option<Hold> {
        let wish = self.wish.as_ref().filter(|_| amount != Amount::default())?;
        Some(Hold { amount, if_lost: amount_of(wish.price, &wish.estimate.if_lost()) })
    }

    /// A caller that is gone drops what it gets, and so releases it.
    pub(super) fn answer(self, decision: Decision, since: Since) {
        let Self { mut candidates, wish, place, answer, .. } = self;
        let reserved = match (decision, wish) {
            (Ok(Some((index, hold))), Some(wish)) => {
                let (key, _) = candidates.swap_remove(index);
                let (estimate, price) = (wish.estimate, wish.price);
                Ok(Reserved::of(Open { place, key, hold, since, estimate, price, sent: false }))
            }
            (Ok(_), _) => Ok(Reserved::nothing()),
            (Err(over), _) => Err(NotReserved::Over(over)),
        };
        let _ = answer.send(reserved);
    }
}
