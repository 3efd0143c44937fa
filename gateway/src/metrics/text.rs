//! The text format of Prometheus, version 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

const PREFIX: &str = "doorward_gateway_";

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// Durations, counted in buckets.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Upper ends, in seconds.
    ends: &'static [f64],
    /// One more than ends: the last has no end.
    counts: Vec<u64>,
    sum: Duration,
}

impl Histogram {
    pub(super) fn new(ends: &'static [f64]) -> Self {
        Self { ends, counts: vec![0; ends.len() + 1], sum: Duration::ZERO }
    }

    pub(super) fn observe(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.counts[self.ends.partition_point(|end| *end < seconds)] += 1;
        self.sum = self.sum.saturating_add(time);
    }
}

/// What a collector reads.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, kind: Kind, name: &str, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.write(format_args!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}\n"));
    }

    /// One sample. The values of labels hold nothing that would have to be escaped.
    pub(super) fn line(&mut self, name: &str, labels: &[(&str, &str)], value: &impl Display) {
        self.write(format_args!("{PREFIX}{name}"));
        for (index, (label, value)) in labels.iter().enumerate() {
            self.write(format_args!("{}{label}=\"{value}\"", if index == 0 { "{" } else { "," }));
        }
        self.write(format_args!("{} {value}\n", if labels.is_empty() { "" } else { "}" }));
    }

    /// The samples of one histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: &[(&str, &str)], histogram: &Histogram) {
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        let ends = histogram.ends.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (end, count) in ends.zip(&histogram.counts) {
            total += count;
            let labels: Vec<_> = labels.iter().copied().chain([("le", end.as_str())]).collect();
            self.line(&bucket, &labels, &total);
        }
        self.line(&format!("{name}_sum"), labels, &histogram.sum.as_secs_f64());
        self.line(&format!("{name}_count"), labels, &total);
    }

    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        self.0.write_fmt(what).expect("a String takes every write");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_upwards_and_an_end_belongs_to_its_bucket() {
        let mut histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [100, 101, 5_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        text.family(Kind::Histogram, "h_seconds", "A test.");
        text.histogram("h_seconds", &[("upstream", "up")], &histogram);
        let expected = "# HELP doorward_gateway_h_seconds A test.\n\
                        # TYPE doorward_gateway_h_seconds histogram\n\
                        doorward_gateway_h_seconds_bucket{upstream=\"up\",le=\"0.1\"} 1\n\
                        doorward_gateway_h_seconds_bucket{upstream=\"up\",le=\"1\"} 2\n\
                        doorward_gateway_h_seconds_bucket{upstream=\"up\",le=\"+Inf\"} 3\n\
                        doorward_gateway_h_seconds_sum{upstream=\"up\"} 5.201\n\
                        doorward_gateway_h_seconds_count{upstream=\"up\"} 3\n";
        assert_eq!(String::from(text), expected);
    }
}
