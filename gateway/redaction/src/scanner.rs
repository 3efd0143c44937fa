//! Where in a stream secrets stand, and from where on it has to wait for what follows.

use std::collections::VecDeque;
use std::ops::Range;

use crate::anchors::ANCHOR;
use crate::automaton::{Automaton, State};
use crate::escapes;
use crate::layer::{Layer, Unit};
use crate::secrets::Prepared;

/// How many layers of escapes are taken off, as of JSON within JSON within a URL.
const LAYERS: usize = 3;

/// The search in one stream. Offsets are counted from its start.
#[derive(Default)]
pub(crate) struct Scanner {
    /// The offset of the next byte.
    offset: u64,
    /// The stream with 0, 1, … layers of escapes taken off.
    views: [View; LAYERS + 1],
    /// What lies between each view and the next.
    layers: [Layer; LAYERS],
    /// Room for what a layer gives at once.
    room: [Vec<Unit>; LAYERS],
    /// Where secrets stand, in order and apart from each other.
    marks: Vec<Range<u64>>,
    found: u64,
}

/// How far the search is in a chunk.
struct Progress {
    /// No rendering has begun before this place.
    certain: usize,
    /// And none before this place whose characters are escaped.
    read: usize,
}

/// How far the search is in one view.
#[derive(Default)]
struct View {
    state: State,
    /// Where in the stream each byte of the prefix comes from that the state stands for.
    starts: VecDeque<u64>,
    last: u8,
}

impl View {
    /// Takes the next byte. A secret that ends with it is given as a range of the stream.
    fn step(&mut self, automaton: &Automaton, unit: Unit) -> Option<Range<u64>> {
        let last = std::mem::replace(&mut self.last, unit.byte);
        if self.state == State::ROOT && !automaton.begins(unit.byte) {
            return None;
        }
        if self.breaks_line(automaton, last, unit.byte) {
            return None;
        }
        self.state = automaton.step(self.state, unit.byte);
        self.starts.push_back(unit.start);
        let ended = self.starts.len().saturating_sub(automaton.depth(self.state));
        self.starts.drain(..ended);
        let length = automaton.match_length(self.state)?;
        let first = self.starts.len().checked_sub(length)?;
        Some(*self.starts.get(first)?..unit.end)
    }

    fn forget(&mut self) {
        self.state = State::ROOT;
        self.starts.clear();
    }

    /// Whether the byte is a single line break within a rendering that has none there: base64 is often broken into lines.
    fn breaks_line(&self, automaton: &Automaton, last: u8, byte: u8) -> bool {
        let single = match byte {
            b'\n' => last != b'\n',
            b'\r' => last != b'\n' && last != b'\r',
            _ => false,
        };
        single && automaton.depth(self.state) >= ANCHOR && automaton.child(self.state, byte).is_none()
    }
}

impl Scanner {
    /// Searches the next piece of the stream.
    pub(crate) fn scan(&mut self, secrets: &Prepared, chunk: &[u8]) {
        let mut places = Places::new(secrets, chunk);
        let mut at = self.read(secrets, chunk, 0..0);
        while at.read < chunk.len() {
            // What begins in the last bytes has no whole anchor yet.
            let tail = chunk.len().saturating_sub(ANCHOR - 1)..chunk.len();
            let place = places.next(&at).unwrap_or(tail);
            at = self.read(secrets, chunk, place.start.max(at.certain)..place.end);
        }
        self.offset += chunk.len() as u64;
    }

    /// Reads the range, and on until any rendering that has begun is at an anchor's beginning, and will be found by the anchor.
    fn read(&mut self, secrets: &Prepared, chunk: &[u8], range: Range<usize>) -> Progress {
        let mut idle = self.is_idle();
        for (at, &byte) in chunk.iter().enumerate().skip(range.start) {
            if at >= range.end
                && let Some(certain) = self.leave(at)
            {
                return Progress { certain, read: at };
            }
            if idle && !secrets.automaton.begins(byte) && !escapes::begins(byte) {
                continue;
            }
            let start = self.offset + at as u64;
            self.feed(secrets, 0, Unit { byte, start, end: start + 1 });
            idle = self.is_idle();
        }
        Progress { certain: chunk.len(), read: chunk.len() }
    }

    /// Forgets all beginnings of renderings, if each is of this chunk, unescaped, and shorter than an anchor. Gives where the first begins.
    fn leave(&mut self, at: usize) -> Option<usize> {
        let end = self.offset + at as u64;
        let certain = self.certain().min(end);
        let back = usize::try_from(end - certain).ok().filter(|&back| back < ANCHOR && back <= at)?;
        let unescaped = |view: &View| view.starts.front().is_none_or(|start| start + view.starts.len() as u64 == end);
        if !self.views.iter().all(unescaped) || self.layers.iter().any(|layer| layer.pending_from().is_some()) {
            return None;
        }
        self.views.iter_mut().for_each(View::forget);
        Some(at - back)
    }

    fn is_idle(&self) -> bool {
        self.views.iter().all(|view| view.state == State::ROOT)
            && self.layers.iter().all(|layer| layer.pending_from().is_none())
    }

    /// Gives a byte to a view and those above it.
    fn feed(&mut self, secrets: &Prepared, level: usize, unit: Unit) {
        if let Some(range) = self.views[level].step(&secrets.automaton, unit) {
            self.mark(range);
        }
        if level == LAYERS {
            return;
        }
        if self.layers[level].lets_pass(unit.byte) {
            return self.feed(secrets, level + 1, unit);
        }
        let mut units = std::mem::take(&mut self.room[level]);
        self.layers[level].push(unit, &mut units);
        units.drain(..).for_each(|unit| self.feed(secrets, level + 1, unit));
        self.room[level] = units;
    }

    /// Remembers where a secret stands. Views and secrets that overlap mark the same place again.
    fn mark(&mut self, range: Range<u64>) {
        let first = self.marks.partition_point(|mark| mark.end <= range.start);
        let end = self.marks.partition_point(|mark| mark.start < range.end);
        let known = &self.marks[first..end];
        let start = known.first().map_or(range.start, |mark| mark.start.min(range.start));
        let merged = start..known.last().map_or(range.end, |mark| mark.end.max(range.end));
        self.found += u64::from(known.is_empty());
        self.marks.splice(first..end, [merged]);
    }

    /// The stream is over.
    pub(crate) fn finish(&mut self, secrets: &Prepared) {
        for level in 0..LAYERS {
            let mut units = Vec::new();
            self.layers[level].finish(&mut units);
            for unit in units {
                self.feed(secrets, level + 1, unit);
            }
        }
        self.views.iter_mut().for_each(View::forget);
    }

    /// The offset up to which it is certain where secrets stand.
    pub(crate) fn certain(&self) -> u64 {
        let begun = self.views.iter().filter_map(|view| view.starts.front().copied());
        let pending = self.layers.iter().filter_map(Layer::pending_from);
        begun.chain(pending).min().unwrap_or(self.offset)
    }

    /// Where secrets stand, in order. Those that end at `before` or earlier are forgotten.
    pub(crate) fn marks_from(&mut self, before: u64) -> &[Range<u64>] {
        self.marks.retain(|mark| mark.end > before);
        &self.marks
    }

    /// How many secrets were found so far.
    pub(crate) fn found(&self) -> u64 {
        self.found
    }
}

/// The places of a chunk that have to be read closely.
struct Places<'a> {
    secrets: &'a Prepared,
    chunk: &'a [u8],
    /// The next anchor; none if there is none.
    anchor: Option<usize>,
    /// The next escape sequence that matters, as far as it was looked at.
    escape: Option<Range<usize>>,
}

impl<'a> Places<'a> {
    fn new(secrets: &'a Prepared, chunk: &'a [u8]) -> Self {
        let anchor = secrets.anchors.find(chunk, 0);
        Self { secrets, chunk, anchor, escape: secrets.relevance.find(chunk, 0) }
    }

    /// The first place that is not behind us, with the bytes before it that may belong to it.
    fn next(&mut self, at: &Progress) -> Option<Range<usize>> {
        if self.anchor.is_some_and(|anchor| anchor < at.certain) {
            self.anchor = self.secrets.anchors.find(self.chunk, at.certain);
        }
        if self.escape.as_ref().is_some_and(|escape| escape.start < at.read) {
            self.escape = self.secrets.relevance.find(self.chunk, at.read);
        }
        let anchor = self.anchor.map(|anchor| anchor..anchor + ANCHOR);
        let escape = self.escape.as_ref().map(|escape| escape.start.saturating_sub(ANCHOR - 1)..escape.end);
        anchor.into_iter().chain(escape).min_by_key(|place| place.start)
    }
}
