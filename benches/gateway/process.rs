//! The programs under measurement: started, bound to a core, read from outside, ended.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::numbers::float;

/// The load and the upstream run here.
pub(crate) const OUR_CORE: &str = "0";
/// Each proxy runs here, alone.
const PROXY_CORE: &str = "1";
/// `USER_HZ`, the unit of the times in `/proc/PID/stat`; the same on every Linux for x86-64 and ARM.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running program with all of its processes. It ends when this is dropped, and when this benchmark is killed.
#[derive(Debug)]
pub(crate) struct Process(Child);

/// Memory of all processes of a program, in bytes; what they share is counted for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// The most that was ever resident, or since [`Process::forget_peak`].
    pub(crate) peak: u64,
}

impl Process {
    /// Starts a proxy on a core of its own, with `environment` and nothing else of ours; what it says goes to `log`.
    pub(crate) fn on_own_core(
        program: &[&str],
        environment: &[(&str, &str)],
        folder: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        Self::start(PROXY_CORE, program, environment, folder, log)
    }

    /// Starts a program on the core of the load.
    pub(crate) fn on_our_core(program: &[&str], log: &Path) -> io::Result<Self> {
        Self::start(OUR_CORE, program, &[], Path::new("."), log)
    }

    fn start(
        core: &str,
        program: &[&str],
        environment: &[(&str, &str)],
        folder: &Path,
        log: &Path,
    ) -> io::Result<Self> {
        let log = File::create(log)?;
        Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "taskset", "--cpu-list", core])
            .args(program)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", folder)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map(Self)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_some())
    }

    /// CPU time so far, user and system, of all its processes. The kernel rounds it to 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        let ticks: u64 = self.tree().iter().map(|stat| stat.ticks).sum();
        Duration::from_secs_f64(float(ticks) / TICKS_PER_SECOND)
    }

    pub(crate) fn memory(&self) -> Memory {
        let memories = self.tree().into_iter().map(|stat| memory_of(stat.pid));
        memories.fold(Memory::default(), |sum, one| Memory {
            resident: sum.resident + one.resident,
            peak: sum.peak + one.peak,
        })
    }

    /// Lets the peak of the memory begin at what is resident now.
    pub(crate) fn forget_peak(&self) -> io::Result<()> {
        self.tree().iter().try_for_each(|stat| fs::write(format!("/proc/{}/clear_refs", stat.pid), "5"))
    }

    /// The process and its descendants.
    fn tree(&self) -> Vec<Stat> {
        let mut by_parent: HashMap<u32, Vec<Stat>> = HashMap::new();
        let mut found = Vec::new();
        for stat in all_processes() {
            if stat.pid == self.pid() {
                found.push(stat);
            } else {
                by_parent.entry(stat.parent).or_default().push(stat);
            }
        }
        let mut next = 0;
        while let Some(stat) = found.get(next) {
            let children = by_parent.remove(&stat.pid).unwrap_or_default();
            found.extend(children);
            next += 1;
        }
        found
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status();
        for _ in 0..100 {
            if self.has_ended() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug)]
struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

fn all_processes() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| read_stat(entry.file_name().to_str()?.parse().ok()?))
}

fn read_stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program stands in brackets and may hold anything.
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { pid, parent, ticks: number(11)? + number(12)? })
}

fn memory_of(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    Memory { resident: field("VmRSS:").unwrap_or(0) << 10, peak: field("VmHWM:").unwrap_or(0) << 10 }
}
