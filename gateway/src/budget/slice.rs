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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::estimate::estimate;
    use super::super::limits::Caps;
    use super::*;

    const NOON: Timestamp = Timestamp::from_millis(1_700_049_600_000);

    fn tokens(tokens: u64) -> Amount {
        Amount { tokens, usd: Usd::ZERO }
    }

    fn limits(per_day: u64, per_minute: Option<u64>) -> Limits {
        Limits { day: Caps { tokens: Some(per_day), usd: None }, per_minute, ..Limits::default() }
    }

    fn wish(most: u64) -> Wish {
        Wish { model: "m".into(), estimate: estimate(4, Some(most - 1)), price: None }
    }

    fn local(stored: u64) -> Local {
        Local { stored: tokens(stored), day: day_of(NOON), ..Local::default() }
    }

    #[test]
    fn a_slice_is_a_small_part_of_what_is_left_and_none_where_little_is_left() {
        let slice = |limit, last| slice_of(&Account::default(), &limits(limit, None), tokens(last)).tokens;
        assert_eq!((slice(16_000, 10), slice(16_000_000, 10), slice(640, 10), slice(639, 10)), (1_000, 2_560, 40, 0));
        let used = Account { today: tokens(15_000), held: tokens(500), ..Account::default() };
        assert_eq!(slice_of(&used, &limits(16_000, None), tokens(10)), Amount::default());
    }

    #[test]
    fn nothing_is_handed_out_beyond_the_slice() {
        let mut local = local(100);
        local.hold.amount = tokens(30);
        let limits = limits(1_000, None);
        assert_eq!(local.reserve(&limits, Some(&wish(70)), NOON, false), Some(tokens(70)));
        assert_eq!(local.reserve(&limits, Some(&wish(71)), NOON, false), None);
        let unpriced = Limits { total: Caps { tokens: None, usd: Some(Usd::ZERO) }, ..limits };
        assert_eq!(local.reserve(&unpriced, Some(&wish(1)), NOON, false), None);
    }

    #[test]
    fn a_slice_of_yesterday_is_not_handed_out() {
        let tomorrow = NOON.plus(Duration::from_secs(12 * 60 * 60));
        assert_eq!(local(100).reserve(&limits(1_000, None), Some(&wish(10)), tomorrow, true), None);
    }

    #[test]
    fn a_rate_is_counted_here_only_by_who_is_alone() {
        let limits = limits(1_000, Some(2));
        assert_eq!(local(100).reserve(&limits, None, NOON, false), None);
        let mut alone = local(100);
        let held: Vec<_> = (0..3).map(|_| alone.reserve(&limits, None, NOON, true)).collect();
        assert_eq!(held, [Some(Amount::default()), Some(Amount::default()), None]);
    }
}
