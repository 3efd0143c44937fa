//! A turn, seen from the runtime that works on it: its history, its tools, and what it shows in the room.

mod engine;
mod live;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use doorward_appservice::OutboxId;
use doorward_base::{StoreError, Tx};
use ruma::OwnedUserId;
use serde_json::Value;

use crate::agent::Agent;
use crate::content;
use crate::gateway::{ConsumerToken, Gateway, GatewayError};
use crate::house::House;
use crate::place::Place;
use crate::runtime::TurnError;
use crate::session::{Claim, SessionError, Step, ToolCall, Turn, TurnState};
use crate::tools::{self, Outcome};
use live::Live;

pub(crate) use engine::Engine;

/// Enough for any model's memory; what is sent is bounded by its length.
const MOST_STEPS: i64 = 400;

/// What a runtime sees of the turn it works on.
///
/// A runtime may be dropped at any `await`. So whatever has to hold after that is in the database, and what is in memory changes
/// only right after a commit.
pub struct TurnContext {
    house: House,
    agent: Agent,
    claim: Claim,
    turn: Turn,
    /// How many agents woke each other before what was said last.
    hops: AtomicI64,
    live: Mutex<Arc<Live>>,
}

impl TurnContext {
    fn new(house: House, agent: Agent, claim: Claim, turn: Turn) -> Self {
        let live = Mutex::new(Arc::new(Live::start(&house, &agent, &claim, &turn, turn.live)));
        Self { hops: AtomicI64::new(turn.hops), house, agent, claim, turn, live }
    }

    /// Who works.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Where it was asked, and answers.
    pub fn place(&self) -> &Place {
        &self.claim.place
    }

    /// How to reach models and everything else.
    pub fn gateway(&self) -> &Gateway {
        &self.house.gateway
    }

    /// What the gateway wants to see.
    pub async fn consumer_token(&self) -> Result<ConsumerToken, GatewayError> {
        self.house.gateway.token_for(&self.agent).await
    }

    /// The latest steps of the session, those of this turn at the end.
    pub async fn history(&self) -> Result<Vec<Step>, TurnError> {
        Ok(self.house.sessions.history(&self.claim, MOST_STEPS).await?)
    }

    /// Takes what was said since the turn began into the history.
    pub async fn absorb(&self) -> Result<(), TurnError> {
        let hops = self.house.sessions.absorb(&self.claim, &self.turn).await?;
        self.hops.fetch_max(hops, Ordering::Relaxed);
        Ok(())
    }

    /// Shows the answer as far as it is written: typing, then a message that is edited as it grows.
    pub fn show(&self, text_so_far: &str) {
        self.live().show(text_so_far);
    }

    /// Journals an answer of the model that wants tools; what it says stands in the room before they run.
    pub async fn record_answer(&self, text: &str, calls: &[ToolCall]) -> Result<(), TurnError> {
        self.live().settle().await;
        let mut tx = self.begin().await?;
        let step = Step::Model { text: text.to_owned(), calls: calls.to_vec() };
        self.house.sessions.append(&mut tx, &self.claim, &self.turn, &step).await?;
        let begun = self.house.sessions.live(&mut tx, &self.turn).await?;
        if !text.trim().is_empty() || begun.is_some() {
            self.say(&mut tx, text, begun).await?;
        }
        self.house.sessions.set_live(&mut tx, &self.turn, None).await?;
        self.commit(tx).await?;
        self.begin_anew();
        Ok(())
    }

    /// Runs a tool: its start is journalled and shown in the room, then its result.
    pub async fn call_tool(&self, call: &ToolCall) -> Result<(), TurnError> {
        let requester = self.requester().await?;
        let mut tx = self.begin().await?;
        let started = Step::ToolStarted { call_id: call.id.clone() };
        self.house.sessions.append(&mut tx, &self.claim, &self.turn, &started).await?;
        let notice = content::notice(&tools::describe(call));
        self.house.enqueue(&mut tx, &self.agent.user_id, self.place(), notice).await?;
        self.commit(tx).await?;
        let hops = self.hops.load(Ordering::Relaxed);
        let outcome = tools::run(&self.house, &self.agent, requester, hops, call).await;
        self.record_result(call, outcome).await
    }

    /// Journals that a tool had begun when the process died: whether it did its work is not known.
    pub async fn record_unknown_outcome(&self, call: &ToolCall) -> Result<(), TurnError> {
        let text = "The outcome is unknown: the program was interrupted while this ran. It was not run again. \
                    Find out what happened before you decide what to do.";
        self.record_result(call, Outcome::text(text)).await
    }

    /// What the model may call, in the wire format of chat completions.
    pub fn tool_specs(&self) -> Vec<Value> {
        tools::specs(&self.agent)
    }

    async fn record_result(&self, call: &ToolCall, outcome: Outcome) -> Result<(), TurnError> {
        let mut tx = self.begin().await?;
        let result = Step::ToolResult { call_id: call.id.clone(), text: outcome.text };
        self.house.sessions.append(&mut tx, &self.claim, &self.turn, &result).await?;
        for effect in outcome.effects {
            self.house.enqueue(&mut tx, &self.agent.user_id, &effect.place, effect.content).await?;
        }
        self.commit(tx).await
    }

    /// Who spoke last to the agent: in whose name its tools act.
    async fn requester(&self) -> Result<OwnedUserId, TurnError> {
        let said = self.history().await?.into_iter().rev().find_map(|step| match step {
            Step::Input { sender, .. } => Some(sender),
            _ => None,
        });
        said.ok_or_else(|| TurnError::fail("Nobody asked for this."))
    }

    /// Ends the turn with something to be seen, in one transaction.
    async fn close(&self, state: TurnState, ending: Ending<'_>) -> Result<(), SessionError> {
        let half = self.live().settle().await;
        let mut tx = self.house.database.write().await?;
        self.house.sessions.guard(&mut tx, &self.claim).await?;
        let begun = self.house.sessions.live(&mut tx, &self.turn).await?;
        match ending {
            Ending::Answer(text) => self.answer(&mut tx, text, begun).await?,
            Ending::Stopped => match begun.filter(|_| !half.trim().is_empty()) {
                Some(_) => self.say(&mut tx, &content::broken_off(&half, "stopped"), begun).await?,
                None => self.say_content(&mut tx, content::notice("Stopped."), begun).await?,
            },
            Ending::Failed(reason) => {
                if begun.is_some() {
                    self.say(&mut tx, &content::broken_off(&half, "broken off"), begun).await?;
                }
                self.say_content(&mut tx, content::notice(reason), None).await?;
            }
        }
        self.house.sessions.close(&mut tx, &self.claim, &self.turn, state).await?;
        tx.commit().await?;
        self.house.appservice.outbox().wake();
        Ok(())
    }

    async fn answer(&self, tx: &mut Tx, text: &str, begun: Option<OutboxId>) -> Result<(), StoreError> {
        let step = Step::Model { text: text.to_owned(), calls: Vec::new() };
        self.house.sessions.append(tx, &self.claim, &self.turn, &step).await?;
        if text.trim().is_empty() {
            return self.say_content(tx, content::notice("(I have nothing to say.)"), begun).await;
        }
        self.say(tx, text, begun).await
    }

    /// Puts the turn aside: whoever takes it up continues the message that was being written.
    async fn set_aside(&self) {
        self.live().settle().await;
    }

    /// Says `markdown`, in as many messages as it takes; the first in the place of the message that was being written, if there is one.
    async fn say(&self, tx: &mut Tx, markdown: &str, mut begun: Option<OutboxId>) -> Result<(), StoreError> {
        for part in content::parts(markdown) {
            self.say_content(tx, content::answer(&part), begun.take()).await?;
        }
        Ok(())
    }

    async fn say_content(&self, tx: &mut Tx, content: Value, begun: Option<OutboxId>) -> Result<(), StoreError> {
        let send = content::outgoing(&self.agent.user_id, self.place(), content);
        let outbox = self.house.appservice.outbox();
        match begun {
            Some(begun) => outbox.enqueue_replacement(tx, send, begun).await.map(drop),
            None => outbox.enqueue(tx, send).await.map(drop),
        }
    }

    async fn begin(&self) -> Result<Tx, TurnError> {
        let mut tx = self.house.database.write().await?;
        self.house.sessions.guard(&mut tx, &self.claim).await?;
        Ok(tx)
    }

    async fn commit(&self, tx: Tx) -> Result<(), TurnError> {
        tx.commit().await?;
        self.house.appservice.outbox().wake();
        Ok(())
    }

    fn live(&self) -> Arc<Live> {
        Arc::clone(&self.live.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The message that was being written is whole; the next one is another.
    fn begin_anew(&self) {
        let next = Arc::new(Live::start(&self.house, &self.agent, &self.claim, &self.turn, None));
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// What is seen of the end of a turn.
enum Ending<'a> {
    Answer(&'a str),
    Stopped,
    Failed(&'a str),
}

#[cfg(test)]
mod tests;
