//! What we say in rooms, as contents of `m.room.message`
//! ([specification](https://spec.matrix.org/v1.17/client-server-api/#mroommessage)).

mod parts;

use doorward_appservice::Outgoing;
use pulldown_cmark::{Options, Parser, html};
use ruma::{OwnedUserId, UserId};
use serde_json::{Value, json};

use crate::place::Place;

pub(crate) use parts::parts;

/// The key of an event's content that counts how many agents woke each other before it.
pub(crate) const HOPS: &str = "org.doorward.hops";

/// Ends the body of a message that is still being written, so that no half answer looks whole.
const UNFINISHED: &str = "…";

/// An answer that is still being written, in Markdown: as much of it as fits into one message.
pub(crate) fn so_far(markdown: &str) -> String {
    let first = parts(markdown).swap_remove(0);
    parts::followed_by(first.trim_end(), UNFINISHED)
}

/// An answer that was not finished, and why, in Markdown: no half answer looks whole.
pub(crate) fn broken_off(markdown: &str, why: &str) -> String {
    format!("{}\n\n({why})", parts::followed_by(markdown.trim(), UNFINISHED))
}

/// An answer of an agent, in Markdown.
pub(crate) fn answer(markdown: &str) -> Value {
    message("m.text", markdown)
}

/// Something that informs and wakes nobody.
pub(crate) fn notice(markdown: &str) -> Value {
    message("m.notice", markdown)
}

/// A message to another agent, that wakes it.
pub(crate) fn mention(markdown: &str, user: &UserId, hops: i64) -> Value {
    let mut content = message("m.text", &format!("{user}: {markdown}"));
    content["m.mentions"] = json!({"user_ids": [user]});
    content[HOPS] = json!(hops);
    content
}

fn message(msgtype: &str, markdown: &str) -> Value {
    let mut content = json!({"msgtype": msgtype, "body": markdown, "m.mentions": {}});
    let html = to_html(markdown);
    if html != escaped(markdown) {
        content["format"] = json!("org.matrix.custom.html");
        content["formatted_body"] = json!(html);
    }
    content
}

/// The content in its thread, if it has one
/// ([threading](https://spec.matrix.org/v1.17/client-server-api/#threading)).
pub(crate) fn in_place(mut content: Value, place: &Place) -> Value {
    if let Some(root) = &place.thread {
        content["m.relates_to"] = json!({
            "rel_type": "m.thread", "event_id": root, "is_falling_back": true, "m.in_reply_to": {"event_id": root},
        });
    }
    content
}

/// A message of `sender` at a place, ready for the outbox.
pub(crate) fn outgoing(sender: &OwnedUserId, place: &Place, content: Value) -> Outgoing {
    Outgoing::message(sender.clone(), place.room.clone(), in_place(content, place))
}

/// Raw HTML in the Markdown of a model is shown as text, never as HTML.
fn to_html(markdown: &str) -> String {
    let options = Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        pulldown_cmark::Event::Html(text) | pulldown_cmark::Event::InlineHtml(text) => {
            pulldown_cmark::Event::Text(text)
        }
        pulldown_cmark::Event::SoftBreak => pulldown_cmark::Event::HardBreak,
        other => other,
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    only_paragraph(out.trim_end()).unwrap_or(out.trim_end()).to_owned()
}

/// What is inside of a paragraph that stands alone: clients leave a gap around one.
fn only_paragraph(html: &str) -> Option<&str> {
    html.strip_prefix("<p>")?.strip_suffix("</p>").filter(|inside| !inside.contains("<p>"))
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    html::push_html(&mut out, std::iter::once(pulldown_cmark::Event::Text(text.into())));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_and_plain_text_stays_plain() {
        assert_eq!(answer("Hello <3 & you")["formatted_body"], Value::Null);
        assert_eq!(answer("**bold**")["formatted_body"], "<strong>bold</strong>");
    }

    #[test]
    fn html_that_a_model_writes_is_shown_and_not_rendered() {
        let content = answer("see <img src=x onerror=alert(1)> **there**");
        let html = content["formatted_body"].as_str().unwrap();
        assert!(html.contains("&lt;img") && !html.contains("<img"), "{html}");
    }

    #[test]
    fn only_a_mention_mentions() {
        let user = UserId::parse("@worker-alice:example.org").unwrap();
        assert_eq!(mention("look", &user, 2)["m.mentions"]["user_ids"], json!([user]));
        assert_eq!(mention("look", &user, 2)[HOPS], 2);
        assert_eq!(answer("hello @worker-alice:example.org")["m.mentions"], json!({}));
    }
}
