//! Operations, fragments and variables.

use super::*;

fn named(query: &str, operation: Option<&str>) -> Result<GraphqlRequest, GraphqlRefused> {
    read(json!({ "query": query, "operationName": operation }).to_string().as_bytes())
}

const TWO: &str = "query A { viewer { login } } query B { repository(owner: \"acme\", name: \"widgets\") { id } }";

#[test]
fn the_named_operation_is_the_one_that_counts() {
    assert_eq!(said(&named(TWO, Some("A")).unwrap()), ["read"]);
    assert_eq!(said(&named(TWO, Some("B")).unwrap()), ["read on acme/widgets"]);
    for (query, name) in [(TWO, None), (TWO, Some("C")), (TWO, Some("")), ("{ __typename }", Some("A"))] {
        assert!(matches!(named(query, name), Err(GraphqlRefused::Operation(_))), "{name:?}");
    }
    let twice = "query A { viewer { login } } mutation A { deleteRef(input: {refId: \"R_1\"}) { clientMutationId } }";
    assert!(matches!(named(twice, Some("A")), Err(GraphqlRefused::Operation(_))));
    assert!(matches!(named("subscription { x }", None), Err(GraphqlRefused::Operation(_))));
    assert!(matches!(named("type A { b: Int }", None), Err(GraphqlRefused::Operation(_))));
    assert!(matches!(named("fragment a on B { c }", None), Err(GraphqlRefused::Operation(_))));
    assert!(matches!(named("mutation { __typename }", None), Err(GraphqlRefused::Operation(_))));
}

#[test]
fn fragments_hide_nothing() {
    let says = ["read on acme/widgets"];
    let query = "{ ...a ... on Query { ... @include(if: false) { ...a } } } fragment a on Query { ...b } \
        fragment b on Query { x: repository(owner: \"acme\", name: \"widgets\") @skip(if: true) { id } }";
    assert_says(query, &json!({}), &says);
    let leaving = "{ repository(owner: \"acme\", name: \"widgets\") { ...a } } fragment a on Repository { ...b } \
        fragment b on Repository { owner { ...c } } fragment c on User { ... on User { repositories { totalCount } } }";
    assert_eq!(ask(leaving), Err(GraphqlRefused::Field("repositories".to_owned())));
}

#[test]
fn a_fragment_that_contains_itself_or_is_missing_is_refused() {
    for query in [
        "{ ...a } fragment a on Query { ...a }",
        "{ ...a } fragment a on Query { ...b __typename } fragment b on Query { ...a }",
        "{ ...missing }",
    ] {
        assert!(matches!(ask(query), Err(GraphqlRefused::Fragment(_))), "{query}");
    }
    let below = "{ repository(owner: \"a\", name: \"b\") { ...a } } fragment a on Commit { parents { ...a } }";
    assert_eq!(ask(below), Err(GraphqlRefused::TooDeep));
}

#[test]
fn fragments_within_fragments_do_not_multiply_without_end() {
    let mut query = "{ repository(owner: \"a\", name: \"b\") { ...f0 } } fragment f30 on X { id }".to_owned();
    for level in 0..30 {
        let next = level + 1;
        query.push_str(&format!("fragment f{level} on X {{ a: commit {{ ...f{next} }} b: commit {{ ...f{next} }} }} "));
    }
    assert_eq!(ask(&query), Err(GraphqlRefused::TooMany));
    let chain: String = (0..80).map(|n| format!("fragment f{n} on X {{ ...f{} }} ", n + 1)).collect();
    let query = format!("{{ ...f0 }} {chain} fragment f80 on X {{ __typename }}");
    assert!(matches!(ask(&query), Err(GraphqlRefused::Fragment(_))));
}

#[test]
fn variables_take_their_place_wherever_they_stand() {
    let says = ["read on acme/widgets"];
    let query = "query($o: String! = \"acme\", $n: String) { repository(owner: $o, name: $n) { id } }";
    assert_says(query, &json!({ "n": "widgets" }), &says);
    assert_says(query, &json!({ "o": "other", "n": "widgets" }), &["read on other/widgets"]);
    assert!(ask_with(query, &json!({})).is_err());
    assert!(ask_with(query, &json!({ "o": null, "n": "widgets" })).is_err());
    // Not declared, so GitHub does not take it.
    assert!(ask_with("{ repository(owner: $o, name: \"b\") { id } }", &json!({ "o": "acme" })).is_err());
    let nested = "mutation($l: ID!, $m: [ID!]) { addLabelsToLabelable(input: {labelableId: \"I_1\", labelIds: [$l, \"L_2\"]}) { \
        clientMutationId } updateIssue(input: {id: \"I_2\", labelIds: $m}) { clientMutationId } }";
    let expected = ["I_1 converses", "L_1 read", "L_2 read", "I_2 issues:write", "L_3 read"];
    assert_says(nested, &json!({ "l": "L_1", "m": "L_3" }), &expected);
    let whole = "mutation M($input: AddCommentInput!) { addComment(input: $input) { clientMutationId } }";
    assert_says(whole, &json!({ "input": { "subjectId": "I_1", "body": "b" }, "unused": 1 }), &["I_1 converses"]);
    let default = "mutation($i: X = {subjectId: \"I_9\", body: \"b\"}) { addComment(input: $i) { clientMutationId } }";
    assert_says(default, &json!({}), &["I_9 converses"]);
}

#[test]
fn literals_are_decoded_as_the_specification_says() {
    for owner in ["\"acme\"", "\"\\u0061cme\"", "\"\"\"acme\"\"\"", "\"\"\"\n   acme\n\"\"\"", "\"\\u{61}cme\""] {
        let query = format!("{{ repository(owner: {owner}, name: \"widgets\") {{ id }} }}");
        assert_says(&query, &json!({}), &["read on acme/widgets"]);
    }
}

#[test]
fn a_variable_of_megabytes_may_be_used_often() {
    let uses: String = (0..90)
        .map(|n| format!("a{n}: addComment(input: {{subjectId: \"I_{n}\", body: $b}}) {{ clientMutationId }} "))
        .collect();
    let query = format!("mutation($b: String!) {{ {uses} }}");
    let request = ask_with(&query, &json!({ "b": "x".repeat(4 << 20) })).unwrap();
    assert_eq!(request.nodes.len(), 90);
}

#[test]
fn more_than_a_hundred_nodes_or_repositories_are_refused() {
    let ids = |count: usize| (0..count).map(|n| format!("I_{n}")).collect::<Vec<_>>();
    let query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    assert_eq!(ask_with(query, &json!({ "ids": ids(100) })).unwrap().nodes.len(), 100);
    assert_eq!(ask_with(query, &json!({ "ids": ids(101) })), Err(GraphqlRefused::TooMany));
    let roots: String = (0..101).map(|n| format!("r{n}: repository(owner: \"a\", name: \"r{n}\") {{ id }} ")).collect();
    assert_eq!(ask(&format!("{{ {roots} }}")), Err(GraphqlRefused::TooMany));
}

#[test]
fn what_is_used_again_and_again_costs_each_time() {
    let fragments: String = (0..4000).map(|n| format!("fragment f{n} on X {{ ...f{} ...f0 }} ", n + 1)).collect();
    assert!(ask(&format!("{{ ...f0 }} {fragments}")).is_err());
    let spreads = "...s ".repeat(5000);
    let query = format!("{{ repository(owner: \"a\", name: \"b\") {{ a {{ {spreads} }} }} }} fragment s on X {{ id }}");
    assert!(ask(&query.replace("a {", "object {")).is_ok());
    let fields: String = (0..5).map(|n| format!("o{n}: object {{ {spreads} }} ")).collect();
    let query = format!("{{ repository(owner: \"a\", name: \"b\") {{ {fields} }} }} fragment s on X {{ id }}");
    assert_eq!(ask(&query), Err(GraphqlRefused::TooMany));
    let uses: String = (0..3).map(|n| format!("a{n}: x(y: $v) ")).collect();
    let query = format!("query($v: X) {{ repository(owner: \"a\", name: \"b\") {{ {uses} }} }}");
    assert_eq!(ask_with(&query, &json!({ "v": vec![1; 9000] })), Err(GraphqlRefused::TooMany));
    let many = json!({ "v": vec![1; 10_001] });
    assert!(matches!(ask_with("{ __typename }", &many), Err(GraphqlRefused::Body(_))));
}
