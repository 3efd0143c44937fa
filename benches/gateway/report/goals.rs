//! What the gateway set out to reach, beside what it has reached.

use serde_json::{Value, json};

use super::Report;
use crate::peers::Peer;

/// A value of doorward that shall not be above another.
struct Goal {
    says: &'static str,
    is: f64,
    at_most: f64,
}

fn goals(report: &Report) -> [Goal; 6] {
    let ours = |key| report.value(Peer::Doorward, key);
    let added = |peer, key| report.value(peer, key) - report.value(Peer::Direct, key);
    [
        Goal {
            says: "CPU per unary request: less than Envoy (µs)",
            is: ours("brisk.cpu"),
            at_most: report.value(Peer::Envoy, "brisk.cpu"),
        },
        Goal {
            says: "CPU per unary request: reaching for 2 × nginx (µs)",
            is: ours("brisk.cpu"),
            at_most: 2.0 * report.value(Peer::Nginx, "brisk.cpu"),
        },
        Goal {
            says: "CPU per unary request, saturated: less than Envoy (µs)",
            is: ours("most.cpu"),
            at_most: report.value(Peer::Envoy, "most.cpu"),
        },
        Goal {
            says: "CPU per unary request, saturated: 60 × less than LiteLLM (µs)",
            is: ours("most.cpu"),
            at_most: report.value(Peer::Litellm, "most.cpu") / 60.0,
        },
        Goal {
            says: "unary, 1000/s: added p50 less than Envoy (µs)",
            is: added(Peer::Doorward, "brisk.p50"),
            at_most: added(Peer::Envoy, "brisk.p50"),
        },
        Goal { says: "1000 open streams: under 100 MB", is: ours("memory.streams") / 1e6, at_most: 100.0 },
    ]
}

/// One line for each goal that this run can judge.
pub(super) fn lines(report: &Report) -> String {
    let judged = goals(report).into_iter().filter(Goal::is_judged);
    let line = |goal: Goal| {
        let Goal { says, is, at_most } = goal;
        let verdict = if is <= at_most { "reached" } else { "missed" };
        format!("{says:<62} {is:>8.1} of {at_most:>8.1}  {:.2} ×  {verdict}", is / at_most)
    };
    judged.map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn json(report: &Report) -> Vec<Value> {
    let judged = goals(report).into_iter().filter(Goal::is_judged);
    judged.map(|Goal { says, is, at_most }| json!({ "goal": says, "is": is, "at_most": at_most })).collect()
}

impl Goal {
    fn is_judged(&self) -> bool {
        !self.is.is_nan() && !self.at_most.is_nan()
    }
}
