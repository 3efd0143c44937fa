//! The parts of Doorward, running: which listen where, what stands between them, and how they end.

mod connections;
mod early;
mod listener;
mod stop;
mod tls;
mod trust;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use doorward_agents::{Agents, GatewayEndpoint};
use doorward_appservice::Appservice;
use doorward_base::Database;
use doorward_gateway::Gateway;
use reqwest::Url;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use listener::Listener;
pub(crate) use stop::stop_on_signals;
use tls::Tls;

use crate::World;
use crate::config::Config;
use crate::failure::Failure;
use crate::registration;

/// Longer than that nobody waits for a Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

/// Which parts run in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roles {
    Both,
    Appservice,
    Gateway,
}

/// The running parts.
#[derive(Debug)]
pub(crate) struct House {
    tasks: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
    listening: Vec<String>,
}

impl House {
    /// Binds the listeners, opens the parts, and lets them run until `stop`.
    pub(crate) async fn open(
        config: &Config,
        roles: Roles,
        world: &World,
        stop: CancellationToken,
    ) -> Result<Self, Failure> {
        let mut house = Self { tasks: JoinSet::new(), stop, listening: Vec::new() };
        let mut config = config.clone();
        if roles != Roles::Appservice {
            house.open_gateway(&mut config, world).await?;
        }
        if roles != Roles::Gateway {
            house.open_appservice(&config, world).await?;
        }
        Ok(house)
    }

    /// Leaves the addresses that were bound in `config`: a port 0 there has become a real one.
    async fn open_gateway(&mut self, config: &mut Config, world: &World) -> Result<(), Failure> {
        let consumers = Listener::bind("gateway.listen", config.gateway.listen).await?;
        let admin = Listener::bind("gateway.admin_listen", config.gateway.admin_listen).await?;
        (config.gateway.listen, config.gateway.admin_listen) = (consumers.address(), admin.address());
        let tls = config.gateway.tls.as_ref().map(Tls::read).transpose()?;
        let gateway = gateway(config, world).await?;
        match tls {
            Some(tls) => self.serve_tls("gateway", consumers, tls, gateway.consumer_router())?,
            None => self.serve("gateway", consumers, gateway.consumer_router()),
        }
        self.serve("admin", admin, gateway.admin_router());
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            gateway.run(stop).await;
            Ok(())
        });
        Ok(())
    }

    async fn open_appservice(&mut self, config: &Config, world: &World) -> Result<(), Failure> {
        let listener = Listener::bind("appservice.listen", config.appservice.listen).await?;
        let appservice = appservice(config, world).await?;
        let agents = agents(config, appservice.clone(), world).await?;
        self.serve("appservice", listener, appservice.router());
        let (stop, handler) = (self.stop.clone(), Arc::new(agents.clone()));
        self.tasks.spawn(async move {
            appservice.run(handler, stop).await;
            Ok(())
        });
        let stop = self.stop.clone();
        self.tasks.spawn(async move { Ok(agents.run(stop).await?) });
        Ok(())
    }

    /// Answers on a listener until the end.
    pub(crate) fn serve(&mut self, name: &str, listener: Listener, router: Router) {
        self.listening.push(format!("{name} http://{}", listener.address()));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            listener.serve(router, stop).await;
            Ok(())
        });
    }

    /// The same with TLS.
    fn serve_tls(&mut self, name: &str, listener: Listener, tls: Tls, router: Router) -> Result<(), Failure> {
        self.listening.push(format!("{name} https://{}", listener.address()));
        let (serving, watching) = (listener.serve_tls(&tls, router, self.stop.clone())?, tls.watch(self.stop.clone()));
        self.tasks.spawn(async move {
            serving.await;
            Ok(())
        });
        self.tasks.spawn(async move {
            watching.await;
            Ok(())
        });
        Ok(())
    }

    /// The line that says that all listeners answer: they are bound, and the system takes connections for them.
    pub(crate) fn ready_line(&self) -> String {
        format!("ready: {}", self.listening.join(", "))
    }

    /// Returns when the parts have ended: after `stop`, which a part that fails asks for too, and at most the grace.
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let Self { mut tasks, stop, .. } = self;
        let mut result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            first = first_failure(&mut tasks) => first,
        };
        stop.cancel();
        let all_ended = async {
            while !tasks.is_empty() {
                let next = first_failure(&mut tasks).await;
                result = std::mem::replace(&mut result, Ok(())).and(next);
            }
        };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            tracing::warn!("some parts did not end within {} s and are left behind", GRACE.as_secs());
        }
        result
    }
}

/// Returns when a part fails, with why; or when all have ended well.
async fn first_failure(tasks: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// The gateway of the configuration.
pub(crate) async fn gateway(config: &Config, world: &World) -> Result<Gateway, Failure> {
    let gateway = Gateway::open(
        config.gateway.clone(),
        config.grants.clone(),
        world.environment.lookup(),
        world.clock.clone(),
        world.random.clone(),
    );
    Ok(gateway.await?)
}

/// The appservice of the configuration, on its database.
pub(crate) async fn appservice(config: &Config, world: &World) -> Result<Appservice, Failure> {
    let homeserver = config.homeserver()?;
    let settings = doorward_appservice::Config {
        homeserver_url: homeserver.url.clone(),
        server_name: homeserver.server_name.clone(),
        registration: registration::read(&config.appservice.registration)?,
    };
    let database = Database::open(&config.appservice.database).await?;
    Ok(Appservice::open(settings, database, world.clock.clone(), world.random.clone()).await?)
}

/// The agents of the configuration, behind `appservice`.
pub(crate) async fn agents(config: &Config, appservice: Appservice, world: &World) -> Result<Agents, Failure> {
    let gateway = GatewayEndpoint {
        consumer_url: Url::parse(&config.gateway.consumer_url())?,
        admin_url: Url::parse(&config.gateway.admin_url())?,
        admin_token_file: config.gateway.admin_token_file.clone(),
        tls: config.gateway.tls.as_ref().map(|tls| trust::client_config(&tls.cert_file)).transpose()?,
    };
    let parts = doorward_agents::Parts {
        appservice,
        config: config.agents.clone(),
        access: config.access.clone(),
        gateway,
        workspaces: config.folder().join("workspaces"),
        clock: world.clock.clone(),
        random: world.random.clone(),
    };
    Ok(Agents::open(parts).await?)
}
