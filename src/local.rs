//! `doorward up --local`: everything that a fresh machine lacks. A homeserver, an account for the human, and a room in which
//! the manager waits.
//!
//! All state is in one data folder: `local.toml` (what must be found again), `doorward.toml` and `registration.yaml`
//! (written at every start), the databases, and the homeserver's own files. Downloaded programs are kept in `tools/` there,
//! or in the folder that `--tools` names, which several data folders may share.

mod account;
mod programs;
mod settings;
mod state;
mod supervisor;
mod synapse;
mod tools;
mod tuwunel;

use std::fs::{File, OpenOptions, TryLockError};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use reqwest::Url;

pub(crate) use account::account;
use programs::Programs;
pub(crate) use settings::Upstream;
use state::HomeserverKind;
pub(crate) use state::State;
pub(crate) use supervisor::Supervised;
use synapse::Synapse;
use tools::Tools;
use tuwunel::Tuwunel;

use crate::World;
use crate::failure::Failure;
use crate::files;
use crate::terminal::{self, Progress};

/// Where the state is kept unless `--data` names another folder.
pub const DEFAULT_DATA: &str = ".doorward";

/// A homeserver with an account on it, and the configuration of doorward beside it.
#[derive(Debug)]
pub(crate) struct Local {
    folder: PathBuf,
    state: State,
    process: Supervised,
    /// Of doorward's own listeners, until they take over.
    reserved: Vec<TcpListener>,
    /// Two doorwards must not share a data folder; released by the system however this one ends.
    _lock: File,
}

/// What the person asked for.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    pub(crate) data: &'a Path,
    pub(crate) tools: Option<&'a Path>,
    pub(crate) upstream: Option<Upstream>,
    pub(crate) model: &'a str,
}

/// Brings the homeserver up and writes the configuration.
pub(crate) async fn provide(options: &Options<'_>, world: &World) -> Result<Local, Failure> {
    let progress = Progress::new();
    let folder = std::path::absolute(options.data)?;
    files::private_folder(&folder)
        .map_err(|error| Failure::from(error).while_doing(format_args!("making the folder {}", folder.display())))?;
    let lock = lock(&folder)?;
    let mut state = State::read_or_new(&folder, &world.random)?;
    let reserved = state.ports.reserve();
    // Before the account is made: its password must survive a crash right after that.
    state.write(&folder)?;
    let programs = Programs::without_secrets(&world.environment);
    let provider = Provider { folder: &folder, options, world, progress: &progress, programs };
    let process = provider.homeserver(&mut state).await?;
    state.write(&folder)?;
    settings::write(&folder, &state, options)?;
    account::log_in(&mut state).await?;
    state.write(&folder)?;
    progress.finish();
    Ok(Local { folder, state, process, reserved, _lock: lock })
}

impl Local {
    /// The data folder, which is ours alone.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration file that was written.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.folder.join(settings::FILE)
    }

    /// Lets go of the ports that doorward is about to listen on.
    pub(crate) fn release_ports(&mut self) {
        self.reserved.clear();
    }

    /// Makes the first room, with the manager invited, unless an earlier start has made it.
    pub(crate) async fn open_first_room(&mut self) -> Result<(), Failure> {
        account::open_first_room(&mut self.state).await?;
        self.state.write(&self.folder)
    }

    /// What the person wants to know now.
    pub(crate) fn summary(&self) -> String {
        let State { human, .. } = &self.state;
        format!(
            "\nDoorward is running. Log in with any Matrix client, or use this terminal's:\n\n  \
             homeserver   {url}\n  user         {name}   ({id})\n  password     {password}\n\n\
             In a second terminal:   doorward chat{data}\n\
             Then type:              Create a worker alice who writes Rust\n\
             Or:                     !worker create alice      (!help lists all commands)\n\n\
             Ctrl-C stops everything; the next start finds it all again in {folder}\n",
            url = self.state.homeserver_url(),
            name = human.name,
            id = self.state.user_id(),
            password = human.password,
            data = self.chat_option(),
            folder = self.folder.display(),
        )
    }

    /// The homeserver's process.
    pub(crate) fn process(&mut self) -> &mut Supervised {
        &mut self.process
    }

    /// Ends the homeserver and waits until it is gone.
    pub(crate) async fn stop(self) {
        self.process.stop().await;
    }

    fn chat_option(&self) -> String {
        let usual = std::path::absolute(DEFAULT_DATA).is_ok_and(|usual| usual == self.folder);
        if usual { String::new() } else { format!(" --config {}", self.config_file().display()) }
    }
}

fn lock(folder: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).append(true).open(folder.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::Error(error)) => Err(error.into()),
        Err(TryLockError::WouldBlock) => Err(Failure::new(format_args!(
            "another `doorward up --local` is running on {}: stop it, or name another folder with --data",
            folder.display()
        ))),
    }
}

/// What the parts of a start have in common.
struct Provider<'a> {
    folder: &'a Path,
    options: &'a Options<'a>,
    world: &'a World,
    progress: &'a Progress,
    programs: Programs,
}

impl Provider<'_> {
    /// The homeserver that has the rooms; at the first start, Tuwunel if Docker answers, else Synapse.
    async fn homeserver(&self, state: &mut State) -> Result<Supervised, Failure> {
        match state.homeserver {
            Some(HomeserverKind::Tuwunel) if tuwunel::engine_answers(&self.programs).await => self.tuwunel(state).await,
            Some(HomeserverKind::Tuwunel) => Err(Failure::new(format_args!(
                "the rooms of {} are in Tuwunel, and no Docker engine answers: start Docker, or name another folder with --data",
                self.folder.display()
            ))),
            None if tuwunel::engine_answers(&self.programs).await => match self.tuwunel(state).await {
                Ok(process) => Ok(process),
                Err(failure) => {
                    self.progress.finish();
                    terminal::tell(format_args!("Tuwunel cannot be used ({failure}); going on with Synapse"));
                    self.synapse(state).await
                }
            },
            Some(HomeserverKind::Synapse) | None => self.synapse(state).await,
        }
    }

    async fn synapse(&self, state: &mut State) -> Result<Supervised, Failure> {
        let folder = self.options.tools.map_or_else(|| self.folder.join("tools"), Path::to_owned);
        let bin = Tools::in_folder(folder, self.programs.clone()).synapse(self.progress).await?;
        self.progress.step("starting Synapse");
        let synapse = Synapse::new(bin, self.folder, self.programs.clone());
        let process = match self.start_synapse(&synapse, state).await {
            // Another program took the port between our look at it and Synapse's.
            Err(_) if state.ports.move_homeserver() => self.start_synapse(&synapse, state).await?,
            result => result?,
        };
        if state.homeserver.is_none() {
            self.progress.step("creating your account");
            synapse.create_human(state).await?;
            state.homeserver = Some(HomeserverKind::Synapse);
        }
        Ok(process)
    }

    async fn start_synapse(&self, synapse: &Synapse, state: &State) -> Result<Supervised, Failure> {
        let registration = self.registration(state, "127.0.0.1")?;
        synapse.start(state, &registration, &self.world.random).await
    }

    async fn tuwunel(&self, state: &mut State) -> Result<Supervised, Failure> {
        let tuwunel = Tuwunel::new(self.folder, self.programs.clone());
        let registration = self.registration(state, Tuwunel::host())?;
        self.progress.step("starting Tuwunel in Docker");
        let process = tuwunel.start(state, &registration, self.progress).await?;
        if state.homeserver.is_none() {
            self.progress.step("creating your account");
            if let Err(failure) = tuwunel.create_human(state).await {
                process.stop().await;
                return Err(failure);
            }
            state.homeserver = Some(HomeserverKind::Tuwunel);
        }
        Ok(process)
    }

    /// The registration file, its tokens kept from the first start on; `host` is how the homeserver reaches us.
    fn registration(&self, state: &State, host: &str) -> Result<PathBuf, Failure> {
        let url = Url::parse(&format!("http://{host}:{}", state.ports.appservice))?;
        settings::registration(self.folder, state, url, &self.world.random)
    }
}
