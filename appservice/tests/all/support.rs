//! A homeserver to play against, a bot that notes what it is given, and how to put transactions.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use doorward_appservice::{Appservice, Config, EventHandler, HandlerError, LeasedEvent, Registration};
use doorward_base::{Database, DatabaseUrl, Random, SystemClock};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wiremock::matchers::{method, path_regex};
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

const REGISTRATION: &str = r"
id: bot
url: http://127.0.0.1:9009
as_token: the-as-token
hs_token: the-hs-token
sender_localpart: bot
io.element.msc4190: true
namespaces:
  users:
    - exclusive: true
      regex: '^@bot-[a-z]+:example\.org$'
";

pub(crate) fn registration() -> Registration {
    Registration::from_yaml(REGISTRATION).unwrap()
}

pub(crate) async fn open(url: String, homeserver: &str) -> Appservice {
    let config = Config {
        homeserver_url: homeserver.parse().unwrap(),
        server_name: "example.org".try_into().unwrap(),
        registration: registration(),
    };
    let database = Database::open(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
    Appservice::open(config, database, Arc::new(SystemClock), Random::from_os()).await.unwrap()
}

/// One that is given transactions, but never asks anything of a homeserver.
pub(crate) async fn open_deaf(url: String) -> Appservice {
    open(url, "http://127.0.0.1:1").await
}

pub(crate) fn sqlite() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("bot.db").display());
    (folder, url)
}

pub(crate) fn event(id: &str, room: &str, body: &str) -> Value {
    json!({"event_id": id, "room_id": room, "sender": "@ann:example.org", "type": "m.room.message",
        "origin_server_ts": 1_700_000_000_000_i64, "content": {"msgtype": "m.text", "body": body}})
}

pub(crate) fn membership(id: &str, room: &str, user: &str, membership: &str) -> Value {
    json!({"event_id": id, "room_id": room, "sender": user, "type": "m.room.member", "state_key": user,
        "origin_server_ts": 1_700_000_000_000_i64, "content": {"membership": membership}})
}

pub(crate) async fn request(appservice: &Appservice, request: Request<Body>) -> (StatusCode, Value) {
    let response = appservice.router().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

pub(crate) fn authorized(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("authorization", "Bearer the-hs-token");
    request.body(body.into()).unwrap()
}

/// Sends a transaction, as the homeserver does.
pub(crate) async fn put(appservice: &Appservice, id: &str, events: &[Value]) -> StatusCode {
    let body = json!({ "events": events }).to_string();
    request(appservice, authorized("PUT", &format!("/_matrix/app/v1/transactions/{id}"), body)).await.0
}

/// How many rows of a table have this state (or are there at all).
pub(crate) async fn rows(appservice: &Appservice, table: &'static str, state: Option<&str>) -> i64 {
    let statement = match state {
        Some(_) => format!("SELECT COUNT(*) FROM {table} WHERE state = $1"),
        None => format!("SELECT COUNT(*) FROM {table}"),
    };
    let mut query = sqlx::query_scalar(sqlx::AssertSqlSafe(statement));
    if let Some(state) = state {
        query = query.bind(state.to_owned());
    }
    query.fetch_one(appservice.database().reader()).await.unwrap()
}

type Behaviour = dyn Fn(LeasedEvent) -> Result<(), HandlerError> + Send + Sync;

/// A bot that notes the bodies (or, without one, the ids) of its events, and then behaves as the test says.
pub(crate) struct Bot {
    seen: watch::Sender<Vec<String>>,
    behaviour: Box<Behaviour>,
}

impl Bot {
    pub(crate) fn new(
        behaviour: impl Fn(LeasedEvent) -> Result<(), HandlerError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { seen: watch::Sender::new(Vec::new()), behaviour: Box::new(behaviour) })
    }

    pub(crate) fn content() -> Arc<Self> {
        Self::new(|_| Ok(()))
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.borrow().clone()
    }

    pub(crate) async fn has_seen(&self, count: usize) -> Vec<String> {
        let mut seen = self.seen.subscribe();
        let enough = seen.wait_for(|seen| seen.len() >= count);
        let enough = tokio::time::timeout(Duration::from_secs(30), enough).await;
        enough.unwrap_or_else(|_| panic!("only {:?} were handled", self.seen())).unwrap().clone()
    }
}

#[async_trait]
impl EventHandler for Bot {
    async fn handle(&self, event: LeasedEvent) -> Result<(), HandlerError> {
        let content: Value = event.content().unwrap();
        let name = content["body"].as_str().unwrap_or(event.event_id.as_str()).to_owned();
        self.seen.send_modify(|seen| seen.push(name));
        (self.behaviour)(event)
    }
}

/// An application service at work.
pub(crate) struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(appservice: &Appservice, handler: Arc<dyn EventHandler>) -> Self {
        let stop = CancellationToken::new();
        let (appservice, until) = (appservice.clone(), stop.clone());
        Self { stop, task: tokio::spawn(async move { appservice.run(handler, until).await }) }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

/// A homeserver that says yes, and gives each send the event id `$TRANSACTION`.
pub(crate) struct Homeserver {
    pub(crate) server: MockServer,
    sends: Arc<Mutex<Vec<Sent>>>,
}

/// A send as it arrived.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) transaction: String,
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) content: Value,
}

impl Homeserver {
    pub(crate) async fn start() -> Self {
        Self::with(MockServer::start().await).await
    }

    pub(crate) async fn start_on(listener: std::net::TcpListener) -> Self {
        Self::with(MockServer::builder().listener(listener).start().await).await
    }

    async fn with(server: MockServer) -> Self {
        let homeserver = Self { server, sends: Arc::default() };
        homeserver.on("POST", "/_matrix/client/v3/register$", json!({"user_id": "@x:example.org"})).await;
        homeserver.on("PUT", "/account_data/", json!({})).await;
        homeserver.on("PUT", "/devices/", json!({})).await;
        homeserver.on("POST", "/join$", json!({"room_id": "!a"})).await;
        homeserver.on("POST", "/ping$", json!({"duration_ms": 1})).await;
        let sends = Arc::clone(&homeserver.sends);
        let accept = Mock::given(method("PUT")).and(path_regex("/(send|redact)/"));
        accept.respond_with(Accept(sends)).with_priority(10).mount(&homeserver.server).await;
        homeserver
    }

    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// Answers 200 with `body`, unless a test says otherwise.
    pub(crate) async fn on(&self, verb: &str, path: &str, body: Value) {
        let answer = ResponseTemplate::new(200).set_body_json(body);
        Mock::given(method(verb))
            .and(path_regex(path))
            .respond_with(answer)
            .with_priority(10)
            .mount(&self.server)
            .await;
    }

    /// Refuses the next `times` requests of this kind.
    pub(crate) async fn refuse(&self, verb: &str, path: &str, times: u64, status: u16, body: Value) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let mock = Mock::given(method(verb)).and(path_regex(path)).respond_with(answer);
        mock.up_to_n_times(times).with_priority(1).mount(&self.server).await;
    }

    /// What was accepted.
    pub(crate) fn sends(&self) -> Vec<Sent> {
        self.sends.lock().unwrap().clone()
    }

    /// The requests of this kind that arrived, accepted or not: path with query, and body.
    pub(crate) async fn requests(&self, verb: &str, part: &str) -> Vec<(String, Value)> {
        let requests = self.server.received_requests().await.unwrap().into_iter();
        let of_this_kind =
            requests.filter(|request| request.method.as_str() == verb && request.url.path().contains(part));
        of_this_kind
            .map(|request| (after_host(&request.url), serde_json::from_slice(&request.body).unwrap_or_default()))
            .collect()
    }
}

fn after_host(url: &reqwest::Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

struct Accept(Arc<Mutex<Vec<Sent>>>);

impl Respond for Accept {
    fn respond(&self, request: &wiremock::Request) -> ResponseTemplate {
        let query = |name: &str| {
            let found = request.url.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let transaction = request.url.path_segments().unwrap().next_back().unwrap().to_owned();
        let answer = ResponseTemplate::new(200).set_body_json(json!({"event_id": format!("${transaction}")}));
        let content = serde_json::from_slice(&request.body).unwrap();
        self.0.lock().unwrap().push(Sent { transaction, user: query("user_id"), device: query("device_id"), content });
        answer
    }
}
