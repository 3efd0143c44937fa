//! Where a proxy spends its time, by `perf`.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::install::{self, Missing};
use crate::peers::Running;

/// Records while requests come at a fixed rate; gives the functions that took most, each with its share.
pub(crate) fn record(running: &Running, rate: u32, seconds: u64) -> Result<String, Missing> {
    let process = running.process.as_ref().ok_or("the upstream itself is not profiled")?;
    let data = install::folder().join("perf.data");
    let mut perf = Command::new("perf")
        .args(["record", "--quiet", "--freq", "1999", "--call-graph", "fp", "--pid", &process.pid().to_string(), "-o"])
        .arg(&data)
        .args(["--", "sleep", &seconds.to_string()])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("perf (Debian: linux-perf) cannot be started: {error}"))?;
    let unary = running.target.at_rate(rate, Duration::from_secs(seconds));
    perf.wait().map_err(|error| error.to_string())?;
    crate::say(&format!("{} requests; the recording is {}", unary.times.len(), data.display()));
    let report = ["report", "--stdio", "--no-children", "--percent-limit", "0.3", "-g", "none", "-i"];
    install::run(Command::new("perf").args(report).arg(&data))
}
