//! What every part of the agents works with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_appservice::{Appservice, OutboxId};
use doorward_base::{Database, Random, StoreError, Tx};
use ruma::OwnedUserId;
use serde_json::Value;
use tokio::sync::Notify;

use crate::access::Access;
use crate::config::AgentsConfig;
use crate::content;
use crate::gateway::Gateway;
use crate::place::Place;
use crate::roster::Roster;
use crate::runtime::Runtime;
use crate::session::Sessions;

/// What every part of the agents works with; cheap to clone.
#[derive(Clone)]
pub(crate) struct House {
    pub(crate) appservice: Appservice,
    pub(crate) database: Database,
    pub(crate) random: Random,
    pub(crate) access: Access,
    pub(crate) config: AgentsConfig,
    pub(crate) roster: Roster,
    pub(crate) sessions: Sessions,
    pub(crate) gateway: Gateway,
    pub(crate) runtimes: Arc<HashMap<String, Arc<dyn Runtime>>>,
    /// The folder that holds one workspace for each worker.
    pub(crate) workspaces: PathBuf,
    /// How long a person waits for a first word until they are told that it takes long.
    pub(crate) patience: Duration,
    /// There may be a turn to work on.
    pub(crate) turns: Arc<Notify>,
    /// Somebody asked for something that running turns must know at once.
    pub(crate) interruptions: Arc<Notify>,
    /// There may be a worker to make or to remove.
    pub(crate) errands: Arc<Notify>,
}

impl House {
    /// Queues a message at a place. Wake the outbox after the commit.
    pub(crate) async fn enqueue(
        &self,
        tx: &mut Tx,
        sender: &OwnedUserId,
        place: &Place,
        content: Value,
    ) -> Result<OutboxId, StoreError> {
        self.appservice.outbox().enqueue(tx, content::outgoing(sender, place, content)).await
    }

    /// Something was committed: whoever has to do with it looks.
    pub(crate) fn wake_all(&self) {
        self.appservice.outbox().wake();
        self.turns.notify_one();
        self.interruptions.notify_waiters();
        self.errands.notify_one();
    }
}
