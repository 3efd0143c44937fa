//! Takes events in: one row per event id, for ever; what cannot be read is kept too, and stops nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use doorward_base::{StoreError, Timestamp, Tx};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Row};
use tracing::warn;

use super::Inbox;
use crate::event::{MalformedEvent, RoomEvent, can_be_a_key};
use crate::sql::placeholders;

/// Rows of one statement: a homeserver sends up to 100 events at once.
const ROWS: usize = 100;

/// What became of a transaction's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Waiting to be handled.
    pub(crate) new: usize,
    /// Known already.
    pub(crate) repeated: usize,
    /// Unreadable, and set aside.
    pub(crate) quarantined: usize,
}

#[derive(Default, Deserialize)]
struct Ids {
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    room_id: Option<String>,
}

impl Inbox {
    /// Stores events, in one transaction; when this returns they are durable.
    pub(crate) async fn receive(&self, events: Vec<Box<RawValue>>) -> Result<Received, StoreError> {
        if events.is_empty() {
            return Ok(Received::default());
        }
        let (readable, malformed) = sort(events);
        let now = self.clock.now();
        let mut tx = self.database.write().await?;
        let rooms = insert(&mut tx, &readable, now).await?;
        self.queue().add(&mut tx, &rooms).await?;
        for (raw, error) in &malformed {
            let (id, room_id) = identify(raw);
            let first = set_aside(&mut tx, &id, room_id.as_deref(), raw.get(), &error.to_string(), now).await?;
            if first {
                // The reason may quote the event.
                warn!(id, "an event cannot be read; the table `quarantine` has it, with the reason");
            }
        }
        tx.commit().await?;
        self.queue().wake();
        let new = usize::try_from(rooms.values().sum::<i64>()).unwrap_or_default();
        Ok(Received { new, repeated: readable.len() - new, quarantined: malformed.len() })
    }
}

type Malformed = (Box<RawValue>, MalformedEvent);

/// Within one statement an id may stand only once; the first counts.
fn sort(events: Vec<Box<RawValue>>) -> (Vec<RoomEvent>, Vec<Malformed>) {
    let (mut readable, mut malformed, mut ids) = (Vec::new(), Vec::new(), BTreeSet::new());
    for raw in events {
        match RoomEvent::parse(raw.clone()) {
            Ok(event) => {
                if ids.insert(event.event_id.clone()) {
                    readable.push(event);
                }
            }
            Err(error) => malformed.push((raw, error)),
        }
    }
    (readable, malformed)
}

/// Inserts what is not known yet; returns how many of each room were new.
async fn insert(tx: &mut Tx, events: &[RoomEvent], now: Timestamp) -> Result<BTreeMap<String, i64>, StoreError> {
    let mut rooms = BTreeMap::new();
    for events in events.chunks(ROWS) {
        let statement = format!(
            "INSERT INTO inbox (event_id, room_id, state, raw, received_at) VALUES {} \
             ON CONFLICT (event_id) DO NOTHING RETURNING room_id",
            placeholders(events.len(), 5)
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for event in events {
            query = query.bind(event.event_id.as_str()).bind(event.room_id.as_str()).bind("waiting");
            query = query.bind(event.raw.get()).bind(now.as_millis());
        }
        for row in query.fetch_all(tx.connection()).await? {
            *rooms.entry(row.try_get(0)?).or_default() += 1;
        }
    }
    Ok(rooms)
}

/// Keeps what is not handled, with the reason. Returns whether it was new: the same again changes nothing.
pub(super) async fn set_aside(
    tx: &mut Tx,
    id: &str,
    room_id: Option<&str>,
    raw: &str,
    reason: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "INSERT INTO quarantine (id, room_id, raw, reason, quarantined_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(id)
    .bind(room_id)
    .bind(raw)
    .bind(reason.replace('\0', ""))
    .bind(now.as_millis())
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The event id if there is one that can be a key, else the digest of the text, which is the same when it comes again.
fn identify(raw: &RawValue) -> (String, Option<String>) {
    let ids: Ids = serde_json::from_str(raw.get()).unwrap_or_default();
    let usable = |id: &String| can_be_a_key(id);
    (ids.event_id.filter(usable).unwrap_or_else(|| digest(raw.get())), ids.room_id.filter(usable))
}

fn digest(text: &str) -> String {
    let mut id = "sha256:".to_owned();
    for byte in Sha256::digest(text.as_bytes()) {
        write!(id, "{byte:02x}").expect("writing to a string does not fail");
    }
    id
}
