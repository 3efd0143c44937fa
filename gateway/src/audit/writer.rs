//! Writing the audit log without holding up an answer, and without losing a row.
//!
//! A request reserves its place in the channel before anything is done for it (and waits there if the writer is far behind), so
//! that its row can be handed over in `drop`, when the client has gone and nothing can wait any more. Rows of requests without a good
//! token are thinned out: see [`Strangers`].

use std::sync::LazyLock;
use std::time::Duration;

use doorward_base::{Database, StoreError, Tx};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::AuditRow;
use super::strangers::Strangers;
use crate::config::Usd;

/// Also the most calls that can be open at a time: each holds a place.
const PLACES: usize = 65_536;
/// The most rows of one transaction.
const BATCH: usize = 4096;
/// The rows of one statement.
pub(super) const TOGETHER: usize = 25;
/// At least so long after a batch the next one is written.
const LINGER: Duration = Duration::from_millis(100);
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a batch is tried once the gateway has been told to stop.
const LAST_TRIES: u32 = 3;

const COLUMNS: &str = "at, consumer, token_id, method, path, model, effects, upstream, grant_name, approved_by, decision, reason, status, ending, \
    request_bytes, response_bytes, prompt_tokens, completion_tokens, cached_tokens, picodollars, latency_ms";
const COLUMN_COUNT: usize = 21;

/// Where requests hand in their rows.
#[derive(Clone, Debug)]
pub(crate) struct AuditWriter(mpsc::Sender<AuditRow>);

/// A place in the channel, for one row.
#[derive(Debug)]
pub(crate) struct Reservation(mpsc::OwnedPermit<AuditRow>);

/// The gateway is stopping and takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopping;

impl AuditWriter {
    /// Waits for a place.
    pub(crate) async fn reserve(&self) -> Result<Reservation, Stopping> {
        self.0.clone().reserve_owned().await.map(Reservation).map_err(|_| Stopping)
    }

    /// How many places are taken: by open calls, and by rows that wait to be written.
    pub(crate) fn taken(&self) -> usize {
        self.0.max_capacity() - self.0.capacity()
    }
}

impl Reservation {
    /// Hands in the row; never waits and never fails.
    pub(crate) fn fill(self, row: AuditRow) {
        self.0.send(row);
    }
}

/// Both ends of the audit log's channel.
pub(crate) fn channel() -> (AuditWriter, AuditReader) {
    let (sender, receiver) = mpsc::channel(PLACES);
    (AuditWriter(sender), AuditReader { rows: receiver, strangers: Strangers::default() })
}

/// What the background task of the gateway reads from.
#[derive(Debug)]
pub(crate) struct AuditReader {
    rows: mpsc::Receiver<AuditRow>,
    strangers: Strangers,
}

impl AuditReader {
    /// Writes rows in batches until `stop`, then those of the calls that are still open; returns when the last has been written.
    pub(crate) async fn run(mut self, database: &Database, stop: &CancellationToken) {
        let mut batch = Vec::new();
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.rows.is_closed() => self.rows.close(),
                () = until(self.strangers.minute_ends()) => batch.extend(self.strangers.end_minute()),
                received = self.rows.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        batch.extend(self.strangers.end_minute());
                        return write_or_retry(database, &batch, stop).await;
                    }
                    self.linger(&mut batch, next, stop).await;
                    self.strangers.thin_out(&mut batch, Instant::now());
                }
            }
            write_or_retry(database, &batch, stop).await;
            batch.clear();
            next = Instant::now() + LINGER;
        }
    }

    /// Waits for more rows until `next`, unless the gateway stops.
    async fn linger(&mut self, batch: &mut Vec<AuditRow>, next: Instant, stop: &CancellationToken) {
        if stop.run_until_cancelled(sleep_until(next)).await.is_some() {
            while batch.len() < BATCH
                && let Ok(row) = self.rows.try_recv()
            {
                batch.push(row);
            }
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn write_or_retry(database: &Database, batch: &[AuditRow], stop: &CancellationToken) {
    let mut tries_after_stop = 0;
    if batch.is_empty() {
        return;
    }
    while let Err(error) = write(database, batch).await {
        if stop.is_cancelled() {
            tries_after_stop += 1;
        }
        if tries_after_stop == LAST_TRIES {
            tracing::error!(%error, rows = batch.len(), "audit rows are lost: the database does not take them, and the gateway stops");
            return;
        }
        tracing::warn!(%error, rows = batch.len(), "audit rows wait for the database");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

async fn write(database: &Database, batch: &[AuditRow]) -> Result<(), StoreError> {
    static ONE: LazyLock<String> = LazyLock::new(|| statement(1));
    static MANY: LazyLock<String> = LazyLock::new(|| statement(TOGETHER));
    let mut tx = database.write().await?;
    let (many, rest) = batch.as_chunks::<TOGETHER>();
    for rows in many {
        insert(&mut tx, &MANY, rows).await?;
    }
    for row in rest {
        insert(&mut tx, &ONE, std::slice::from_ref(row)).await?;
    }
    tx.commit().await
}

fn statement(rows: usize) -> String {
    let row = |row: usize| {
        let places = (1..=COLUMN_COUNT).map(|column| format!("${}", row * COLUMN_COUNT + column));
        format!("({})", places.collect::<Vec<_>>().join(", "))
    };
    format!("INSERT INTO audit ({COLUMNS}) VALUES {}", (0..rows).map(row).collect::<Vec<_>>().join(", "))
}

async fn insert(tx: &mut Tx, statement: &'static str, rows: &[AuditRow]) -> Result<(), StoreError> {
    let mut query = sqlx::query(statement);
    for row in rows {
        query = query
            .bind(row.at.as_millis())
            .bind(row.consumer.as_deref())
            .bind(row.token_id.as_deref())
            .bind(row.method.as_str())
            .bind(row.path.as_str())
            .bind(row.model.as_deref())
            .bind(row.effects.as_deref())
            .bind(row.upstream.as_deref())
            .bind(row.grant.as_deref())
            .bind(row.approved_by.as_deref())
            .bind(row.decision.as_str())
            .bind(row.reason.as_deref())
            .bind(i64::from(row.status))
            .bind(row.ending.as_str())
            .bind(stored(row.request_bytes))
            .bind(stored(row.response_bytes))
            .bind(row.prompt_tokens.map(stored))
            .bind(row.completion_tokens.map(stored))
            .bind(row.cached_tokens.map(stored))
            .bind(row.usd.map(Usd::picodollars))
            .bind(stored(row.latency_ms));
    }
    query.execute(tx.connection()).await?;
    Ok(())
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
