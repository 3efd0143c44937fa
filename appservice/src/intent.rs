//! The client-server API as one of our users and its device.

mod messages;
mod profile;
mod registering;
mod rooms;

use std::sync::Arc;

use reqwest::Method;
use ruma::{OwnedUserId, UserId};

use crate::homeserver::Call;
use crate::shared::Shared;

pub use rooms::{CreateRoom, Preset};

/// Acts as one of our users. Cheap to clone and to make again.
///
/// [Application Service API, "Identity assertion"](https://spec.matrix.org/v1.16/application-service-api/#identity-assertion)
#[derive(Clone)]
pub struct Intent {
    shared: Arc<Shared>,
    user: OwnedUserId,
}

impl Intent {
    pub(crate) fn new(shared: Arc<Shared>, user: OwnedUserId) -> Self {
        Self { shared, user }
    }

    /// Who acts.
    pub fn user_id(&self) -> &UserId {
        &self.user
    }

    /// A request to `/_matrix/client/v3/…` as this user.
    fn client(&self, method: Method, segments: &[&str]) -> Call<'_> {
        let segments: Vec<&str> = ["_matrix", "client", "v3"].iter().chain(segments).copied().collect();
        self.shared.homeserver.call(method, &segments).acting_as(&self.user)
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Intent").field(&self.user).finish()
    }
}
