//! Numbers, and how they are printed.

use std::fmt;
use std::time::Duration;

/// Memory in MiB, of 1024 × 1024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Mebibytes(f64);

impl fmt::Display for Mebibytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0)
    }
}

/// A time as milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Milliseconds(f64);

impl From<Duration> for Milliseconds {
    fn from(time: Duration) -> Self {
        Self(time.as_secs_f64() * 1000.0)
    }
}

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ms", self.0)
    }
}

/// What one process takes, from `/proc/PID/smaps_rollup`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// All pages in memory, those of files that others use too included.
    pub(crate) resident: Mebibytes,
    /// Shared pages counted in parts.
    pub(crate) proportional: Mebibytes,
    /// Heap and stacks.
    pub(crate) anonymous: Mebibytes,
}

impl Memory {
    /// Of the process `pid`.
    pub(crate) fn of(pid: u32) -> Self {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("Linux has smaps_rollup");
        let field = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name)).expect("smaps_rollup has this field");
            let kibibytes: f64 = line.split_whitespace().nth(1).and_then(|text| text.parse().ok()).expect("a number");
            Mebibytes(kibibytes / 1024.0)
        };
        Self { resident: field("Rss:"), proportional: field("Pss:"), anonymous: field("Anonymous:") }
    }
}

/// Smallest, middle and largest of some measurements.
#[derive(Debug)]
pub(crate) struct Spread<T>([T; 3]);

impl<T: Copy + PartialOrd> Spread<T> {
    /// Of at least one measurement.
    pub(crate) fn of(values: &[T]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| a.partial_cmp(b).expect("a measurement is a number"));
        Self([sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1]])
    }
}

impl<T: fmt::Display> fmt::Display for Spread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [min, median, max] = &self.0;
        write!(f, "median {median}   (min {min}, max {max})")
    }
}

/// The size of the program's file.
pub(crate) fn size_of_program() -> Mebibytes {
    let bytes = std::fs::metadata(super::program::DOORWARD).expect("cargo has built it").len();
    #[expect(clippy::cast_precision_loss, reason = "no program is that large")]
    Mebibytes(bytes as f64 / (1024.0 * 1024.0))
}
