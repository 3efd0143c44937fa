//! Requests without a good token. Anyone who reaches the port can send as many as they like: only some get a row each, so that the
//! database does not grow as strangers please.

use std::time::Duration;

use doorward_base::Timestamp;
use tokio::time::Instant;

use super::{AuditRow, Decision, Ending};

/// So many rows a minute tell what strangers try; the others are counted in one row more.
pub(super) const ROWS: u64 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// The requests of strangers within a minute, which begins with the first of them.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    ends: Option<Instant>,
    rows: u64,
    counted: u64,
    /// When the first one came that was only counted.
    since: Option<Timestamp>,
}

impl Strangers {
    /// Leaves of strangers' rows those that still get a place in the log, and counts the others.
    pub(super) fn thin_out(&mut self, rows: &mut Vec<AuditRow>, now: Instant) {
        rows.retain(|row| row.consumer.is_some() || self.is_written(row, now));
    }

    /// When [`Strangers::end_minute`] has to be called.
    pub(super) fn minute_ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Begins anew. The row that stands for those that have none, if there are any.
    pub(super) fn end_minute(&mut self) -> Option<AuditRow> {
        let minute = std::mem::take(self);
        minute.since.map(|since| row_of_many(since, minute.counted))
    }

    fn is_written(&mut self, row: &AuditRow, now: Instant) -> bool {
        self.ends.get_or_insert(now + MINUTE);
        if self.rows < ROWS {
            self.rows += 1;
            return true;
        }
        self.since.get_or_insert(row.at);
        self.counted += 1;
        false
    }
}

fn row_of_many(at: Timestamp, count: u64) -> AuditRow {
    AuditRow {
        at,
        consumer: None,
        token_id: None,
        method: "*".to_owned(),
        path: "*".to_owned(),
        model: None,
        effects: Some(format!("{count} more requests")),
        upstream: None,
        grant: None,
        approved_by: None,
        decision: Decision::Refused,
        reason: Some("unauthenticated".to_owned()),
        status: 401,
        ending: Ending::Complete,
        request_bytes: 0,
        response_bytes: 0,
        prompt_tokens: None,
        completion_tokens: None,
        cached_tokens: None,
        usd: None,
        latency_ms: 0,
    }
}
