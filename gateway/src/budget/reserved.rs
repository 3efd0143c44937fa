//! What one request holds of a budget, from before it is sent until its answer has ended, however it ends.

use tokio::sync::mpsc::OwnedPermit;

use super::account::Amount;
use super::ask::Message;
use super::estimate::{AnswerForm, Estimate, Spent, answer_tokens};
use super::prices::Price;
use super::store::{Hold, Key};

/// A hold on a budget. Settling it, and dropping it, never waits and never fails, so that both can be done in the `drop` of an
/// answer's body: its place in the channel was taken beforehand.
#[derive(Debug)]
pub(crate) struct Reserved(Option<Open>);

#[derive(Debug)]
pub(super) struct Open {
    pub(super) place: OwnedPermit<Message>,
    pub(super) key: Key,
    pub(super) hold: Hold,
    pub(super) since: Since,
    pub(super) estimate: Estimate,
    pub(super) price: Option<Price>,
    pub(super) sent: bool,
}

/// Since when something is held: under which of the leases of this process, and after which of its batches. The next batch writes it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since {
    pub(super) generation: usize,
    pub(super) batch: i64,
}

/// How a hold ended.
#[derive(Clone, Debug)]
pub(super) struct Settlement {
    pub(super) key: Key,
    pub(super) hold: Hold,
    pub(super) since: Since,
    pub(super) spent: Amount,
}

impl Reserved {
    /// For a request that no budget counts.
    pub(super) fn nothing() -> Self {
        Self(None)
    }

    pub(super) fn of(open: Open) -> Self {
        Self(Some(open))
    }

    /// The grant whose budget it is; none if no budget counts the request.
    pub(crate) fn grant(&self) -> Option<&str> {
        self.0.as_ref().map(|open| &*open.key.grant)
    }

    /// The request leaves for the upstream now. Dropped before that, a hold is released; dropped after it, it is charged by estimate,
    /// or a caller who always hangs up in time would pay nothing.
    pub(crate) fn sent(&mut self) {
        if let Some(open) = &mut self.0 {
            open.sent = true;
        }
    }

    /// Charges what the upstream counted, even if it is more than was held.
    pub(crate) fn settle(mut self, spent: &Spent) {
        if let Some(open) = self.0.take() {
            let amount = amount_of(open.price, spent);
            open.end(amount);
        }
    }

    /// Charges an answer that ended or broke off without reporting all that it used: by what was counted until then, and by its
    /// bytes where they say more.
    pub(crate) fn settle_by_bytes(mut self, counted: Option<Spent>, answer_bytes: u64, form: AnswerForm) {
        if let Some(open) = self.0.take() {
            let counted = counted.unwrap_or(Spent { prompt: open.estimate.prompt, ..Spent::default() });
            // Not less because the caller asked for less: not every upstream heeds every way to say so.
            let by_bytes = answer_tokens(answer_bytes, form);
            let spent = Spent { completion: counted.completion.max(by_bytes), ..counted };
            let amount = amount_of(open.price, &spent);
            open.end(amount);
        }
    }

    /// Charges nothing: the request failed.
    pub(crate) fn release(mut self) {
        if let Some(open) = self.0.take() {
            open.end(Amount::default());
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Some(open) = self.0.take() {
            let amount = if open.sent { open.hold.if_lost } else { Amount::default() };
            open.end(amount);
        }
    }
}

impl Open {
    fn end(self, spent: Amount) {
        let Self { place, key, hold, since, .. } = self;
        place.send(Message::Settle(Settlement { key, hold, since, spent }));
    }
}

pub(super) fn amount_of(price: Option<Price>, spent: &Spent) -> Amount {
    Amount { tokens: spent.tokens(), usd: price.map(|price| price.of(spent)).unwrap_or_default() }
}
