//! The lookup of nodes, and what follows from its answer.

use super::*;
use crate::effect::{Effect, RefChange, RepositoryName, Verb};

fn widgets() -> RepositoryName {
    "acme/widgets".parse().unwrap()
}

fn resolved(node: &Value) -> Option<Resolved> {
    let ids = ["X_1".to_owned()];
    resolve(&ids, json!({ "data": { "nodes": [node] } }).to_string().as_bytes()).unwrap().remove("X_1")
}

fn at(typename: &str) -> Value {
    json!({ "__typename": typename, "repository": { "nameWithOwner": "Acme/Widgets" } })
}

fn with(mut node: Value, key: &str, value: Value) -> Value {
    node[key] = value;
    node
}

#[test]
fn a_lookup_asks_for_all_ids_in_one_query() {
    let body: Value = serde_json::from_slice(&lookup(&["A_1".to_owned(), "B\"2".to_owned()])).unwrap();
    assert_eq!(body["variables"]["ids"], json!(["A_1", "B\"2"]));
    assert!(ask_with(body["query"].as_str().unwrap(), &json!({ "ids": "A_1" })).is_ok());
}

#[test]
fn ids_are_asked_for_once() {
    let request = ask("{ nodes(ids: [\"B_1\", \"A_1\", \"B_1\"]) { x(labelId: \"A_1\") } }").unwrap();
    assert_eq!(request.ids(), ["A_1", "B_1"]);
}

#[test]
fn the_answer_says_where_and_what_a_node_is() {
    let head = Some(("me/widgets".parse().unwrap(), "refs/heads/topic".to_owned()));
    let pull = with(
        with(at("PullRequest"), "headRefName", json!("topic")),
        "headRepository",
        json!({ "nameWithOwner": "me/widgets" }),
    );
    let lone = with(with(at("PullRequest"), "headRefName", json!("topic")), "headRepository", Value::Null);
    for (node, kind) in [
        (json!({ "__typename": "Repository", "nameWithOwner": "acme/widgets" }), Kind::Other),
        (at("Issue"), Kind::Issue),
        (with(at("IssueComment"), "pullRequest", Value::Null), Kind::Issue),
        (with(at("IssueComment"), "pullRequest", json!({ "id": "P_1" })), Kind::PullRequest { head: None }),
        (pull, Kind::PullRequest { head }),
        (lone, Kind::PullRequest { head: None }),
        (at("PullRequestReviewThread"), Kind::PullRequest { head: None }),
        (at("Discussion"), Kind::Discussion),
        (
            json!({ "__typename": "DiscussionComment", "discussion": { "repository": { "nameWithOwner": "acme/widgets" } } }),
            Kind::Discussion,
        ),
        (at("CommitComment"), Kind::CommitComment),
        (at("Release"), Kind::Release),
        (at("Label"), Kind::Other),
        (
            with(with(at("Ref"), "name", json!("a/b")), "prefix", json!("refs/heads/")),
            Kind::Ref("refs/heads/a/b".to_owned()),
        ),
    ] {
        assert_eq!(resolved(&node), Some(Resolved { repository: widgets(), kind }), "{node}");
    }
    for node in [
        Value::Null,
        json!({ "__typename": "User" }),
        json!({ "__typename": "ProjectV2" }),
        with(at("Ref"), "name", json!("main")),
        json!({ "__typename": "Issue", "repository": { "nameWithOwner": "acme" } }),
        json!({ "__typename": "Issue", "repository": null }),
    ] {
        assert_eq!(resolved(&node), None, "{node}");
    }
}

#[test]
fn an_answer_that_does_not_fit_the_question_is_refused() {
    let ids = ["A_1".to_owned(), "B_1".to_owned()];
    let one = json!({ "data": { "nodes": [at("Issue")] } }).to_string();
    assert_eq!(resolve(&ids, one.as_bytes()), Err(BadAnswer::Length { asked: 2, answered: 1 }));
    for answer in ["", "{}", "{\"data\":null}", "{\"data\":{\"nodes\":null}}", "{\"errors\":[]}"] {
        assert_eq!(resolve(&ids, answer.as_bytes()), Err(BadAnswer::Format), "{answer}");
    }
    let partly = json!({ "data": { "nodes": [null, at("Issue")] }, "errors": [{ "type": "NOT_FOUND" }] }).to_string();
    let found = resolve(&ids, partly.as_bytes()).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["B_1"]);
}

#[test]
fn a_use_becomes_an_effect_where_its_node_is() {
    let fork: RepositoryName = "me/widgets".parse().unwrap();
    let change = RefChange::Force;
    let moved = |repository: &RepositoryName, name: Option<&str>| Effect::MovesRef {
        repository: repository.clone(),
        name: name.map(str::to_owned),
        change,
    };
    let does = |verb| Effect::Does { verb, repository: widgets() };
    let pull = || Kind::PullRequest { head: Some((fork.clone(), "refs/heads/t".to_owned())) };
    for (need, kind, expected) in [
        (Need::Does(Verb::Read), Kind::Other, Some(does(Verb::Read))),
        (Need::Converses, Kind::Issue, Some(does(Verb::IssuesWrite))),
        (Need::Converses, pull(), Some(does(Verb::PullsWrite))),
        (Need::Converses, Kind::Discussion, Some(does(Verb::DiscussionsWrite))),
        (Need::Converses, Kind::Release, Some(does(Verb::ReleasesWrite))),
        (Need::Converses, Kind::CommitComment, Some(does(Verb::ContentsWrite))),
        (Need::Converses, Kind::Other, None),
        (Need::MovesRef { name: None, change }, Kind::Other, Some(moved(&widgets(), None))),
        (Need::MovesIt(change), Kind::Ref("refs/tags/v".to_owned()), Some(moved(&widgets(), Some("refs/tags/v")))),
        (Need::MovesIt(change), Kind::Other, None),
        (Need::MovesHead(change), pull(), Some(moved(&fork, Some("refs/heads/t")))),
        (Need::MovesHead(change), Kind::PullRequest { head: None }, None),
        (Need::MovesHead(change), Kind::Issue, None),
    ] {
        let node = NodeUse { id: "X_1".to_owned(), need };
        let effect = node.effect(&Resolved { repository: widgets(), kind });
        assert_eq!(effect, expected.ok_or(GraphqlRefused::Unresolved("X_1".to_owned())), "{node:?}");
    }
}
