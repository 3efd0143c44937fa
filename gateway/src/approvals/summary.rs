//! What a human is shown of a held request: a few lines, from which no body can be put together again, and in which nothing that the
//! caller wrote can hide the rest.

use doorward_github::graphql;
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use super::fields::{Detail, Fields, Json};
use super::mask::{middle, visible, visible_path};

const MOST_BYTES: usize = 2048;
const MOST_EFFECTS: usize = 5;
const LONGEST_REQUEST: usize = 240;
const LONGEST_EFFECT: usize = 150;
const LONGEST_NAME: usize = 80;
/// Longer bodies are not read for a human.
const LONGEST_BODY: usize = 1 << 20;
/// The first of these with which everything fits is taken. The last ones leave out fields, and say how many.
const DETAILS: [Detail; 8] = [
    Detail { path: 80, value: 120, most: 30 },
    Detail { path: 60, value: 60, most: 30 },
    Detail { path: 40, value: 30, most: 30 },
    Detail { path: 24, value: 16, most: 30 },
    Detail { path: 24, value: 16, most: 15 },
    Detail { path: 24, value: 16, most: 7 },
    Detail { path: 24, value: 16, most: 3 },
    Detail { path: 24, value: 16, most: 0 },
];

/// A few lines of text without secrets, at most 2 KB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary(String);

/// What is shown of a query and a body.
#[derive(Debug, Default)]
pub(crate) struct Content(Vec<Section>);

#[derive(Debug)]
struct Section {
    heading: String,
    fields: Fields,
}

impl Summary {
    /// Of a request to `path` (without its query) of `upstream`, with its effects and what it holds.
    pub(crate) fn of(method: &str, path: &str, upstream: &str, effects: &[String], content: &Content) -> Self {
        let head = head(method, path, upstream, effects);
        let mut texts = DETAILS.iter().map(|detail| content.text(head.clone(), *detail));
        let nothing_fits = || format!("what it holds does not fit here\n{}", head.join("\n"));
        Self(texts.find(|text| text.len() <= MOST_BYTES).unwrap_or_else(|| cut(nothing_fits())))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn head(method: &str, path: &str, upstream: &str, effects: &[String]) -> Vec<String> {
    let request = visible_path(&format!("{method} {path}"), LONGEST_REQUEST);
    let mut lines = vec![request, format!("upstream: {}", visible_path(upstream, LONGEST_NAME))];
    lines.extend(effects.iter().take(MOST_EFFECTS).map(|effect| visible_path(effect, LONGEST_EFFECT)));
    if effects.len() > MOST_EFFECTS {
        lines.push(format!("and {} more effects", effects.len() - MOST_EFFECTS));
    }
    lines
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

impl Content {
    /// The names and values of a query.
    pub(crate) fn with_query(mut self, query: Option<&str>) -> Self {
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            self.0.insert(0, Section { heading: "query:".to_owned(), fields: Fields::of(&pairs(query.as_bytes())) });
        }
        self
    }

    /// The messages that a body has for GitHub's GraphQL interface: what they do, and never their text.
    pub(crate) fn graphql(body: &[u8]) -> Self {
        let Ok(outline) = graphql::outline(body) else { return Self::unread(body, "GraphQL that cannot be read") };
        let kind = if outline.is_mutation { "mutation" } else { "query" };
        let section = |(name, arguments): &(String, Value)| {
            let fields = Json::deserialize(arguments).map(|json| Fields::of(&json)).unwrap_or_default();
            Section { heading: format!("{kind} {}", middle(&visible(name), LONGEST_NAME)), fields }
        };
        let mut sections: Vec<Section> = outline.fields.iter().map(section).collect();
        if outline.more > 0 {
            let heading = format!("and {} more of them", outline.more);
            sections.push(Section { heading, fields: Fields::default() });
        }
        Self(sections)
    }

    /// The tool that a message calls with its arguments, and what else the message says.
    pub(crate) fn mcp(body: &[u8]) -> Self {
        let Some(Json::Object(message)) = json(body) else { return Self::unread(body, "no message that can be shown") };
        let (mut sections, mut besides) = (Vec::new(), Vec::new());
        for (key, value) in message {
            match (key.as_str(), value) {
                ("jsonrpc" | "id" | "method", _) => {}
                ("params", Json::Object(params)) => besides.extend(params),
                (_, value) => besides.push((key, value)),
            }
        }
        for (wanted, heading) in [("name", "tool:"), ("arguments", "arguments:")] {
            if let Some(place) = besides.iter().position(|(key, _)| key == wanted) {
                let (_, value) = besides.remove(place);
                sections.push(section(heading, value));
            }
        }
        if !besides.is_empty() {
            sections.push(Section { heading: "besides:".to_owned(), fields: Fields::of(&Json::Object(besides)) });
        }
        Self(sections)
    }

    /// A body of which nothing but its type is known.
    pub(crate) fn body(media_type: Option<&str>, is_plain: bool, body: &[u8]) -> Self {
        let media_type = media_type.map(|text| middle(&visible(text), LONGEST_NAME));
        let kind = media_type.as_deref().unwrap_or("no type");
        let is_form = kind.split(';').next().is_some_and(|kind| kind.trim() == "application/x-www-form-urlencoded");
        match json(body) {
            _ if body.is_empty() => Self::default(),
            _ if !is_plain => Self::unread(body, "compressed"),
            Some(_) if is_form => Self::unread(body, "JSON that says it is a form"),
            Some(json) => Self(vec![Section { heading: "body:".to_owned(), fields: Fields::of(&json) }]),
            None if is_form && body.len() <= LONGEST_BODY => {
                Self(vec![Section { heading: "form:".to_owned(), fields: Fields::of(&pairs(body)) }])
            }
            None => Self::unread(body, kind),
        }
    }

    fn unread(body: &[u8], why: &str) -> Self {
        let heading = format!("body: {} bytes, not shown: {why}", body.len());
        Self(vec![Section { heading, fields: Fields::default() }])
    }

    fn text(&self, mut lines: Vec<String>, detail: Detail) -> String {
        for section in &self.0 {
            lines.push(section.heading.clone());
            lines.extend(section.fields.lines(detail));
        }
        lines.join("\n")
    }
}

/// A name stands beside its heading.
fn section(heading: &str, value: Json) -> Section {
    match value {
        Json::Text(name) => {
            let heading = format!("{heading} {}", middle(&visible(&name), LONGEST_NAME));
            Section { heading, fields: Fields::default() }
        }
        value => Section { heading: heading.to_owned(), fields: Fields::of(&value) },
    }
}

fn json(body: &[u8]) -> Option<Json> {
    if body.len() > LONGEST_BODY { None } else { serde_json::from_slice(body).ok() }
}

/// `name=value&…`; some servers take a semicolon for an ampersand.
fn pairs(text: &[u8]) -> Json {
    let separated: Vec<u8> = text.iter().map(|byte| if *byte == b';' { b'&' } else { *byte }).collect();
    let pair = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        // Signed links and keys in queries have such names, which in a body may be anything.
        let secret = ["key", "sig"].iter().any(|secret| name.eq_ignore_ascii_case(secret));
        let value = if secret { "[masked]".to_owned() } else { value.into_owned() };
        (name.into_owned(), Json::Text(value))
    };
    Json::Object(form_urlencoded::parse(&separated).map(pair).collect())
}

#[cfg(test)]
mod tests;
