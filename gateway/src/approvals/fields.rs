//! The fields of a body or a query, as a person is shown them: every key, and each value cut on its own, so that no long value hides
//! the next one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::mask::{cut, middle, visible};

/// So many fields of one body are shown.
const MOST_FIELDS: usize = 30;
const MASKED: &str = "[masked]";
/// The values of keys with such a part are masked whatever they look like.
const SECRET_KEYS: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "authorization",
    "credential",
    "signature",
];

/// A JSON value with every key that stands there, equal ones too: servers differ in which of them they take.
#[derive(Debug)]
pub(super) enum Json {
    Object(Vec<(String, Self)>),
    List(Vec<Self>),
    Text(String),
    /// A number, a truth or null.
    Plain(String),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Plain("null".to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Json::Object(fields))
    }
}

impl Json {
    fn is_scalar(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Plain(_))
    }

    /// Whether it is shown as one field: what is empty, and lists of scalars, are.
    fn is_leaf(&self) -> bool {
        match self {
            Self::Object(fields) => fields.is_empty(),
            Self::List(items) => items.iter().all(Self::is_scalar),
            _ => true,
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Object(_) => "{}".to_owned(),
            Self::List(items) => {
                // More are cut off in any case.
                let items: Vec<String> = items.iter().take(60).map(Self::shown_in_list).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Text(text) => visible(text),
            Self::Plain(text) => text.clone(),
        }
    }

    fn shown_in_list(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            other => other.shown(),
        }
    }
}

/// Masked before it is quoted: in JSON a line end inside a key would be a `\n` that hides its end.
fn quoted(text: &str) -> String {
    serde_json::Value::from(visible(text)).to_string()
}

/// How much of each field is shown, and of how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Characters of a path.
    pub(super) path: usize,
    /// Characters of a value.
    pub(super) value: usize,
    /// Fields.
    pub(super) most: usize,
}

#[derive(Debug)]
struct Field {
    /// Its place in the body.
    place: (usize, usize),
    path: String,
    value: String,
}

/// Fields, ready to be shown.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// One of every key of the whole, then the second of every key and so on: no key has others crowded out with what is below it.
    chosen: Vec<Field>,
    count: usize,
}

impl Fields {
    pub(super) fn of(json: &Json) -> Self {
        let groups = groups(json);
        let nth =
            |n: usize| groups.iter().enumerate().filter_map(move |(group, found)| Some((group, found.first.get(n)?)));
        let rounds = (0..MOST_FIELDS).flat_map(|n| nth(n).map(move |(group, leaf)| leaf.shown((group, n))));
        Self { chosen: rounds.take(MOST_FIELDS).collect(), count: groups.iter().map(|group| group.count).sum() }
    }

    /// `path=value` in the order of the body, and how many more there are.
    pub(super) fn lines(&self, detail: Detail) -> Vec<String> {
        let mut fields: Vec<&Field> = self.chosen.iter().take(detail.most).collect();
        let more = self.count - fields.len();
        fields.sort_unstable_by_key(|field| field.place);
        let line =
            |field: &&Field| format!("  {}={}", middle(&field.path, detail.path), cut(&field.value, detail.value));
        let mut lines: Vec<String> = fields.iter().map(line).collect();
        if more > 0 {
            lines.push(format!("  and {more} more keys"));
        }
        lines
    }
}

/// A leaf of the tree, not yet made fit to be seen.
struct Leaf<'a> {
    path: String,
    value: &'a Json,
    secret: bool,
}

impl Leaf<'_> {
    fn shown(&self, place: (usize, usize)) -> Field {
        let value = if self.secret { MASKED.to_owned() } else { self.value.shown() };
        Field { place, path: self.path.clone(), value }
    }
}

/// What stands below one key of the whole.
#[derive(Default)]
struct Group<'a> {
    first: Vec<Leaf<'a>>,
    count: usize,
}

fn groups(json: &Json) -> Vec<Group<'_>> {
    let of = |value, path: String, key: &str| {
        let mut group = Group::default();
        group.walk(value, path, is_secret(key));
        group
    };
    match json {
        Json::Object(fields) => fields.iter().map(|(key, value)| of(value, name(key), key)).collect(),
        Json::List(items) if !json.is_leaf() => {
            items.iter().enumerate().map(|(n, item)| of(item, format!("[{n}]"), "")).collect()
        }
        whole => vec![of(whole, "value".to_owned(), "")],
    }
}

impl<'a> Group<'a> {
    fn walk(&mut self, json: &'a Json, path: String, secret: bool) {
        match json {
            leaf if leaf.is_leaf() => self.add(leaf, path, secret),
            Json::Object(fields) => {
                for (key, value) in fields {
                    self.walk(value, self.below(&path, || format!(".{}", name(key))), secret || is_secret(key));
                }
            }
            Json::List(items) => {
                for (n, item) in items.iter().enumerate() {
                    self.walk(item, self.below(&path, || format!("[{n}]")), secret);
                }
            }
            Json::Text(_) | Json::Plain(_) => {}
        }
    }

    /// A path one step further down; none is needed where fields are only counted.
    fn below(&self, path: &str, step: impl FnOnce() -> String) -> String {
        if self.first.len() < MOST_FIELDS { format!("{path}{}", step()) } else { String::new() }
    }

    fn add(&mut self, value: &'a Json, path: String, secret: bool) {
        self.count += 1;
        if self.first.len() < MOST_FIELDS {
            // Numbers of tokens are no secrets.
            let secret = secret && !matches!(value, Json::Plain(_));
            self.first.push(Leaf { path, value, secret });
        }
    }
}

/// A key as it stands in a path: in quotes if it could be taken for something else.
fn name(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$' | '@');
    let shown = visible(key);
    if !key.is_empty() && shown == key && key.chars().all(plain) { shown } else { quoted(key) }
}

fn is_secret(key: &str) -> bool {
    let folded = key.to_ascii_lowercase().replace('-', "_");
    SECRET_KEYS.iter().any(|part| folded.contains(part))
}
