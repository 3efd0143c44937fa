//! A bot that joins every room it is invited to, and says what it is told.
//!
//! `cargo run -p doorward-appservice --example echo -- registration.yaml http://127.0.0.1:8008 example.org`

use std::sync::Arc;

use async_trait::async_trait;
use doorward_appservice::{Appservice, Config, EventHandler, HandlerError, LeasedEvent, Outgoing, Registration};
use doorward_base::{Database, DatabaseUrl, Random, SystemClock};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

struct Echo(Appservice);

#[async_trait]
impl EventHandler for Echo {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        let content: Value = event.content().unwrap_or_default();
        match event.event_type.as_str() {
            "m.room.member" if self.is_for_us(&event, &content) => self.join(&event).await,
            "m.room.message" if !self.0.owns(&event.sender) => self.echo(&event, content).await,
            _ => Ok(()),
        }
    }
}

impl Echo {
    fn is_for_us(&self, event: &LeasedEvent, content: &Value) -> bool {
        content["membership"] == "invite" && event.state_key.as_deref() == Some(self.0.sender().user_id().as_str())
    }

    async fn join(&self, event: &LeasedEvent) -> Result<(), HandlerError> {
        Ok(self.0.sender().join(&event.room_id).await?)
    }

    /// The answer is queued and the event marked as handled at once: neither without the other.
    async fn echo(&self, event: &LeasedEvent, content: Value) -> Result<(), HandlerError> {
        let sender = self.0.sender().user_id().to_owned();
        let mut tx = self.0.database().write().await?;
        self.0.outbox().enqueue(&mut tx, Outgoing::message(sender, event.room_id.clone(), content)).await?;
        event.complete(&mut tx).await?;
        tx.commit().await?;
        self.0.outbox().wake();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [registration, homeserver, server_name] = arguments.as_slice() else {
        return Err("usage: echo REGISTRATION.yaml HOMESERVER_URL SERVER_NAME".into());
    };
    let registration = Registration::from_yaml(&std::fs::read_to_string(registration)?)?;
    let listen = registration.url.socket_addrs(|| None)?;
    let config =
        Config { homeserver_url: homeserver.parse()?, server_name: server_name.as_str().try_into()?, registration };
    let database = Database::open(&DatabaseUrl::try_from("sqlite://echo.db".to_owned())?).await?;
    let appservice = Appservice::open(config, database, Arc::new(SystemClock), Random::from_os()).await?;
    let listener = tokio::net::TcpListener::bind(&*listen).await?;
    let server = tokio::spawn(axum::serve(listener, appservice.router()).into_future());
    let stop = CancellationToken::new();
    let running = appservice.run(Arc::new(Echo(appservice.clone())), stop.clone());
    tokio::select! {
        () = running => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    server.abort();
    Ok(())
}
