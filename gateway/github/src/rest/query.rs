//! The query of a request, decoded.

use percent_encoding::percent_decode_str;

use crate::rest::refused::RestRefused;

/// Names and values, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: Option<&str>) -> Result<Self, RestRefused> {
        let query = query.unwrap_or_default();
        // Some servers end a parameter at a semicolon.
        if query.contains(';') {
            return Err(RestRefused::Query("it has a semicolon"));
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(decode_pair);
        let query = Self(pairs.collect::<Result<_, _>>()?);
        if query.has("_method") { Err(RestRefused::MethodOverride) } else { Ok(query) }
    }

    /// Whether any parameter could be taken for this one: in another case, or with brackets, which make lists.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| bare(key).eq_ignore_ascii_case(name))
    }

    /// The value of a parameter that stands there once, in its own spelling.
    pub(super) fn once(&self, name: &'static str) -> Result<Option<&str>, RestRefused> {
        let mut alike = self.0.iter().filter(|(key, _)| bare(key).eq_ignore_ascii_case(name));
        match (alike.next(), alike.next()) {
            (None, _) => Ok(None),
            (Some((key, value)), None) if key == name => Ok(Some(value)),
            _ => Err(RestRefused::InQuery(name)),
        }
    }

    /// The names of all parameters.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_str())
    }
}

fn bare(key: &str) -> &str {
    let key = key.trim();
    key.split(['[', '.', '\0']).next().unwrap_or(key).trim()
}

fn decode_pair(pair: &str) -> Result<(String, String), RestRefused> {
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decode(key)?, decode(value)?))
}

fn decode(text: &str) -> Result<String, RestRefused> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| RestRefused::Query("it is not UTF-8"))
}
