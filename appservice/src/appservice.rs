//! One application service: what is stored, what it answers, what it does by itself.

use std::sync::Arc;

use doorward_base::{Clock, Database, Migrations, Random, StoreError};
use reqwest::Url;
use ruma::{OwnedServerName, OwnedUserId, UserId};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::event::ID_MAX_BYTES;
use crate::handler::EventHandler;
use crate::health::{Health, keep_pinging, ping};
use crate::homeserver::{Homeserver, IntentError};
use crate::http;
use crate::inbox::{Dispatcher, Inbox};
use crate::intent::Intent;
use crate::members::{MemberStore, Members};
use crate::outbox::{Deliverer, Outbox};
use crate::queue;
use crate::registration::{Registration, is_localpart};
use crate::shared::{self, Shared};
use crate::users::VirtualUsers;

/// What an application service is opened with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the homeserver's client-server API is.
    pub homeserver_url: Url,
    /// The homeserver's name, as in user ids.
    pub server_name: OwnedServerName,
    /// As the homeserver has it.
    pub registration: Registration,
}

/// An application service. Cheap to clone: all clones are one.
#[derive(Clone)]
pub struct Appservice {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    inbox: Inbox,
    outbox: Outbox,
    members: Members,
    health: watch::Sender<Health>,
}

/// Why an application service could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sender's localpart and the server name make no user id.
    #[error("@{localpart}:{server_name} is no user id: check sender_localpart in the registration and the server name")]
    Sender {
        /// From the registration.
        localpart: String,
        /// From the configuration.
        server_name: OwnedServerName,
    },
}

/// A user that is not one of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a user of this application service")]
pub struct NotOurs(pub OwnedUserId);

/// A text that cannot be the localpart of a user of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be part of a user id: use a-z, 0-9 and ._=/+- and keep the whole id below 255 characters")]
pub struct InvalidLocalpart(pub String);

impl Appservice {
    /// Opens an application service and brings its tables up to date. Talks to no one.
    pub async fn open(
        config: Config,
        database: Database,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Result<Self, OpenError> {
        database.migrate(&migrations()).await?;
        let shared = Arc::new(share(config, database.clone(), Arc::clone(&clock), random.clone())?);
        let inner = Inner {
            inbox: Inbox::new(database.clone(), Arc::clone(&clock), random.clone()),
            outbox: Outbox::new(database, clock, random),
            members: Members::new(Arc::clone(&shared)),
            health: watch::Sender::new(Health::Unknown),
            shared,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The Application Service API, `GET /health` and `GET /ready`. Serve it where the registration's `url` says.
    pub fn router(&self) -> axum::Router {
        http::router(self.clone())
    }

    /// Acts as the sender.
    pub fn sender(&self) -> Intent {
        Intent::new(Arc::clone(&self.inner.shared), self.inner.shared.sender.clone())
    }

    /// Acts as one of our users.
    pub fn intent(&self, user: &UserId) -> Result<Intent, NotOurs> {
        if self.owns(user) {
            Ok(Intent::new(Arc::clone(&self.inner.shared), user.to_owned()))
        } else {
            Err(NotOurs(user.to_owned()))
        }
    }

    /// Whether `user` is the sender or in an exclusive user namespace, on our homeserver.
    pub fn owns(&self, user: &UserId) -> bool {
        self.inner.shared.owns(user)
    }

    /// The user id of `localpart` on our homeserver.
    pub fn user_id(&self, localpart: &str) -> Result<OwnedUserId, InvalidLocalpart> {
        let invalid = || InvalidLocalpart(localpart.to_owned());
        if !is_localpart(localpart) {
            return Err(invalid());
        }
        let user = UserId::parse_with_server_name(localpart, &self.inner.shared.server_name);
        user.ok().filter(|user| user.as_str().len() <= ID_MAX_BYTES).ok_or_else(invalid)
    }

    /// The registration that it was opened with.
    pub fn registration(&self) -> &Registration {
        &self.inner.shared.registration
    }

    /// The homeserver's name, as in user ids.
    pub fn server_name(&self) -> &ruma::ServerName {
        &self.inner.shared.server_name
    }

    /// The database that it was opened with, for tables of the bot's own.
    pub fn database(&self) -> &Database {
        &self.inner.shared.database
    }

    /// Sends waiting to go out.
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    /// Who is in which room.
    pub fn members(&self) -> &Members {
        &self.inner.members
    }

    /// Whether the homeserver and we reach each other, as [`Appservice::run`] finds out.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.inner.health.subscribe()
    }

    /// Asks the homeserver to ping us, once: for a doctor. Our [`Appservice::router`] must be served for it to succeed.
    pub async fn ping(&self) -> Result<(), IntentError> {
        ping(&self.inner.shared).await
    }

    /// Hands events to `handler`, delivers what is in the outbox, and pings, until `stop`; returns when all three have ended.
    ///
    /// What a handler is at when it is told to stop has ten seconds to end; then it is dropped, and done again at the next start.
    pub async fn run(&self, handler: Arc<dyn EventHandler>, stop: CancellationToken) {
        let inner = &self.inner;
        let dispatcher = Dispatcher { inbox: inner.inbox.clone(), members: inner.shared.members.clone(), handler };
        let deliverer = Deliverer { outbox: inner.outbox.clone(), shared: Arc::clone(&inner.shared) };
        tokio::join!(
            queue::run(inner.inbox.queue().clone(), Arc::new(dispatcher), stop.clone()),
            queue::run(inner.outbox.queue().clone(), Arc::new(deliverer), stop.clone()),
            keep_pinging(Arc::clone(&inner.shared), inner.health.clone(), stop),
        );
    }

    pub(crate) fn inbox(&self) -> &Inbox {
        &self.inner.inbox
    }

    /// Whether the homeserver may take `user` for existing.
    pub(crate) async fn has_user(&self, user: &UserId) -> Result<bool, StoreError> {
        if *user == self.inner.shared.sender {
            return Ok(true);
        }
        let known = self.inner.shared.users.get(user).await?;
        Ok(known.is_some_and(|user| user.registered))
    }

    /// Why we cannot do our job now.
    pub(crate) async fn problem(&self) -> Option<String> {
        if let Err(error) = self.inner.inbox.queue().next_ready().await {
            return Some(error.to_string());
        }
        self.inner.health.borrow().problem().map(str::to_owned)
    }
}

impl std::fmt::Debug for Appservice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Appservice").field(&self.inner.shared.registration.id).finish()
    }
}

fn migrations() -> Migrations {
    Migrations {
        table: "_migrations_appservice",
        sqlite: sqlx::migrate!("../migrations/appservice/sqlite"),
        postgres: sqlx::migrate!("../migrations/appservice/postgres"),
    }
}

fn share(config: Config, database: Database, clock: Arc<dyn Clock>, random: Random) -> Result<Shared, OpenError> {
    let Config { homeserver_url, server_name, registration } = config;
    let sender =
        UserId::parse_with_server_name(registration.sender_localpart.as_str(), &server_name).map_err(|_| {
            OpenError::Sender { localpart: registration.sender_localpart.clone(), server_name: server_name.clone() }
        })?;
    let ours = {
        let (registration, server_name, sender) = (registration.clone(), server_name.clone(), sender.clone());
        move |user: &UserId| shared::owns(&registration, &server_name, &sender, user)
    };
    Ok(Shared {
        registering: crate::shared::Registering::default(),
        homeserver: Homeserver::new(homeserver_url, registration.as_token.clone()),
        users: VirtualUsers::new(database.clone(), Arc::clone(&clock)),
        members: MemberStore::new(database.clone(), Arc::new(ours)),
        registration,
        server_name,
        sender,
        database,
        clock,
        random,
    })
}
