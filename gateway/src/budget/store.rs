//! The accounts in the database.
//!
//! Locks are taken in one order, so that replicas never wait for each other in a circle: the lease first, then accounts by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_base::{Database, StoreError, Timestamp, Tx};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::account::{Account, Amount};
use super::window::Window;
use crate::config::Usd;
use crate::tokens::ConsumerName;

/// Whose account, and under which grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) consumer: ConsumerName,
    pub(super) grant: Arc<str>,
}

/// What running requests hold, and what they are charged if their process is never heard of again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) amount: Amount,
    pub(super) if_lost: Amount,
}

impl Hold {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { amount: self.amount.plus(other.amount), if_lost: self.if_lost.plus(other.if_lost) }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { amount: self.amount.minus(other.amount), if_lost: self.if_lost.minus(other.if_lost) }
    }
}

/// What became of the lease when a batch was begun under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    /// The batch can be written.
    New,
    /// It was written before, and only the answer to the commit was lost.
    Written,
    /// The lease ran out, and what was held under it has been charged.
    LeaseLost,
}

/// Begins batch number `batch` (from 1) under a lease, and extends the lease.
pub(super) async fn begin(tx: &mut Tx, lease: &str, batch: i64, expires: Timestamp) -> Result<Begun, StoreError> {
    let done = if batch == 1 {
        sqlx::query("INSERT INTO budget_lease (id, expires_at, batch) VALUES ($1, $2, 1) ON CONFLICT (id) DO NOTHING")
            .bind(lease)
            .bind(expires.as_millis())
            .execute(tx.connection())
            .await?
    } else {
        sqlx::query("UPDATE budget_lease SET expires_at = $1, batch = $2 WHERE id = $3 AND batch = $4")
            .bind(expires.as_millis())
            .bind(batch)
            .bind(lease)
            .bind(batch - 1)
            .execute(tx.connection())
            .await?
    };
    if done.rows_affected() > 0 {
        return Ok(Begun::New);
    }
    let there = sqlx::query("SELECT id FROM budget_lease WHERE id = $1").bind(lease).fetch_optional(tx.connection());
    Ok(if there.await?.is_some() { Begun::Written } else { Begun::LeaseLost })
}

/// The account, made if it is not there, and locked until the end of the transaction.
pub(super) async fn lock_account(tx: &mut Tx, key: &Key) -> Result<Account, StoreError> {
    let row = sqlx::query(
        "INSERT INTO budget (consumer, grant_name, day, tokens_today, picodollars_today, tokens_total, picodollars_total, \
         tokens_held, picodollars_held, recent) VALUES ($1, $2, 0, 0, 0, 0, 0, 0, 0, '[]') \
         ON CONFLICT (consumer, grant_name) DO UPDATE SET consumer = excluded.consumer \
         RETURNING day, tokens_today, picodollars_today, tokens_total, picodollars_total, tokens_held, picodollars_held, recent",
    )
    .bind(key.consumer.as_str())
    .bind(&*key.grant)
    .fetch_one(tx.connection())
    .await?;
    account_of(&row)
}

pub(super) fn account_of(row: &AnyRow) -> Result<Account, StoreError> {
    let recent: String = row.try_get("recent")?;
    let window = Window::from_stored(&recent)
        .map_err(|error| StoreError::Corrupt { what: "list of recent requests", detail: error.to_string() })?;
    Ok(Account {
        day: row.try_get("day")?,
        today: amount(row, "tokens_today", "picodollars_today")?,
        total: amount(row, "tokens_total", "picodollars_total")?,
        held: amount(row, "tokens_held", "picodollars_held")?,
        window,
    })
}

fn amount(row: &AnyRow, tokens: &str, picodollars: &str) -> Result<Amount, StoreError> {
    let tokens = u64::try_from(row.try_get::<i64, _>(tokens)?).unwrap_or(0);
    Ok(Amount { tokens, usd: Usd::from_picodollars(row.try_get(picodollars)?) })
}

pub(super) async fn save_account(tx: &mut Tx, key: &Key, account: &Account) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE budget SET day = $1, tokens_today = $2, picodollars_today = $3, tokens_total = $4, picodollars_total = $5, \
         tokens_held = $6, picodollars_held = $7, recent = $8 WHERE consumer = $9 AND grant_name = $10",
    )
    .bind(account.day)
    .bind(stored(account.today.tokens))
    .bind(account.today.usd.picodollars())
    .bind(stored(account.total.tokens))
    .bind(account.total.usd.picodollars())
    .bind(stored(account.held.tokens))
    .bind(account.held.usd.picodollars())
    .bind(account.window.stored())
    .bind(key.consumer.as_str())
    .bind(&*key.grant)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// What is held under a lease.
pub(super) async fn hold(tx: &mut Tx, lease: &str, key: &Key) -> Result<Hold, StoreError> {
    let row = sqlx::query(
        "SELECT tokens, picodollars, tokens_if_lost, picodollars_if_lost FROM budget_hold \
         WHERE lease = $1 AND consumer = $2 AND grant_name = $3",
    )
    .bind(lease)
    .bind(key.consumer.as_str())
    .bind(&*key.grant)
    .fetch_optional(tx.connection())
    .await?;
    row.as_ref().map_or_else(|| Ok(Hold::default()), hold_of)
}

fn hold_of(row: &AnyRow) -> Result<Hold, StoreError> {
    let if_lost = amount(row, "tokens_if_lost", "picodollars_if_lost")?;
    Ok(Hold { amount: amount(row, "tokens", "picodollars")?, if_lost })
}

/// Sets what is held under a lease; a hold of nothing leaves no row.
pub(super) async fn save_hold(tx: &mut Tx, lease: &str, key: &Key, hold: &Hold) -> Result<(), StoreError> {
    if *hold == Hold::default() {
        sqlx::query("DELETE FROM budget_hold WHERE lease = $1 AND consumer = $2 AND grant_name = $3")
            .bind(lease)
            .bind(key.consumer.as_str())
            .bind(&*key.grant)
            .execute(tx.connection())
            .await?;
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO budget_hold (lease, consumer, grant_name, tokens, picodollars, tokens_if_lost, picodollars_if_lost) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (lease, consumer, grant_name) DO UPDATE SET \
         tokens = excluded.tokens, picodollars = excluded.picodollars, \
         tokens_if_lost = excluded.tokens_if_lost, picodollars_if_lost = excluded.picodollars_if_lost",
    )
    .bind(lease)
    .bind(key.consumer.as_str())
    .bind(&*key.grant)
    .bind(stored(hold.amount.tokens))
    .bind(hold.amount.usd.picodollars())
    .bind(stored(hold.if_lost.tokens))
    .bind(hold.if_lost.usd.picodollars())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The leases that ran out before `horizon`, but for `own`.
pub(super) async fn leases_before(
    database: &Database,
    horizon: Timestamp,
    own: &str,
) -> Result<Vec<String>, StoreError> {
    let rows = sqlx::query("SELECT id FROM budget_lease WHERE expires_at < $1 AND id <> $2 ORDER BY id")
        .bind(horizon.as_millis())
        .bind(own)
        .fetch_all(database.reader())
        .await?;
    rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

/// Ends a lease that ran out before `horizon`: what was held under it is charged by estimate, because a request whose process
/// died was most likely sent.
pub(super) async fn end_lease(
    database: &Database,
    lease: &str,
    horizon: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = database.write().await?;
    let ended = sqlx::query("DELETE FROM budget_lease WHERE id = $1 AND expires_at < $2")
        .bind(lease)
        .bind(horizon.as_millis())
        .execute(tx.connection())
        .await?;
    if ended.rows_affected() == 0 {
        return Ok(());
    }
    for (key, hold) in holds_under(&mut tx, lease).await? {
        let mut account = lock_account(&mut tx, &key).await?;
        account.turn_to(now);
        account.held = account.held.minus(hold.amount);
        account.charge(hold.if_lost);
        save_account(&mut tx, &key, &account).await?;
    }
    sqlx::query("DELETE FROM budget_hold WHERE lease = $1").bind(lease).execute(tx.connection()).await?;
    tx.commit().await
}

async fn holds_under(tx: &mut Tx, lease: &str) -> Result<BTreeMap<Key, Hold>, StoreError> {
    let rows = sqlx::query(
        "SELECT consumer, grant_name, tokens, picodollars, tokens_if_lost, picodollars_if_lost FROM budget_hold WHERE lease = $1",
    )
    .bind(lease)
    .fetch_all(tx.connection())
    .await?;
    rows.iter().map(|row| Ok((key_of(row)?, hold_of(row)?))).collect()
}

pub(super) fn key_of(row: &AnyRow) -> Result<Key, StoreError> {
    let name: String = row.try_get("consumer")?;
    let consumer = ConsumerName::new(&name)
        .map_err(|error| StoreError::Corrupt { what: "name of a consumer", detail: error.to_string() })?;
    Ok(Key { consumer, grant: row.try_get::<String, _>("grant_name")?.into() })
}

/// Forgets the accounts that say nothing any more: nothing was ever charged, and the last minute is over.
pub(super) async fn purge(database: &Database, today: i64) -> Result<(), StoreError> {
    let mut tx = database.write().await?;
    sqlx::query(
        "DELETE FROM budget WHERE day < $1 AND tokens_total = 0 AND picodollars_total = 0 \
         AND tokens_held = 0 AND picodollars_held = 0",
    )
    .bind(today - 1)
    .execute(tx.connection())
    .await?;
    tx.commit().await
}

pub(super) fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
