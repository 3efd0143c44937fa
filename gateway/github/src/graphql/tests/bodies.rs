//! What stands around a query, and what is refused before it is parsed.

use super::*;

#[test]
fn a_body_has_a_query_variables_and_an_operation_name_and_nothing_else() {
    for body in [
        r#"{"query":"{__typename}"}"#,
        r#"{"query":"{__typename}","variables":null,"operationName":null}"#,
        r#"{"variables":{"a":{"b":[1,2.5,-3,true,null,"x"]}},"query":"query A{__typename}","operationName":"A"}"#,
        r#"{"query":"{__typename}","extensions":{}}"#,
        r#"{"query":"{__typename}","extensions":null}"#,
        " {\"query\" : \"{\\u005f_typename}\"}\n",
    ] {
        assert_eq!(said(&read(body.as_bytes()).unwrap()), ["read"], "{body}");
    }
    for body in [
        "",
        "null",
        "[]",
        r#"[{"query":"{__typename}"}]"#,
        "{}",
        r#"{"query":null}"#,
        r#"{"query":["{__typename}"]}"#,
        r#"{"query":"{__typename}","query":"{__typename}"}"#,
        r#"{"query":"{__typename}","\u0071uery":"{viewer{login}}"}"#,
        r#"{"query":"{__typename}","Query":"{viewer{login}}"}"#,
        r#"{"query":"{__typename}","variables":{"a":1,"a":2}}"#,
        r#"{"query":"{__typename}","variables":{"a":{"b":[{"c":1,"c":1}]}}}"#,
        r#"{"query":"{__typename}","variables":"{}"}"#,
        r#"{"query":"{__typename}","variables":[]}"#,
        r#"{"query":"{__typename}","operationName":1}"#,
        r#"{"query":"{__typename}","operation_name":"A"}"#,
        r#"{"query":"{__typename}","extensions":{"persistedQuery":{"sha256Hash":"a"}}}"#,
        r#"{"query":"{__typename}","extensions":[]}"#,
        r#"{"query":"{__typename}","id":"1"}"#,
        r#"{"query":"{__typename}"}{"query":"{__typename}"}"#,
        r#"{"query":"{__typename}"} x"#,
        "{\"query\":\"{__typename}\u{1}\"}",
    ] {
        assert!(matches!(read(body.as_bytes()), Err(GraphqlRefused::Body(_))), "{body}");
    }
    assert!(matches!(read(b"{\"query\":\"{__typename}\xff\"}"), Err(GraphqlRefused::Body(_))));
    let deep =
        format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"a\":{}{}}}}}", "[".repeat(9999), "]".repeat(9999));
    assert!(matches!(read(deep.as_bytes()), Err(GraphqlRefused::Body(_))));
}

#[test]
fn no_part_of_a_body_stands_in_the_refusal() {
    let error = read(br#"{"query":"{__typename}","variables":{"secret-key":1,"secret-key":2}}"#).unwrap_err();
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn text_that_two_parsers_may_read_differently_is_refused() {
    for query in [
        "",
        "{",
        "{ }",
        "{ __typename } }",
        "query",
        "{ a: }",
        "{ __typename(a: ) }",
        "{ __typename }\u{feff}",
        "\u{feff}{ __typename }",
        "{ __typename\u{a0} }",
        "{ __typename # comment\r { viewer { login } }\n }",
        "{ __typename # \u{2028} x\n }",
        "{ __typename\u{0} }",
        "{ node(id: \"A_1\", id: \"B_2\") { id } }",
        "{ node(id: \"A_1\n\") { id } }",
        "{ node(id: \"A_1) { id } }",
        "{ node(id: \"\"\"A_1) { id } }",
        "{ node(id: \"\\x41\") { id } }",
        "{ node(id: \"\\ud800\") { id } }",
        "query($a: ID!, $a: ID!) { node(id: $a) { id } }",
        "{ ...a } fragment a on Query { __typename } fragment a on Query { viewer { login } }",
        "mutation { addComment(input: {subjectId: \"I_1\", subjectId: \"I_2\"}) { clientMutationId } }",
        "query($a: ID = $b, $b: ID) { node(id: $a) { id } }",
    ] {
        let answer = ask_with(query, &json!({ "b": "B_1" }));
        assert!(matches!(answer, Err(GraphqlRefused::Text(_))), "{query:?}: {answer:?}");
    }
    // Comments, commas and both ends of lines are fine.
    let query = "# one { \" \r\n{ __typename,,, # two }\r\n viewer{login}}";
    assert_says(query, &json!({}), &["read"]);
}

#[test]
fn what_is_too_long_or_too_deep_is_refused_before_it_is_parsed() {
    let long = format!("{{ __typename }} #{}", "x".repeat(MAX_TEXT));
    assert_eq!(ask(&long), Err(GraphqlRefused::TooLong));
    for (open, close) in [("{a", "}"), ("(", ")"), ("[", "]"), ("{a:[", "]}")] {
        let count = 50_000;
        let query = format!("{{ a(b: {}{}) }}", open.repeat(count), close.repeat(count));
        assert_eq!(ask(&query[..query.len().min(MAX_TEXT)]), Err(GraphqlRefused::TooDeep), "{open}");
    }
    let unclosed = "{a".repeat(100_000);
    assert_eq!(ask(&unclosed), Err(GraphqlRefused::TooDeep));
    let deep = |levels: usize| {
        format!(
            "{{ repository(owner: \"a\", name: \"b\") {}{} }}",
            "{ commit ".repeat(levels) + "{ id }",
            " }".repeat(levels)
        )
    };
    assert!(ask(&deep(60)).is_ok());
    assert_eq!(ask(&deep(63)), Err(GraphqlRefused::TooDeep));
    // Brackets in strings and comments are none.
    let query = format!(
        "{{ repository(owner: \"a\", name: \"b\") {{ x(y: \"{0}\", z: \"\"\"{0}\"\"\") }} }} # {0}",
        "{[(".repeat(99)
    );
    assert_says(&query, &json!({}), &["read on a/b"]);
    // And they close nothing.
    let query = format!("{{ a(b: {}", "[\"]]]]\" #]]]\n \"\"\"]\\\"\"\"]\"\"\"".repeat(70));
    assert_eq!(ask(&query), Err(GraphqlRefused::TooDeep));
}

#[test]
fn many_small_values_are_refused_before_they_fill_the_memory() {
    let lists = |count: usize| {
        let list = format!("[{}]", vec!["0"; 9_000].join(","));
        format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"a\":[{}]}}}}", vec![list; count].join(","))
    };
    assert!(read(lists(10).as_bytes()).is_ok());
    assert!(matches!(read(lists(12).as_bytes()), Err(GraphqlRefused::Body(why)) if why.contains("too many values")));
}
