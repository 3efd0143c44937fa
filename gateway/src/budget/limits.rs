//! What a grant allows, and whether an amount fits into it.

use super::account::Amount;
use super::refusal::Shortage;
use crate::config::{GrantConfig, Usd};

/// The limits of one grant, for each of its consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) day: Caps,
    pub(super) total: Caps,
    pub(super) per_minute: Option<u64>,
}

/// The most that may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Caps {
    pub(super) tokens: Option<u64>,
    pub(super) usd: Option<Usd>,
}

impl From<&GrantConfig> for Limits {
    fn from(grant: &GrantConfig) -> Self {
        let budget = grant.budget.unwrap_or_default();
        Self {
            day: Caps { tokens: budget.tokens_per_day, usd: budget.usd_per_day },
            total: Caps { tokens: budget.tokens_total, usd: budget.usd_total },
            per_minute: grant.rate.and_then(|rate| rate.requests_per_minute),
        }
    }
}

impl Limits {
    pub(super) fn has_budget(&self) -> bool {
        self.day != Caps::default() || self.total != Caps::default()
    }

    pub(super) fn counts_money(&self) -> bool {
        self.day.usd.is_some() || self.total.usd.is_some()
    }

    /// Whether a request under this grant has to be counted at all.
    pub(super) fn apply_to(&self, uses_a_model: bool) -> bool {
        self.per_minute.is_some() || (uses_a_model && self.has_budget())
    }
}

impl Caps {
    /// Whether `need` fits beside `used`. What costs nothing always fits.
    pub(super) fn check(&self, used: Amount, need: Amount, daily: bool) -> Result<(), Shortage> {
        let most = self.most();
        if self.tokens.is_some() && need.tokens > 0 && used.tokens.saturating_add(need.tokens) > most.tokens {
            let left = most.tokens.saturating_sub(used.tokens);
            return Err(Shortage::new(&Tokens(most.tokens), &Tokens(left), &Tokens(need.tokens), daily));
        }
        if self.usd.is_some() && need.usd > Usd::ZERO && used.usd.plus(need.usd) > most.usd {
            return Err(Shortage::new(&most.usd, &most.usd.minus(used.usd), &need.usd, daily));
        }
        Ok(())
    }

    /// The caps as an amount; no cap is the largest there is.
    pub(super) fn most(&self) -> Amount {
        let usd = self.usd.unwrap_or(Usd::from_picodollars(i64::MAX));
        Amount { tokens: self.tokens.unwrap_or(u64::MAX), usd }
    }
}

struct Tokens(u64);

impl std::fmt::Display for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}
