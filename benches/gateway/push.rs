//! What a large `git push` costs the gateway, which has to see that the push is a fast-forward before it lets it through.

mod upstream;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::time::Instant;

use crate::install::{self, Missing};
use crate::numbers::{float, mebibytes};
use crate::peers::{self, Running};
use crate::process::Process;

pub(crate) use upstream::serve;

/// Random bytes in files of 50 MB: nothing of them can be compressed.
const FILES: u32 = 10;
const FILE: &str = "50MB";
const REPOSITORY: &str = "acme/big.git";
/// The goal: so many bytes more than before.
const GOAL: f64 = 16e6;

/// Pushes a small commit, which makes everything warm, and then a large one on top of it.
pub(crate) fn measure(program: &Path, json: bool) -> Result<String, Missing> {
    let folder = install::folder().join("push");
    let work = make_commits(&folder.join("work"))?;
    let (upstream, address) = start_upstream(&folder.join("upstream"))?;
    let running = peers::start_for_git(address, program)?;
    let url = format!("http://git:{}@{}/git/{REPOSITORY}", running.target.key, running.target.address);
    push(&work, &url, "small")?;
    let rise = push_and_watch(&running, &work, &url)?;
    drop(upstream);
    Ok(if json { rise.json() } else { rise.text() })
}

/// What the large push took.
struct Rise {
    before: u64,
    most: u64,
    seconds: f64,
    cpu_seconds: f64,
}

fn push_and_watch(running: &Running, work: &Path, url: &str) -> Result<Rise, Missing> {
    let process = running.process.as_ref().ok_or("the gateway runs as a process of its own")?;
    let before = process.memory().resident;
    process.forget_peak().map_err(|error| format!("the peak of the memory cannot be reset: {error}"))?;
    let (begin, cpu) = (Instant::now(), process.cpu());
    push(work, url, "large")?;
    let (seconds, cpu) = (begin.elapsed().as_secs_f64(), process.cpu().saturating_sub(cpu));
    Ok(Rise { before, most: process.memory().peak, seconds, cpu_seconds: cpu.as_secs_f64() })
}

impl Rise {
    fn bytes(&self) -> u64 {
        self.most.saturating_sub(self.before)
    }

    fn text(&self) -> String {
        let verdict = if float(self.bytes()) < GOAL { "reached" } else { "missed" };
        format!(
            "a push of {FILES} × {FILE}, a fast-forward of a branch\n\
             memory before {:.1} MiB, most while it ran {:.1} MiB: {:.1} MiB more; the goal, less than 16 MB, is {verdict}\n\
             {:.1} s, of which {:.2} s CPU time of doorward",
            mebibytes(self.before),
            mebibytes(self.most),
            mebibytes(self.bytes()),
            self.seconds,
            self.cpu_seconds
        )
    }

    fn json(&self) -> String {
        let Self { before, most, seconds, cpu_seconds } = self;
        serde_json::json!({ "before": before, "most": most, "seconds": seconds, "cpu_seconds": cpu_seconds })
            .to_string()
    }
}

/// Moves the branch that the grant allows to one of the tags.
fn push(work: &Path, url: &str, tag: &str) -> Result<(), Missing> {
    git(work, &["push", "--quiet", url, &format!("{tag}^{{commit}}:refs/heads/agent/big")])
}

/// A repository with two commits, tagged `small` and `large`; kept for the next run.
fn make_commits(work: &Path) -> Result<PathBuf, Missing> {
    if work.join("complete").exists() {
        return Ok(work.to_owned());
    }
    crate::say("making half a gigabyte of random files (once)");
    peers::make_empty(work)?;
    git(work, &["init", "--quiet", "."])?;
    commit(work, "small", 1, "64K")?;
    commit(work, "large", FILES, FILE)?;
    fs::write(work.join("complete"), "").map_err(|error| format!("{}: {error}", work.display()))?;
    Ok(work.to_owned())
}

fn commit(work: &Path, tag: &str, files: u32, size: &str) -> Result<(), Missing> {
    for number in 0..files {
        let script = format!("head -c {size} /dev/urandom > {tag}-{number}");
        install::run(Command::new("sh").args(["-c", &script]).current_dir(work))?;
    }
    git(work, &["add", "."])?;
    git(work, &["commit", "--quiet", "-m", tag])?;
    git(work, &["tag", tag])
}

/// An empty repository, served by `git http-backend`.
fn start_upstream(root: &Path) -> Result<(Process, SocketAddr), Missing> {
    peers::make_empty(root)?;
    git(root, &["init", "--quiet", "--bare", REPOSITORY])?;
    // It keeps the pack as it came.
    git(&root.join(REPOSITORY), &["config", "receive.unpackLimit", "1"])?;
    crate::start_ourselves("git-upstream", &[peers::text(root)?])
}

/// Without the configuration of the person who runs this. Random bytes are neither compressed nor compared in vain.
fn git(folder: &Path, arguments: &[&str]) -> Result<(), Missing> {
    let settings =
        ["user.name=bench", "user.email=bench@example.org", "core.compression=0", "core.bigFileThreshold=1m"];
    let mut command = Command::new("git");
    command.args(settings.into_iter().flat_map(|setting| ["-c", setting])).args(arguments).current_dir(folder);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    install::run(&mut command).map(drop)
}
