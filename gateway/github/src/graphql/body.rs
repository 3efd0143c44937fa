//! The JSON around the text.

use std::collections::HashMap;
use std::rc::Rc;

use super::GraphqlRefused;
use super::input::{self, Input};

/// The parts of a body, as <https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters> names them.
pub(super) struct Body {
    pub(super) query: String,
    pub(super) operation: Option<String>,
    pub(super) variables: HashMap<String, Rc<Input>>,
}

/// Reads `{"query", "variables", "operationName"}`. A list of requests, an unknown key (in another case too) and a
/// persisted query are refused.
pub(super) fn read(bytes: &[u8]) -> Result<Body, GraphqlRefused> {
    let bad = |what: &str| GraphqlRefused::Body(what.to_owned());
    // No sentence of serde's, or of ours, holds a part of the body here.
    let input = input::read(bytes).map_err(|error| GraphqlRefused::Body(error.to_string()))?;
    let fields = input.fields().ok_or_else(|| bad("it is no object"))?;
    let (mut query, mut operation, mut variables) = (None, None, HashMap::new());
    for (key, value) in fields {
        match (key.as_str(), value.as_ref()) {
            ("query", Input::Text(text)) => query = Some(text.clone()),
            ("operationName", Input::Text(name)) => operation = Some(name.clone()),
            ("variables", Input::Object(values)) => variables.extend(values.iter().cloned()),
            ("operationName" | "variables" | "extensions", Input::Null) => {}
            ("extensions", Input::Object(parts)) if parts.is_empty() => {}
            ("query" | "operationName" | "variables", _) => return Err(bad("a part is of the wrong type")),
            ("extensions", _) => return Err(bad("extensions and persisted queries are not taken")),
            _ => return Err(bad("only `query`, `variables` and `operationName` are taken")),
        }
    }
    Ok(Body { query: query.ok_or_else(|| bad("`query` is missing"))?, operation, variables })
}
