//! Who is joined to a room: asked of the homeserver once, kept by the membership events that follow.

mod store;

use std::collections::BTreeSet;
use std::sync::Arc;

use ruma::{OwnedUserId, RoomId};

use crate::homeserver::IntentError;
use crate::intent::Intent;
use crate::shared::Shared;

pub(crate) use store::MemberStore;

/// A list that membership events overtake is asked for again so often; then it is given, but not kept.
const TRIES: usize = 3;

/// The membership cache.
#[derive(Clone)]
pub struct Members {
    shared: Arc<Shared>,
}

impl Members {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Everyone who is joined to `room`, our users among them. Asks the homeserver if the room is not known yet, as one
    /// of our users who is there.
    pub async fn joined(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, IntentError> {
        if let Some(members) = self.shared.members.loaded(room).await? {
            return Ok(members);
        }
        for _ in 1..TRIES {
            let changes = self.shared.members.begin_load(room).await?;
            let members = self.ask(room).await?;
            if self.shared.members.store(room, changes, &members).await? {
                return Ok(members);
            }
        }
        self.ask(room).await
    }

    /// Whether `user` is joined to `room`.
    pub async fn is_joined(&self, room: &RoomId, user: &ruma::UserId) -> Result<bool, IntentError> {
        Ok(self.joined(room).await?.iter().any(|member| member == user))
    }

    /// Forgets what is known of `room`; the next question goes to the homeserver.
    pub async fn forget(&self, room: &RoomId) -> Result<(), doorward_base::StoreError> {
        self.shared.members.forget(room).await
    }

    async fn ask(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, IntentError> {
        let known = self.shared.members.known(room).await?;
        let mut ours: BTreeSet<OwnedUserId> = known.into_iter().filter(|user| self.shared.owns(user)).collect();
        ours.remove(&self.shared.sender);
        let mut answer = self.ask_as(&self.shared.sender, room).await;
        for user in &ours {
            match answer {
                Err(error) if error.is("M_FORBIDDEN") => answer = self.ask_as(user, room).await,
                answer => return answer,
            }
        }
        answer
    }

    async fn ask_as(&self, user: &OwnedUserId, room: &RoomId) -> Result<Vec<OwnedUserId>, IntentError> {
        let members = Intent::new(Arc::clone(&self.shared), user.clone()).joined_members(room).await?;
        Ok(members.into_keys().collect())
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Members")
    }
}
