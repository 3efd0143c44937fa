//! A room as a person sees it: who is there, and what was said, each message as its last edit has it.

use std::collections::BTreeMap;

use serde_json::Value;

/// So many messages are kept for when the person comes back to the room.
const KEPT: usize = 100;
/// The manager and the workers end a message so while they are still writing it.
const UNFINISHED: &str = " …";

/// One message, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) event_id: String,
    pub(super) sender: String,
    pub(super) body: String,
    /// An `m.notice`: information, not conversation.
    pub(super) notice: bool,
    /// More of it will come as edits.
    pub(super) unfinished: bool,
    /// Sent from this very terminal.
    pub(super) ours: bool,
}

/// What an event changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A new message.
    Said(Line),
    /// A message as it was, and as it is now.
    Edited { before: Line, now: Line },
}

/// A joined room.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    name: Option<String>,
    alias: Option<String>,
    /// Display names by user id.
    members: BTreeMap<String, Option<String>>,
    lines: Vec<Line>,
}

impl Room {
    /// Takes one event of the timeline or of the state.
    pub(super) fn take(&mut self, event: &Value) -> Option<Change> {
        let content = &event["content"];
        match event["type"].as_str()? {
            "m.room.name" => self.name = text(&content["name"]),
            "m.room.canonical_alias" => self.alias = text(&content["alias"]),
            "m.room.member" => self.take_member(event["state_key"].as_str()?, content),
            "m.room.message" => return self.take_message(event),
            "m.room.redaction" => {
                let gone = event["redacts"].as_str().or(content["redacts"].as_str())?;
                self.lines.retain(|line| line.event_id != gone);
            }
            _ => {}
        }
        None
    }

    fn take_member(&mut self, user: &str, content: &Value) {
        if content["membership"] == "join" {
            self.members.insert(user.to_owned(), text(&content["displayname"]));
        } else {
            self.members.remove(user);
        }
    }

    fn take_message(&mut self, event: &Value) -> Option<Change> {
        let content = &event["content"];
        if content["m.relates_to"]["rel_type"] == "m.replace" {
            return self.take_edit(&content["m.relates_to"], event);
        }
        let line = Line::read(event, content)?;
        if self.lines.iter().any(|known| known.event_id == line.event_id) {
            return None;
        }
        self.lines.push(line.clone());
        let surplus = self.lines.len().saturating_sub(KEPT);
        self.lines.drain(..surplus);
        Some(Change::Said(line))
    }

    /// Only the author of a message may edit it.
    fn take_edit(&mut self, relation: &Value, event: &Value) -> Option<Change> {
        let target = relation["event_id"].as_str()?;
        let line = self.lines.iter_mut().find(|line| line.event_id == target && event["sender"] == line.sender)?;
        let mut now = Line::read(event, &event["content"]["m.new_content"])?;
        line.event_id.clone_into(&mut now.event_id);
        let before = std::mem::replace(line, now.clone());
        Some(Change::Edited { before, now })
    }

    /// The last `count` messages.
    pub(super) fn last(&self, count: usize) -> &[Line] {
        &self.lines[self.lines.len().saturating_sub(count)..]
    }

    /// What the room is called: its name, its alias, or who is there besides `me`.
    pub(super) fn title(&self, me: &str) -> String {
        let others = || {
            let names: Vec<&str> =
                self.members.keys().filter(|user| *user != me).map(|user| self.name_of(user)).collect();
            if names.is_empty() { "an empty room".to_owned() } else { names.join(", ") }
        };
        self.name.clone().or_else(|| self.alias.clone()).unwrap_or_else(others)
    }

    /// Whether a person means this room by `wanted`.
    pub(super) fn is_called(&self, wanted: &str, me: &str) -> bool {
        self.alias.as_deref() == Some(wanted) || self.title(me).to_lowercase() == wanted.to_lowercase()
    }

    /// A display name, or the localpart of the id.
    pub(super) fn name_of<'a>(&'a self, user: &'a str) -> &'a str {
        self.members.get(user).and_then(Option::as_deref).unwrap_or_else(|| localpart(user))
    }

    /// The members that `message` mentions, as `@name`, `@localpart` or `@localpart:server`.
    pub(super) fn mentioned(&self, message: &str) -> Vec<&str> {
        let words: Vec<String> = message
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('@'))
            .map(|word| word.trim_end_matches([':', ',', '.', '!', '?']).to_lowercase())
            .collect();
        let is_meant = |user: &str| {
            let full = user.trim_start_matches('@').to_lowercase();
            let names = [full.clone(), localpart(user).to_lowercase(), self.name_of(user).to_lowercase()];
            words.iter().any(|word| names.contains(word))
        };
        self.members.keys().map(String::as_str).filter(|user| is_meant(user)).collect()
    }
}

impl Line {
    fn read(event: &Value, content: &Value) -> Option<Self> {
        let body = printable(content["body"].as_str()?);
        let finished = body.strip_suffix(UNFINISHED).map(str::to_owned);
        Some(Self {
            event_id: event["event_id"].as_str()?.to_owned(),
            sender: event["sender"].as_str()?.to_owned(),
            notice: content["msgtype"] == "m.notice",
            unfinished: finished.is_some(),
            body: finished.unwrap_or(body),
            ours: event["unsigned"]["transaction_id"].is_string(),
        })
    }
}

/// A message must not be able to steer the terminal.
fn printable(body: &str) -> String {
    body.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

fn localpart(user: &str) -> &str {
    user.trim_start_matches('@').split(':').next().unwrap_or(user)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(printable)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(id: &str, sender: &str, body: &str) -> Value {
        json!({"type": "m.room.message", "event_id": id, "sender": sender, "content": {"msgtype": "m.text", "body": body}})
    }

    fn edit(id: &str, sender: &str, of: &str, body: &str) -> Value {
        let mut event = message(id, sender, "* edited");
        event["content"]["m.new_content"] = json!({"msgtype": "m.text", "body": body});
        event["content"]["m.relates_to"] = json!({"rel_type": "m.replace", "event_id": of});
        event
    }

    fn member(user: &str, name: &str) -> Value {
        json!({"type": "m.room.member", "state_key": user, "content": {"membership": "join", "displayname": name}})
    }

    #[test]
    fn an_answer_is_unfinished_until_the_edit_that_says_otherwise() {
        let mut room = Room::default();
        let Some(Change::Said(line)) = room.take(&message("$1", "@a:x", "Hel …")) else { panic!("a message") };
        assert!(line.unfinished && line.body == "Hel");
        let Some(Change::Edited { before, now }) = room.take(&edit("$2", "@a:x", "$1", "Hello")) else {
            panic!("an edit")
        };
        assert!(before.unfinished && !now.unfinished && now.body == "Hello" && now.event_id == "$1");
        assert_eq!(room.last(5), [now]);
    }

    #[test]
    fn nobody_edits_what_another_said_and_nothing_is_said_twice() {
        let mut room = Room::default();
        room.take(&message("$1", "@a:x", "mine"));
        assert_eq!(room.take(&edit("$2", "@b:x", "$1", "theirs")), None);
        assert_eq!(room.take(&message("$1", "@a:x", "mine")), None);
    }

    #[test]
    fn a_message_cannot_steer_the_terminal() {
        let mut room = Room::default();
        room.take(&message("$1", "@a:x", "red\x1b[31m\nline"));
        assert_eq!(room.last(1)[0].body, "red[31m\nline");
    }

    #[test]
    fn a_mention_is_found_by_name_localpart_or_id() {
        let mut room = Room::default();
        room.take(&member("@worker-alice:x", "Alice"));
        room.take(&member("@manager:x", "Manager"));
        for line in ["@alice say hello", "hey @worker-alice: go", "@Worker-Alice:x, please"] {
            assert_eq!(room.mentioned(line), ["@worker-alice:x"], "{line}");
        }
        assert!(room.mentioned("alice, mail me@manager").is_empty());
    }

    #[test]
    fn a_room_without_a_name_is_called_after_those_who_are_there() {
        let mut room = Room::default();
        room.take(&member("@you:x", "You"));
        room.take(&member("@manager:x", "Manager"));
        assert_eq!(room.title("@you:x"), "Manager");
        assert!(room.is_called("manager", "@you:x"));
    }
}
