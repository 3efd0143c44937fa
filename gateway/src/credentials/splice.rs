//! Another name for the model, in a body that is otherwise passed on as it came.
//!
//! This is the one change that is made to the body of a request: its reader asked for an alias, which only the gateway knows.
//! Everything but the value of the top-level `model` stays as it is, byte for byte, so that providers find the prompt in their caches.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The body is no JSON object with exactly one `model` that is a string. Policy has let no such body through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body does not name its model in one way")]
pub(crate) struct NotSpliceable;

/// The body with `target` as its model.
pub(crate) fn splice_model(body: &Bytes, target: &str) -> Result<Bytes, NotSpliceable> {
    let Top { model } = serde_json::from_slice(body).map_err(|_| NotSpliceable)?;
    let model = model.get();
    // The value is a slice of the body.
    let start = (model.as_ptr() as usize).checked_sub(body.as_ptr() as usize).ok_or(NotSpliceable)?;
    let before = body.get(..start).ok_or(NotSpliceable)?;
    let after = body.get(start + model.len()..).ok_or(NotSpliceable)?;
    let mut spliced = Vec::with_capacity(body.len() + target.len() + 2);
    spliced.extend_from_slice(before);
    target.serialize(&mut serde_json::Serializer::new(&mut spliced)).map_err(|_| NotSpliceable)?;
    spliced.extend_from_slice(after);
    Ok(spliced.into())
}

/// The top of a body, where `model` stands.
struct Top<'a> {
    model: &'a RawValue,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TopVisitor)
    }
}

struct TopVisitor;

impl<'de> Visitor<'de> for TopVisitor {
    type Value = Top<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
        let mut model: Option<&RawValue> = None;
        while let Some(Key(key)) = map.next_key()? {
            if key != "model" {
                map.next_value::<IgnoredAny>()?;
            } else if model.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom("two models"));
            }
        }
        model
            .filter(|model| model.get().starts_with('"'))
            .map(|model| Top { model })
            .ok_or_else(|| A::Error::custom("no model"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn spliced(body: &str, target: &str) -> Result<String, NotSpliceable> {
        let body = splice_model(&Bytes::from(body.to_owned()), target)?;
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn only_the_value_of_the_top_level_model_changes() {
        let body = "{ \"a\":{\"model\":\"fast\"}, \"model\" :\t\"fast\" , \"n\":1.0e0,\"n\":2,\"s\":\"\\\"model\\\":\\\"fast\\\"\"}\n";
        let expected = "{ \"a\":{\"model\":\"fast\"}, \"model\" :\t\"gpt-5-mini\" , \"n\":1.0e0,\"n\":2,\"s\":\"\\\"model\\\":\\\"fast\\\"\"}\n";
        assert_eq!(spliced(body, "gpt-5-mini").unwrap(), expected);
    }

    #[test]
    fn a_key_written_with_escapes_is_the_same_key() {
        assert_eq!(spliced(r#"{"\u006dodel":"fast"}"#, "x").unwrap(), r#"{"\u006dodel":"x"}"#);
    }

    #[test]
    fn a_target_that_needs_escapes_gets_them() {
        assert_eq!(spliced(r#"{"model":"fast"}"#, "a\"b\\c\n").unwrap(), r#"{"model":"a\"b\\c\n"}"#);
    }

    #[test]
    fn a_body_that_can_be_read_in_two_ways_is_refused() {
        for body in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","\u006dodel":"b"}"#,
            r#"{"model":1}"#,
            r#"{"Model":"a"}"#,
            r#"["model","a"]"#,
            r#"{"model":"a"} {}"#,
            r#"{"model":"a""#,
            "",
        ] {
            assert_eq!(spliced(body, "x"), Err(NotSpliceable), "{body}");
        }
    }

    fn spaces() -> impl Strategy<Value = String> {
        "[ \t\r\n]{0,3}"
    }

    /// Any JSON value, as someone may have written it.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?[1-9][0-9]{0,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
            any::<String>().prop_map(|text| Value::from(text).to_string()),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let entry = (any::<String>(), spaces(), inner.clone());
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
                prop::collection::vec(entry, 0..4).prop_map(|entries| object(&entries)),
            ]
        })
    }

    fn object(entries: &[(String, String, String)]) -> String {
        let entry = |(key, space, value): &(String, String, String)| {
            format!("{space}{}{space}:{space}{value}{space}", Value::from(key.as_str()))
        };
        format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
    }

    fn entries() -> impl Strategy<Value = Vec<(String, String, String)>> {
        let key = prop_oneof![any::<String>(), Just("Model".to_owned()), Just("models".to_owned())];
        let key = key.prop_filter("the model is put in by the test", |key| key != "model");
        prop::collection::vec((key, spaces(), json()), 0..5)
    }

    proptest! {
        #[test]
        fn all_bytes_outside_of_the_value_are_the_same(
            before in entries(), after in entries(), space in spaces(), alias in any::<String>(), target in any::<String>(),
        ) {
            let with = |model: &str| {
                let model = ("model".to_owned(), space.clone(), Value::from(model).to_string());
                object(&before.iter().cloned().chain([model]).chain(after.iter().cloned()).collect::<Vec<_>>())
            };
            prop_assert_eq!(spliced(&with(&alias), &target).unwrap(), with(&target));
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = splice_model(&Bytes::from(body), "x");
        }
    }
}
