//! `doorward chat`: a small Matrix client in the terminal, for the account of `up --local`.
//!
//! One task follows `/sync`, one thread reads the keyboard; [`Session`] takes from both, so that nothing is shown halfway.

mod input;
mod room;
mod session;
mod view;

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::World;
use crate::failure::Failure;
use crate::local::{self, State};
use crate::matrix::Account;
use crate::terminal;
use session::Session;

/// How much of each room is fetched at first; live edits take many events for one message.
const HISTORY: u32 = 200;
/// With its input at an end and no terminal, chat waits so long for somebody to say something more.
const QUIET: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_secs(1);

/// Runs until the person quits. `folder` is that of `local.toml`.
pub(crate) async fn run(folder: &Path, room: Option<&str>, world: &World) -> Result<(), Failure> {
    let state = State::read(folder)?.ok_or_else(|| {
        Failure::new(format_args!(
            "`doorward chat` is for the account that `doorward up --local` makes, and there is none in {}: start that first, or use any Matrix client",
            folder.display()
        ))
    })?;
    let account = local::account(&state)?;
    let first = account
        .sync(None, &filter())
        .await
        .map_err(|error| Failure::from(error).while_doing("is `doorward up --local` running? The chat cannot begin"))?;
    let since = first["next_batch"].as_str().unwrap_or_default().to_owned();
    let mut session = Session::new(account.clone(), state.user_id(), world.random.clone());
    session.take(&first).await;
    session.open(room.or(state.room.as_deref())).await?;
    let (sender, news) = mpsc::channel(1);
    let following = tokio::spawn(follow(account, since, sender));
    let result = converse(&mut session, news).await;
    following.abort();
    result
}

async fn converse(session: &mut Session, mut news: mpsc::Receiver<Value>) -> Result<(), Failure> {
    let mut lines = keyboard();
    let piped = !std::io::stdin().is_terminal();
    let mut quiet_at = None;
    loop {
        let is_quiet = async {
            match quiet_at {
                Some(instant) => tokio::time::sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            batch = news.recv() => match batch {
                Some(batch) if session.take(&batch).await && quiet_at.is_some() => quiet_at = Some(Instant::now() + QUIET),
                Some(_) => {}
                None => return Ok(()),
            },
            line = lines.recv(), if quiet_at.is_none() => match line {
                Some(line) if session.typed(&line).await => {}
                None if piped => quiet_at = Some(Instant::now() + QUIET),
                Some(_) | None => return Ok(()),
            },
            () = is_quiet => return Ok(()),
        }
    }
}

/// Follows `/sync` until the session is over; an outage is told once, and waited for.
async fn follow(account: Account, mut since: String, news: mpsc::Sender<Value>) {
    let mut told = false;
    loop {
        match account.sync(Some(&since), &filter()).await {
            Ok(batch) => {
                told = false;
                batch["next_batch"].as_str().unwrap_or_default().clone_into(&mut since);
                if news.send(batch).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    terminal::tell(format_args!("doorward: {error}; waiting for it"));
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Lines as they are typed. A thread, because reading a terminal cannot be cancelled.
fn keyboard() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

fn filter() -> Value {
    json!({
        "presence": {"types": []},
        "account_data": {"types": []},
        "room": {
            "timeline": {"limit": HISTORY},
            "ephemeral": {"types": []},
            "account_data": {"types": []},
        },
    })
}
