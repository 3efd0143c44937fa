use serde_json::json;

use super::super::mask::is_visible;
use super::*;

fn of(content: &Content) -> String {
    let effects = ["pulls:merge on acme/widgets".to_owned()];
    Summary::of("PUT", "/repos/acme/widgets/pulls/7/merge", "github", &effects, content).0
}

fn of_json(body: &Value) -> String {
    of(&Content::body(Some("application/json"), true, body.to_string().as_bytes()))
}

fn of_tool(arguments: &str) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"send","arguments":{arguments}}}}}"#
    );
    of(&Content::mcp(body.as_bytes()))
}

#[track_caller]
fn has(shown: &str, line: &str) {
    assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
}

#[test]
fn a_merge_is_shown_in_a_few_lines() {
    let shown = of_json(&json!({ "merge_method": "squash", "commit_title": "Fix\nit", "sha": "abc" }));
    let lines: Vec<&str> = shown.lines().collect();
    let expected = [
        "PUT /repos/acme/widgets/pulls/7/merge",
        "upstream: github",
        "pulls:merge on acme/widgets",
        "body:",
        "  commit_title=Fix it",
        "  merge_method=squash",
        "  sha=abc",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_long_argument_hides_no_other() {
    let shown = of_tool(&format!(r#"{{"body":"{}","to":"evil"}}"#, "a".repeat(5000)));
    has(&shown, "tool: send");
    has(&shown, "arguments:");
    has(&shown, &format!("  body={}…", "a".repeat(120)));
    has(&shown, "  to=evil");
}

#[test]
fn many_long_arguments_are_all_there_with_less_of_each() {
    let arguments: Vec<String> = (0..29).map(|n| format!(r#""argument{n}":"{}""#, "ü".repeat(500))).collect();
    let shown = of_tool(&format!(r#"{{{},"to":"evil"}}"#, arguments.join(",")));
    assert!(shown.len() <= MOST_BYTES && !shown.contains("more keys"), "{shown}");
    has(&shown, "  to=evil");
    assert!((0..29).all(|n| shown.contains(&format!("  argument{n}=ü"))), "{shown}");
}

#[test]
fn nested_arguments_crowd_out_no_key_and_what_is_left_out_is_counted() {
    let inner: Vec<String> = (0..100).map(|n| format!(r#""k{n}":{n}"#)).collect();
    let items: Vec<String> = (0..100).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let shown = of_tool(&format!(
        r#"{{"pad":{{{}}},"list":[{}],"numbers":[{}1],"to":{{"name":"evil"}}}}"#,
        inner.join(","),
        items.join(","),
        "1,".repeat(1000)
    ));
    has(&shown, "  to.name=evil");
    has(&shown, "  pad.k0=0");
    has(&shown, "  list[1].n=1");
    has(&shown, "  and 172 more keys");
    assert!(shown.contains("  numbers=[1, 1, 1"), "{shown}");
}

#[test]
fn a_key_that_stands_there_twice_is_shown_twice() {
    let shown = of_tool(r#"{"to":"bob","to":"evil"}"#);
    has(&shown, "  to=bob");
    has(&shown, "  to=evil");
    let twice =
        r#"{"method":"tools/call","params":{"name":"send","arguments":{"to":"bob"},"arguments":{"to":"evil"},"x":1}}"#;
    let shown = of(&Content::mcp(twice.as_bytes()));
    has(&shown, "  arguments.to=evil");
    has(&shown, "  x=1");
}

#[test]
fn a_key_cannot_be_taken_for_a_line_of_ours() {
    let shown = of_json(&json!({ "to=bob\nupstream: x": "y", "a.b": 1, "": 2, "é": 3 }));
    for line in ["  \"to=bob upstream: x\"=y", "  \"a.b\"=1", "  \"\"=2", "  \"é\"=3"] {
        has(&shown, line);
    }
}

#[test]
fn no_secret_is_shown() {
    let shown = of_tool(
        r#"{"Api-Key":"hunter2","max_tokens":5,"credentials":{"user":"me","list":["hunter2"]},
            "nested":[{"note":"ghp_16C7e42F292c6912E7710c838347Ae178B4a"}],"ghp_16C7e42F292c6912E7710c838347Ae178B4a":1}"#,
    );
    has(&shown, "  Api-Key=[masked]");
    has(&shown, "  max_tokens=5");
    has(&shown, "  credentials.user=[masked]");
    assert!(!shown.contains("hunter2") && !shown.contains("16C7e42F"), "{shown}");
}

#[test]
fn a_mutation_is_shown_by_its_name_and_input_and_never_by_its_text() {
    let query = "# merges PR 7\nmutation merges_PR_7($input: I!) { # merges PR 7\n seven: mergePullRequest(input: $input) { \
                 clientMutationId } addComment(input: {subjectId: \"PR_1\", body: \"b\"}) { clientMutationId } }";
    let body = json!({ "query": query, "operationName": "merges_PR_7",
        "variables": { "input": { "pullRequestId": "PR_1", "mergeMethod": "SQUASH" }, "unused": "PR 7" } });
    let shown = of(&Content::graphql(body.to_string().as_bytes()));
    for line in [
        "pulls:merge on acme/widgets",
        "mutation mergePullRequest",
        "  pullRequestId=PR_1",
        "  mergeMethod=SQUASH",
        "mutation addComment",
        "  body=b",
    ] {
        has(&shown, line);
    }
    assert!(!shown.contains("PR 7") && !shown.contains("PR_7") && !shown.contains('{'), "{shown}");
}

#[test]
fn an_http_request_is_shown_with_its_query_and_its_body() {
    let body = json!({ "amount": 5, "to": { "iban": "DE1" } }).to_string();
    let content = Content::body(Some("application/json"), true, body.as_bytes());
    let shown = of(&content.with_query(Some("dry%5Frun=no&key=hunter2&api_key=hunter2&x=1;to=evil")));
    for line in ["query:", "  dry_run=no", "  key=[masked]", "  to=evil", "body:", "  amount=5", "  to.iban=DE1"] {
        has(&shown, line);
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    let form = b"to=evil&note=a+b&password=hunter2";
    let shown = of(&Content::body(Some("application/x-www-form-urlencoded; charset=utf-8"), true, form));
    for line in ["form:", "  to=evil", "  note=a b", "  password=[masked]"] {
        has(&shown, line);
    }
}

#[test]
fn what_cannot_be_shown_says_so() {
    let form = Some("application/x-www-form-urlencoded");
    for (media_type, plain, body, line) in [
        (Some("application/pdf"), true, &b"%PDF"[..], "body: 4 bytes, not shown: application/pdf"),
        (None, true, b"\xff", "body: 1 bytes, not shown: no type"),
        (Some("application/json"), true, b"{\"a\":", "body: 5 bytes, not shown: application/json"),
        (Some("application/json"), false, b"{}", "body: 2 bytes, not shown: compressed"),
        (form, true, b"{\"a\":\"&to=evil\"}", "body: 16 bytes, not shown: JSON that says it is a form"),
    ] {
        has(&of(&Content::body(media_type, plain, body)), line);
    }
    has(&of(&Content::mcp(b"[]")), "body: 2 bytes, not shown: no message that can be shown");
    has(&of(&Content::graphql(b"{}")), "body: 2 bytes, not shown: GraphQL that cannot be read");
    let long = format!("\"{}\"", "a".repeat(LONGEST_BODY));
    assert!(of(&Content::body(Some("text/plain"), true, long.as_bytes())).contains("not shown"));
    assert!(!of(&Content::body(None, true, b"")).contains("body"));
}

#[test]
fn a_summary_is_at_most_two_kilobytes_of_visible_text() {
    let long = "\u{202e}ü\u{1b}\u{200b}\u{3164}\r\n".repeat(10_000);
    let fields: serde_json::Map<String, Value> = (0..100).map(|n| (format!("{n}{long}"), json!(long))).collect();
    let effects: Vec<String> = (0..1000).map(|n| format!("effect {n} {long}")).collect();
    let body = Value::from(fields).to_string();
    let params =
        json!({ "method": long, "params": { "name": long, "arguments": { "a": long }, long.clone(): [long] } });
    for content in [
        Content::body(Some(&long), true, b"\xff"),
        Content::mcp(params.to_string().as_bytes()),
        Content::mcp(format!("{{\"params\":{body}}}").as_bytes()),
        Content::body(None, true, b"[1]").with_query(Some(&long)),
    ] {
        let shown = Summary::of(&long, &long, &long, &effects, &content).0;
        assert!(shown.len() <= MOST_BYTES, "{}", shown.len());
        assert!(shown.chars().all(|c| c == '\n' || is_visible(c)), "{shown:?}");
    }
}
