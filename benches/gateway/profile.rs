//! Where a proxy spends its time, by `perf`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::install::{self, Missing};
use crate::peers::Running;

/// Functions with less than this share, in percent, are left out.
const SMALLEST_SHARE: &str = "1";
/// Types of Rust have long names.
const WIDEST_LINE: usize = 160;

/// Records while requests come at a fixed rate. Gives the share of each thread in the program, its libraries and the kernel, and then
/// that of each function with all that it called.
pub(crate) fn record(running: &Running, rate: u32, seconds: u64) -> Result<String, Missing> {
    let process = running.process.as_ref().ok_or("the upstream itself is not profiled")?;
    let data = install::folder().join("perf.data");
    let (pid, length) = (process.pid().to_string(), seconds.to_string());
    let mut perf = Command::new("perf")
        .args(["record", "--quiet", "--freq", "399", "--call-graph", "dwarf,32768", "--pid", &pid, "--output"])
        .arg(&data)
        .args(["--", "sleep", &length])
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("perf (Debian: linux-perf) cannot be started: {error}"))?;
    let unary = running.target.at_rate(rate, Duration::from_secs(seconds));
    perf.wait().map_err(|error| error.to_string())?;
    crate::say(&format!("{} requests; the recording is {}", unary.times.len(), data.display()));
    let threads = report(&data, &["--no-children", "--sort", "comm,dso"])?;
    let functions = report(&data, &["--children", "--sort", "comm,symbol"])?;
    Ok(format!("{threads}\n\nwith what they called, without:\n{functions}"))
}

fn report(data: &Path, how: &[&str]) -> Result<String, Missing> {
    let mut command = Command::new("perf");
    command.args(["report", "--stdio", "--percent-limit", SMALLEST_SHARE, "--call-graph", "none", "--input"]).arg(data);
    let text = install::run(command.args(how))?;
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let short = lines.map(|line| line.trim_end().chars().take(WIDEST_LINE).collect::<String>());
    Ok(short.collect::<Vec<_>>().join("\n"))
}
