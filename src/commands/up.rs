//! `doorward up`, `doorward appservice`, `doorward gateway`.

use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::World;
use crate::cli::UpArgs;
use crate::config::{Config, LogConfig};
use crate::failure::Failure;
use crate::files;
use crate::local::{self, Local, Options, Upstream};
use crate::logging;
use crate::rehearsal;
use crate::serve::{House, Listener, Roles, stop_on_signals};
use crate::terminal;

/// The model that is asked for unless the environment names another.
const USUAL_MODEL: &str = "gpt-5";
const USUAL_BASE_URL: &str = "https://api.openai.com/v1";
const REHEARSAL_KEY_FILE: &str = "rehearsal.key";

/// Runs the parts of a configuration until a signal.
pub(super) async fn roles(context: &Context<'_>, roles: Roles) -> Result<(), Failure> {
    let config = context.config()?;
    logging::start(&config.log, &context.world.environment)?;
    let stop = stop_on_signals()?;
    let house = House::open(&config, roles, context.world, stop).await?;
    terminal::say(house.ready_line());
    house.run().await
}

/// Provides what a fresh machine lacks, and runs everything until a signal.
pub(super) async fn local(args: &UpArgs, world: &World) -> Result<(), Failure> {
    logging::start(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() }, &world.environment)?;
    let rehearsal = if args.rehearsal { Some(Rehearsal::bind(world).await?) } else { None };
    let model = if args.rehearsal {
        rehearsal::MODEL
    } else {
        world.environment.get("DOORWARD__AGENTS__MODEL").unwrap_or(USUAL_MODEL)
    };
    let options = Options {
        data: &args.data,
        tools: args.tools.as_deref(),
        upstream: rehearsal.as_ref().map(Rehearsal::upstream).or_else(|| openai(world)),
        model,
    };
    let mut local = local::provide(&options, world).await?;
    let stop = stop_on_signals()?;
    let result = run_beside(&mut local, rehearsal, world, &stop).await;
    stop.cancel();
    local.stop().await;
    result
}

/// Runs doorward beside its homeserver, until a signal or until the homeserver ends.
async fn run_beside(
    local: &mut Local,
    rehearsal: Option<Rehearsal>,
    world: &World,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    if let Some(rehearsal) = &rehearsal {
        rehearsal.write_key(local.folder())?;
    }
    let config = Config::load(&local.config_file(), &world.environment)?;
    local.release_ports();
    let mut house = House::open(&config, Roles::Both, world, stop.clone()).await?;
    if let Some(rehearsal) = rehearsal {
        let router = rehearsal::router(rehearsal.key, world.random.clone());
        house.serve("rehearsal", rehearsal.listener, router);
    }
    local.open_first_room().await?;
    terminal::say(local.summary());
    terminal::say(house.ready_line());
    let house = house.run();
    tokio::pin!(house);
    tokio::select! {
        result = &mut house => result,
        failure = local.process().ended() => {
            stop.cancel();
            house.await.and(Err(failure))
        }
    }
}

/// `OPENAI_API_KEY` and `OPENAI_BASE_URL`, if the first is there. The key itself stays in the environment.
fn openai(world: &World) -> Option<Upstream> {
    world.environment.get("OPENAI_API_KEY")?;
    let base_url = world.environment.get("OPENAI_BASE_URL").unwrap_or(USUAL_BASE_URL);
    Some(Upstream { name: "openai", base_url: base_url.to_owned(), credential: json!({"env": "OPENAI_API_KEY"}) })
}

/// The stand-in, bound but not answering yet.
#[derive(Debug)]
struct Rehearsal {
    listener: Listener,
    key: SecretString,
}

impl Rehearsal {
    async fn bind(world: &World) -> Result<Self, Failure> {
        let listener = Listener::bind("--rehearsal", SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        Ok(Self { listener, key: world.random.text(40).into() })
    }

    /// Leaves the key where the gateway finds it. Only once the data folder is locked: another start on it may be running, with
    /// a key of its own.
    fn write_key(&self, folder: &Path) -> Result<(), Failure> {
        Ok(files::replace_private(&folder.join(REHEARSAL_KEY_FILE), self.key.expose_secret())?)
    }

    fn upstream(&self) -> Upstream {
        Upstream {
            name: "rehearsal",
            base_url: format!("http://{}/v1", self.listener.address()),
            credential: json!({"file": REHEARSAL_KEY_FILE}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refused_second_start_leaves_the_key_of_the_running_one() {
        let folder = tempfile::tempdir().unwrap();
        let lock = std::fs::File::create(folder.path().join("lock")).unwrap();
        lock.lock().unwrap();
        let key_file = folder.path().join(REHEARSAL_KEY_FILE);
        std::fs::write(&key_file, "of the running one").unwrap();
        let args = UpArgs { local: true, rehearsal: true, data: folder.path().to_owned(), tools: None };
        let failure = local(&args, &World::of_process()).await.unwrap_err().to_string();
        assert!(failure.contains("another `doorward up --local` is running"), "{failure}");
        assert_eq!(std::fs::read_to_string(&key_file).unwrap(), "of the running one");
    }
}
