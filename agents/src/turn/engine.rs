//! The engine: claims sessions that have something to do, and has their turns worked on, side by side.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use ruma::{OwnedRoomId, OwnedUserId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Ending, TurnContext};
use crate::house::House;
use crate::runtime::TurnError;
use crate::session::{Claim, Pulse, SessionError, TurnState};

/// Turns at the same time; the rest waits its turn.
const MOST_TURNS: usize = 64;
/// How often an idle engine looks for work that another process queued.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// How often a running turn looks whether somebody wants it to stop.
const PULSE: Duration = Duration::from_millis(500);
const TYPING: Duration = Duration::from_secs(30);
/// A turn is tried so often before the room is told that it failed.
pub(super) const MOST_ATTEMPTS: i64 = 4;
/// The longest pause between two tries, whatever the other side asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Works on turns until it is stopped.
pub(crate) struct Engine {
    house: House,
    running: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Engine {
    pub(crate) fn new(house: House) -> Self {
        Self { house, running: Arc::new(Semaphore::new(MOST_TURNS)), tasks: TaskTracker::new() }
    }

    /// Claims and works until `stop`; then every running turn is put aside, for the next start to continue.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let Ok(permit) = Arc::clone(&self.running).acquire_owned().await else { break };
            match self.house.sessions.claim().await {
                Ok(Some(claim)) => {
                    let (house, stop) = (self.house.clone(), stop.clone());
                    self.tasks.spawn(async move {
                        work(house, claim, stop).await;
                        drop(permit);
                    });
                }
                Ok(None) => self.idle(&stop).await,
                Err(error) => {
                    tracing::error!(%error, "no session can be claimed");
                    self.idle(&stop).await;
                }
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn idle(&self, stop: &CancellationToken) {
        tokio::select! {
            () = self.house.turns.notified() => {}
            () = tokio::time::sleep(IDLE_POLL) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn work(house: House, claim: Claim, stop: CancellationToken) {
    if let Err(error) = try_work(&house, &claim, stop).await {
        tracing::warn!(%error, room = %claim.place.room, "a turn was put aside");
        let _ = house.sessions.release(&claim, Duration::from_secs(1)).await;
    }
    // There may be more for this session, and one claim finds one session.
    house.turns.notify_one();
}

async fn try_work(house: &House, claim: &Claim, stop: CancellationToken) -> Result<(), SessionError> {
    let Some(agent) = house.roster.by_id(&claim.agent_id).await? else { return Ok(()) };
    let Some(turn) = house.sessions.take_up(claim).await? else { return Ok(()) };
    let context = TurnContext::new(house.clone(), agent, claim.clone(), turn);
    // Asked before anything is done: a turn may be taken up only to be stopped.
    let end = match house.sessions.pulse(claim).await? {
        Pulse::Steady => react_until_interrupted(house, &context, &stop).await,
        pulse => End::Interrupted(pulse),
    };
    conclude(house, &context, end).await
}

enum End {
    Reacted(Result<String, TurnError>),
    Interrupted(Pulse),
}

async fn react_until_interrupted(house: &House, context: &TurnContext, stop: &CancellationToken) -> End {
    let (user, room) = (context.agent.user_id.clone(), context.claim.place.room.clone());
    let typing = tokio::spawn(show_typing(house.clone(), user.clone(), room.clone()));
    let end = tokio::select! {
        biased;
        interruption = interrupted(house, &context.claim, stop) => End::Interrupted(interruption),
        answer = AssertUnwindSafe(react(house, context)).catch_unwind() => End::Reacted(answer.unwrap_or_else(|_| Err(panicked(context)))),
    };
    typing.abort();
    tokio::spawn(stop_typing(house.clone(), user, room));
    end
}

async fn react(house: &House, context: &TurnContext) -> Result<String, TurnError> {
    let name = &context.agent().runtime;
    match house.runtimes.get(name) {
        Some(runtime) => runtime.react(context).await,
        None => Err(TurnError::fail(format!(
            "My runtime {name:?} is not known to this doorward; it knows {}.",
            known(house)
        ))),
    }
}

/// The panic itself was printed where it happened.
fn panicked(context: &TurnContext) -> TurnError {
    tracing::error!(agent = %context.agent.name, runtime = context.agent.runtime, "a runtime panicked");
    TurnError::retry("Something in me broke over this; the operator finds the reason in the log.")
}

fn known(house: &House) -> String {
    let mut names: Vec<_> = house.runtimes.keys().map(String::as_str).collect();
    names.sort_unstable();
    names.join(", ")
}

/// Returns when somebody wants the turn to end or to be put aside.
async fn interrupted(house: &House, claim: &Claim, stop: &CancellationToken) -> Pulse {
    loop {
        let told = house.interruptions.notified();
        match house.sessions.pulse(claim).await {
            Ok(Pulse::Steady) => {}
            Ok(pulse) => return pulse,
            Err(error) => tracing::warn!(%error, "a turn could not see whether it is wanted"),
        }
        tokio::select! {
            () = told => {}
            () = tokio::time::sleep(PULSE) => {}
            () = stop.cancelled() => return Pulse::Suspend,
        }
    }
}

async fn conclude(house: &House, context: &TurnContext, end: End) -> Result<(), SessionError> {
    let (claim, turn) = (&context.claim, &context.turn);
    let tried = turn.failures + 1;
    match end {
        End::Reacted(Ok(answer)) => context.close(TurnState::Done, Ending::Answer(&answer)).await,
        End::Reacted(Err(TurnError::Retry { after, .. })) if tried < MOST_ATTEMPTS => {
            context.set_aside().await;
            let wait = after.unwrap_or_default().max(back_off(tried)).min(LONGEST_WAIT);
            // Without the reason: it may quote an upstream, and an upstream may quote the request. The audit has the status.
            tracing::info!(agent = %context.agent.name, tried, ?wait, "a turn will be tried again");
            house.sessions.retry(claim, turn, wait).await
        }
        End::Reacted(Err(TurnError::Retry { reason, .. })) => {
            let reason = format!(
                "{reason} I have tried {tried} times. Your message is kept: say \"go on\" when it should work again."
            );
            context.close(TurnState::Failed, Ending::Failed(&reason)).await
        }
        End::Reacted(Err(TurnError::Fail { reason })) => {
            context.close(TurnState::Failed, Ending::Failed(&reason)).await
        }
        End::Reacted(Err(TurnError::LeaseLost)) | End::Interrupted(Pulse::Lost) => {
            context.set_aside().await;
            Ok(())
        }
        End::Interrupted(Pulse::Stop) => context.close(TurnState::Stopped, Ending::Stopped).await,
        End::Interrupted(Pulse::Suspend | Pulse::Steady) => {
            context.set_aside().await;
            Ok(house.sessions.release(claim, Duration::ZERO).await?)
        }
    }
}

/// 0.5, 2 and 8 seconds: a passing fault is over by then, and a person still waits.
fn back_off(tried: i64) -> Duration {
    Duration::from_millis(500) * 4_u32.pow(u32::try_from(tried - 1).unwrap_or(0).min(4))
}

async fn show_typing(house: House, user: OwnedUserId, room: OwnedRoomId) {
    let Ok(intent) = house.appservice.intent(&user) else { return };
    loop {
        // A typing notice that does not arrive is no loss.
        let _ = intent.typing(&room, Some(TYPING)).await;
        tokio::time::sleep(TYPING * 2 / 3).await;
    }
}

async fn stop_typing(house: House, user: OwnedUserId, room: OwnedRoomId) {
    if let Ok(intent) = house.appservice.intent(&user) {
        let _ = intent.typing(&room, None).await;
    }
}
