//! A human at a Matrix client: what stories are told with.

#![expect(clippy::missing_panics_doc, reason = "every method panics when the homeserver refuses: that fails the story")]

use std::collections::HashMap;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::tools::wait_for;

/// A person with an account on a homeserver.
#[derive(Debug)]
pub struct Human {
    client: Client,
    homeserver: String,
    /// `@name:server`
    pub user_id: String,
    access_token: String,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    since: Option<String>,
    rooms: HashMap<String, Vec<Value>>,
    typing: HashMap<String, Vec<String>>,
    invites: Vec<String>,
    number: u64,
}

/// A message as a person reads it: the latest edit in the place of the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomLine {
    /// The id of the original event.
    pub event_id: String,
    /// Who wrote it.
    pub sender: String,
    /// What stands there now.
    pub body: String,
    /// `m.text` or `m.notice`.
    pub msgtype: String,
    /// How often it was edited.
    pub edits: usize,
    /// The root of its thread.
    pub thread: Option<String>,
}

impl Human {
    /// Logs in with a password.
    ///
    /// # Panics
    /// As every method here: when the homeserver refuses.
    pub async fn log_in(homeserver: &str, user: &str, password: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().timeout(Duration::from_secs(60)).build().expect("a client can be built");
        let body = json!({"type": "m.login.password", "identifier": {"type": "m.id.user", "user": user}, "password": password});
        let url = format!("{homeserver}/_matrix/client/v3/login");
        let answer = client.post(url).json(&body).send().await.expect("the homeserver answers");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("the answer is JSON");
        assert!(status.is_success(), "login failed: {answer}");
        Self {
            client,
            homeserver: homeserver.to_owned(),
            user_id: text(&answer, "user_id"),
            access_token: text(&answer, "access_token"),
            seen: Mutex::default(),
        }
    }

    /// Begins to read anew, as a client that was closed: a homeserver that was restarted may count some streams from the
    /// beginning again, and answers an older position with nothing until they have come that far.
    pub async fn reconnect(&self) {
        self.seen.lock().await.since = None;
    }

    /// Makes a room and invites `users` to it; its id.
    pub async fn create_room(&self, users: &[&str]) -> String {
        let body = json!({"invite": users, "preset": "private_chat"});
        text(&self.call(Method::POST, "/createRoom", Some(body)).await, "room_id")
    }

    /// Invites a user to a room.
    pub async fn invite(&self, room: &str, user: &str) {
        self.call(Method::POST, &format!("/rooms/{}/invite", encode(room)), Some(json!({"user_id": user}))).await;
    }

    /// Accepts an invitation.
    pub async fn join(&self, room: &str) {
        self.call(Method::POST, &format!("/join/{}", encode(room)), Some(json!({}))).await;
    }

    /// Leaves a room.
    pub async fn leave(&self, room: &str) {
        self.call(Method::POST, &format!("/rooms/{}/leave", encode(room)), Some(json!({}))).await;
    }

    /// Types a message; the id of its event. User ids in `mentions` are mentioned as clients do it.
    pub async fn say(&self, room: &str, body: &str, mentions: &[&str]) -> String {
        let content = json!({"msgtype": "m.text", "body": body, "m.mentions": {"user_ids": mentions}});
        self.send(room, "m.room.message", content).await
    }

    /// Types a message in the thread of `root`.
    pub async fn say_in_thread(&self, room: &str, root: &str, body: &str, mentions: &[&str]) -> String {
        let content = json!({"msgtype": "m.text", "body": body, "m.mentions": {"user_ids": mentions},
            "m.relates_to": {"rel_type": "m.thread", "event_id": root}});
        self.send(room, "m.room.message", content).await
    }

    /// Sends any event; its id.
    pub async fn send(&self, room: &str, event_type: &str, content: Value) -> String {
        let number = {
            let mut seen = self.seen.lock().await;
            seen.number += 1;
            seen.number
        };
        let path = format!("/rooms/{}/send/{event_type}/story{number}", encode(room));
        text(&self.call(Method::PUT, &path, Some(content)).await, "event_id")
    }

    /// Takes a message back.
    pub async fn redact(&self, room: &str, event: &str) {
        let path = format!("/rooms/{}/redact/{}/redact-{}", encode(room), encode(event), encode(event));
        self.call(Method::PUT, &path, Some(json!({}))).await;
    }

    /// Who is in the room now.
    pub async fn members(&self, room: &str) -> Vec<String> {
        let answer = self.call(Method::GET, &format!("/rooms/{}/joined_members", encode(room)), None).await;
        answer["joined"].as_object().expect("joined_members has joined").keys().cloned().collect()
    }

    /// The profile of a user: `displayname` and `avatar_url`.
    pub async fn profile(&self, user: &str) -> Value {
        self.call(Method::GET, &format!("/profile/{}", encode(user)), None).await
    }

    /// Everything that was said in the room so far, as a person reads it.
    pub async fn lines(&self, room: &str) -> Vec<RoomLine> {
        self.sync().await;
        let seen = self.seen.lock().await;
        lines(seen.rooms.get(room).map_or(&[], Vec::as_slice))
    }

    /// Every raw event of the room that this human has seen.
    pub async fn events(&self, room: &str) -> Vec<Value> {
        self.sync().await;
        self.seen.lock().await.rooms.get(room).cloned().unwrap_or_default()
    }

    /// Waits for a line of `sender` in the room that `matches`, reading it as it is edited.
    ///
    /// # Panics
    /// With everything said in the room, when 60 seconds have passed.
    pub async fn wait_for_line(&self, room: &str, sender: &str, matches: impl Fn(&RoomLine) -> bool) -> RoomLine {
        let what = format!("a line of {sender} in {room}");
        let found = tokio::time::timeout(Duration::from_secs(55), async {
            wait_for(&what, async || {
                self.lines(room).await.into_iter().find(|line| line.sender == sender && matches(line))
            })
            .await
        });
        if let Ok(line) = found.await {
            return line;
        }
        panic!("waited in vain for {what}; said so far: {:#?}", self.lines(room).await)
    }

    /// Waits for an invitation to a room that is not in `known`, and accepts it; the room's id.
    pub async fn wait_for_invite(&self, known: &[&str]) -> String {
        let room = wait_for("an invitation", async || {
            self.sync().await;
            let seen = self.seen.lock().await;
            seen.invites.iter().find(|room| !known.contains(&room.as_str())).cloned()
        })
        .await;
        self.join(&room).await;
        room
    }

    /// Waits until `user` is shown as typing in the room.
    pub async fn wait_for_typing(&self, room: &str, user: &str) {
        wait_for("a typing notice", async || {
            self.sync().await;
            let seen = self.seen.lock().await;
            seen.typing.get(room).filter(|users| users.iter().any(|typing| typing == user)).map(|_| ())
        })
        .await;
    }

    async fn sync(&self) {
        let since = self.seen.lock().await.since.clone();
        let filter = r#"{"room":{"timeline":{"limit":1000}}}"#;
        let path = match since {
            Some(since) => format!("/sync?timeout=100&filter={}&since={}", encode(filter), encode(&since)),
            None => format!("/sync?timeout=0&filter={}", encode(filter)),
        };
        let answer = self.call(Method::GET, &path, None).await;
        self.seen.lock().await.take(&answer);
    }

    /// Any call of the client-server API, below `/_matrix/client/v3`.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("{}/_matrix/client/v3{path}", self.homeserver);
        let mut request = self.client.request(method, url).bearer_auth(&self.access_token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the homeserver answers");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("the answer is JSON");
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }
}

impl Seen {
    fn take(&mut self, answer: &Value) {
        self.since = Some(text(answer, "next_batch"));
        for (room, joined) in answer["rooms"]["join"].as_object().into_iter().flatten() {
            let events = joined["timeline"]["events"].as_array().cloned().unwrap_or_default();
            let known = self.rooms.entry(room.clone()).or_default();
            for event in events {
                if !known.iter().any(|old| old["event_id"] == event["event_id"]) {
                    known.push(event);
                }
            }
            self.invites.retain(|invited| invited != room);
            for event in joined["ephemeral"]["events"].as_array().into_iter().flatten() {
                if event["type"] == "m.typing" {
                    let users = event["content"]["user_ids"].as_array().into_iter().flatten();
                    self.typing
                        .insert(room.clone(), users.filter_map(|user| user.as_str().map(str::to_owned)).collect());
                }
            }
        }
        for room in answer["rooms"]["invite"].as_object().into_iter().flat_map(|rooms| rooms.keys()) {
            if !self.invites.contains(room) {
                self.invites.push(room.clone());
            }
        }
    }
}

fn lines(events: &[Value]) -> Vec<RoomLine> {
    let mut lines: Vec<RoomLine> = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "m.room.message") {
        let content = &event["content"];
        let relation = &content["m.relates_to"];
        if relation["rel_type"] == "m.replace" {
            let new = &content["m.new_content"];
            if let Some(line) = lines.iter_mut().find(|line| relation["event_id"] == line.event_id.as_str()) {
                new["body"].as_str().unwrap_or_default().clone_into(&mut line.body);
                new["msgtype"].as_str().unwrap_or_default().clone_into(&mut line.msgtype);
                line.edits += 1;
            }
        } else if content["body"].is_string() {
            lines.push(RoomLine {
                event_id: text(event, "event_id"),
                sender: text(event, "sender"),
                body: text(content, "body"),
                msgtype: text(content, "msgtype"),
                edits: 0,
                thread: (relation["rel_type"] == "m.thread").then(|| text(relation, "event_id")),
            });
        }
    }
    lines
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
