//! The front door of Doorward: the command line, the configuration, and the wiring of the parts.
//!
//! What the parts do is in their own crates; here is only what puts them together for a person: which of them run, with what
//! settings, and what is printed. [`rehearsal`] and [`local`] stand in for what a fresh machine lacks.

mod chat;
pub mod cli;
mod commands;
pub mod config;
mod environment;
mod failure;
mod files;
pub mod local;
mod logging;
mod matrix;
mod registration;
pub mod rehearsal;
mod serve;
mod terminal;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use doorward_base::{Clock, Random, SystemClock};

pub use environment::Environment;
pub use failure::Failure;

/// What the program takes from the machine, gathered where it starts.
#[derive(Clone, Debug)]
pub struct World {
    /// The environment variables.
    pub environment: Environment,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where ids and tokens come from.
    pub random: Random,
}

impl World {
    /// This machine.
    pub fn of_process() -> Self {
        Self { environment: Environment::of_process(), clock: Arc::new(SystemClock), random: Random::from_os() }
    }
}

/// Reads the command line and does what it says. Wrong usage ends the process here, with code 2.
pub async fn run() -> ExitCode {
    let cli = cli::Cli::parse();
    install_tls();
    match commands::run(cli, &World::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::tell(format_args!("doorward: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Chooses the cryptography under every TLS connection of this process; a second call changes nothing.
pub fn install_tls() {
    // An error means that one was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
