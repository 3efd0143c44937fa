//! A framework for Matrix application services: bots and bridges that own users on a homeserver.
//!
//! Events that the homeserver sends are stored before they are acknowledged, and handled in order within each room; what a
//! bot sends is queued in its own database transaction, and goes out exactly once, whatever is restarted in between.
//! SQLite or PostgreSQL keep it.
//!
//! # An echo bot
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use doorward_appservice::{Appservice, Config, EventHandler, HandlerError, LeasedEvent, Outgoing, Registration};
//! use doorward_base::{Database, DatabaseUrl, Random, SystemClock};
//! use tokio_util::sync::CancellationToken;
//!
//! struct Echo(Appservice);
//!
//! #[async_trait]
//! impl EventHandler for Echo {
//!     async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
//!         if event.event_type != "m.room.message" || self.0.owns(&event.sender) {
//!             return Ok(());
//!         }
//!         let Ok(content) = event.content() else { return Ok(()) };
//!         let sender = self.0.sender().user_id().to_owned();
//!         // The answer is queued and the event marked as handled at once: neither without the other.
//!         let mut tx = self.0.database().write().await?;
//!         let echo = Outgoing { sender, room_id: event.room_id.clone(), event_type: "m.room.message".into(), content };
//!         self.0.outbox().enqueue(&mut tx, echo).await?;
//!         event.complete(&mut tx).await?;
//!         tx.commit().await?;
//!         self.0.outbox().wake();
//!         Ok(())
//!     }
//! }
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     homeserver_url: "http://127.0.0.1:8008".parse()?,
//!     server_name: "example.org".try_into()?,
//!     registration: Registration::from_yaml(&std::fs::read_to_string("registration.yaml")?)?,
//! };
//! let database = Database::open(&DatabaseUrl::try_from("sqlite://echo.db".to_owned())?).await?;
//! let appservice = Appservice::open(config, database, Arc::new(SystemClock), Random::from_os()).await?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9009").await?;
//! let router = appservice.router();
//! tokio::spawn(async move { axum::serve(listener, router).await });
//! appservice.run(Arc::new(Echo(appservice.clone())), CancellationToken::new()).await;
//! # Ok(())
//! # }
//! ```
//!
//! # Parts
//!
//! - [`Registration`]: the file that both sides go by.
//! - [`Appservice`]: [`Appservice::router`] is what the homeserver calls, [`Appservice::run`] what is done meanwhile.
//! - [`EventHandler`]: the bot. It gets a [`LeasedEvent`] and marks it handled in its own transaction.
//! - [`Intent`]: the client-server API as one of our users; registers it, with a device, when first needed.
//! - [`Outbox`]: sends that survive a restart, in order per room, each under a transaction id that never changes.
//! - [`Members`]: who is in which room, without asking each time.
//! - [`Health`]: whether the homeserver and we reach each other, and if not, what to do.
//!
//! Ephemeral events and to-device messages are accepted and dropped.

mod appservice;
mod event;
mod handler;
mod health;
mod homeserver;
mod http;
mod inbox;
mod intent;
mod members;
mod outbox;
mod queue;
pub mod registration;
mod shared;
mod sql;
mod users;

pub use appservice::{Appservice, Config, InvalidLocalpart, NotOurs, OpenError};
pub use event::{MalformedEvent, RoomEvent};
pub use handler::{CompleteError, EventHandler, HandlerError, LeasedEvent};
pub use health::Health;
pub use homeserver::IntentError;
pub use intent::{CreateRoom, Intent, Preset};
pub use members::Members;
pub use outbox::{Delivery, Outbox, OutboxId, Outgoing, replacement};
pub use registration::{AsToken, GenerateOptions, HsToken, Registration, RegistrationError};
