//! A message that is edited while it is being written.

use std::sync::Arc;
use std::time::Duration;

use doorward_appservice::{Delivery, OutboxId};
use doorward_base::StoreError;
use ruma::TransactionId;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::agent::Agent;
use crate::content;
use crate::house::House;
use crate::session::{Claim, SessionError, Turn};

/// An answer that is whole within this time is sent as one message.
const PATIENCE: Duration = Duration::from_millis(600);
/// Edits flood a room's history: they come fast at first, then ever slower.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);
const LONGEST_SEND: Duration = Duration::from_secs(10);

/// A message that is being written. It first stands in the room when there is something to read.
pub(super) struct Live {
    text: watch::Sender<String>,
    closing: CancellationToken,
    writer: TaskTracker,
}

impl Live {
    /// Begins to write, or goes on with the message `begun`.
    pub(super) fn start(house: &House, agent: &Agent, claim: &Claim, turn: &Turn, begun: Option<OutboxId>) -> Self {
        let (text, changes) = watch::channel(String::new());
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        let writer =
            Writer { house: house.clone(), agent: agent.clone(), claim: claim.clone(), turn: turn.clone(), begun };
        tasks.spawn(writer.write(changes, closing.clone()));
        tasks.close();
        Self { text, closing, writer: tasks }
    }

    /// The text so far.
    pub(super) fn show(&self, text: &str) {
        self.text.send_modify(|shown| text.clone_into(shown));
    }

    /// Stops writing; gives the text when no edit is on its way any more. May be called again.
    pub(super) async fn settle(&self) -> String {
        self.closing.cancel();
        self.writer.wait().await;
        self.text.borrow().clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

struct Writer {
    house: House,
    agent: Agent,
    claim: Claim,
    turn: Turn,
    begun: Option<OutboxId>,
}

impl Writer {
    async fn write(mut self, mut changes: watch::Receiver<String>, closing: CancellationToken) {
        if self.begun.is_none() && self.is_quick(&mut changes, &closing).await {
            return;
        }
        let (mut interval, mut shown) = (FIRST_INTERVAL, String::new());
        while changed(&mut changes, &closing).await {
            let text = content::so_far(&changes.borrow_and_update());
            // What goes beyond one message is seen at the end.
            if text == shown {
                continue;
            }
            match self.begun {
                None => match self.begin(&text).await {
                    Ok(id) => self.begun = Some(id),
                    // The answer comes whole at the end of the turn.
                    Err(error) => return tracing::debug!(%error, "a live answer could not be begun"),
                },
                Some(id) => self.edit(id, &text).await,
            }
            shown = text;
            if timeout(interval, closing.cancelled()).await.is_ok() {
                return;
            }
            interval = (interval * 3 / 2).min(LONGEST_INTERVAL);
        }
    }

    /// Whether the answer is whole, or given up, before anyone could have begun to read.
    async fn is_quick(&self, changes: &mut watch::Receiver<String>, closing: &CancellationToken) -> bool {
        let first = async {
            if timeout(self.house.patience, first_text(changes)).await.is_err() {
                self.say_that_it_takes_long().await;
                first_text(changes).await;
            }
        };
        if closing.run_until_cancelled(first).await.is_none() {
            return true;
        }
        changes.mark_changed();
        timeout(PATIENCE, closing.cancelled()).await.is_ok()
    }

    /// A person who waits is told once what they wait for.
    async fn say_that_it_takes_long(&self) {
        if self.turn.failures > 0 {
            return;
        }
        let waited = self.house.patience.as_secs();
        let notice = content::notice(&format!(
            "Nothing has come back for {waited} seconds, from my model or from a tool. I keep waiting; `!stop` ends that."
        ));
        if let Err(error) = self.tell(notice).await {
            tracing::debug!(%error, "a notice was left out");
        }
    }

    async fn tell(&self, notice: Value) -> Result<(), SessionError> {
        let mut tx = self.house.database.write().await?;
        self.house.sessions.guard(&mut tx, &self.claim).await?;
        self.house.enqueue(&mut tx, &self.agent.user_id, &self.claim.place, notice).await?;
        tx.commit().await?;
        self.house.appservice.outbox().wake();
        Ok(())
    }

    async fn begin(&self, text: &str) -> Result<OutboxId, SessionError> {
        let House { database, sessions, appservice, .. } = &self.house;
        let content = content::answer(text);
        let mut tx = database.write().await?;
        sessions.guard(&mut tx, &self.claim).await?;
        let send = content::outgoing(&self.agent.user_id, &self.claim.place, content);
        let id = appservice.outbox().enqueue(&mut tx, send).await?;
        sessions.set_live(&mut tx, &self.turn, Some(id)).await?;
        tx.commit().await?;
        appservice.outbox().wake();
        Ok(id)
    }

    /// An edit that does not arrive is made good by the next one.
    async fn edit(&self, id: OutboxId, text: &str) {
        if let Err(error) = self.try_edit(id, text).await {
            tracing::debug!(%error, "an edit of a live answer was left out");
        }
    }

    async fn try_edit(&self, id: OutboxId, text: &str) -> Result<(), StoreError> {
        let House { appservice, random, sessions, .. } = &self.house;
        let Some(Delivery::Delivered(event)) = appservice.outbox().delivery(id).await? else { return Ok(()) };
        // Whoever has taken the session over may have written the end already.
        if !sessions.holds(&self.claim).await? {
            return Ok(());
        }
        let content = content::answer(text);
        let Ok(intent) = appservice.intent(&self.agent.user_id) else { return Ok(()) };
        let transaction: Arc<str> = random.id().into();
        let send = intent.edit(&self.claim.place.room, &event, <&TransactionId>::from(&*transaction), &content);
        match timeout(LONGEST_SEND, send).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "an edit of a live answer was refused"),
            Err(_elapsed) => tracing::debug!("an edit of a live answer took too long"),
        }
        Ok(())
    }
}

/// Waits for more text; false once nothing is to be written any more.
async fn changed(changes: &mut watch::Receiver<String>, closing: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = closing.cancelled() => false,
        changed = changes.changed() => changed.is_ok(),
    }
}

/// Returns when there is something to read.
async fn first_text(changes: &mut watch::Receiver<String>) {
    if changes.wait_for(|text| !text.trim().is_empty()).await.is_err() {
        // Nothing will ever come; the end is told by `closing`.
        std::future::pending::<()>().await;
    }
}
