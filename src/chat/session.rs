//! One person at one terminal: the rooms, which of them is open, and what to do with what comes and what is typed.

use std::collections::BTreeMap;

use doorward_base::Random;
use serde_json::{Value, json};

use super::input::Input;
use super::room::{Change, Room};
use super::view::View;
use crate::failure::Failure;
use crate::matrix::Account;

/// So much of a room is shown when it is opened.
const SHOWN: usize = 10;

/// The state of a running chat.
#[derive(Debug)]
pub(super) struct Session {
    account: Account,
    me: String,
    random: Random,
    rooms: BTreeMap<String, Room>,
    /// The id of the open room; empty until one is opened.
    open: String,
    view: View,
}

impl Session {
    pub(super) fn new(account: Account, me: String, random: Random) -> Self {
        let view = View::new(me.clone());
        Self { account, me, random, rooms: BTreeMap::new(), open: String::new(), view }
    }

    /// Takes one answer of `/sync`; whether anything in the open room changed.
    pub(super) async fn take(&mut self, batch: &Value) -> bool {
        let mut changed = false;
        for (id, joined) in batch["rooms"]["join"].as_object().into_iter().flatten() {
            let changes = self.take_events(id, joined);
            if *id == self.open {
                changed |= !changes.is_empty();
                let room = &self.rooms[id];
                for change in &changes {
                    self.view.show(room, change);
                }
            }
        }
        for id in batch["rooms"]["leave"].as_object().into_iter().flat_map(|left| left.keys()) {
            self.rooms.remove(id);
        }
        for (id, invited) in batch["rooms"]["invite"].as_object().into_iter().flatten() {
            self.accept(id, invited).await;
        }
        changed
    }

    fn take_events(&mut self, id: &str, joined: &Value) -> Vec<Change> {
        let room = self.rooms.entry(id.to_owned()).or_default();
        let events = ["state", "timeline"].into_iter().filter_map(|part| joined[part]["events"].as_array()).flatten();
        events.filter_map(|event| room.take(event)).collect()
    }

    /// A worker's new room: the person asked for it, so there is nothing to decide.
    async fn accept(&mut self, id: &str, invited: &Value) {
        let mut preview = Room::default();
        for event in invited["invite_state"]["events"].as_array().into_iter().flatten() {
            preview.take(event);
        }
        let title = preview.title(&self.me);
        match self.account.join(id).await {
            Ok(_) => self.view.note(&format!("a new room, \"{title}\": type  /join {title}  to go there")),
            Err(error) => self.view.note(&format!("the invitation to \"{title}\" could not be accepted: {error}")),
        }
    }

    /// Opens a room by name, alias or id, and shows its last messages. Without a name: any.
    pub(super) async fn open(&mut self, wanted: Option<&str>) -> Result<(), Failure> {
        let wanted = wanted.or(self.rooms.keys().next().map(String::as_str)).unwrap_or_default().to_owned();
        let known = self.rooms.contains_key(&wanted).then(|| wanted.clone());
        let by_name =
            || self.rooms.iter().find(|(_, room)| room.is_called(&wanted, &self.me)).map(|(id, _)| id.clone());
        self.open = match known.or_else(by_name) {
            Some(id) => id,
            None if wanted.starts_with(['#', '!']) => self.account.join(&wanted).await?,
            None if wanted.is_empty() => return Err(Failure::new("you are in no room yet")),
            None => return Err(Failure::new(format_args!("there is no room \"{wanted}\"; {}", self.room_list()))),
        };
        let room = self.rooms.entry(self.open.clone()).or_default();
        self.view.note(&format!("{}   (/rooms, /join ROOM, /quit)", room.title(&self.me)));
        for line in room.last(SHOWN) {
            self.view.history(room, line);
        }
        Ok(())
    }

    /// Does what the line says; false if the person wants to leave.
    pub(super) async fn typed(&mut self, line: &str) -> bool {
        match Input::read(line) {
            Input::Nothing => {}
            Input::Quit => return false,
            Input::Rooms => self.view.note(&self.room_list()),
            Input::Help => self.view.note(
                "/rooms lists your rooms, /join ROOM opens one, /quit leaves; everything else is said in the room",
            ),
            Input::Join(wanted) => {
                if let Err(failure) = self.open(Some(wanted)).await {
                    self.view.note(&failure.to_string());
                }
            }
            Input::Message(body) => {
                if let Err(failure) = self.say(body).await {
                    self.view.note(&format!("not sent: {failure}"));
                }
            }
        }
        true
    }

    async fn say(&self, body: &str) -> Result<(), Failure> {
        let mentioned = self.rooms.get(&self.open).map(|room| room.mentioned(body)).unwrap_or_default();
        let content = json!({"msgtype": "m.text", "body": body, "m.mentions": {"user_ids": mentioned}});
        Ok(self.account.send_message(&self.open, &format!("chat-{}", self.random.id()), &content).await?)
    }

    fn room_list(&self) -> String {
        let titles: Vec<String> = self.rooms.values().map(|room| room.title(&self.me)).collect();
        if titles.is_empty() { "you are in no room".to_owned() } else { format!("your rooms: {}", titles.join(" | ")) }
    }
}
