//! A homeserver that says yes and remembers what it was asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use wiremock::matchers::{body_string_contains, method, path_regex};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use super::Stage;

/// Stands in the JSON of an edit of an answer that is still being written, and in nothing else.
const UNFINISHED_EDIT: &str = "\"m.replace\"";

/// The homeserver.
pub(crate) struct Homeserver {
    pub(crate) server: MockServer,
    transactions: AtomicUsize,
}

impl Homeserver {
    pub(super) async fn start() -> Self {
        let homeserver = Self { server: MockServer::start().await, transactions: AtomicUsize::new(0) };
        for (verb, path, body) in [
            ("POST", "/media/v3/upload$", json!({"content_uri": "mxc://example.org/picture"})),
            ("POST", "/createRoom$", json!({"room_id": "!made:example.org"})),
            ("GET", "/joined_rooms$", json!({"joined_rooms": []})),
            ("GET", "/joined_members$", json!({"joined": {"@manager:example.org": {}}})),
            ("POST", "/register$", json!({"user_id": "@x:example.org"})),
        ] {
            homeserver.answer(verb, path, 200, body, 20).await;
        }
        homeserver.answer("GET", "/state/", 404, json!({"errcode": "M_NOT_FOUND", "error": "no"}), 20).await;
        let sends = Mock::given(method("PUT")).and(path_regex("/send/"));
        sends.respond_with(Accept).with_priority(20).mount(&homeserver.server).await;
        for verb in ["PUT", "POST"] {
            homeserver.answer(verb, "/", 200, json!({}), 30).await;
        }
        homeserver
    }

    async fn answer(&self, verb: &str, path: &str, status: u16, body: Value, priority: u8) {
        let answer = ResponseTemplate::new(status).set_body_json(body);
        let mock = Mock::given(method(verb)).and(path_regex(path)).respond_with(answer);
        mock.with_priority(priority).mount(&self.server).await;
    }

    /// Answers requests of this kind otherwise than usual.
    pub(crate) async fn on(&self, verb: &str, path: &str, status: u16, body: Value) {
        self.answer(verb, path, status, body, 10).await;
    }

    /// Answers the next `times` requests of this kind otherwise.
    pub(crate) async fn once(&self, verb: &str, path: &str, times: u64, answer: ResponseTemplate) {
        let mock = Mock::given(method(verb)).and(path_regex(path)).respond_with(answer);
        mock.up_to_n_times(times).with_priority(1).mount(&self.server).await;
    }

    /// Edits take this long to arrive; other messages do not.
    pub(crate) async fn slow_edits(&self, delay: Duration) {
        let slow = Mock::given(method("PUT")).and(path_regex("/send/")).and(body_string_contains(UNFINISHED_EDIT));
        let answer = ResponseTemplate::new(200).set_body_json(json!({"event_id": "$edit"})).set_delay(delay);
        slow.respond_with(answer).with_priority(5).mount(&self.server).await;
    }

    /// Who is in every room that is asked for.
    pub(crate) async fn members(&self, users: &[&str]) {
        let joined: serde_json::Map<_, _> =
            users.iter().map(|user| (format!("@{user}:example.org"), json!({}))).collect();
        self.on("GET", "/joined_members$", 200, json!({"joined": joined})).await;
    }

    /// The requests of this kind that arrived: path with query, and body.
    pub(crate) async fn requests(&self, verb: &str, part: &str) -> Vec<(String, Value)> {
        let requests = self.server.received_requests().await.unwrap().into_iter();
        requests
            .filter(|request| request.method.as_str() == verb && request.url.path().contains(part))
            .map(|request| {
                let path = format!("{}?{}", request.url.path(), request.url.query().unwrap_or_default());
                (path, serde_json::from_slice(&request.body).unwrap_or_default())
            })
            .collect()
    }

    /// The bodies of the messages that arrived, in order; of an edit, the new one.
    pub(crate) async fn bodies(&self) -> Vec<String> {
        let sends = self.requests("PUT", "/send/").await.into_iter();
        sends
            .filter_map(|(_, content)| {
                let text = content["m.new_content"]["body"].as_str().or(content["body"].as_str());
                text.map(str::to_owned)
            })
            .collect()
    }

    /// Sends events to the appservice, as the homeserver does.
    pub(crate) async fn push(&self, stage: &Stage, events: &[Value]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = stage.house().appservice.router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        let id = self.transactions.fetch_add(1, Ordering::SeqCst);
        let put = reqwest::Client::new().put(format!("{url}/_matrix/app/v1/transactions/{id}"));
        let answer = put.bearer_auth("the-hs-token").json(&json!({"events": events})).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        server.abort();
    }
}

struct Accept;

impl Respond for Accept {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let transaction = request.url.path_segments().unwrap().next_back().unwrap();
        ResponseTemplate::new(200).set_body_json(json!({"event_id": format!("${transaction}")}))
    }
}

/// A message that mentions somebody.
pub(crate) fn mention(id: &str, sender: &str, body: &str, hops: i64, mentioned: &str) -> Value {
    let mut event = message(id, sender, body);
    event["content"]["m.mentions"] = json!({"user_ids": [format!("@{mentioned}:example.org")]});
    event["content"]["org.doorward.hops"] = json!(hops);
    event
}

/// A message in the room where most tests play.
pub(crate) fn message(id: &str, sender: &str, body: &str) -> Value {
    json!({"event_id": id, "room_id": "!room:example.org", "sender": format!("@{sender}:example.org"),
        "type": "m.room.message", "origin_server_ts": 1, "content": {"msgtype": "m.text", "body": body}})
}

/// A change of membership in that room.
pub(crate) fn membership(id: &str, sender: &str, user: &str, membership: &str) -> Value {
    json!({"event_id": id, "room_id": "!room:example.org", "sender": format!("@{sender}:example.org"),
        "type": "m.room.member", "state_key": format!("@{user}:example.org"), "origin_server_ts": 1,
        "content": {"membership": membership}})
}
