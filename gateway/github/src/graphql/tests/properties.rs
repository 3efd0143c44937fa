//! What holds for any text: no panic, and no spelling that hides an effect.

use proptest::prelude::*;

use super::*;

/// A field of a generated query.
#[derive(Clone, Debug)]
struct Part {
    call: &'static str,
    below: Vec<Self>,
}

/// How a generated query is spelled.
#[derive(Clone, Copy, Debug)]
enum Spelling {
    Plain,
    Aliases,
    Inline,
    Fragments,
    Directives,
}

const SPELLINGS: [Spelling; 4] = [Spelling::Aliases, Spelling::Inline, Spelling::Fragments, Spelling::Directives];

fn part() -> impl Strategy<Value = Part> {
    let calls = prop::sample::select(vec![
        "issues(first: 1)",
        "comments",
        "nodes",
        "author",
        "parent",
        "owner",
        "issue(number: 1)",
        "isRequired(pullRequestId: \"P_9\")",
        "labels",
        "repositories",
        "login",
        "commit",
        "timelineItems",
        "title",
        "name",
        "tempCloneToken",
        "discussions(categoryId: \"D_1\")",
    ]);
    let leaf = prop::sample::select(vec!["id", "login", "name", "title", "url", "totalCount"]);
    let leaf = leaf.prop_map(|call| Part { call, below: Vec::new() });
    leaf.prop_recursive(4, 24, 3, move |inner| {
        (calls.clone(), prop::collection::vec(inner, 0..3)).prop_map(|(call, below)| Part { call, below })
    })
}

fn root(calls: Vec<&'static str>) -> impl Strategy<Value = Vec<Part>> {
    let part = (prop::sample::select(calls), prop::collection::vec(part(), 1..3));
    prop::collection::vec(part.prop_map(|(call, below)| Part { call, below }), 1..4)
}

fn queries() -> impl Strategy<Value = Vec<Part>> {
    root(vec![
        "repository(owner: \"acme\", name: \"widgets\")",
        "repository(owner: \"me\", name: \"widgets\")",
        "node(id: \"N_1\")",
        "nodes(ids: [\"N_1\", \"N_2\"])",
        "viewer",
        "user(login: \"x\")",
        "search(query: \"repo:a/b\", type: ISSUE)",
        "rateLimit",
    ])
}

fn mutations() -> impl Strategy<Value = Vec<Part>> {
    root(vec![
        "addComment(input: {subjectId: \"I_1\", body: \"b\"})",
        "updateRef(input: {refId: \"F_1\", oid: \"1\", force: true})",
        "createRef(input: {repositoryId: \"R_1\", name: \"refs/heads/a\", oid: \"1\"})",
        "mergePullRequest(input: {pullRequestId: \"P_1\"})",
        "deleteRepository(input: {repositoryId: \"R_1\"})",
    ])
}

fn operation(kind: &str, parts: &[Part], spelling: Spelling) -> String {
    let mut fragments = Vec::new();
    let body = selection(parts, spelling, &mut fragments);
    format!("{kind} {body} {}", fragments.join(" "))
}

fn selection(parts: &[Part], spelling: Spelling, fragments: &mut Vec<String>) -> String {
    let fields: String = parts.iter().enumerate().map(|(at, part)| field(part, at, spelling, fragments)).collect();
    match spelling {
        Spelling::Plain | Spelling::Aliases | Spelling::Directives => format!("{{ {fields} }}"),
        Spelling::Inline => format!("{{ ... on X {{ ... {{ {fields} }} }} }}"),
        Spelling::Fragments => {
            let number = fragments.len();
            fragments.push(format!("fragment f{number} on X {{ {fields} }}"));
            format!("{{ ...f{number} ...f{number} }}")
        }
    }
}

fn field(part: &Part, at: usize, spelling: Spelling, fragments: &mut Vec<String>) -> String {
    let below = if part.below.is_empty() { String::new() } else { selection(&part.below, spelling, fragments) };
    match spelling {
        Spelling::Aliases => format!("viewer{at}: {} {below} ", part.call),
        Spelling::Directives => format!("{} @skip(if: true) @include(if: false) {below} ", part.call),
        _ => format!("{} {below} ", part.call),
    }
}

fn sorted(query: &str) -> Option<Vec<String>> {
    let mut said = said(&ask(query).ok()?);
    said.sort_unstable();
    Some(said)
}

fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "$",
        "@",
        "!",
        "=",
        "...",
        "on ",
        "query ",
        "mutation ",
        "fragment ",
        "subscription ",
        "\"",
        "\"\"\"",
        "\\",
        "\\u",
        "#",
        "\n",
        "\r",
        "a ",
        "repository",
        "owner",
        "name",
        "input",
        "null ",
        "true ",
        "1 ",
        "-0.1e5 ",
        "addComment",
        "\u{1F600}",
        "&",
        "|",
        ",",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

proptest! {
    #[test]
    fn no_body_and_no_text_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>(), soup in tokens()) {
        let _ = read(&body);
        let _ = ask(&text);
        let _ = ask(&soup);
        let _ = ask(&format!("{{ repository(owner: {soup}"));
        let _ = ask(&format!("mutation {{ createIssue(input: {{ {soup}"));
    }

    #[test]
    fn no_spelling_of_a_query_changes_what_it_does(parts in queries()) {
        let plain = sorted(&operation("query", &parts, Spelling::Plain));
        for spelling in SPELLINGS {
            prop_assert_eq!(&sorted(&operation("query", &parts, spelling)), &plain, "{:?}", spelling);
        }
    }

    #[test]
    fn no_spelling_of_a_mutation_changes_what_it_does(parts in mutations()) {
        let plain = sorted(&operation("mutation", &parts, Spelling::Plain));
        for spelling in SPELLINGS {
            prop_assert_eq!(&sorted(&operation("mutation", &parts, spelling)), &plain, "{:?}", spelling);
        }
    }

    #[test]
    fn two_queries_in_one_do_what_both_do(left in queries(), right in queries()) {
        let both: Vec<Part> = left.iter().chain(&right).cloned().collect();
        let (left, right) = (sorted(&operation("query", &left, Spelling::Plain)), sorted(&operation("query", &right, Spelling::Plain)));
        let expected = left.zip(right).map(|(left, right)| {
            let mut all: Vec<String> = left.into_iter().chain(right).collect();
            all.sort_unstable();
            all.dedup();
            all
        });
        prop_assert_eq!(sorted(&operation("query", &both, Spelling::Plain)), expected);
    }
}
