//! What each proxy is put through, and how long.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::load::{Streams, Target, Unary};
use crate::numbers::float;
use crate::peers::{Peer, Running};
use crate::process::{Memory, Process};
use crate::upstream::Wanted;

/// What was measured in one round, by the keys of [`crate::report::ROWS`].
pub(crate) type Round = BTreeMap<String, f64>;

/// How long each part takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Every proxy once, then every proxy again: a disturbance of the machine hits one round.
    pub(crate) rounds: u32,
    gentle: Duration,
    brisk: Duration,
    most: Duration,
    streams: Duration,
    /// Whether a thousand streams are held open, in the first round.
    hold: bool,
}

/// A load that is the same for all who can bear it.
#[derive(Clone, Copy, Debug)]
struct Pace {
    name: &'static str,
    /// Requests in a second.
    rate: u32,
    /// Streams at a time.
    streams: u32,
}

/// What LiteLLM can bear too.
const GENTLE: Pace = Pace { name: "gentle", rate: 25, streams: 10 };
const BRISK: Pace = Pace { name: "brisk", rate: 1000, streams: 100 };
/// A second of a fast model.
const STREAM: Wanted = Wanted { events: 50, gap: Duration::from_millis(20) };
/// As fast as can be.
const FLOOD: Wanted = Wanted { events: 200, gap: Duration::ZERO };
const FLOODS: u32 = 16;
const HELD: Wanted = Wanted { events: 8, gap: Duration::from_millis(500) };
const HELD_STREAMS: u32 = 1000;
const WARM_UP: Duration = Duration::from_millis(500);
/// For what a proxy does after the answer, such as writing an audit log.
const SETTLE: Duration = Duration::from_millis(300);

impl Plan {
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        gentle: Duration::from_secs(4),
        brisk: Duration::from_secs(5),
        most: Duration::from_secs(3),
        streams: Duration::from_secs(3),
        hold: true,
    };

    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        gentle: Duration::from_secs(2),
        brisk: Duration::from_secs(3),
        most: Duration::from_secs(2),
        streams: Duration::from_secs(2),
        hold: false,
    };

    /// Puts one proxy through everything.
    pub(crate) fn carry_out(&self, peer: Peer, running: &Running, first_round: bool) -> Round {
        let mut course = Course { target: &running.target, process: running.process.as_ref(), round: Round::new() };
        course.note("memory.start", |memory| memory.resident);
        course.target.at_rate(GENTLE.rate * 4, WARM_UP);
        course.unary(GENTLE, self.gentle);
        course.streams(GENTLE, self.streams);
        if peer != Peer::Litellm {
            course.target.at_rate(BRISK.rate, WARM_UP);
            course.unary(BRISK, self.brisk);
            course.streams(BRISK, self.streams);
        }
        course.unary_at_most(self.most);
        course.flood(self.most);
        course.note("memory.peak", |memory| memory.peak);
        if self.hold && first_round && peer != Peer::Litellm {
            course.hold();
        }
        course.round
    }
}

/// One proxy on its way through a round.
struct Course<'a> {
    target: &'a Target,
    process: Option<&'a Process>,
    round: Round,
}

impl Course<'_> {
    fn unary(&mut self, pace: Pace, time: Duration) {
        let (mut unary, cpu) = self.with_cpu(|target| target.at_rate(pace.rate, time));
        self.put(pace, "p50", unary.times.percentile(50));
        self.put(pace, "p99", unary.times.percentile(99));
        self.put(pace, "cpu", per(cpu, unary.times.len() as u64));
    }

    fn streams(&mut self, pace: Pace, time: Duration) {
        let (mut streams, cpu) = self.with_cpu(|target| target.streams(pace.streams, STREAM, time));
        self.put(pace, "first.p50", streams.first.percentile(50));
        self.put(pace, "first.p99", streams.first.percentile(99));
        self.put(pace, "gap.p99", streams.gaps.percentile(99));
        self.put(pace, "event.cpu", per(cpu, streams.events));
    }

    fn unary_at_most(&mut self, time: Duration) {
        let (unary, cpu): (Unary, _) = self.with_cpu(|target| target.at_most(time));
        let count = unary.times.len() as u64;
        self.round.insert("most.rate".to_owned(), float(count) / unary.lasted.as_secs_f64());
        self.round.insert("most.cpu".to_owned(), per(cpu, count));
    }

    fn flood(&mut self, time: Duration) {
        let (streams, cpu): (Streams, _) = self.with_cpu(|target| target.streams(FLOODS, FLOOD, time));
        let rate = float(streams.events) / streams.lasted.as_secs_f64();
        self.round.insert("most.event.rate".to_owned(), rate);
        self.round.insert("most.event.cpu".to_owned(), per(cpu, streams.events));
    }

    /// Memory while a thousand streams are open: they begin one after the other over the length of one, and go on until all are there.
    fn hold(&mut self) {
        if self.process.is_none() {
            return;
        }
        let all_open = HELD.gap * HELD.events;
        let target = self.target;
        std::thread::scope(|scope| {
            scope.spawn(move || target.streams(HELD_STREAMS, HELD, all_open + Duration::from_secs(1)));
            std::thread::sleep(all_open + Duration::from_millis(500));
            self.note("memory.streams", |memory| memory.resident);
        });
    }

    fn with_cpu<T>(&self, load: impl FnOnce(&Target) -> T) -> (T, Option<Duration>) {
        let before = self.process.map(Process::cpu);
        let result = load(self.target);
        std::thread::sleep(SETTLE);
        let after = self.process.map(Process::cpu);
        (result, after.zip(before).map(|(after, before)| after.saturating_sub(before)))
    }

    fn put(&mut self, pace: Pace, key: &str, value: f64) {
        self.round.insert(format!("{}.{key}", pace.name), value);
    }

    fn note(&mut self, key: &str, which: impl Fn(Memory) -> u64) {
        if let Some(process) = self.process {
            self.round.insert(key.to_owned(), float(which(process.memory())));
        }
    }
}

/// CPU time in microseconds for each of `count`.
fn per(cpu: Option<Duration>, count: u64) -> f64 {
    cpu.map_or(f64::NAN, |cpu| cpu.as_secs_f64() * 1e6 / float(count))
}
