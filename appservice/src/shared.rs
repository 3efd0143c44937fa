//! What all parts of one application service share.

use std::sync::Arc;
use std::time::Duration;

use doorward_base::{Clock, Database, Random};
use ruma::{OwnedServerName, OwnedUserId, UserId};

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
