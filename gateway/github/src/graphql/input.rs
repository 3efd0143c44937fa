//! Values of arguments and variables.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// How many entries a list or an object in JSON may have: variables can be used again and again.
const MAX_ENTRIES: usize = 10_000;
/// How many values a body may have in all: in memory each takes up to fifty times the two bytes that it may have in JSON.
const MAX_VALUES: usize = 100_000;

/// A value with its variables in place. Parts are shared: a variable of megabytes may be used many times.
#[derive(Debug, PartialEq)]
pub(super) enum Input {
    /// A variable without a value: as if the argument or field were not there.
    Absent,
    /// A variable that the operation does not declare. It is nothing that any check accepts.
    Undeclared,
    Null,
    Bool(bool),
    Number(String),
    /// A string, or an enum's value: JSON does not tell them apart.
    Text(String),
    List(Vec<Rc<Self>>),
    /// Each key once.
    Object(Vec<(String, Rc<Self>)>),
}

impl Input {
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// Neither a value nor an explicit null.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Absent | Self::Null)
    }

    /// Node ids: one, or a list that GraphQL would make of one. `None` if anything else is there.
    pub(super) fn ids(&self) -> Option<Vec<&str>> {
        match self {
            Self::Absent | Self::Null => Some(Vec::new()),
            Self::Text(id) | Self::Number(id) => Some(vec![id]),
            Self::List(items) => items.iter().map(|item| item.id()).collect(),
            _ => None,
        }
    }

    fn id(&self) -> Option<&str> {
        if let Self::Text(id) | Self::Number(id) = self { Some(id) } else { None }
    }

    pub(super) fn fields(&self) -> Option<&[(String, Rc<Self>)]> {
        if let Self::Object(fields) = self { Some(fields) } else { None }
    }

    /// The value of a key of an object; absent if it is none.
    pub(super) fn get(&self, key: &str) -> &Self {
        let found = self.fields().unwrap_or_default().iter().find(|(name, _)| name == key);
        found.map_or(&Self::Absent, |(_, value)| value)
    }

    /// The values of a list, or the one that GraphQL would make a list of.
    pub(super) fn items(&self) -> Vec<&Self> {
        match self {
            Self::List(items) => items.iter().map(Rc::as_ref).collect(),
            Self::Absent | Self::Null => Vec::new(),
            one => vec![one],
        }
    }
}

/// Reads a JSON text. A key that is given twice is an error, in the innermost object too.
pub(super) fn read(json: &[u8]) -> Result<Input, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let input = Reading { left: &Cell::new(MAX_VALUES) }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(input)
}

/// Reads one value.
#[derive(Clone, Copy)]
struct Reading<'a> {
    /// How many more there may be.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Reading<'_> {
    type Value = Input;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Input, D::Error> {
        let left = self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("it has too many values"))?;
        self.left.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_> {
    type Value = Input;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without a key given twice")
    }

    fn visit_unit<E>(self) -> Result<Input, E> {
        Ok(Input::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Input, E> {
        Ok(Input::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Input, E> {
        Ok(Input::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Input, E> {
        Ok(Input::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Input, E> {
        Ok(Input::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Input, E> {
        Ok(Input::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Input, E> {
        Ok(Input::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Input, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(Rc::new(item));
            few(list.len())?;
        }
        Ok(Input::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Input, A::Error> {
        let (mut fields, mut keys) = (Vec::new(), HashSet::new());
        while let Some(key) = entries.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom("a key is given twice"));
            }
            fields.push((key, Rc::new(entries.next_value_seed(self)?)));
            few(fields.len())?;
        }
        Ok(Input::Object(fields))
    }
}

fn few<E: Error>(entries: usize) -> Result<(), E> {
    if entries > MAX_ENTRIES { Err(E::custom("a list or an object has too many entries")) } else { Ok(()) }
}
