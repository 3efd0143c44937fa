//! What each command does. A command opens only what it needs, so that it works whether or not doorward is running.

mod approvals;
mod audit;
mod check;
mod init;
mod secret;
mod token;
mod up;
mod worker;

use std::path::{Path, PathBuf};

use doorward_base::Database;

use crate::World;
use crate::chat;
use crate::cli::{Cli, Command};
use crate::config::{self, Config, LogConfig};
use crate::failure::Failure;
use crate::local;
use crate::logging;
use crate::serve::Roles;

/// What every command is given.
#[derive(Debug)]
struct Context<'a> {
    /// The configuration file to read.
    file: PathBuf,
    json: bool,
    world: &'a World,
}

/// Carries out the command.
pub(crate) async fn run(cli: Cli, world: &World) -> Result<(), Failure> {
    let file = config::find(cli.config.as_deref(), &world.environment);
    let context = Context { file, json: cli.json, world };
    if !matches!(cli.command, Command::Up(_) | Command::Appservice | Command::Gateway) {
        logging::start(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() }, &world.environment)?;
    }
    match cli.command {
        Command::Up(args) if args.local => up::local(&args, world).await,
        Command::Up(_) => up::roles(&context, Roles::Both).await,
        Command::Appservice => up::roles(&context, Roles::Appservice).await,
        Command::Gateway => up::roles(&context, Roles::Gateway).await,
        Command::Init(args) => init::run(&args, world),
        Command::Check => check::run(&context).await,
        Command::Chat(args) => chat::run(&context.chat_folder(), args.room.as_deref(), world).await,
        Command::Worker(command) => worker::run(command, &context).await,
        Command::Token(command) => token::run(command, &context).await,
        Command::Secret(command) => secret::run(command, &context).await,
        Command::Approvals(command) => approvals::run(command, &context).await,
        Command::Audit(args) => audit::list(&args, &context).await,
        Command::Usage(args) => audit::usage(&args, &context).await,
    }
}

impl Context<'_> {
    fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(&self.file, &self.world.environment)?)
    }

    /// The database of the gateway, its schema brought up to date.
    async fn gateway_database(&self, config: &Config) -> Result<Database, Failure> {
        Ok(doorward_gateway::open_database(&config.gateway.database).await?)
    }

    /// Where the local account is: beside the configuration, or where `up --local` keeps it by default.
    fn chat_folder(&self) -> PathBuf {
        let beside = self.file.parent().unwrap_or(Path::new(""));
        let has_account = local::State::read(beside).is_ok_and(|state| state.is_some());
        if has_account { beside.to_owned() } else { PathBuf::from(local::DEFAULT_DATA) }
    }
}
