//! `local.toml`: what a later start must find again. It holds the human's password, hence mode 0600.

use std::fmt;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use doorward_base::Random;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::files;

/// Names read better than `localhost` in ids, and nothing ever looks this one up.
const SERVER_NAME: &str = "doorward.local";

/// Which homeserver holds the rooms of this data folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HomeserverKind {
    /// From PyPI, in a virtual environment.
    Synapse,
    /// In Docker.
    Tuwunel,
}

/// The state of one data folder. Printing it leaves the secrets out.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Once chosen, it keeps the rooms: another would not know them.
    pub(crate) homeserver: Option<HomeserverKind>,
    pub(crate) server_name: String,
    pub(crate) ports: Ports,
    /// Lets the human be created while registration is closed to everyone else.
    pub(crate) registration_secret: String,
    pub(crate) human: Human,
    /// The first room, once it is made.
    pub(crate) room: Option<String>,
}

/// The loopback ports that were free at the first start.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) homeserver: u16,
    pub(crate) appservice: u16,
    pub(crate) gateway: u16,
    pub(crate) admin: u16,
}

/// The account of the person in front of the terminal. Printing it leaves the secrets out.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Human {
    pub(crate) name: String,
    pub(crate) password: String,
    /// Of the device that `doorward chat` is.
    pub(crate) access_token: Option<String>,
}

impl State {
    fn fresh(random: &Random) -> Self {
        Self {
            homeserver: None,
            server_name: SERVER_NAME.to_owned(),
            ports: Ports { homeserver: 8008, appservice: 9009, gateway: 9010, admin: 9011 },
            registration_secret: random.text(40),
            human: Human { name: "you".to_owned(), password: random.text(16), access_token: None },
            room: None,
        }
    }

    /// What `folder` remembers; none if nothing was started there.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, Failure> {
        let file = file_in(folder);
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::from(error).while_doing(format_args!("reading {}", file.display()))),
        };
        toml::from_str(&text).map(Some).map_err(|error| {
            Failure::new(format_args!(
                "{} cannot be understood ({}): repair it, or remove {} to begin anew",
                file.display(),
                error.message(),
                folder.display()
            ))
        })
    }

    /// What `folder` remembers, or the beginning of a memory.
    pub(super) fn read_or_new(folder: &Path, random: &Random) -> Result<Self, Failure> {
        Ok(Self::read(folder)?.unwrap_or_else(|| Self::fresh(random)))
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), Failure> {
        let file = file_in(folder);
        let text = format!(
            "# Written by `doorward up --local`. It holds a password: keep it to yourself.\n{}",
            toml::to_string(self)?
        );
        files::replace_private(&file, &text)
            .map_err(|error| Failure::from(error).while_doing(format_args!("writing {}", file.display())))
    }

    /// The human's Matrix id.
    pub(crate) fn user_id(&self) -> String {
        format!("@{}:{}", self.human.name, self.server_name)
    }

    /// The manager's Matrix id.
    pub(crate) fn manager_id(&self) -> String {
        format!("@manager:{}", self.server_name)
    }

    /// Where clients reach the homeserver.
    pub(crate) fn homeserver_url(&self) -> Url {
        let text = format!("http://127.0.0.1:{}", self.ports.homeserver);
        Url::parse(&text).expect("a loopback address and a port make a URL")
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { homeserver, server_name, ports, registration_secret: _, human, room } = self;
        f.debug_struct("State")
            .field("homeserver", homeserver)
            .field("server_name", server_name)
            .field("ports", ports)
            .field("human", human)
            .field("room", room)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Human").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Ports {
    /// Moves every port that another program has to the next free one. Those of our own listeners are held until the listeners
    /// take over, because a homeserver takes seconds to start.
    pub(super) fn reserve(&mut self) -> Vec<TcpListener> {
        self.move_homeserver();
        [&mut self.appservice, &mut self.gateway, &mut self.admin].into_iter().filter_map(hold_from).collect()
    }

    /// Moves the homeserver's port if another program has it; whether it had.
    pub(super) fn move_homeserver(&mut self) -> bool {
        let before = self.homeserver;
        drop(hold_from(&mut self.homeserver));
        self.homeserver != before
    }
}

/// Binds the first free port from `port` on, and leaves it there.
fn hold_from(port: &mut u16) -> Option<TcpListener> {
    let bind = |candidate: u16| TcpListener::bind(("127.0.0.1", candidate)).ok().map(|held| (candidate, held));
    let (free, held) = (*port..=u16::MAX).find_map(bind)?;
    *port = free;
    Some(held)
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("local.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(State::read(folder.path()).unwrap().is_none());
        let mut state = State::read_or_new(folder.path(), &Random::seeded(1)).unwrap();
        state.homeserver = Some(HomeserverKind::Synapse);
        state.room = Some("!room".to_owned());
        state.write(folder.path()).unwrap();
        let again = State::read_or_new(folder.path(), &Random::seeded(2)).unwrap();
        assert_eq!(again.human.password, state.human.password);
        assert_eq!((again.homeserver, again.room), (state.homeserver, state.room));
    }

    #[test]
    fn a_printed_state_has_no_secret() {
        let mut state = State::fresh(&Random::seeded(1));
        state.human.access_token = Some("syt_token".to_owned());
        let printed = format!("{state:?}");
        assert!(printed.contains("doorward.local") && printed.contains("you"), "{printed}");
        for secret in [state.registration_secret.as_str(), &state.human.password, "syt_token"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }

    #[test]
    fn a_broken_memory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(file_in(folder.path()), "human = 3").unwrap();
        let sentence = State::read(folder.path()).unwrap_err().to_string();
        assert!(sentence.contains("local.toml") && sentence.contains("remove"), "{sentence}");
    }

    #[test]
    fn a_taken_port_gives_way_to_the_next_free_one() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port();
        let mut ports = Ports { homeserver: port, appservice: port, gateway: port, admin: port };
        let held = ports.reserve();
        let mut all = vec![port, ports.appservice, ports.gateway, ports.admin];
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), held.len()), (4, 3), "{ports:?}");
        assert_ne!(ports.homeserver, port);
        assert!(!Ports { homeserver: 0, ..ports }.move_homeserver());
    }
}
