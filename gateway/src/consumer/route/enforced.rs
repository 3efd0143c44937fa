//! Every line of the table that puts in a credential is enforced: without its grant it is refused, and the upstream hears nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use doorward_base::{ManualClock, Random, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::config::GatewayConfig;
use crate::gateway::Gateway;
use crate::tokens::ConsumerName;

const KEY: &str = "sk-real-hunter2";

/// A request that falls on the line, and that the grant `everything` lets through.
struct Example {
    method: Method,
    path: String,
    content_type: &'static str,
    body: &'static str,
}

impl Example {
    fn of(entry: &Entry) -> Self {
        let (tail, method, content_type, body) = match (entry.guard, entry.tail) {
            (Guard::ModelList, tail) => (tail.replace("**", "gpt-5"), Method::GET, "", ""),
            (Guard::Model, tail) => (tail.to_owned(), Method::POST, "application/json", r#"{"model":"gpt-5"}"#),
            (Guard::ModelForm, tail) => (
                tail.to_owned(),
                Method::POST,
                "multipart/form-data; boundary=b",
                "--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt-5\r\n--b--\r\n",
            ),
            (Guard::Path, tail) => (tail.replace("**", "further/path"), Method::DELETE, "", ""),
            (Guard::GithubRest, "") => (String::new(), Method::GET, "", ""),
            (Guard::GithubRest, _) => ("repos/acme/w".to_owned(), Method::GET, "", ""),
            (Guard::GithubGraphql, _) => (
                String::new(),
                Method::POST,
                "application/json",
                r#"{"query":"{repository(owner:\"acme\",name:\"w\"){name}}"}"#,
            ),
            (Guard::GithubUploads, _) => {
                ("repos/acme/w/releases/1/assets?name=a".to_owned(), Method::POST, "application/zip", "x")
            }
            (Guard::Git, tail) if tail.ends_with("info/refs") => {
                ("acme/w.git/info/refs?service=git-upload-pack".to_owned(), Method::GET, "", "")
            }
            (Guard::Git, tail) if tail.ends_with("git-upload-pack") => {
                ("acme/w.git/git-upload-pack".to_owned(), Method::POST, "application/x-git-upload-pack-request", "0000")
            }
            // A probe, which asks for nothing but may lead to a push.
            (Guard::Git, _) => (
                "acme/w.git/git-receive-pack".to_owned(),
                Method::POST,
                "application/x-git-receive-pack-request",
                "0000",
            ),
            (Guard::Mcp, _) => (
                "memory".to_owned(),
                Method::POST,
                "application/json",
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read"}}"#,
            ),
            (Guard::Http, tail) => (tail.replacen('*', "weather", 1).replace("**", "v1/x"), Method::PUT, "", "x"),
        };
        Self { method, path: format!("{}{tail}", entry.root), content_type, body }
    }
}

/// What a grant has to say for a guard.
fn setting(guard: Guard) -> Option<&'static str> {
    match guard {
        Guard::ModelList => None,
        Guard::Model | Guard::ModelForm => Some("models"),
        Guard::Path => Some("paths"),
        Guard::GithubRest | Guard::GithubGraphql | Guard::GithubUploads | Guard::Git => Some("github"),
        Guard::Mcp => Some("mcp"),
        Guard::Http => Some("http"),
    }
}

fn everything() -> Value {
    json!({
        "models": ["*"],
        "paths": ["/v1/**", "/anthropic/v1/**"],
        "github": [{ "repos": ["acme/*"], "allow": ["read", "contents:write", "releases:write"] }],
        "mcp": [{ "upstream": "memory", "tools": ["*"] }],
        "http": [{ "upstream": "weather", "allow": ["* /**"] }],
    })
}

/// `everything`, `nothing`, and for each setting a grant of everything but that.
fn grants() -> Value {
    let mut grants = json!({ "everything": everything(), "nothing": {} });
    for setting in ["models", "paths", "github", "mcp", "http"] {
        let mut but = everything();
        but.as_object_mut().unwrap().remove(setting);
        grants[format!("but-{setting}")] = but;
    }
    grants
}

struct Table {
    gateway: Gateway,
    upstream: MockServer,
    address: SocketAddr,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Table {
    async fn start() -> Self {
        let upstream = MockServer::start().await;
        let list = json!({ "data": [{ "id": "gpt-5" }] });
        Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(list)).mount(&upstream).await;
        let upstreams =
            [("up", "openai"), ("claude", "anthropic"), ("github", "github"), ("memory", "mcp"), ("weather", "http")];
        let configured = upstreams.map(|(name, kind)| {
            let mut configured =
                json!({ "name": name, "kind": kind, "base_url": upstream.uri(), "credential": { "env": "KEY" } });
            if kind == "github" {
                configured["git_url"] = json!(format!("{}/git", upstream.uri()));
                configured["uploads_url"] = json!(format!("{}/uploads", upstream.uri()));
            }
            configured
        });
        let folder = tempfile::tempdir().unwrap();
        let config: GatewayConfig = serde_json::from_value(json!({ "upstreams": configured })).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let environment = Arc::new(|name: &str| (name == "KEY").then(|| KEY.to_owned()));
        let grants = serde_json::from_value(grants()).unwrap();
        let gateway = Gateway::open(config.relative_to(folder.path()), grants, environment, clock, Random::seeded(1))
            .await
            .unwrap();
        let running = gateway.clone();
        tokio::spawn(async move { running.run(CancellationToken::new()).await });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = gateway.consumer_router();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { gateway, upstream, address, client: reqwest::Client::new(), _folder: folder }
    }

    async fn token(&self, grant: &str) -> String {
        let consumer = ConsumerName::new(grant).unwrap();
        let minted =
            self.gateway.tokens().mint(consumer, vec![grant.to_owned()], std::time::Duration::from_secs(60)).await;
        minted.unwrap().token.expose().to_owned()
    }

    /// The answer, and the keys that the upstream was shown meanwhile.
    async fn ask(&self, token: &str, example: &Example) -> (u16, String, Vec<String>) {
        self.upstream.reset().await;
        let list = json!({ "data": [{ "id": "gpt-5" }] });
        Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(list)).mount(&self.upstream).await;
        let url = format!("http://{}{}", self.address, example.path);
        let request = self.client.request(example.method.clone(), url).bearer_auth(token).body(example.body);
        let answer = request.header("content-type", example.content_type).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        let shown = |request: &wiremock::Request| {
            let value = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            value("authorization").or_else(|| value("x-api-key")).unwrap_or_default()
        };
        (status, text, self.upstream.received_requests().await.unwrap().iter().map(shown).collect())
    }
}

#[tokio::test]
async fn every_line_that_puts_in_a_credential_is_refused_without_its_grant() {
    let table = Table::start().await;
    let (everything, nothing) = (table.token("everything").await, table.token("nothing").await);
    for entry in ROUTES {
        let example = Example::of(entry);
        let line = format!("{} {}", example.method, example.path);
        let path = example.path.split('?').next().unwrap().to_owned();
        let found = Route::find(&example.method, &Target { path, query: None }).unwrap().entry;
        assert_eq!((found.root, found.tail), (entry.root, entry.tail), "{line} falls on its line");
        let (status, text, keys) = table.ask(&everything, &example).await;
        assert!(status == 200 && keys.len() == 1, "{line} is granted: {status} {text}");
        assert!(keys[0].contains(KEY) || keys[0].starts_with("Basic "), "{line} puts in the credential: {keys:?}");
        let Some(setting) = setting(entry.guard) else {
            let (status, text, _) = table.ask(&nothing, &example).await;
            assert!(!text.contains("\"id\""), "{line} lists nothing: {status} {text}");
            continue;
        };
        for token in [&nothing, &table.token(&format!("but-{setting}")).await] {
            let (status, text, keys) = table.ask(token, &example).await;
            assert!((400..500).contains(&status) && keys.is_empty(), "{line}: {status} {text}");
        }
    }
}

#[tokio::test]
async fn no_method_and_no_body_gets_past_an_empty_grant() {
    let table = Table::start().await;
    let nothing = table.token("nothing").await;
    for entry in ROUTES.iter().filter(|entry| entry.guard != Guard::ModelList) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "QUERY"] {
            for (content_type, body) in [("", ""), ("application/json", r#"{"model":"gpt-5"}"#), ("text/plain", "x")] {
                let path = Example::of(entry).path;
                let example = Example { method: method.parse().unwrap(), path, content_type, body };
                let (status, _, keys) = table.ask(&nothing, &example).await;
                assert!((400..500).contains(&status) && keys.is_empty(), "{method} {}: {status}", example.path);
            }
        }
    }
}
