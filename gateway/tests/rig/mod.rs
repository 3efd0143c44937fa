//! A gateway on two loopback ports, and upstreams for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use doorward_base::{ManualClock, Random, Timestamp};
use doorward_gateway::config::{GatewayConfig, Grants};
use doorward_gateway::{AuditFilter, AuditRow, ConsumerName, Credential, Environment, Gateway, OpenError, SecretName};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The real key of upstreams named in [`openai`].
pub(crate) const KEY: &str = "sk-real-hunter2";
/// Another one, in the variable `KEY_2`.
pub(crate) const KEY_2: &str = "sk-real-second-4711";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) gateway: Gateway,
    pub(crate) clock: ManualClock,
    pub(crate) environment: Arc<Mutex<HashMap<String, String>>>,
    pub(crate) consumer: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// An OpenAI upstream whose key is in the environment.
pub(crate) fn openai(name: &str, address: SocketAddr) -> Value {
    json!({ "name": name, "kind": "openai", "base_url": format!("http://{address}/v1/"), "credential": { "env": "KEY" } })
}

/// `default` allows `gpt-*`, `all` allows every model, `searcher` also searching.
pub(crate) fn grants() -> Grants {
    let grants = json!({
        "default": { "models": ["gpt-*"] },
        "all": { "models": ["*"] },
        "searcher": { "models": ["gpt-*"], "provider_tools": ["web_search"] },
    });
    serde_json::from_value(grants).unwrap()
}

pub(crate) fn config(upstreams: &[Value]) -> GatewayConfig {
    serde_json::from_value(json!({ "upstreams": upstreams })).unwrap()
}

pub(crate) async fn open(
    folder: &std::path::Path,
    config: GatewayConfig,
    grants: Grants,
    environment: Environment,
    clock: ManualClock,
) -> Result<Gateway, OpenError> {
    Gateway::open(config.relative_to(folder), grants, environment, Arc::new(clock), Random::from_os()).await
}

impl Rig {
    pub(crate) async fn start(upstreams: &[Value]) -> Self {
        Self::start_with(config(upstreams)).await
    }

    pub(crate) async fn start_with(config: GatewayConfig) -> Self {
        Self::run(config, grants(), tempfile::tempdir().unwrap()).await
    }

    /// Starts with a grant of one's own, called `mine`.
    pub(crate) async fn granting(upstreams: &[Value], grant: &Value) -> Self {
        Self::granting_with(config(upstreams), grant).await
    }

    pub(crate) async fn granting_with(config: GatewayConfig, grant: &Value) -> Self {
        let grants = serde_json::from_value(json!({ "mine": grant, "nothing": {} })).unwrap();
        Self::run(config, grants, tempfile::tempdir().unwrap()).await
    }

    /// Starts on what an earlier gateway left behind.
    pub(crate) async fn start_in(folder: tempfile::TempDir) -> Self {
        Self::run(config(&[]), grants(), folder).await
    }

    async fn run(config: GatewayConfig, grants: Grants, folder: tempfile::TempDir) -> Self {
        let variables = [("KEY", KEY), ("KEY_2", KEY_2)].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Arc::new(Mutex::new(HashMap::from(variables)));
        let reads = environment.clone();
        let read: Environment = Arc::new(move |name: &str| reads.lock().unwrap().get(name).cloned());
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000));
        let gateway = open(folder.path(), config, grants, read, clock.clone()).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let (gateway, stop) = (gateway.clone(), stop.clone());
            async move { gateway.run(stop).await }
        });
        let consumer = serve(gateway.consumer_router()).await;
        let admin = serve(gateway.admin_router()).await;
        Self { folder, gateway, clock, environment, consumer, admin, client: client(), stop, running }
    }

    pub(crate) async fn token(&self, grant: &str) -> String {
        self.token_of("alice", grant).await
    }

    pub(crate) async fn token_of(&self, consumer: &str, grant: &str) -> String {
        let consumer = ConsumerName::new(consumer).unwrap();
        let minted = self.gateway.tokens().mint(consumer, vec![grant.to_owned()], HOUR).await.unwrap();
        minted.token.expose().to_owned()
    }

    /// A token of the consumer `alice` for the grant `mine`.
    pub(crate) async fn mine(&self) -> String {
        self.token("mine").await
    }

    pub(crate) async fn set_secret(&self, name: &str, value: &str) {
        let value = Credential::from_input(value.as_bytes()).unwrap();
        self.gateway.secrets().set(&SecretName::new(name).unwrap(), &value).await.unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.consumer)
    }

    /// Posts JSON text to a path under `/v1` with a token.
    pub(crate) fn post(&self, token: &str, path: &str, body: impl Into<String>) -> reqwest::RequestBuilder {
        let request = self.client.post(self.url(&format!("/v1/{path}"))).bearer_auth(token);
        request.header("content-type", "application/json").body(body.into())
    }

    /// Asks a model for a chat completion.
    pub(crate) fn chat(&self, token: &str, model: &str) -> reqwest::RequestBuilder {
        self.post(token, "chat/completions", json!({ "model": model, "messages": [] }).to_string())
    }

    /// Asks the admin interface.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), format!("http://{}{path}", self.admin));
        let answer = request.bearer_auth(self.admin_token()).body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }

    /// Sends bytes as they stand on a connection of their own, and gives all that comes back until it is closed.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.consumer).await.unwrap();
        // A server that refuses early may close while it is still written to.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The same, but says that no more will come once nothing comes back for a moment.
    pub(crate) async fn raw_half_closed(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.consumer).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let quiet = Duration::from_millis(20);
        while let Ok(Ok(1..)) = tokio::time::timeout(quiet, stream.read_buf(&mut answer)).await {}
        let _ = stream.shutdown().await;
        let _ = soon(stream.read_to_end(&mut answer)).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(crate) fn admin_token(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("admin.token")).unwrap().trim().to_owned()
    }

    /// The only row of the audit log, once it is there.
    pub(crate) async fn audit_row(&self) -> AuditRow {
        self.audit_rows(1).await.remove(0)
    }

    /// That many rows of the audit log, newest first, once they are there.
    pub(crate) async fn audit_rows(&self, count: usize) -> Vec<AuditRow> {
        for _ in 0..500 {
            let rows = self.gateway.audit().list(&AuditFilter::default(), 1000).await.unwrap();
            assert!(rows.len() <= count, "{rows:?}");
            if rows.len() == count {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{count} audit rows do not come");
    }

    /// Stops the gateway as a graceful stop does.
    pub(crate) async fn stop(self) -> tempfile::TempDir {
        self.stop.cancel();
        self.running.await.unwrap();
        self.folder
    }
}

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// An address where nobody answers.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An upstream whose every byte a test decides on.
pub(crate) struct RawUpstream(TcpListener);

/// One request to it.
pub(crate) struct RawCall {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    stream: TcpStream,
}

impl RawUpstream {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Waits for a connection and reads its first request.
    pub(crate) async fn call(&self) -> RawCall {
        let (mut stream, _) = self.0.accept().await.unwrap();
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length: usize =
            head.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        while bytes.len() < end + 4 + length {
            assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
        }
        RawCall { head, body: bytes[end + 4..].to_vec(), stream }
    }
}

impl RawCall {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Answers with 200 and a JSON body, and wants no other request on this connection.
    pub(crate) async fn answer(&mut self, body: &str) {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n";
        self.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
    }

    /// Begins to answer with a stream of events.
    pub(crate) async fn begin_events(&mut self) {
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n").await;
    }

    /// Sends a chunk of the stream.
    pub(crate) async fn send_chunk(&mut self, chunk: impl AsRef<[u8]>) {
        let chunk = chunk.as_ref();
        self.send(&[format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()).await;
    }

    pub(crate) async fn end_events(&mut self) {
        self.send(b"0\r\n\r\n").await;
    }

    /// Sends chunks for as long as the other side takes them, and at most `most` bytes; how many bytes it took.
    pub(crate) async fn fill(&mut self, chunk: &[u8], most: usize) -> usize {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        let mut taken = 0;
        while taken < most {
            let sent = tokio::time::timeout(Duration::from_millis(500), self.stream.write_all(&framed)).await;
            if !matches!(sent, Ok(Ok(()))) {
                break;
            }
            taken += chunk.len();
        }
        taken
    }

    /// Waits until the other side has closed the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = [0; 64];
        while !matches!(self.stream.read(&mut rest).await, Ok(0) | Err(_)) {}
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// Waits at most ten seconds: nothing in a test may hang.
pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), work).await.expect("it happens within ten seconds")
}

/// The error object of a refusal, after its status was checked.
pub(crate) async fn error(response: reqwest::Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = response.json().await.unwrap();
    for key in ["message", "type", "code"] {
        assert!(body["error"][key].is_string(), "{body}");
    }
    body["error"].clone()
}

/// Every file below the folder, for the tests that look for leaks.
pub(crate) fn files(folder: &std::path::Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

pub(crate) fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}
