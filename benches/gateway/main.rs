//! The gateway beside other proxies: what each adds to a request, and what it takes for that.
//!
//! `cargo bench --bench gateway`; see the README beside this file.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![expect(clippy::print_stderr, reason = "and says what it is doing")]

mod install;
mod load;
mod numbers;
mod peers;
mod process;
mod profile;
mod push;
mod report;
mod scenarios;
mod upstream;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use crate::install::Missing;
use crate::peers::Peer;
use crate::process::Process;
use crate::report::Report;
use crate::scenarios::Plan;

#[derive(Debug, Parser)]
#[command(about = "The gateway beside nginx, Envoy, ferrogw and LiteLLM")]
struct Options {
    /// One short round: a look, no result.
    #[arg(long)]
    quick: bool,
    /// Prints JSON in place of the table.
    #[arg(long, global = true)]
    json: bool,
    /// Measures these alone.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Peer>,
    /// Another build of doorward than cargo's.
    #[arg(long, global = true, default_value = env!("CARGO_BIN_EXE_doorward"))]
    doorward: PathBuf,
    #[command(subcommand)]
    mode: Option<Mode>,
    /// Given by cargo.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Installs the other proxies, and measures nothing.
    Install,
    /// Shows with `perf` where one proxy spends its time.
    Profile {
        #[arg(value_enum, default_value = "doorward")]
        peer: Peer,
        /// Requests in a second.
        #[arg(long, default_value_t = 1000)]
        rate: u32,
        #[arg(long, default_value_t = 15)]
        seconds: u64,
    },
    /// Pushes half a gigabyte with git through doorward.
    Push,
    /// The model, as a process of its own.
    #[command(hide = true)]
    Upstream { address: SocketAddr },
    /// Repositories, likewise.
    #[command(hide = true)]
    GitUpstream { address: SocketAddr, root: PathBuf },
}

fn main() -> ExitCode {
    let mut options = Options::parse();
    // Programs are started in folders of their own.
    options.doorward = options.doorward.canonicalize().unwrap_or(options.doorward);
    let done = match &options.mode {
        Some(Mode::Upstream { address }) => upstream::serve(*address).map_err(|error| error.to_string()),
        Some(Mode::GitUpstream { address, root }) => push::serve(*address, root).map_err(|error| error.to_string()),
        Some(Mode::Push) => push(&options),
        Some(Mode::Install) => install_all(&options),
        Some(Mode::Profile { peer, rate, seconds }) => profile(&options, *peer, *rate, *seconds),
        None => measure(&options),
    };
    done.map_or_else(
        |error| {
            say(&error);
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn measure(options: &Options) -> Result<(), Missing> {
    let (_upstream, address) = begin()?;
    let plan = if options.quick { Plan::QUICK } else { Plan::FULL };
    let mut report = Report::default();
    for round in 0..plan.rounds {
        for peer in chosen(options) {
            if report.is_missing(peer) {
                continue;
            }
            say(&format!("round {} of {}: {}", round + 1, plan.rounds, peer.name()));
            match peers::start(peer, address, &options.doorward) {
                Ok(running) => report.add(peer, &running.version, plan.carry_out(peer, &running, round == 0)),
                Err(missing) => report.miss(peer, missing),
            }
        }
    }
    println!("{}", if options.json { report.json() } else { report.table() });
    Ok(())
}

fn chosen(options: &Options) -> Vec<Peer> {
    let wanted = |peer: &Peer| *peer == Peer::Direct || options.only.is_empty() || options.only.contains(peer);
    Peer::ALL.into_iter().filter(wanted).collect()
}

/// Moves this process to the core of the load, and starts the model there.
fn begin() -> Result<(Process, SocketAddr), Missing> {
    move_to_our_core()?;
    start_ourselves("upstream", &[])
}

fn move_to_our_core() -> Result<(), Missing> {
    let folder = install::folder();
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let ours = std::process::id().to_string();
    install::run(Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", process::OUR_CORE, &ours]))
        .map(drop)
        .map_err(|error| format!("this benchmark needs two cores and util-linux: {error}"))
}

/// Starts this program once more, in one of its hidden modes; gives where it listens.
pub(crate) fn start_ourselves(mode: &str, arguments: &[&str]) -> Result<(Process, SocketAddr), Missing> {
    let program = std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    let address = peers::free_address();
    let (program, listen, log) = (peers::text(&program)?, address.to_string(), format!("{mode}.log"));
    let command = [&[program, mode, &listen], arguments].concat();
    let process = Process::on_our_core(&command, &install::folder().join(log))
        .map_err(|error| format!("{mode} cannot be started: {error}"))?;
    peers::wait_until_it_listens(address)?;
    Ok((process, address))
}

fn push(options: &Options) -> Result<(), Missing> {
    move_to_our_core()?;
    println!("{}", push::measure(&options.doorward, options.json)?);
    Ok(())
}

fn install_all(options: &Options) -> Result<(), Missing> {
    let (_upstream, address) = begin()?;
    for peer in chosen(options) {
        let running = peers::start(peer, address, &options.doorward);
        println!("{}: {}", peer.name(), running.map_or_else(|missing| missing, |running| running.version));
    }
    Ok(())
}

fn profile(options: &Options, peer: Peer, rate: u32, seconds: u64) -> Result<(), Missing> {
    let (_upstream, address) = begin()?;
    let running = peers::start(peer, address, &options.doorward)?;
    println!("{}", profile::record(&running, rate, seconds)?);
    Ok(())
}

/// Says what is going on, beside the result on standard output.
pub(crate) fn say(what: &str) {
    eprintln!("gateway bench: {what}");
}
