//! What a process knows of an account between two writes, and the slice of the budget that it may hand out on its own.
//!
//! Where there is plenty left, a process holds more than its requests need, and answers the next ones out of that without
//! the database. A slice is held like anything else, so it is exact across replicas; it is small against what is left, it is given back when nobody
//! asks for a second, and a process that finds too little looks into the database before it refuses.

use doorward_base::Timestamp;

use super::account::{Account, Amount, Wish, day_of, usual_amount};
use super::limits::Limits;
use super::store::Hold;
use super::window::Window;
use crate::config::Usd;

/// A slice is at most this part of what is left,
const PART: u32 = 16;
/// at most so many requests like the last,
const MOST_REQUESTS: u32 = 256;
/// and not worth it for fewer.
const FEWEST_REQUESTS: u32 = 4;

/// An account, as far as it is known without the database.
#[derive(Debug, Default)]
pub(super) struct Local {
    /// What is running.
    pub(super) hold: Hold,
    /// What the database holds for this process.
    pub(super) stored: Amount,
    pub(super) day: i64,
    pub(super) window: Window,
    /// What the last request held under which limits, if one came since the last write.
    pub(super) last: Option<(Limits, Amount)>,
}

impl Local {
    /// What may be handed out.
    pub(super) fn slice(&self) -> Amount {
        self.stored.minus(self.hold.amount)
    }

    /// Holds what a request may use, if that is certain to be right. `alone`: no other process counts the rate.
    pub(super) fn reserve(
        &mut self,
        limits: &Limits,
        wish: Option<&Wish>,
        now: Timestamp,
        alone: bool,
    ) -> Option<Amount> {
        let amount = usual_amount(limits, wish)?;
        if day_of(now) != self.day || !amount.fits_into(self.slice()) || (limits.per_minute.is_some() && !alone) {
            return None;
        }
        if let Some(per_minute) = limits.per_minute {
            self.window.check(now, per_minute).ok()?;
            self.window.record(now);
        }
        self.last = Some((*limits, amount));
        Some(amount)
    }
}

/// The slice to take of an account, for more requests like the last.
pub(super) fn slice_of(account: &Account, limits: &Limits, last: Amount) -> Amount {
    let left = account.left(limits);
    let usd = Usd::from_picodollars(left.usd.picodollars() / i64::from(PART));
    let part = Amount { tokens: left.tokens / u64::from(PART), usd };
    let most = last.times(MOST_REQUESTS);
    let slice = Amount { tokens: part.tokens.min(most.tokens), usd: part.usd.min(most.usd) };
    if last.times(FEWEST_REQUESTS).fits_into(slice) { slice } else { Amount::default() }
}
