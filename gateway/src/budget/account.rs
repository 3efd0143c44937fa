//! What one consumer used under one grant, and whether there is room for more. No database, no clock: every decision is here.

use std::sync::Arc;
use std::time::Duration;

use doorward_base::Timestamp;

use super::estimate::Estimate;
use super::limits::{Caps, Limits};
use super::prices::Price;
use super::refusal::{Lack, Wait};
use super::window::Window;
use crate::config::Usd;

const DAY: i64 = 24 * 60 * 60 * 1000;
/// Reserved for the answer of a request that does not say how long it may be; less if less is left.
const USUAL_RESERVE: u64 = 4_096;
/// What the running requests hold comes back when they end.
const UNTIL_SOME_END: Duration = Duration::from_secs(5);

/// Tokens, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) tokens: u64,
    pub(super) usd: Usd,
}

impl Amount {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), usd: self.usd.plus(other.usd) }
    }

    /// Whether it is within `other`, in tokens and in money.
    pub(super) fn fits_into(self, other: Self) -> bool {
        self.tokens <= other.tokens && self.usd <= other.usd
    }

    pub(super) fn times(self, count: u32) -> Self {
        Self { tokens: self.tokens.saturating_mul(count.into()), usd: self.usd.times(count.into()) }
    }

    /// Nothing rather than less than nothing.
    pub(super) fn minus(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_sub(other.tokens), usd: self.usd.minus(other.usd) }
    }
}

/// What a request wants of a model.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) model: Arc<str>,
    pub(super) estimate: Estimate,
    pub(super) price: Option<Price>,
}

/// What a request holds where there is plenty of room; none if it cannot be said.
pub(super) fn usual_amount(limits: &Limits, wish: Option<&Wish>) -> Option<Amount> {
    match wish.filter(|_| limits.has_budget()) {
        Some(wish) => {
            Some(Costs::of(limits, wish).ok()?.with_answer(wish.estimate.completion.unwrap_or(USUAL_RESERVE)))
        }
        None => Some(Amount::default()),
    }
}

/// What the prompt of a request may cost, and each token of its answer.
struct Costs {
    prompt: Amount,
    token_usd: Usd,
}

impl Costs {
    fn of(limits: &Limits, wish: &Wish) -> Result<Self, Lack> {
        if limits.counts_money() && wish.price.is_none() {
            return Err(Lack::Price { model: wish.model.clone() });
        }
        let tokens = wish.estimate.prompt.max(1);
        let (usd, token_usd) =
            wish.price.map_or_else(Default::default, |price| (price.of_prompt(tokens), price.of_answer_token(tokens)));
        Ok(Self { prompt: Amount { tokens, usd }, token_usd })
    }

    fn with_answer(&self, tokens: u64) -> Amount {
        self.prompt.plus(Amount { tokens, usd: self.token_usd.times(tokens) })
    }
}

/// The account of one consumer under one grant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// The day that `today` counts, in days since the Unix epoch (UTC).
    pub(super) day: i64,
    pub(super) today: Amount,
    pub(super) total: Amount,
    /// What running requests may still use.
    pub(super) held: Amount,
    pub(super) window: Window,
}

/// The day of a time, in days since the Unix epoch (UTC).
pub(super) fn day_of(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(DAY)
}

/// 00:00 UTC of the next day.
pub(super) fn renewal_after(time: Timestamp) -> Timestamp {
    Timestamp::from_millis((day_of(time) + 1).saturating_mul(DAY))
}

impl Account {
    /// Begins a new day, if it is one. A clock that is behind that of another replica does not bring yesterday back.
    pub(super) fn turn_to(&mut self, now: Timestamp) {
        if day_of(now) > self.day {
            (self.day, self.today) = (day_of(now), Amount::default());
        }
    }

    /// Holds what the request may use, and counts it for the rate. Changes nothing if there is no room.
    pub(super) fn reserve(&mut self, limits: &Limits, wish: Option<&Wish>, now: Timestamp) -> Result<Amount, Lack> {
        if let Some(per_minute) = limits.per_minute {
            self.window.check(now, per_minute).map_err(|retry_after| Lack::Rate { per_minute, retry_after })?;
        }
        let amount = match wish {
            Some(wish) if limits.has_budget() => self.amount_for(limits, wish, now)?,
            _ => Amount::default(),
        };
        if limits.per_minute.is_some() {
            self.window.record(now);
        }
        self.held = self.held.plus(amount);
        Ok(amount)
    }

    /// Adds what was used, on the day on which it is settled.
    pub(super) fn charge(&mut self, spent: Amount) {
        self.today = self.today.plus(spent);
        self.total = self.total.plus(spent);
    }

    fn amount_for(&self, limits: &Limits, wish: &Wish, now: Timestamp) -> Result<Amount, Lack> {
        let costs = Costs::of(limits, wish)?;
        let need = costs.with_answer(wish.estimate.completion.unwrap_or(0));
        self.check(limits, need, now)?;
        if wish.estimate.completion.is_some() {
            return Ok(need);
        }
        let left = self.left(limits).minus(need);
        Ok(costs.with_answer(USUAL_RESERVE.min(left.tokens).min(left.usd.pays_for(costs.token_usd))))
    }

    /// A budget in total comes first, for no waiting helps there; what only running requests stand in the way of comes last.
    fn check(&self, limits: &Limits, need: Amount, now: Timestamp) -> Result<(), Lack> {
        let until_tomorrow = renewal_after(now).since(now);
        for (held, wait) in [(Amount::default(), None), (self.held, Some((Wait::Running, UNTIL_SOME_END)))] {
            for (caps, used, renewed) in [(limits.total, self.total, Wait::Never), (limits.day, self.today, Wait::Day)]
            {
                let (wait, retry_after) = wait.unwrap_or((renewed, until_tomorrow));
                caps.check(used.plus(held), need, renewed == Wait::Day).map_err(|shortage| Lack::Spent {
                    shortage,
                    wait,
                    retry_after,
                })?;
            }
        }
        Ok(())
    }

    /// What is left under the tightest limit.
    pub(super) fn left(&self, limits: &Limits) -> Amount {
        let left = |caps: Caps, used: Amount| caps.most().minus(used.plus(self.held));
        let (day, total) = (left(limits.day, self.today), left(limits.total, self.total));
        Amount { tokens: day.tokens.min(total.tokens), usd: day.usd.min(total.usd) }
    }
}

#[cfg(test)]
mod tests;
