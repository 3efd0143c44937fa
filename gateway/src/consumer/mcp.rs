//! The Model Context Protocol over streamable HTTP (specification 2025-06-18, "Transports"): what the messages of a client ask for,
//! and answers without what is not granted.

mod list;

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::refusal::Refusal;
pub(crate) use list::{Kind, Listing, Visible};

const LONGEST_NAME: usize = 1024;
/// More messages in one body are no conversation.
const MOST_MESSAGES: usize = 100;

/// What one message asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// What every client of a server may say: hello, ping, notifications, answers, and asking for the list of something.
    Protocol,
    /// Calling a tool.
    Tool(String),
    /// Reading a resource, or being told when it changes.
    Resource(String),
    /// Fetching a prompt.
    Prompt(String),
    /// Anything else, by its method.
    Other(String),
}

/// All that a body asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the uses of a body are what it is made of")]
pub(crate) struct Uses {
    pub(crate) uses: Vec<Use>,
    /// Whether an answer may hold a list.
    pub(crate) lists: bool,
    /// Whether the messages stand in a list.
    pub(crate) batch: bool,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Located<'a> {
    #[serde(borrow)]
    uri: Cow<'a, str>,
}

impl Uses {
    /// Reads a body. One that can be read in two ways is refused: serde takes no key twice, and keys that differ from those that
    /// decide only in their case are looked for.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let text = std::str::from_utf8(body).map_err(|_| unreadable("it is not UTF-8"))?;
        let batch = text.trim_start().starts_with('[');
        let messages: Vec<&RawValue> = if batch {
            serde_json::from_str(text).map_err(unreadable)?
        } else {
            vec![serde_json::from_str(text).map_err(unreadable)?]
        };
        if messages.is_empty() || messages.len() > MOST_MESSAGES {
            return Err(unreadable("it has no message, or more than a hundred"));
        }
        let uses = messages.into_iter().map(|message| read_message(message.get()));
        let uses: Vec<(Use, bool)> = uses.collect::<Result<_, _>>()?;
        let lists = uses.iter().any(|(_, lists)| *lists);
        Ok(Self { uses: uses.into_iter().map(|(used, _)| used).collect(), lists, batch })
    }
}

/// From version 2026-07-28 on headers repeat what the body says, for those on the way that do not read it. Who says two things
/// could have one of them decided on and the other one done.
pub(crate) fn check_headers(headers: &HeaderMap, body: &[u8]) -> Result<(), Refusal> {
    #[derive(Deserialize)]
    struct Said {
        method: Option<String>,
        #[serde(default)]
        params: Params,
    }
    #[derive(Default, Deserialize)]
    struct Params {
        name: Option<serde_json::Value>,
        uri: Option<serde_json::Value>,
    }
    if !headers.contains_key("mcp-method") && !headers.contains_key("mcp-name") {
        return Ok(());
    }
    let said: Said = serde_json::from_slice(body).map_err(unreadable)?;
    let named = said.params.name.or(said.params.uri);
    let named = named.as_ref().and_then(serde_json::Value::as_str);
    for (header, in_body) in [("mcp-method", said.method.as_deref()), ("mcp-name", named)] {
        let mut values = headers.get_all(header).into_iter().map(decoded);
        if !values.all(|value| value.as_deref() == in_body) {
            return Err(unreadable(format_args!("the header `{header}` says something else than the body")));
        }
    }
    Ok(())
}

/// What is not printable ASCII stands in base64.
fn decoded(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    match text.strip_prefix("=?base64?").and_then(|text| text.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

fn read_message(text: &str) -> Result<(Use, bool), Refusal> {
    refuse_lookalikes(text, &["jsonrpc", "method", "params", "result", "error", "id"])?;
    let message: Message<'_> = serde_json::from_str(text).map_err(unreadable)?;
    if message.jsonrpc != "2.0" {
        return Err(unreadable("it is no JSON-RPC 2.0"));
    }
    let Some(method) = message.method else {
        let answers = message.result.is_some() || message.error.is_some();
        return if answers { Ok((Use::Protocol, false)) } else { Err(unreadable("a message has no method")) };
    };
    let lists = list::METHODS.contains(&&*method);
    Ok((read_use(&method, message.params.map_or("null", RawValue::get))?, lists))
}

fn read_use(method: &str, params: &str) -> Result<Use, Refusal> {
    let named = || {
        refuse_lookalikes(params, &["name"])?;
        let named: Named<'_> = serde_json::from_str(params).map_err(unreadable)?;
        checked(named.name)
    };
    let located = || {
        refuse_lookalikes(params, &["uri"])?;
        let located: Located<'_> = serde_json::from_str(params).map_err(unreadable)?;
        checked(located.uri)
    };
    Ok(match method {
        // `server/discover` takes the place of `initialize` from version 2026-07-28 on.
        "initialize"
        | "server/discover"
        | "ping"
        | "logging/setLevel"
        | "notifications/initialized"
        | "notifications/cancelled"
        | "notifications/progress"
        | "notifications/roots/list_changed" => Use::Protocol,
        listing if list::METHODS.contains(&listing) => Use::Protocol,
        "tools/call" => Use::Tool(named()?),
        "prompts/get" => Use::Prompt(named()?),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Use::Resource(located()?),
        other => Use::Other(other.chars().take(100).collect()),
    })
}

fn checked(name: Cow<'_, str>) -> Result<String, Refusal> {
    let good = (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if good { Ok(name.into_owned()) } else { Err(unreadable("a name is empty, too long or no name")) }
}

/// Some servers take `Name` for `name`.
fn refuse_lookalikes(text: &str, deciding: &[&str]) -> Result<(), Refusal> {
    let keys: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(unreadable)?;
    let lookalike =
        |key: &&String| deciding.iter().any(|known| key.eq_ignore_ascii_case(known) && key.as_str() != *known);
    match keys.keys().find(lookalike) {
        Some(key) => Err(unreadable(format_args!("the key `{key}` is written in another way than it should be"))),
        None => Ok(()),
    }
}

fn unreadable(why: impl std::fmt::Display) -> Refusal {
    Refusal::UnreadableBody(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<Use>, String> {
        Uses::read(body.as_bytes()).map(|read| read.uses).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn what_a_message_asks_for_is_read_from_its_method_and_its_name() {
        for (message, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#, Use::Protocol),
            (r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{}}"#, Use::Protocol),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Use::Protocol),
            (r#"{"jsonrpc":"2.0","id":"a","result":{}}"#, Use::Protocol),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{"name":"x"},"name":"read_graph"}}"#,
                Use::Tool("read_graph".to_owned()),
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#,
                Use::Resource("file:///a".to_owned()),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{}}"#, Use::Other("tasks/cancel".to_owned())),
        ] {
            assert_eq!(read(message).unwrap(), [expected], "{message}");
        }
    }

    #[test]
    fn every_message_of_a_batch_counts() {
        let call =
            |name: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#);
        let uses = read(&format!(" [{},{}]", call("a"), call("b"))).unwrap();
        assert_eq!(uses, [Use::Tool("a".to_owned()), Use::Tool("b".to_owned())]);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for body in [
            "",
            "[]",
            "null",
            "1",
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a","name":"b"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":["a"]}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","method":"ping","method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","method":"ping","Method":"tools/call","params":{"name":"a"}}"#,
            r#"{"jsonrpc":"2.0","method":"ping"} {}"#,
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a\u0000"}}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
    }

    #[test]
    fn headers_that_repeat_the_body_have_to_say_the_same() {
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"gr\u00fcn"}}"#;
        let read = br#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///a"}}"#;
        let list = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let check = |body: &[u8], headers: &[(&'static str, &'static str)]| {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            check_headers(&headers.collect(), body).is_ok()
        };
        assert!(check(b"[]", &[]) && check(list, &[("mcp-method", "tools/list")]));
        assert!(check(call, &[("mcp-method", "tools/call"), ("mcp-name", "=?base64?Z3LDvG4=?=")]));
        assert!(check(read, &[("mcp-name", "file:///a")]));
        for (body, headers) in [
            (&call[..], &[("mcp-method", "tools/list")][..]),
            (call, &[("mcp-name", "rot")]),
            (call, &[("mcp-name", "=?base64?cm90?=")]),
            (call, &[("mcp-name", "=?base64?Z3LDvG4=?="), ("mcp-name", "rot")]),
            (list, &[("mcp-name", "rot")]),
            (b"[]", &[("mcp-method", "tools/list")]),
        ] {
            assert!(!check(body, headers), "{headers:?}");
        }
    }

    #[test]
    fn that_a_list_is_asked_for_is_known() {
        let asked = |method: &str| {
            Uses::read(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#).as_bytes()).unwrap().lists
        };
        assert!(asked("tools/list") && asked("prompts/list") && asked("resources/templates/list"));
        assert!(!asked("ping"));
    }
}
