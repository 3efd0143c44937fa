use serde_json::{Value, json};

use super::*;

mod bodies;
mod clients;
mod nodes;
mod properties;
mod queries;
mod refused;
mod writes;

/// Reads a query without variables.
fn ask(query: &str) -> Result<GraphqlRequest, GraphqlRefused> {
    ask_with(query, &json!({}))
}

fn ask_with(query: &str, variables: &Value) -> Result<GraphqlRequest, GraphqlRefused> {
    read(json!({ "query": query, "variables": variables }).to_string().as_bytes())
}

/// Effects as a grant's reader sees them, then the uses of nodes.
fn said(request: &GraphqlRequest) -> Vec<String> {
    let nodes = request.nodes.iter().map(|node| format!("{} {}", node.id, need(&node.need)));
    request.effects.iter().map(ToString::to_string).chain(nodes).collect()
}

fn need(need: &Need) -> String {
    match need {
        Need::Does(verb) => verb.to_string(),
        Need::Converses => "converses".to_owned(),
        Need::MovesRef { name, change } => format!("{change:?} of {}", name.as_deref().unwrap_or("some ref")),
        Need::MovesIt(change) => format!("{change:?} of it"),
        Need::MovesHead(change) => format!("{change:?} of its head"),
    }
}

#[track_caller]
fn assert_says(query: &str, variables: &Value, expected: &[&str]) {
    match ask_with(query, variables) {
        Ok(request) => assert_eq!(said(&request), expected, "{query}"),
        Err(error) => panic!("{error}: {query}"),
    }
}
