//! Queries that would lead out of the repositories that they name.

use super::*;

#[test]
fn a_walk_out_of_the_repository_is_refused() {
    for (below, field) in [
        ("owner { repositories(first: 9) { nodes { name } } }", "repositories"),
        ("owner { ... on User { repository(name: \"x\") { description } } }", "argument"),
        (
            "owner { ... on Organization { repository(name: \"x\") { object(expression: \"HEAD:a\") { id } } } }",
            "argument",
        ),
        ("parent { issues(first: 9) { nodes { title } } }", "issues"),
        ("parent { object(expression: \"HEAD:a\") { ... on Blob { text } } }", "object"),
        ("parent { parent { parent { name } } }", "parent"),
        ("forks(first: 9) { nodes { issues { totalCount } } }", "issues"),
        ("templateRepository { refs(refPrefix: \"refs/\") { totalCount } }", "refs"),
        ("issue(number: 1) { author { ... on User { repositories { totalCount } } } }", "repositories"),
        ("issue(number: 1) { assignees(first: 1) { nodes { repositories { totalCount } } } }", "repositories"),
        ("issue(number: 1) { participants { nodes { organizations { nodes { login } } } } }", "organizations"),
        ("issue(number: 1) { repository { owner { login } issues { totalCount } } }", "issues"),
        ("issue(number: 1) { parent { title } }", "title"),
        ("issue(number: 1) { subIssues(first: 1) { nodes { body } } }", "body"),
        ("issue(number: 1) { closedByPullRequestsReferences { nodes { title } } }", "title"),
        (
            "issue(number: 1) { timelineItems(first: 9) { nodes { ... on CrossReferencedEvent { source { ... on Issue { body } } } } } }",
            "body",
        ),
        ("issue(number: 1) { timelineItems { nodes { ... on ReferencedEvent { commit { tree { oid } } } } } }", "tree"),
        (
            "issue(number: 1) { timelineItems { nodes { ... on CrossReferencedEvent { target { ... on Issue { comments { totalCount } } } } } } }",
            "comments",
        ),
        ("issue(number: 1) { timeline(first: 9) { nodes { id } } }", "timeline"),
        (
            "issue(number: 1) { linkedBranches { nodes { ref { target { ... on Commit { file(path: \"a\") { name } } } } } } }",
            "file",
        ),
        ("issue(number: 1) { projectItems { nodes { project { items(first: 9) { nodes { id } } } } } }", "items"),
        ("issue(number: 1) { projectItems { nodes { title } } }", "title"),
        ("pullRequest(number: 1) { headRepository { object(expression: \"HEAD:a\") { oid } } }", "object"),
        ("pullRequest(number: 1) { headRef { target { ... on Commit { history { totalCount } } } } }", "history"),
        ("pullRequest(number: 1) { headRef { repository { collaborators { totalCount } } } }", "collaborators"),
        ("ref(qualifiedName: \"main\") { associatedPullRequests(first: 1) { nodes { title } } }", "title"),
        ("ref(qualifiedName: \"main\") { compare(headRef: \"x:y\") { commits { totalCount } } }", "compare"),
        ("mentionableUsers(first: 9) { nodes { status { message } } }", "status"),
        ("assignableUsers(first: 9) { nodes { gists { totalCount } } }", "gists"),
        ("stargazers(first: 9) { edges { node { starredRepositories { totalCount } } } }", "starredRepositories"),
        ("repositoryTopics(first: 1) { nodes { topic { repositories(first: 1) { totalCount } } } }", "repositories"),
        ("projectsV2(first: 9) { nodes { title } }", "projectsV2"),
        ("projectV2(number: 1) { items { totalCount } }", "projectV2"),
        ("organization { login }", ""),
        ("vulnerabilityAlerts(first: 9) { nodes { id } }", "vulnerabilityAlerts"),
        ("collaborators(first: 9) { nodes { login } }", "collaborators"),
        ("deployKeys(first: 9) { nodes { key } }", "deployKeys"),
        ("environments(first: 9) { nodes { name } }", "environments"),
        ("submodules(first: 9) { nodes { gitUrl } }", "submodules"),
        ("packages(first: 9) { nodes { name } }", "packages"),
        ("tempCloneToken", "tempCloneToken"),
        ("x: tempCloneToken", "tempCloneToken"),
        ("unknownObject { id }", "unknownObject"),
    ] {
        let answer = ask(&format!("{{ repository(owner: \"acme\", name: \"widgets\") {{ {below} }} }}"));
        match (field, answer) {
            // Its owner is no more than a name.
            ("", answer) => assert!(answer.is_ok(), "{below}"),
            ("argument", answer) => {
                assert!(matches!(answer, Err(GraphqlRefused::Argument { .. })), "{below}: {answer:?}");
            }
            (field, answer) => assert_eq!(answer, Err(GraphqlRefused::Field(field.to_owned())), "{below}"),
        }
    }
}

#[test]
fn an_account_shows_its_profile_and_no_more() {
    for query in [
        "{ viewer { repositories(first: 9) { nodes { nameWithOwner } } } }",
        "{ viewer { repository(name: \"x\") { id } } }",
        "{ viewer { organizations(first: 9) { nodes { login } } } }",
        "{ viewer { gists(first: 9) { nodes { files { text } } } } }",
        "{ viewer { ...v } } fragment v on User { starredRepositories { totalCount } }",
        "{ viewer { monthlyEstimatedSponsorsIncomeInCents } }",
        "{ user(login: \"x\") { repositories(first: 1) { nodes { id } } } }",
        "{ user(login: \"x\") { pullRequests(first: 1) { nodes { title } } } }",
        "{ organization(login: \"x\") { teams(first: 1) { nodes { slug } } } }",
        "{ organization(login: \"x\") { membersWithRole(first: 1) { nodes { login } } } }",
        "{ organization(login: \"x\") { samlIdentityProvider { ssoUrl } } }",
    ] {
        assert!(matches!(ask(query), Err(GraphqlRefused::Field(_))), "{query}: {:?}", ask(query));
    }
}

#[test]
fn an_unknown_root_is_refused() {
    for (root, name) in [
        ("relay { repository(owner: \"a\", name: \"b\") { id } }", "relay"),
        ("enterprise(slug: \"x\") { name }", "enterprise"),
        ("topic(name: \"x\") { name }", "topic"),
        ("securityAdvisories(first: 1) { nodes { summary } }", "securityAdvisories"),
        ("marketplaceListing(slug: \"x\") { name }", "marketplaceListing"),
        ("sponsorables { totalCount }", "sponsorables"),
        ("userlist: users { id }", "users"),
        ("addComment(input: {subjectId: \"I_1\", body: \"b\"}) { clientMutationId }", "addComment"),
    ] {
        assert_eq!(ask(&format!("{{ {root} }}")), Err(GraphqlRefused::Query(name.to_owned())), "{root}");
    }
}

#[test]
fn a_root_that_does_not_tell_its_repository_is_refused() {
    for query in [
        "{ repository(owner: \"acme\") { id } }",
        "{ repository(owner: \"acme\", name: \"widgets/../x\") { id } }",
        "{ repository(owner: \"acme\", name: \" widgets\") { id } }",
        "{ repository(owner: \"acme\", name: null) { id } }",
        "{ repository(owner: \"acme\", name: 5) { id } }",
        "{ repository(owner: \"acme\", name: [\"widgets\"]) { id } }",
        "{ repository(owner: $o, name: \"widgets\") { id } }",
        "query($o: String) { repository(owner: $o, name: \"widgets\") { id } }",
        "{ repository(owner: \"acme\", name: \"widgets\", id: \"R_1\") { id } }",
        "{ user { repository(name: \"x\") { id } } }",
        "{ viewer(login: \"x\", x: 1) { login } }",
        "{ node { id } }",
        "{ node(ids: \"A\") { id } }",
        "{ nodes(ids: []) { id } }",
        "{ nodes(ids: {a: \"A\"}) { id } }",
        "{ search(query: \"repo:acme/widgets\") { issueCount } }",
        "{ resource(url: \"https://github.com/acme\") { id } }",
        "{ resource(url: \"https://github.com/acme/widgets?x=/other/one\") { id } }",
        "{ resource(url: \"https://github.com/acme/widgets/../../other/one\") { id } }",
        "{ resource(url: \"https://github.com//acme/widgets\") { id } }",
        "{ resource(url: \"https://github.com/acme/widgets/settings\") { id } }",
        "{ resource(url: \"https://x@github.com/acme/widgets\") { id } }",
        "{ resource(url: \"https://github.com/acme%2fx/widgets\") { id } }",
        "{ resource(url: \"http://github.com/acme/widgets\") { id } }",
    ] {
        assert!(matches!(ask(query), Err(GraphqlRefused::Argument { .. })), "{query}: {:?}", ask(query));
    }
    for id in ["", "a b", "I_1\\n", "é", &"x".repeat(256)] {
        assert!(ask(&format!("{{ node(id: \"{id}\") {{ id }} }}")).is_err(), "{id}");
    }
}

fn search(query: &str, kind: &str) -> Result<GraphqlRequest, GraphqlRefused> {
    let text = "query($q: String!, $t: SearchType!) { search(query: $q, type: $t, first: 9) { nodes { ... on Issue { title } } } }";
    ask_with(text, &json!({ "q": query, "t": kind }))
}

#[test]
fn a_search_is_confined_to_its_repositories() {
    for (query, expected) in [
        ("repo:acme/widgets is:issue is:open label:bug", &["read on acme/widgets"][..]),
        ("is:pr repo:Acme/Widgets repo:acme/other", &["read on acme/widgets", "read on acme/other"]),
        ("repo:acme/widgets label:\"good first issue\" \"fix it\" author:@me", &["read on acme/widgets"]),
        ("is:pr is:open fix repo:acme/widgets type:issue", &["read on acme/widgets"]),
    ] {
        assert_eq!(said(&search(query, "ISSUE").unwrap()), expected, "{query}");
    }
}

#[test]
fn a_search_that_could_be_wider_is_refused() {
    for query in [
        "is:issue",
        "",
        "-repo:acme/widgets",
        "repo:acme/widgets -repo:acme/other",
        "repo:acme/widgets org:acme",
        "repo:acme/widgets user:x",
        "repo:acme/widgets USER:x",
        "repo:acme/widgets enterprise:x",
        "REPO:acme/widgets",
        "repo:acme",
        "repo:acme/*",
        "repo:\"acme/widgets\"",
        "repo:acme/widgets,acme/other",
        "repo:acme/widgets OR is:open",
        "repo:acme/widgets or x",
        "NOT repo:acme/widgets",
        "(repo:acme/widgets)",
        "repo:acme/widgets (a b)",
        "repo:acme/widgets a\"b repo:x/y c\"",
        "repo:acme/widgets \"repo:x/y\"",
        "\"repo:acme/widgets\"",
        "repo:acme/widgets \"open",
        "repo:acme/widgets a\\\"b",
        "repo:acme/widgets\u{3000}repo:x/y",
        "repo:acme/widgets\nrepo:x/y",
        "repo:acme/widgets\u{a0}x",
        "monorepo:acme/widgets",
    ] {
        assert!(matches!(search(query, "ISSUE"), Err(GraphqlRefused::Search(_))), "{query}");
    }
    for kind in ["REPOSITORY", "USER", "CODE", "issue"] {
        assert_eq!(search("repo:acme/widgets", kind), Err(GraphqlRefused::SearchType), "{kind}");
    }
}

#[test]
fn the_head_of_a_pull_request_is_elsewhere_only_in_a_repository_that_is_named() {
    let create = |more: &str| {
        let input = format!("{{repositoryId: \"R_1\", baseRefName: \"main\", title: \"t\", {more}}}");
        ask(&format!("mutation {{ createPullRequest(input: {input}) {{ clientMutationId }} }}"))
    };
    for head in ["\"other:main\"", "$undeclared", "[\"other:main\"]"] {
        assert!(matches!(create(&format!("headRefName: {head}")), Err(GraphqlRefused::Argument { .. })), "{head}");
    }
    let named = create("headRefName: \"other:main\", headRepositoryId: \"R_2\"").unwrap();
    assert_eq!(said(&named), ["R_1 pulls:write", "R_2 read"]);
}
