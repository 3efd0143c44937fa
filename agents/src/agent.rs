//! The manager and its workers.

use std::fmt;
use std::str::FromStr;

use doorward_base::Timestamp;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;

const MANAGER: &str = "manager";
const LONGEST_NAME: usize = 32;

/// The name of an agent: `manager`, or a worker's. The worker `alice` is the virtual user `@worker-alice`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AgentName(String);

/// A name that no worker can have.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NameError {
    /// Matrix user ids allow few characters.
    #[error(
        "{0:?} cannot be a worker's name: use 1 to 32 of a-z, 0-9, - and _, starting with a letter or digit, such as alice"
    )]
    Characters(String),
    /// The manager is no worker.
    #[error("a worker cannot be called manager: choose another name")]
    Reserved,
}

impl AgentName {
    /// The manager's name.
    pub fn manager() -> Self {
        Self(MANAGER.to_owned())
    }

    /// A worker's name. `@worker-alice` and `Alice` are taken for `alice`.
    pub fn worker(text: &str) -> Result<Self, NameError> {
        let lower = text.trim().to_lowercase();
        let name = lower.strip_prefix("@worker-").map_or(lower.as_str(), |rest| rest.split(':').next().unwrap_or(rest));
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !starts_well || name.len() > LONGEST_NAME || !name.bytes().all(allowed) {
            return Err(NameError::Characters(text.to_owned()));
        }
        if name == MANAGER {
            return Err(NameError::Reserved);
        }
        Ok(Self(name.to_owned()))
    }

    /// Any agent's name, as a person writes it: `manager`, `@manager`, or a worker's.
    pub fn any(text: &str) -> Result<Self, NameError> {
        match Self::worker(text.trim().trim_start_matches('@').split(':').next().unwrap_or(text)) {
            Err(NameError::Reserved) => Ok(Self::manager()),
            other => Self::worker(text).or(other),
        }
    }

    /// Whether this is the manager.
    pub fn is_manager(&self) -> bool {
        self.0 == MANAGER
    }

    /// The local part of the virtual user's id.
    pub fn localpart(&self) -> String {
        if self.is_manager() { MANAGER.to_owned() } else { format!("worker-{}", self.0) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A name that was validated before it was stored.
    pub(crate) fn stored(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where an agent is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// Asked for; its virtual user, profile and room are being made.
    Creating,
    /// Works when it is spoken to.
    Active,
    /// Keeps what is said to it until it is resumed.
    Paused,
    /// Is leaving its rooms.
    Removing,
}

impl AgentState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Removing => "removing",
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AgentState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Creating, Self::Active, Self::Paused, Self::Removing]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

/// The manager or a worker.
#[derive(Clone, Debug, Serialize)]
pub struct Agent {
    /// Its name.
    pub name: AgentName,
    /// Tells apart two workers that bore the same name, one after the other.
    pub id: String,
    /// Its virtual user.
    pub user_id: OwnedUserId,
    /// What it is for, in its creator's words.
    pub description: String,
    /// What thinks for it.
    pub runtime: String,
    /// The model it asks the gateway for.
    pub model: String,
    /// What the gateway lets it do.
    pub grant: String,
    /// Where it is in its life.
    pub state: AgentState,
    /// Who asked for it.
    pub created_by: OwnedUserId,
    /// When it was asked for.
    #[serde(serialize_with = "as_rfc3339")]
    pub created_at: Timestamp,
    /// The room that was made for it.
    pub home_room: Option<OwnedRoomId>,
    /// Why it is not there yet, if something is in the way.
    pub trouble: Option<String>,
}

impl Agent {
    /// The name under which the gateway knows it.
    pub fn consumer(&self) -> String {
        self.name.localpart()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn as_rfc3339<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_may_be_named_as_people_write_it() {
        for text in ["alice", "Alice", " alice ", "@worker-alice", "@worker-alice:example.org"] {
            assert_eq!(AgentName::worker(text).unwrap().localpart(), "worker-alice", "{text}");
        }
    }

    #[test]
    fn a_name_that_matrix_or_the_file_system_would_read_otherwise_is_refused() {
        for text in ["", "../etc", "a b", "-a", "é", "@you:example.org", &"a".repeat(33)] {
            assert!(matches!(AgentName::worker(text), Err(NameError::Characters(_))), "{text}");
        }
        assert_eq!(AgentName::worker("Manager"), Err(NameError::Reserved));
    }

    #[test]
    fn the_manager_is_named_with_or_without_its_sign() {
        for text in ["manager", "@manager", "@manager:example.org"] {
            assert!(AgentName::any(text).unwrap().is_manager(), "{text}");
        }
        assert_eq!(AgentName::any("@worker-bob").unwrap().as_str(), "bob");
        assert!(AgentName::any("@you:example.org").is_ok_and(|name| name.as_str() == "you"));
    }
}
