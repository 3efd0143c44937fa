//! The result: a table for people, JSON for programs, and what it says about the goals.

mod goals;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::install::Missing;
use crate::numbers::median;
use crate::peers::Peer;
use crate::scenarios::Round;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Microseconds, less those of the upstream alone.
    Added,
    Microseconds,
    PerSecond,
    Mebibytes,
}

/// Key, title and unit of each line.
const ROWS: [(&str, &str, Unit); 21] = [
    ("brisk.cpu", "CPU per unary request, 1000/s (µs)", Unit::Microseconds),
    ("brisk.p50", "unary, 1000/s: p50 added (µs)", Unit::Added),
    ("brisk.p99", "unary, 1000/s: p99 added (µs)", Unit::Added),
    ("most.rate", "unary, saturated: requests/s", Unit::PerSecond),
    ("most.cpu", "CPU per unary request, saturated (µs)", Unit::Microseconds),
    ("brisk.event.cpu", "CPU per event, 100 streams (µs)", Unit::Microseconds),
    ("brisk.first.p50", "first event, 100 streams: p50 added (µs)", Unit::Added),
    ("brisk.first.p99", "first event, 100 streams: p99 added (µs)", Unit::Added),
    ("brisk.gap.p99", "gap between events of 20 ms: p99 added (µs)", Unit::Added),
    ("most.event.rate", "streams, saturated: events/s", Unit::PerSecond),
    ("most.event.cpu", "CPU per event, saturated (µs)", Unit::Microseconds),
    ("gentle.cpu", "CPU per unary request, 25/s (µs)", Unit::Microseconds),
    ("gentle.p50", "unary, 25/s: p50 added (µs)", Unit::Added),
    ("gentle.p99", "unary, 25/s: p99 added (µs)", Unit::Added),
    ("gentle.event.cpu", "CPU per event, 10 streams (µs)", Unit::Microseconds),
    ("gentle.first.p50", "first event, 10 streams: p50 added (µs)", Unit::Added),
    ("gentle.first.p99", "first event, 10 streams: p99 added (µs)", Unit::Added),
    ("gentle.gap.p99", "gap between events, 10 streams: p99 added (µs)", Unit::Added),
    ("memory.start", "memory after the start (MiB)", Unit::Mebibytes),
    ("memory.peak", "memory, most under these loads (MiB)", Unit::Mebibytes),
    ("memory.streams", "memory with 1000 open streams (MiB)", Unit::Mebibytes),
];

/// All that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    versions: BTreeMap<&'static str, String>,
    rounds: BTreeMap<&'static str, Vec<Round>>,
    missing: BTreeMap<&'static str, Missing>,
}

impl Report {
    pub(crate) fn add(&mut self, peer: Peer, version: &str, round: Round) {
        self.versions.insert(peer.name(), version.to_owned());
        self.rounds.entry(peer.name()).or_default().push(round);
    }

    pub(crate) fn miss(&mut self, peer: Peer, why: Missing) {
        crate::say(&format!("{} is not measured: {why}", peer.name()));
        self.missing.insert(peer.name(), why);
    }

    pub(crate) fn is_missing(&self, peer: Peer) -> bool {
        self.missing.contains_key(peer.name())
    }

    /// The median of all rounds; not a number if it was not measured.
    fn value(&self, peer: Peer, key: &str) -> f64 {
        let rounds = self.rounds.get(peer.name()).into_iter().flatten();
        median(&rounds.filter_map(|round| round.get(key).copied()).collect::<Vec<_>>())
    }

    pub(crate) fn table(&self) -> String {
        let peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| self.rounds.contains_key(peer.name())).collect();
        let name = |peer: &Peer| format!("{} {}", peer.name(), self.versions[peer.name()]).trim_end().to_owned();
        let mut lines = vec![line("", peers.iter().map(name)), line(":---", peers.iter().map(|_| "---:".to_owned()))];
        for (key, title, unit) in ROWS {
            lines.push(line(title, peers.iter().map(|peer| self.cell(*peer, key, unit))));
        }
        let missing = self.missing.iter().map(|(peer, why)| format!("\n{peer}: not measured: {why}"));
        lines.join("\n") + &missing.collect::<String>() + "\n\n" + &goals::lines(self)
    }

    fn cell(&self, peer: Peer, key: &str, unit: Unit) -> String {
        let value = self.value(peer, key);
        match unit {
            _ if value.is_nan() => "–".to_owned(),
            Unit::Added if peer == Peer::Direct => format!("({value:.0})"),
            Unit::Added => format!("{:.0}", value - self.value(Peer::Direct, key)),
            Unit::Microseconds if value < 100.0 => format!("{value:.1}"),
            Unit::Microseconds | Unit::PerSecond => format!("{value:.0}"),
            Unit::Mebibytes => format!("{:.1}", value / f64::from(1 << 20)),
        }
    }

    pub(crate) fn json(&self) -> String {
        let peers = Peer::ALL.into_iter().filter(|peer| self.rounds.contains_key(peer.name()));
        let one = |peer: Peer| {
            let value = |key: &str| (key.to_owned(), json!(self.value(peer, key)));
            let medians: Map<String, Value> = ROWS.into_iter().map(|(key, ..)| value(key)).collect();
            let (version, rounds) = (&self.versions[peer.name()], &self.rounds[peer.name()]);
            json!({ "name": peer.name(), "version": version, "medians": medians, "rounds": rounds })
        };
        let peers: Vec<Value> = peers.map(one).collect();
        json!({ "peers": peers, "not_measured": self.missing, "goals": goals::json(self) }).to_string()
    }
}

fn line(title: &str, cells: impl Iterator<Item = String>) -> String {
    format!("| {title:<47} | {} |", cells.map(|cell| format!("{cell:>15}")).collect::<Vec<_>>().join(" | "))
}
