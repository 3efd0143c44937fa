//! What consumers have used of their budgets, for `doorward usage` and the admin interface.

use doorward_base::{Database, StoreError, Timestamp};
use serde::Serialize;

use super::account::renewal_after;
use super::store::{account_of, key_of};
use crate::config::{BudgetConfig, Grants, Usd};
use crate::store::rfc3339;

/// What one consumer has used under one grant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BudgetState {
    /// The consumer.
    pub consumer: String,
    /// The grant.
    pub grant: String,
    /// Tokens since 00:00 UTC.
    pub tokens_today: u64,
    /// Tokens in all.
    pub tokens_total: u64,
    /// US dollars since 00:00 UTC.
    pub usd_today: Usd,
    /// US dollars in all.
    pub usd_total: Usd,
    /// Tokens that running requests may still use.
    pub tokens_held: u64,
    /// US dollars that running requests may still cost.
    pub usd_held: Usd,
    /// What the grant allows; nothing is limited if the grant is no longer configured.
    pub limits: BudgetConfig,
    /// When a new day begins.
    #[serde(with = "rfc3339")]
    pub renews_at: Timestamp,
}

/// What has been used, of one consumer or of all; without those who never used a grant that has a budget or a rate. Works whether or not
/// a gateway is running.
pub async fn budget_states(
    database: &Database,
    grants: &Grants,
    consumer: Option<&str>,
    now: Timestamp,
) -> Result<Vec<BudgetState>, StoreError> {
    let rows = sqlx::query(
        "SELECT consumer, grant_name, day, tokens_today, picodollars_today, tokens_total, picodollars_total, tokens_held, \
         picodollars_held, recent FROM budget WHERE CAST($1 AS TEXT) IS NULL OR consumer = $2 ORDER BY consumer, grant_name",
    )
    .bind(consumer)
    .bind(consumer)
    .fetch_all(database.reader())
    .await?;
    let state = |row| {
        let (key, mut account) = (key_of(row)?, account_of(row)?);
        account.turn_to(now);
        Ok(BudgetState {
            consumer: key.consumer.as_str().to_owned(),
            grant: key.grant.to_string(),
            tokens_today: account.today.tokens,
            tokens_total: account.total.tokens,
            usd_today: account.today.usd,
            usd_total: account.total.usd,
            tokens_held: account.held.tokens,
            usd_held: account.held.usd,
            limits: grants.get(&*key.grant).and_then(|grant| grant.budget).unwrap_or_default(),
            renews_at: renewal_after(now),
        })
    };
    rows.iter().map(state).collect()
}
