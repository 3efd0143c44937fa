//! Edits of what was sent before.

use ruma::EventId;
use serde_json::{Value, json};

/// `content` as an edit of `event`, with the fallback for clients that do not know edits.
/// [Event replacements](https://spec.matrix.org/v1.16/client-server-api/#event-replacements)
pub fn replacement(content: &Value, event: &EventId) -> Value {
    let mut new_content = content.clone();
    if let Some(fields) = new_content.as_object_mut() {
        // An edit stays where the original is: its relation is not changed.
        fields.remove("m.relates_to");
    }
    let mut edit = new_content.clone();
    for body in ["body", "formatted_body"] {
        if let Some(text) = new_content[body].as_str() {
            edit[body] = json!(format!("* {text}"));
        }
    }
    edit["m.new_content"] = new_content;
    edit["m.relates_to"] = json!({ "rel_type": "m.replace", "event_id": event });
    edit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_carries_the_new_content_whole_and_keeps_the_thread_of_the_original() {
        let event = EventId::parse("$first").unwrap();
        let content =
            json!({"body": "done", "msgtype": "m.text", "m.relates_to": {"rel_type": "m.thread", "event_id": "$root"}});
        let edit = replacement(&content, &event);
        assert_eq!(edit["body"], "* done");
        assert_eq!(edit["m.new_content"], json!({"body": "done", "msgtype": "m.text"}));
        assert_eq!(edit["m.relates_to"], json!({"rel_type": "m.replace", "event_id": "$first"}));
    }
}
