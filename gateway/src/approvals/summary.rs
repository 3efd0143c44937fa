//! What a human is shown of a held request: a few lines, from which no body can be put together again.

use serde_json::{Map, Value};

use super::mask::{shortened, visible};

const MOST_BYTES: usize = 2048;
const MOST_EFFECTS: usize = 5;
const LONGEST_LINE: usize = 300;
const LONGEST_VALUE: usize = 200;
const LONGEST_ARGUMENTS: usize = 400;

/// The fields of GitHub's REST bodies and GraphQL inputs that say what a request is about.
const GITHUB_FIELDS: [&str; 24] = [
    "title",
    "head",
    "base",
    "merge_method",
    "commit_title",
    "branch",
    "ref",
    "sha",
    "force",
    "name",
    "tag_name",
    "state",
    "message",
    "body",
    "pullRequestId",
    "issueId",
    "subjectId",
    "repositoryId",
    "mergeMethod",
    "commitHeadline",
    "headRefName",
    "baseRefName",
    "refName",
    "labels",
];
/// In arguments of tools, the values of keys with such a part are masked whatever they look like.
const SECRET_KEYS: [&str; 8] =
    ["password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "credential"];

/// A few lines of text without secrets, at most 2 KB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Summary(String);

/// What is known of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    /// JSON for GitHub's REST or GraphQL interface.
    GitHub(&'a [u8]),
    /// JSON-RPC for an MCP server.
    Mcp(&'a [u8]),
    /// Nothing that could be shown.
    Opaque,
}

impl Summary {
    /// Of a request to `path` (without its query) of `upstream`, with its effects and what is known of its body.
    pub(crate) fn of(method: &str, path: &str, upstream: &str, effects: &[String], body: Body<'_>) -> Self {
        let mut lines = vec![shortened(&format!("{method} {path}"), LONGEST_LINE), format!("upstream: {upstream}")];
        lines.extend(effects.iter().take(MOST_EFFECTS).map(|effect| shortened(effect, LONGEST_LINE)));
        if effects.len() > MOST_EFFECTS {
            lines.push(format!("and {} more", effects.len() - MOST_EFFECTS));
        }
        lines.extend(body.lines());
        Self(cut(lines.join("\n")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MOST_BYTES {
        text.truncate(text.floor_char_boundary(MOST_BYTES - '…'.len_utf8()));
        text.push('…');
    }
    text
}

impl Body<'_> {
    fn lines(self) -> Vec<String> {
        match self {
            Self::GitHub(body) => object(body).map(|body| github(&body)).unwrap_or_default(),
            Self::Mcp(body) => object(body).map(|body| mcp(&body)).unwrap_or_default(),
            Self::Opaque => Vec::new(),
        }
    }
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

fn github(body: &Map<String, Value>) -> Vec<String> {
    let variables = body.get("variables").and_then(Value::as_object);
    let input = variables.and_then(|variables| variables.get("input")).and_then(Value::as_object);
    let mut lines: Vec<String> =
        ["operationName", "query"].iter().filter_map(|field| line(field, body.get(*field)?)).collect();
    for fields in [Some(body), variables, input].into_iter().flatten() {
        lines.extend(GITHUB_FIELDS.iter().filter_map(|field| line(field, fields.get(*field)?)));
    }
    lines
}

fn mcp(body: &Map<String, Value>) -> Vec<String> {
    let Some(params) = body.get("params") else { return Vec::new() };
    let tool = params.get("name").and_then(|name| line("tool", name));
    let arguments = params.get("arguments").map(|arguments| {
        let shown = shortened(&without_secrets(arguments).to_string(), LONGEST_ARGUMENTS);
        format!("arguments: {shown}")
    });
    tool.into_iter().chain(arguments).collect()
}

/// `field: value` for a short value.
fn line(field: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => shortened(text, LONGEST_VALUE),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            shortened(&items.join(", "), LONGEST_VALUE)
        }
        Value::Null | Value::Object(_) => return None,
    };
    Some(format!("{field}: {text}"))
}

fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(without_secret).collect(),
        Value::Array(items) => items.iter().map(without_secrets).collect(),
        // Masked before it is quoted: in JSON a line end inside a key would be a `\n` that hides its end.
        Value::String(text) => visible(text).into(),
        other => other.clone(),
    }
}

fn without_secret((key, value): (&String, &Value)) -> (String, Value) {
    let folded = key.to_ascii_lowercase().replace('-', "_");
    let secret = value.is_string() && SECRET_KEYS.iter().any(|part| folded.contains(part));
    (visible(key), if secret { "[masked]".into() } else { without_secrets(value) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn summary(body: Body<'_>) -> String {
        let effects = ["pulls:merge on acme/widgets".to_owned()];
        Summary::of("PUT", "/repos/acme/widgets/pulls/7/merge", "github", &effects, body).0
    }

    #[test]
    fn a_merge_is_shown_in_a_few_lines() {
        let body = json!({ "merge_method": "squash", "commit_title": "Fix\nit", "sha": "abc", "unknown": "private" });
        let shown = summary(Body::GitHub(body.to_string().as_bytes()));
        let lines: Vec<&str> = shown.lines().collect();
        let expected = [
            "PUT /repos/acme/widgets/pulls/7/merge",
            "upstream: github",
            "pulls:merge on acme/widgets",
            "merge_method: squash",
            "commit_title: Fix it",
            "sha: abc",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_graphql_mutation_is_shown_with_its_input() {
        let body = json!({ "query": "mutation M($input: I!) {\n m(input: $input) { id } }", "operationName": "M",
            "variables": { "input": { "pullRequestId": "PR_1", "mergeMethod": "SQUASH" } } });
        let shown = summary(Body::GitHub(body.to_string().as_bytes()));
        for line in
            ["operationName: M", "query: mutation M($input: I!) {  m(input: $input) { id } }", "pullRequestId: PR_1"]
        {
            assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
        }
    }

    #[test]
    fn a_tool_is_shown_with_its_arguments_and_no_secret() {
        let arguments = json!({ "to": "bob", "Api-Key": "hunter2", "n": 3, "max_tokens": 5,
            "nested": [{ "note": "ghp_16C7e42F292c6912E7710c838347Ae178B4a" }] });
        let body =
            json!({ "jsonrpc": "2.0", "method": "tools/call", "params": { "name": "send", "arguments": arguments } });
        let shown = summary(Body::Mcp(body.to_string().as_bytes()));
        assert!(shown.contains("tool: send\narguments: ") && shown.contains("\"to\":\"bob\""), "{shown}");
        assert!(
            shown.contains("\"max_tokens\":5") && !shown.contains("hunter2") && !shown.contains("16C7e42F"),
            "{shown}"
        );
    }

    #[test]
    fn other_bodies_are_not_shown() {
        let body = b"{\"title\":\"private\"}";
        assert!(!summary(Body::Opaque).contains("private"));
        assert!(!summary(Body::Mcp(body)).contains("private"));
        for broken in [&b"[1"[..], b"", b"\"a\"", b"[]", b"\xff"] {
            assert_eq!(summary(Body::GitHub(broken)), summary(Body::Opaque));
        }
    }

    #[test]
    fn a_summary_is_at_most_two_kilobytes() {
        let long = "ü".repeat(100_000);
        let fields: Map<String, Value> = GITHUB_FIELDS.iter().map(|field| ((*field).to_owned(), json!(long))).collect();
        let effects: Vec<String> = (0..1000).map(|n| format!("effect {n} {long}")).collect();
        let body = Value::from(fields).to_string();
        let shown = Summary::of("POST", &long, "github", &effects, Body::GitHub(body.as_bytes()));
        assert!(shown.as_str().len() <= MOST_BYTES && shown.as_str().ends_with('…'));
        let one = summary(Body::GitHub(json!({ "body": "a".repeat(300) }).to_string().as_bytes()));
        assert!(one.ends_with(&format!("body: {}…", "a".repeat(200))), "{one}");
    }
}
