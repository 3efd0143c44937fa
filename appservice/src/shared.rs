//! What all parts of one application service share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use doorward_base::{Clock, Database, Random};
use ruma::{OwnedServerName, OwnedUserId, UserId};
use tokio::sync::OwnedMutexGuard;

use crate::homeserver::Homeserver;
use crate::members::MemberStore;
use crate::registration::Registration;
use crate::users::VirtualUsers;

pub(crate) struct Shared {
    pub(crate) registration: Registration,
    pub(crate) server_name: OwnedServerName,
    pub(crate) sender: OwnedUserId,
    pub(crate) homeserver: Homeserver,
    pub(crate) database: Database,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Random,
    pub(crate) users: VirtualUsers,
    pub(crate) members: MemberStore,
    pub(crate) registering: Registering,
}

/// Which users are being registered: one attempt at a time for each, because a second one beside the first could not tell whether
/// the name was taken by the first or by a person.
#[derive(Default)]
pub(crate) struct Registering(Mutex<HashMap<OwnedUserId, Arc<tokio::sync::Mutex<()>>>>);

impl Registering {
    /// Waits for its turn; held while the attempt lasts.
    pub(crate) async fn alone(&self, user: &UserId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for are done with.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(user.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

impl Shared {
    /// Whether `user` is the sender, or on our server and in an exclusive namespace.
    pub(crate) fn owns(&self, user: &UserId) -> bool {
        owns(&self.registration, &self.server_name, &self.sender, user)
    }

    pub(crate) fn jitter(&self, around: Duration) -> Duration {
        self.random.jitter(around)
    }
}

pub(crate) fn owns(registration: &Registration, server: &OwnedServerName, sender: &UserId, user: &UserId) -> bool {
    user == sender || (user.server_name() == server && registration.namespaces.owns_user(user))
}
