//! What is refused before any grant is asked.

use super::{RestRefused, call};

fn refused(method: &str, target: &str, body: &str) -> RestRefused {
    match call(method, target, body) {
        Err(refused) => refused,
        Ok(request) => panic!("{method} {target} {body}: {:?}", request.effects),
    }
}

fn below(method: &str, below: &str, body: &str) -> RestRefused {
    refused(method, &format!("/repos/acme/widgets{below}"), body)
}

#[test]
fn what_is_not_in_the_table_is_refused() {
    for (method, path) in [
        ("POST", "/git/refs/heads/main"),
        ("PUT", "/git/refs/heads/main"),
        ("POST", ""),
        ("POST", "/pulls/7/merge"),
        ("PUT", "/pulls/x/merge"),
        ("PUT", "/pulls/7/merge/x"),
        ("PUT", "/PULLS/7/merge"),
        ("GET", "/nothing"),
        ("POST", "/contents/a"),
        ("PUT", "/contents"),
        ("GET", "/issues/7.json"),
        ("POST", "/releases/7/assets"),
    ] {
        assert_eq!(below(method, path, ""), RestRefused::UnknownRoute, "{method} {path}");
    }
    assert_eq!(refused("GET", "/repos/acme", ""), RestRefused::UnknownRoute);
    assert_eq!(refused("TRACE", "/meta", ""), RestRefused::Method);
    assert_eq!(refused("get", "/meta", ""), RestRefused::Method);
}

#[test]
fn what_reaches_unnamed_repositories_or_the_account_is_refused() {
    for path in [
        "/user/repos",
        "/orgs/acme/repos",
        "/notifications",
        "/issues",
        "/repositories",
        "/repositories/7/issues",
        "/gists",
        "/events",
        "/search/repositories?q=x",
        "/search/users?q=x",
        "/users/me/repos",
        "/users/me/events",
        "/networks/acme/widgets/events",
        "/installation/repositories",
    ] {
        assert_eq!(refused("GET", path, ""), RestRefused::ReachesOtherRepositories, "{path}");
    }
    for (method, path) in [
        ("PATCH", "/user"),
        ("GET", "/user/emails"),
        ("PUT", "/user/starred/acme/widgets"),
        ("GET", "/user/keys"),
        ("POST", "/user/repos/x"),
        ("PUT", "/repos/acme/widgets/subscription"),
        ("PUT", "/repos/acme/widgets/notifications"),
        ("POST", "/repos/acme/widgets/codespaces"),
        ("POST", "/repos/acme/widgets/pulls/7/codespaces"),
    ] {
        assert_eq!(refused(method, path, ""), RestRefused::Account, "{method} {path}");
    }
    assert_eq!(below("POST", "/issues/7/sub_issues", r#"{"sub_issue_id":8}"#), RestRefused::NamesById);
    assert_eq!(below("DELETE", "/issues/7/dependencies/blocked_by/8", ""), RestRefused::NamesById);
    let duplicate = r#"{"state":"closed","duplicate_issue_id":8}"#;
    assert_eq!(below("PATCH", "/issues/7", duplicate), RestRefused::NamesById);
    let analysis = below("POST", "/code-scanning/codeql/variant-analyses", "{}");
    assert_eq!(analysis, RestRefused::ReachesOtherRepositories);
    assert_eq!(below("GET", "/compare/main...me:x", ""), RestRefused::OtherRepositoryUnnamed);
    assert_eq!(below("POST", "/pulls", r#"{"head":"me:x"}"#), RestRefused::OtherRepositoryUnnamed);
}

#[test]
fn a_path_that_reads_in_two_ways_is_refused() {
    for path in
        ["/repos//widgets", "/repos/acme/widgets/../x", "/repos/acme/widgets/a%2Fb", "/repos/acme/widgets//", "repos"]
    {
        assert!(matches!(refused("GET", path, ""), RestRefused::Path(_)), "{path}");
    }
    assert!(matches!(refused("GET", "/repos/acme/widgets/%2e%2e", ""), RestRefused::Path(_)));
    assert!(matches!(refused("GET", "/repos/acme/a%20b", ""), RestRefused::Repository(_)));
    assert!(matches!(refused("GET", "/repos/ac:me/b", ""), RestRefused::Repository(_)));
}

#[test]
fn a_query_that_turns_the_request_into_another_is_refused() {
    for query in ["_method=DELETE", "a=1&_METHOD=put", "%5Fmethod=PUT", "_method%5B%5D=PUT", "+_method=PUT"] {
        assert_eq!(below("POST", &format!("/issues/7/comments?{query}"), "{}"), RestRefused::MethodOverride, "{query}");
    }
    assert_eq!(below("PATCH", "/git/refs/heads/x?force=true", "{}"), RestRefused::InQuery("force"));
    assert_eq!(below("PATCH", "/git/refs/heads/x?Force=true", "{}"), RestRefused::InQuery("force"));
    assert_eq!(below("PUT", "/contents/a?branch=x", r#"{"branch":"y"}"#), RestRefused::InQuery("branch"));
    assert_eq!(below("DELETE", "/contents/a?branch=x", r#"{"branch":"y"}"#), RestRefused::InQuery("branch"));
    assert_eq!(below("DELETE", "/contents/a?branch=x&branch=y", ""), RestRefused::InQuery("branch"));
    assert_eq!(below("POST", "/merges?base[]=x", r#"{"base":"y"}"#), RestRefused::InQuery("base"));
    assert!(matches!(below("GET", "/issues?a=1;b=2", ""), RestRefused::Query(_)));
    assert!(matches!(below("GET", "/issues?a=%ff", ""), RestRefused::Query(_)));
}

#[test]
fn a_body_that_reads_in_two_ways_is_refused_where_it_decides() {
    for body in
        [r#"{"force":false,"force":true}"#, r#"{"Force":true}"#, r#"{"force":tru"#, "force=true", r#"["force"]"#]
    {
        assert!(matches!(below("PATCH", "/git/refs/heads/x", body), RestRefused::Body(_)), "{body}");
    }
    for body in ["_method=DELETE", "{=1&_method=DELETE", r#"{"_method":"DELETE"}"#] {
        assert!(matches!(below("POST", "/issues/7/comments", body), RestRefused::Body(_)), "{body}");
    }
    assert_eq!(below("GET", "/issues", r#"{"state":"all"}"#), RestRefused::BodyOfARead);
}

#[test]
fn a_ref_that_is_missing_or_reads_in_two_ways_is_refused() {
    assert_eq!(below("POST", "/git/refs", "{}"), RestRefused::Missing("ref"));
    assert_eq!(below("POST", "/merges", ""), RestRefused::Missing("base"));
    assert_eq!(below("POST", "/merge-upstream", r#"{"branch":null}"#), RestRefused::Missing("branch"));
    assert_eq!(below("POST", "/releases", "{}"), RestRefused::Missing("tag_name"));
    for (method, path, body) in [
        ("POST", "/git/refs", r#"{"ref":"heads/main"}"#),
        ("POST", "/git/refs", r#"{"ref":"refs/refs/heads/main"}"#),
        ("PATCH", "/git/refs/refs/heads/main", "{}"),
        ("DELETE", "/git/refs/heads", ""),
        ("PUT", "/contents/a", r#"{"branch":"refs/heads/main"}"#),
        ("PUT", "/contents/a", r#"{"branch":"heads/main"}"#),
        ("POST", "/merges", r#"{"base":"HEAD"}"#),
        ("POST", "/releases", r#"{"tag_name":"refs/heads/main"}"#),
        ("POST", "/branches/x/rename", r#"{"new_name":"a..b"}"#),
        ("GET", "/compare/main", ""),
        ("GET", "/compare/acme:x..me:y", ""),
        ("GET", "/compare/main...acme:x..me:y", ""),
    ] {
        assert!(
            matches!(below(method, path, body), RestRefused::Ref(_) | RestRefused::Comparison),
            "{method} {path} {body}"
        );
    }
    let number = below("PUT", "/contents/a", r#"{"branch":7}"#);
    assert_eq!(number, RestRefused::Field { field: "branch", expected: "a text" });
}

#[test]
fn a_search_that_could_leave_its_repositories_is_refused() {
    for query in [
        "q=bug",
        "",
        "q=",
        "q=org:acme",
        "q=repo:acme/widgets+org:acme",
        "q=repo:acme/widgets+user:me",
        "q=repo:acme/widgets+OR+bug",
        "q=bug+or+repo:acme/widgets",
        "q=NOT+repo:acme/widgets",
        "q=-repo:acme/widgets",
        "q=%22repo:acme/widgets%22+bug",
        "q=repo:%22acme/widgets%22",
        "q=repo:acme/widgets+%22a+OR+b%22",
        "q=repo:acme/widgets+%22a",
        "q=%22a%22%22b%22+repo:acme/widgets",
        "q=%22%22+repo:acme/widgets",
        "q=%22+repo:acme/widgets+%22",
        "q=%22a%22repo:acme/widgets",
        "q=x%22a%22+repo:acme/widgets",
        "q=%22a%22+repo:acme/widgets+%22",
        "q=(repo:acme/widgets)",
        "q=repo:acme/widgets+OR%0Abug",
        "q=x%C2%A0repo:acme/widgets",
        "q=repo:acme/widgets+enterprise:x",
        "q=Repo:acme/widgets",
        "q=x,repo:acme/widgets",
        "q=%2Frepo:acme/widgets%2F",
        "q=repo:acme/widgets+project:acme/7",
        "q=repo:acme/widgets&keyword=x",
        "q=repo:acme/widgets+a%5C",
    ] {
        let found = refused("GET", &format!("/search/issues?{query}"), "");
        assert!(matches!(found, RestRefused::Search(_)), "{query}: {found}");
    }
    for query in ["q=repo:acme/*", "q=repo:acme", "q=repo:acme/widgets,me/fork", "q=repo:"] {
        let found = refused("GET", &format!("/search/code?{query}"), "");
        assert!(matches!(found, RestRefused::Repository(_)), "{query}: {found}");
    }
    let twice = refused("GET", "/search/code?q=repo:acme/widgets&q=bug", "");
    assert_eq!(twice, RestRefused::InQuery("q"));
}
