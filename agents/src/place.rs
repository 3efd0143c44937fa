//! Where something is said: a room, or a thread in it.

use doorward_base::StoreError;
use ruma::{OwnedEventId, OwnedRoomId};

use crate::roster::corrupt;

/// A room, or a thread in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The room.
    pub room: OwnedRoomId,
    /// The event that the thread hangs on.
    pub thread: Option<OwnedEventId>,
}

impl Place {
    /// The room itself.
    pub fn room(room: OwnedRoomId) -> Self {
        Self { room, thread: None }
    }

    /// The thread as a column holds it: empty for the room itself.
    pub(crate) fn thread_column(&self) -> &str {
        self.thread.as_ref().map_or("", |thread| thread.as_str())
    }

    /// A place as two columns hold it.
    pub(crate) fn stored(room: String, thread: String) -> Result<Self, StoreError> {
        let room = OwnedRoomId::try_from(room).map_err(|error| corrupt("room id", error))?;
        let thread = (!thread.is_empty()).then(|| OwnedEventId::try_from(thread)).transpose();
        let thread = thread.map_err(|error| corrupt("event id", error))?;
        Ok(Self { room, thread })
    }
}
