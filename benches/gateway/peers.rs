//! What stands between the load and the upstream: nothing, or one of the proxies. Each puts in one key, on one core, with one worker.

mod doorward;
mod envoy;
mod ferrogw;
mod litellm;
mod nginx;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::install::{self, Missing};
use crate::load::Target;
use crate::process::Process;
use crate::upstream::REAL_KEY;

/// LiteLLM takes about ten seconds.
const START: Duration = Duration::from_secs(90);

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// The load asks the upstream itself.
    Direct,
    Doorward,
    Nginx,
    Envoy,
    Ferrogw,
    Litellm,
}

impl Peer {
    pub(crate) const ALL: [Self; 6] =
        [Self::Direct, Self::Doorward, Self::Nginx, Self::Envoy, Self::Ferrogw, Self::Litellm];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Doorward => "doorward",
            Self::Nginx => "nginx",
            Self::Envoy => "Envoy",
            Self::Ferrogw => "ferrogw",
            Self::Litellm => "LiteLLM",
        }
    }
}

/// A proxy that answers.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) version: String,
    pub(crate) target: Target,
    /// None for the upstream itself.
    pub(crate) process: Option<Process>,
}

/// What a proxy is told when it starts.
#[derive(Debug)]
struct Place {
    /// Empty at the start; it may write there what it likes.
    folder: PathBuf,
    listen: SocketAddr,
    upstream: SocketAddr,
}

/// A started proxy, and the key that it wants to see.
struct Started {
    version: String,
    process: Process,
    key: String,
}

/// Starts a proxy, installs it before that if need be, and waits until it answers. `program` is the doorward to measure.
pub(crate) fn start(peer: Peer, upstream: SocketAddr, program: &Path) -> Result<Running, Missing> {
    if peer == Peer::Direct {
        let target = Target { address: upstream, key: REAL_KEY.to_owned() };
        return Ok(Running { version: String::new(), target, process: None });
    }
    let folder = install::folder().join("run").join(peer.name());
    let place = Place { listen: free_address(), upstream, folder };
    make_empty(&place.folder)?;
    let started = match peer {
        Peer::Doorward => doorward::start(&place, program),
        Peer::Nginx => nginx::start(&place),
        Peer::Envoy => envoy::start(&place),
        Peer::Ferrogw => ferrogw::start(&place),
        Peer::Direct | Peer::Litellm => litellm::start(&place),
    }?;
    wait_until_it_answers(&place, started)
}

/// Starts doorward in front of a server of repositories; its key may push to `acme/*`.
pub(crate) fn start_for_git(upstream: SocketAddr, program: &Path) -> Result<Running, Missing> {
    let folder = install::folder().join("run/git");
    let place = Place { listen: free_address(), upstream, folder };
    make_empty(&place.folder)?;
    let Started { version, process, key } = doorward::start_for_git(&place, program)?;
    let target = Target { address: place.listen, key };
    wait_until_it_listens(target.address).map_err(|error| format!("{error}; see {}", place.log().display()))?;
    Ok(Running { version, target, process: Some(process) })
}

/// Waits for a server that was just started.
pub(crate) fn wait_until_it_listens(address: SocketAddr) -> Result<(), Missing> {
    let begin = Instant::now();
    while let Err(error) = TcpStream::connect(address) {
        if begin.elapsed() > START {
            return Err(format!("nothing listens on {address} ({error})"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn wait_until_it_answers(place: &Place, started: Started) -> Result<Running, Missing> {
    let Started { version, mut process, key } = started;
    let target = Target { address: place.listen, key };
    let begin = Instant::now();
    loop {
        match target.answers() {
            Ok(()) => return Ok(Running { version, target, process: Some(process) }),
            Err(error) if process.has_ended() || begin.elapsed() > START => {
                return Err(format!("it does not answer ({error}); see {}", place.log().display()));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

impl Place {
    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Writes a file into the folder.
    fn write(&self, name: &str, text: &str) -> Result<String, Missing> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        path.into_os_string().into_string().map_err(|path| format!("{} is no text", path.display()))
    }

    fn run(&self, program: &[&str], environment: &[(&str, &str)]) -> Result<Process, Missing> {
        Process::on_own_core(program, environment, &self.folder, &self.log())
            .map_err(|error| format!("setpriv and taskset (util-linux) cannot be started: {error}"))
    }
}

/// An address that nothing listens on now.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a bound socket has an address")
}

/// Makes a folder, without what was in it.
pub(crate) fn make_empty(folder: &Path) -> Result<(), Missing> {
    let made = if folder.exists() { fs::remove_dir_all(folder) } else { Ok(()) };
    made.and_then(|()| fs::create_dir_all(folder)).map_err(|error| format!("{}: {error}", folder.display()))
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> Result<&str, Missing> {
    path.to_str().ok_or_else(|| format!("{} is no text", path.display()))
}
