//! What a JSON body says about the keys that decide, read from a side copy. The body itself passes as it came.
//!
//! A key that decides must stand there once and in one spelling: of two equal keys some servers take the first and
//! some the last, and some do not mind case.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::rest::refused::RestRefused;

/// The keys that decide and their values, as JSON text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(&'static str, String)>);

impl Fields {
    /// Reads `deciding` keys of the body. Without a body there are none; where nothing decides, a list is a body too.
    pub(super) fn read(body: Option<&[u8]>, deciding: &[&'static str]) -> Result<Self, RestRefused> {
        let text = std::str::from_utf8(body.unwrap_or_default()).map_err(|error| unreadable(&error))?;
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let fields = FieldsSeed { deciding }.deserialize(&mut reader).map_err(|error| unreadable(&error))?;
        reader.end().map_err(|error| unreadable(&error))?;
        Ok(fields)
    }

    /// A field that stands in the query instead of the body.
    pub(super) fn put(&mut self, key: &'static str, text: &str) {
        self.0.push((key, serde_json::Value::from(text).to_string()));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| *name == key)
    }

    /// The JSON text of a value; `null` is as if it was not there.
    pub(super) fn raw(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(name, value)| *name == key && value != "null");
        found.map(|(_, value)| value.as_str())
    }

    /// A text.
    pub(super) fn text(&self, key: &'static str) -> Result<Option<String>, RestRefused> {
        let read = |raw| serde_json::from_str(raw).map_err(|_| RestRefused::Field { field: key, expected: "a text" });
        self.raw(key).map(read).transpose()
    }

    /// A text that has to be there.
    pub(super) fn needed(&self, key: &'static str) -> Result<String, RestRefused> {
        self.text(key)?.ok_or(RestRefused::Missing(key))
    }

    /// `Some(false)` only for `false` itself: what else a server takes for false is not known.
    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.raw(key).map(|raw| raw != "false")
    }
}

fn unreadable(error: &dyn fmt::Display) -> RestRefused {
    RestRefused::Body(error.to_string())
}

struct FieldsSeed<'a> {
    deciding: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for FieldsSeed<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.deciding.is_empty() { "a JSON object or list" } else { "a JSON object" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match self.decides(&key).map_err(A::Error::custom)? {
                Some(key) if fields.has(key) => return Err(A::Error::custom(format!("`{key}` stands there twice"))),
                Some(key) => fields.0.push((key, map.next_value::<Box<RawValue>>()?.get().to_owned())),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Fields, A::Error> {
        if !self.deciding.is_empty() {
            return Err(A::Error::custom("it is a list, where an object is expected"));
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Fields::default())
    }
}

impl FieldsSeed<'_> {
    /// Which of the deciding keys this is; an error if some servers would take it for one and others not.
    fn decides(&self, key: &str) -> Result<Option<&'static str>, String> {
        let folded = fold(key);
        if folded == "_method" {
            return Err("it has `_method`, which could turn the request into another".to_owned());
        }
        match self.deciding.iter().find(|deciding| **deciding == folded) {
            Some(deciding) if *deciding == key => Ok(Some(deciding)),
            Some(deciding) => Err(format!("a key differs from `{deciding}` only in its spelling")),
            None => Ok(None),
        }
    }
}

/// Equal for keys that a server which does not mind case or brackets takes for one: two characters outside of ASCII
/// fold into it.
fn fold(key: &str) -> String {
    let one = |c: char| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.trim().split('[').next().unwrap_or(key).chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Fields, RestRefused> {
        Fields::read(Some(body.as_bytes()), &["ref", "force"])
    }

    #[test]
    fn what_decides_is_read_and_the_rest_passes() {
        let fields = read(r#"{"sha":"x","ref":"refs\/heads\/a","force":false,"more":[{"ref":1}]}"#).unwrap();
        assert_eq!(fields.needed("ref").as_deref(), Ok("refs/heads/a"));
        assert_eq!(fields.truth("force"), Some(false));
        assert_eq!(read(" "), Ok(Fields::default()));
        assert_eq!(read(r#"{"ref":null}"#).unwrap().needed("ref"), Err(RestRefused::Missing("ref")));
        let number = RestRefused::Field { field: "ref", expected: "a text" };
        assert_eq!(read(r#"{"ref":1}"#).unwrap().text("ref"), Err(number));
    }

    #[test]
    fn only_false_is_false() {
        for truthy in ["true", "0", "\"false\"", "[]", "{}"] {
            let fields = read(&format!(r#"{{"force":{truthy}}}"#)).unwrap();
            assert_eq!(fields.truth("force"), Some(true), "{truthy}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for body in [
            r#"{"ref":"a","ref":"b"}"#,
            r#"{"ref":"a","r\u0065f":"b"}"#,
            r#"{"Ref":"a"}"#,
            r#"{"ref[]":"a"}"#,
            r#"{" ref":"a"}"#,
            r#"{"_method":"DELETE"}"#,
            r#"["a"]"#,
            r#""a""#,
            "{",
            "ref=a&force=1",
            r#"{} {"ref":"a"}"#,
        ] {
            assert!(matches!(read(body), Err(RestRefused::Body(_))), "{body}");
        }
        assert!(Fields::read(Some(b"\xff"), &[]).is_err());
    }

    #[test]
    fn a_list_is_a_body_where_nothing_decides() {
        assert_eq!(Fields::read(Some(br#"["bug"]"#), &[]), Ok(Fields::default()));
        assert!(Fields::read(Some(b"labels=bug"), &[]).is_err());
    }
}
