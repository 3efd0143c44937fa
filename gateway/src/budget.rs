//! Budgets and rates: what a consumer may use under each of its grants, reserved before a request leaves and settled when its answer
//! has ended.
//!
//! Each consumer has an account under each grant that has a `budget` or a `rate`. Of the grants that allow a request, in the order of
//! the token, the first whose account has room pays; a request is refused only if none has. What a running request may use is held,
//! so that many at once never get more than is left. Exactly what was used is charged in the end, even if it is more than was held;
//! the next request is then refused. Counts of tokens and money begin anew at 00:00 UTC; a request counts on the day on which it ends.
//!
//! A request that no grant limits never touches the database here.

mod account;
mod ask;
mod estimate;
mod ledger;
mod limits;
mod prices;
mod refusal;
mod report;
mod reserved;
mod shipped;
mod slice;
mod store;
mod window;

use std::collections::HashMap;
use std::sync::Arc;

use doorward_base::{Clock, Database, Random};
use tokio::sync::{mpsc, oneshot};

use account::Wish;
use ask::{Ask, Message};
pub(crate) use estimate::{AnswerForm, Estimate, Spent, estimate};
pub(crate) use ledger::Ledger;
use limits::Limits;
pub(crate) use prices::{Price, Prices};
pub(crate) use refusal::OverBudget;
pub use report::{BudgetState, budget_states};
pub(crate) use reserved::Reserved;
use store::Key;

use crate::config::Grants;
use crate::tokens::ConsumerName;

/// Each request that is being decided on takes two places, and each that is running one.
const PLACES: usize = 65_536;

/// The budgets of all consumers. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Budgets(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: mpsc::Sender<Message>,
    limits: HashMap<Arc<str>, Limits>,
    prices: Prices,
}

/// Why nothing was reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotReserved {
    /// There is no room.
    #[error(transparent)]
    Over(#[from] OverBudget),
    /// The reason is in the log.
    #[error("the gateway's database does not answer")]
    Unavailable,
    #[error("the gateway is stopping")]
    Stopping,
}

/// What a request wants of models.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelUse<'a> {
    /// The model, and those that the provider may fall back to: as it is not known which one answers, the dearest is charged.
    pub(crate) models: &'a [&'a str],
    pub(crate) estimate: Estimate,
}

impl Budgets {
    /// The budgets, and the task that writes them: nothing is reserved until [`Ledger::run`] runs.
    pub(crate) fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        random: Random,
        grants: &Grants,
        prices: Prices,
    ) -> (Self, Ledger) {
        let (sender, receiver) = mpsc::channel(PLACES);
        let limits = grants.iter().map(|(name, grant)| (name.as_str().into(), grant.into())).collect();
        let ledger = Ledger::new(receiver, database, clock, random);
        (Self(Arc::new(Inner { ledger: sender, limits, prices })), ledger)
    }

    /// Holds what a request may use under the first of `candidates` (the names of the grants that allow it, in the order of the token)
    /// that has room. A request that uses no model (`wanted` is none) counts for rates alone.
    pub(crate) async fn reserve(
        &self,
        consumer: &ConsumerName,
        candidates: &[impl AsRef<str>],
        wanted: Option<ModelUse<'_>>,
    ) -> Result<Reserved, NotReserved> {
        let (limited, free_after) = self.limited(consumer, candidates, wanted.is_some());
        if limited.is_empty() {
            return Ok(Reserved::nothing());
        }
        let stopping = |_| NotReserved::Stopping;
        let place = self.0.ledger.clone().reserve_owned().await.map_err(stopping)?;
        let (answer, answered) = oneshot::channel();
        let wish = wanted.map(|wanted| self.wish(&wanted));
        let ask = Ask { candidates: limited, free_after, wish, place, answer };
        self.0.ledger.send(Message::Reserve(ask)).await.map_err(|_| NotReserved::Stopping)?;
        answered.await.map_err(|_| NotReserved::Stopping)?
    }

    /// The candidates up to the first without limits, and whether there is such a one. A grant that is not configured allows nothing.
    fn limited(
        &self,
        consumer: &ConsumerName,
        candidates: &[impl AsRef<str>],
        model: bool,
    ) -> (Vec<(Key, Limits)>, bool) {
        let mut limited = Vec::new();
        for name in candidates {
            match self.0.limits.get_key_value(name.as_ref()) {
                Some((_, limits)) if !limits.apply_to(model) => return (limited, true),
                Some((name, limits)) => {
                    limited.push((Key { consumer: consumer.clone(), grant: name.clone() }, *limits));
                }
                None => {}
            }
        }
        (limited, false)
    }

    fn wish(&self, wanted: &ModelUse<'_>) -> Wish {
        let model = wanted.models.iter().find(|model| self.0.prices.of(model).is_none()).or(wanted.models.first());
        let price = self.price_of(wanted.models);
        Wish { model: model.copied().unwrap_or_default().into(), estimate: wanted.estimate, price }
    }

    /// What is charged where one of these models answers and nobody knows which: the dearest; none if the price of one is not known.
    pub(crate) fn price_of(&self, models: &[&str]) -> Option<Price> {
        let mut prices = models.iter().map(|model| self.0.prices.of(model));
        let first = prices.next()??;
        prices.try_fold(first, |dearest, price| Some(dearest.or_dearer(price?)))
    }
}

#[cfg(test)]
mod tests;
