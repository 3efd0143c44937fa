//! Where tests of this crate play: a homeserver and a gateway that are mocked, a real database, and a runtime that follows a script.

mod homeserver;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use doorward_appservice::{Appservice, Config, Registration};
use doorward_base::{Clock, Database, DatabaseUrl, Random, SystemClock};
use doorward_testkit::wait_for;
use futures_util::future::BoxFuture;
use ruma::{OwnedRoomId, OwnedUserId, UserId};
use serde_json::{Value, json};
use sqlx::Row;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::agent::{Agent, AgentName};
use crate::house::House;
use crate::place::Place;
use crate::runtime::{Runtime, TurnError};
use crate::session::Input;
use crate::turn::{Engine, TurnContext};
use crate::workers::{self, Wish};
use crate::{AccessConfig, Agents, AgentsConfig, GatewayEndpoint, Parts, provision};

pub(crate) use homeserver::{Homeserver, membership, mention, message};

const REGISTRATION: &str = r"
id: doorward
url: http://127.0.0.1:9009
as_token: the-as-token
hs_token: the-hs-token
sender_localpart: manager
io.element.msc4190: true
namespaces:
  users:
    - exclusive: true
      regex: '^@manager:example\.org$'
    - exclusive: true
      regex: '^@worker-[a-z0-9-]+:example\.org$'
";

type Script = dyn for<'a> Fn(&'a TurnContext) -> BoxFuture<'a, Result<String, TurnError>> + Send + Sync;

/// A runtime that does what the test says.
pub(crate) struct Scripted(Box<Script>);

pub(crate) fn scripted(
    script: impl for<'a> Fn(&'a TurnContext) -> BoxFuture<'a, Result<String, TurnError>> + Send + Sync + 'static,
) -> Arc<dyn Runtime> {
    Arc::new(Scripted(Box::new(script)))
}

/// Answers every turn with the same text.
pub(crate) fn says(text: &'static str) -> Arc<dyn Runtime> {
    scripted(move |_| Box::pin(async move { Ok(text.to_owned()) }))
}

#[async_trait]
impl Runtime for Scripted {
    async fn react(&self, turn: &TurnContext) -> Result<String, TurnError> {
        (self.0)(turn).await
    }
}

/// One process on a database, beside a homeserver and a gateway.
pub(crate) struct Stage {
    pub(crate) homeserver: Arc<Homeserver>,
    pub(crate) gateway: Arc<MockServer>,
    pub(crate) agents: Agents,
    pub(crate) stop: CancellationToken,
    url: String,
    folder: Arc<tempfile::TempDir>,
    tasks: Vec<JoinHandle<()>>,
}

/// What waits in the outbox or went out of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) sender: String,
    pub(crate) body: String,
    pub(crate) msgtype: String,
    /// Whether it takes the place of another message.
    pub(crate) replaces: bool,
}

impl Stage {
    pub(crate) async fn open(url: String, runtime: Arc<dyn Runtime>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("admin.token"), "dwa_test\n").unwrap();
        let (homeserver, gateway) = (Arc::new(Homeserver::start().await), Arc::new(MockServer::start().await));
        let token = json!({"id": "1", "token": "dw_test", "consumer": "x", "grants": [], "expires_at": "never"});
        let mint = Mock::given(method("POST")).and(path("/admin/v1/tokens"));
        mint.respond_with(ResponseTemplate::new(201).set_body_json(token)).with_priority(10).mount(&gateway).await;
        let others = ResponseTemplate::new(200).set_body_json(json!({"revoked": 1, "usage": []}));
        Mock::given(wiremock::matchers::any()).respond_with(others).with_priority(20).mount(&gateway).await;
        Self::process(url, runtime, homeserver, gateway, Arc::new(folder), Arc::new(SystemClock)).await
    }

    /// Another process on the same database.
    pub(crate) async fn beside(&self, runtime: Arc<dyn Runtime>) -> Self {
        self.beside_with(runtime, Arc::new(SystemClock)).await
    }

    /// Another process on the same database, at another time.
    pub(crate) async fn beside_with(&self, runtime: Arc<dyn Runtime>, clock: Arc<dyn Clock>) -> Self {
        let (homeserver, gateway) = (Arc::clone(&self.homeserver), Arc::clone(&self.gateway));
        Self::process(self.url.clone(), runtime, homeserver, gateway, Arc::clone(&self.folder), clock).await
    }

    async fn process(
        url: String,
        runtime: Arc<dyn Runtime>,
        homeserver: Arc<Homeserver>,
        gateway: Arc<MockServer>,
        folder: Arc<tempfile::TempDir>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let config = Config {
            homeserver_url: homeserver.server.uri().parse().unwrap(),
            server_name: "example.org".try_into().unwrap(),
            registration: Registration::from_yaml(REGISTRATION).unwrap(),
        };
        let database = Database::open(&DatabaseUrl::try_from(url.clone()).unwrap()).await.unwrap();
        let random = Random::from_os();
        let appservice = Appservice::open(config, database, Arc::clone(&clock), random.clone()).await.unwrap();
        let endpoint: reqwest::Url = gateway.uri().parse().unwrap();
        let parts = Parts {
            appservice,
            config: AgentsConfig::default(),
            access: AccessConfig {
                owners: vec!["@owner:example.org".to_owned()],
                humans: vec!["@*:example.org".to_owned()],
            },
            gateway: GatewayEndpoint {
                consumer_url: endpoint.clone(),
                admin_url: endpoint,
                admin_token_file: folder.path().join("admin.token"),
                tls: None,
            },
            workspaces: folder.path().join("workspaces"),
            clock,
            random,
        };
        let mut agents = Agents::open(parts).await.unwrap();
        agents.house.runtimes = Arc::new(HashMap::from([("builtin".to_owned(), runtime)]));
        Self { homeserver, gateway, agents, stop: CancellationToken::new(), url, folder, tasks: Vec::new() }
    }

    pub(crate) fn house(&self) -> &House {
        &self.agents.house
    }

    /// Starts to work on turns.
    pub(crate) fn work(&mut self) {
        let (engine, stop) = (Engine::new(self.house().clone()), self.stop.clone());
        self.tasks.push(tokio::spawn(async move { engine.run(stop).await }));
    }

    /// Starts to make and remove workers.
    pub(crate) fn provision(&mut self) {
        let (house, stop) = (self.house().clone(), self.stop.clone());
        self.tasks.push(tokio::spawn(async move { provision::run(&house, stop).await }));
    }

    /// Starts to handle events and to deliver what is in the outbox.
    pub(crate) fn connect(&mut self) {
        let (agents, stop) = (self.agents.clone(), self.stop.clone());
        let appservice = agents.house.appservice.clone();
        self.tasks.push(tokio::spawn(async move { appservice.run(Arc::new(agents), stop).await }));
    }

    /// Ends in an orderly way.
    pub(crate) async fn end(mut self) {
        self.stop.cancel();
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        self.house().database.close().await;
    }

    /// Has an agent hear something in its room.
    pub(crate) async fn hear(&self, agent: &Agent, sender: &str, event: &str, body: &str, hops: i64) {
        let input = Input { event_id: event.try_into().unwrap(), sender: user(sender), body: body.to_owned(), hops };
        let mut tx = self.house().database.write().await.unwrap();
        self.house().sessions.hear(&mut tx, agent, &place(), &input).await.unwrap();
        tx.commit().await.unwrap();
        self.house().wake_all();
    }

    /// Adds a worker that is there.
    pub(crate) async fn add_worker(&self, name: &str) -> Agent {
        let House { database, roster, .. } = self.house();
        let new = workers::plan(self.house(), name, Wish::default(), &user("owner"), None).unwrap();
        let mut tx = database.write().await.unwrap();
        roster.create(&mut tx, &new).await.unwrap();
        tx.commit().await.unwrap();
        let agent = roster.get(&new.name).await.unwrap();
        roster.set_home_room(&agent, &OwnedRoomId::try_from("!home:example.org").unwrap()).await.unwrap();
        let mut tx = database.write().await.unwrap();
        roster.created(&mut tx, &agent).await.unwrap();
        tx.commit().await.unwrap();
        roster.get(&new.name).await.unwrap()
    }

    /// Says something to the manager, as a person.
    pub(crate) async fn ask(&self, event: &str, body: &str) {
        self.hear(&self.manager().await, "you", event, body, 0).await;
    }

    pub(crate) async fn manager(&self) -> Agent {
        self.house().roster.get(&AgentName::manager()).await.unwrap()
    }

    /// What was said, in order.
    pub(crate) async fn said(&self) -> Vec<Said> {
        let rows = sqlx::query("SELECT sender, content, replaces FROM outbox ORDER BY seq")
            .fetch_all(self.house().database.reader())
            .await
            .unwrap();
        rows.iter()
            .map(|row| {
                let content: Value = serde_json::from_str(&row.get::<String, _>("content")).unwrap();
                let text = |key: &str| content[key].as_str().unwrap_or_default().to_owned();
                let replaces: Option<i64> = row.get("replaces");
                Said {
                    sender: row.get("sender"),
                    body: text("body"),
                    msgtype: text("msgtype"),
                    replaces: replaces.is_some(),
                }
            })
            .collect()
    }

    pub(crate) async fn bodies(&self) -> Vec<String> {
        self.said().await.into_iter().map(|said| said.body).collect()
    }

    /// Waits until something with this text was said.
    pub(crate) async fn wait_for_body(&self, text: &str) {
        wait_for(text, async || self.bodies().await.iter().any(|body| body.contains(text)).then_some(())).await;
    }

    /// The turns, oldest first: id and state.
    pub(crate) async fn turns(&self) -> Vec<(String, String)> {
        let rows = sqlx::query("SELECT id, state FROM turn ORDER BY started_at, id")
            .fetch_all(self.house().database.reader())
            .await
            .unwrap();
        rows.iter().map(|row| (row.get("id"), row.get("state"))).collect()
    }

    /// Waits until the latest turn is in this state, and gives its id.
    pub(crate) async fn wait_for_turn(&self, state: &str) -> String {
        wait_for(state, async || self.turns().await.pop().filter(|turn| turn.1 == state)).await.0
    }

    /// Runs a statement.
    pub(crate) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.house().database.reader()).await.unwrap();
    }

    /// Waits until a condition over the whole stage holds.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        wait_for(what, async || condition(self).await.then_some(())).await;
    }
}

/// A worker that is there, outside of any database.
pub(crate) fn agent(name: &str) -> Agent {
    let user_id = ruma::UserId::parse(format!("@worker-{name}:example.org")).unwrap();
    Agent {
        name: AgentName::worker(name).unwrap(),
        id: format!("id-{name}"),
        created_by: user_id.clone(),
        user_id,
        description: String::new(),
        runtime: "builtin".to_owned(),
        model: "gpt-5".to_owned(),
        grant: "default".to_owned(),
        state: crate::agent::AgentState::Active,
        created_at: doorward_base::Timestamp::from_millis(0),
        home_room: None,
        trouble: None,
    }
}

/// A user of the homeserver.
pub(crate) fn user(localpart: &str) -> OwnedUserId {
    UserId::parse(format!("@{localpart}:example.org")).unwrap()
}

/// Where most tests play.
pub(crate) fn place() -> Place {
    Place::room(OwnedRoomId::try_from("!room:example.org").unwrap())
}

/// Long enough for a thing that must not happen to happen.
pub(crate) async fn a_while() {
    tokio::time::sleep(Duration::from_millis(700)).await;
}
