//! A child that cannot outlive us, however we end.
//!
//! The homeserver is the child of a few lines of shell that hold the reading end of a pipe. When our end closes (we asked
//! for it, or we were killed) the shell ends the homeserver: TERM, and KILL after a while. Both are in a process group of
//! their own, because Ctrl-C reaches the whole foreground group and we want to say goodbye in our own order.
//!
//! The log of the child is locked for as long as any of them lives: a second start waits on that lock, not on a pid.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, ChildStdin};
use tokio::time::Instant;

use super::programs::Programs;
use crate::failure::Failure;

/// Its arguments: a clean-up command for afterwards (may be empty), then the program and its arguments.
const SCRIPT: &str = r#"
exec 3<&0
cleanup=$1; shift
"$@" 3<&- </dev/null &
child=$!
(
  while read -r _ <&3; do :; done
  kill -TERM "$child"
  tries=0
  while kill -0 "$child" && [ "$tries" -lt 60 ]; do sleep 0.1; tries=$((tries + 1)); done
  kill -KILL "$child"
) 2>/dev/null &
watcher=$!
wait "$child"
status=$?
kill "$watcher" 2>/dev/null
[ -z "$cleanup" ] || sh -c "$cleanup" >/dev/null 2>&1
exit "$status"
"#;
/// Longer than the script waits between TERM and KILL.
const GOODBYE: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(50);

/// A running child and the pipe that keeps it alive.
#[derive(Debug)]
pub(crate) struct Supervised {
    name: &'static str,
    child: Child,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

/// What to run.
#[derive(Debug)]
pub(super) struct Program {
    /// For sentences about it.
    pub(super) name: &'static str,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
    /// A shell command that removes what the program may leave behind; empty if nothing.
    pub(super) cleanup: String,
    /// Where it writes.
    pub(super) log: PathBuf,
}

impl Supervised {
    /// Starts `program`, after a leftover of an earlier start has gone.
    pub(super) async fn start(program: Program, programs: &Programs) -> Result<Self, Failure> {
        let log = own_log(&program.log).await?;
        let mut command = programs.command("sh");
        command.args(["-c", SCRIPT, "doorward-supervisor", &program.cleanup]).args(&program.command);
        let mut child = command
            .process_group(0)
            .kill_on_drop(false)
            .stdin(Stdio::piped())
            .stdout(Stdio::from(log.try_clone()?))
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|error| Failure::from(error).while_doing(format_args!("starting {}", program.name)))?;
        let lifeline = child.stdin.take();
        Ok(Self { name: program.name, child, lifeline, log: program.log })
    }

    /// Waits until `is_up` says yes; a child that ends instead, or never gets there, is an error with its last words.
    pub(super) async fn wait_until(&mut self, is_up: impl AsyncFn() -> bool, within: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + within;
        while !is_up().await {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended while starting ({status})")));
            }
            if Instant::now() > deadline {
                return Err(self.failure(&format!("did not answer within {} s", within.as_secs())));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Returns when the child has ended by itself, with what to say about that.
    pub(crate) async fn ended(&mut self) -> Failure {
        match self.child.wait().await {
            Ok(status) => self.failure(&format!("ended by itself ({status})")),
            Err(error) => Failure::from(error),
        }
    }

    /// Ends the child and waits until it is gone.
    pub(crate) async fn stop(mut self) {
        drop(self.lifeline.take());
        if tokio::time::timeout(GOODBYE, self.child.wait()).await.is_err() {
            tracing::warn!(log = %self.log.display(), "{} is slow to end; it is left to its supervisor", self.name);
        }
    }

    fn failure(&self, what: &str) -> Failure {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(3)..].join(" / ");
        Failure::new(format_args!("{} {what}; the last lines of {}: {last}", self.name, self.log.display()))
    }
}

/// The empty log, locked; waits for the leftover of an earlier start to end.
async fn own_log(path: &Path) -> Result<File, Failure> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let deadline = Instant::now() + GOODBYE;
    loop {
        match log.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(POLL).await,
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format_args!(
                    "a homeserver of an earlier start still runs and writes to {}: stop it first",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    log.set_len(0)?;
    Ok(log)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn program(folder: &Path, script: &str) -> Program {
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        Program { name: "the child", command, cleanup: String::new(), log: folder.join("log") }
    }

    fn programs() -> Programs {
        Programs::without_secrets(&Environment::default())
    }

    fn says(folder: &Path, text: &str) -> bool {
        std::fs::read_to_string(folder.join("log")).unwrap().contains(text)
    }

    #[tokio::test]
    async fn a_child_ends_when_its_lifeline_closes_and_its_log_is_free_again() {
        let folder = tempfile::tempdir().unwrap();
        let script = "trap 'echo goodbye; exit 0' TERM; echo hello; while :; do sleep 0.05; done";
        let mut child = Supervised::start(program(folder.path(), script), &programs()).await.unwrap();
        child.wait_until(async || says(folder.path(), "hello"), Duration::from_secs(10)).await.unwrap();
        drop(child.lifeline.take());
        child.child.wait().await.unwrap();
        assert!(says(folder.path(), "goodbye"));
        own_log(&folder.path().join("log")).await.unwrap();
    }

    #[tokio::test]
    async fn a_second_start_waits_for_the_first_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = Supervised::start(
            program(folder.path(), "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done"),
            &programs(),
        )
        .await
        .unwrap();
        drop(first.lifeline.take());
        let second = Supervised::start(program(folder.path(), "exit 0"), &programs()).await.unwrap();
        assert!(first.child.try_wait().unwrap().is_some() || first.child.wait().await.is_ok());
        second.stop().await;
    }

    #[tokio::test]
    async fn a_child_that_ends_too_early_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let mut child =
            Supervised::start(program(folder.path(), "echo no such database; exit 3"), &programs()).await.unwrap();
        let error = child.wait_until(async || false, Duration::from_secs(10)).await.unwrap_err().to_string();
        assert!(error.contains("no such database") && error.contains('3'), "{error}");
    }
}
