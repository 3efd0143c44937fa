//! Method, path below `/repos/acme/widgets`, body, effects.

use super::effects;

type Case = (&'static str, &'static str, &'static str, &'static str);

fn check(cases: &[Case]) {
    for (method, below, body, expected) in cases {
        let found = effects(method, &format!("/repos/acme/widgets{below}"), body);
        assert_eq!(found, *expected, "{method} {below} {body}");
    }
}

#[test]
fn what_moves_a_ref_is_known_by_its_ref() {
    check(&[
        ("POST", "/git/refs", r#"{"ref":"refs/heads/agent/x","sha":"1"}"#, "push to refs/heads/agent/x"),
        ("POST", "/git/refs", r#"{"ref":"refs/tags/v1","sha":"1"}"#, "push to refs/tags/v1"),
        ("PATCH", "/git/refs/heads/main", r#"{"sha":"1"}"#, "push to refs/heads/main"),
        ("PATCH", "/git/refs/heads/main", r#"{"sha":"1","force":false}"#, "push to refs/heads/main"),
        ("PATCH", "/git/refs/heads/main", r#"{"sha":"1","force":true}"#, "forced push to refs/heads/main"),
        ("PATCH", "/git/refs/heads/agent/a/b", "", "push to refs/heads/agent/a/b"),
        ("PATCH", "/git/refs/heads/%6dain/", "{}", "push to refs/heads/main"),
        ("DELETE", "/git/refs/heads/agent/x", "", "deletion of refs/heads/agent/x"),
        ("DELETE", "/git/refs/tags/v1", "{}", "deletion of refs/tags/v1"),
        ("PUT", "/contents/a/b.txt", r#"{"branch":"agent/x","content":""}"#, "push to refs/heads/agent/x"),
        ("PUT", "/contents/a%20b.txt", r#"{"content":""}"#, "push to a ref that the request does not name"),
        ("PUT", "/contents/a", r#"{"branch":null}"#, "push to a ref that the request does not name"),
        ("DELETE", "/contents/a", r#"{"branch":"agent/x","sha":"1"}"#, "push to refs/heads/agent/x"),
        ("DELETE", "/contents/a?branch=agent/x&sha=1", "", "push to refs/heads/agent/x"),
        ("DELETE", "/contents/a?branch=agent%2Fx", "{}", "push to refs/heads/agent/x"),
        ("DELETE", "/contents/a", "", "push to a ref that the request does not name"),
        ("POST", "/merges", r#"{"base":"main","head":"agent/x"}"#, "push to refs/heads/main"),
        ("POST", "/merge-upstream", r#"{"branch":"main"}"#, "push to refs/heads/main"),
        ("PUT", "/pulls/7/update-branch", "", "pulls:write; push to a ref that the request does not name"),
        (
            "POST",
            "/branches/old/name/rename",
            r#"{"new_name":"new"}"#,
            "deletion of refs/heads/old/name; push to refs/heads/new",
        ),
        ("POST", "/releases", r#"{"tag_name":"v1"}"#, "releases:write; push to refs/tags/v1"),
        (
            "POST",
            "/releases",
            r#"{"tag_name":"v1","target_commitish":"x","draft":true,"discussion_category_name":"News"}"#,
            "releases:write; push to refs/tags/v1; discussions:write",
        ),
        ("PATCH", "/releases/7", r#"{"body":"x"}"#, "releases:write"),
        ("PATCH", "/releases/7", r#"{"draft":true}"#, "releases:write"),
        ("PATCH", "/releases/7", r#"{"tag_name":"v2"}"#, "releases:write; push to refs/tags/v2"),
        ("PATCH", "/releases/7", r#"{"draft":false,"tag_name":"v2"}"#, "releases:write; push to refs/tags/v2"),
        ("PATCH", "/releases/7", r#"{"draft":false}"#, "releases:write; push to a ref that the request does not name"),
        ("POST", "/deployments", r#"{"ref":"x"}"#, "deployments:write; push to refs/heads/x"),
        ("POST", "/deployments", r#"{"ref":"refs/heads/x"}"#, "deployments:write; push to refs/heads/x"),
        ("POST", "/deployments", r#"{"ref":"x","auto_merge":false}"#, "deployments:write"),
        ("POST", "/deployments", r#"{"ref":"x","auto_merge":0}"#, "deployments:write; push to refs/heads/x"),
        (
            "POST",
            "/code-scanning/alerts/7/autofix/commits",
            r#"{"target_ref":"refs/heads/x"}"#,
            "security:write; push to refs/heads/x",
        ),
        (
            "POST",
            "/code-scanning/alerts/7/autofix/commits",
            "",
            "security:write; push to a ref that the request does not name",
        ),
    ]);
}

#[test]
fn objects_of_git_are_stored_and_comments_on_commits_are_contents() {
    check(&[
        ("POST", "/git/blobs", r#"{"content":"x"}"#, "storing of git objects"),
        ("POST", "/git/trees", r#"{"tree":[]}"#, "storing of git objects"),
        ("POST", "/git/commits", r#"{"tree":"1","parents":[]}"#, "storing of git objects"),
        ("POST", "/git/tags", r#"{"tag":"v1","object":"1"}"#, "storing of git objects"),
        ("POST", "/commits/abc/comments", r#"{"body":"x"}"#, "contents:write"),
        ("PATCH", "/comments/7", r#"{"body":"x"}"#, "contents:write"),
        ("POST", "/comments/7/reactions", r#"{"content":"+1"}"#, "contents:write"),
        ("POST", "/dependency-graph/snapshots", "{}", "contents:write"),
    ]);
}

#[test]
fn issues_and_pull_requests_are_told_apart_by_the_route() {
    check(&[
        ("POST", "/issues", r#"{"title":"x"}"#, "issues:write"),
        ("PATCH", "/issues/7", r#"{"state":"closed"}"#, "issues:write"),
        ("POST", "/issues/7/comments", r#"{"body":"x"}"#, "issues:write"),
        ("PATCH", "/issues/comments/7", r#"{"body":"x"}"#, "issues:write"),
        ("DELETE", "/issues/comments/7", "", "issues:write"),
        ("POST", "/issues/7/labels", r#"["bug"]"#, "issues:write"),
        ("PUT", "/issues/7/labels", r#"{"labels":["bug"]}"#, "issues:write"),
        ("DELETE", "/issues/7/labels/c%23", "", "issues:write"),
        ("PUT", "/issues/7/lock", "", "issues:write"),
        ("POST", "/issues/7/assignees", r#"{"assignees":["x"]}"#, "issues:write"),
        ("POST", "/issues/7/reactions", r#"{"content":"+1"}"#, "issues:write"),
        ("DELETE", "/issues/comments/7/reactions/8", "", "issues:write"),
        ("POST", "/labels", r#"{"name":"bug"}"#, "issues:write"),
        ("PATCH", "/labels/bug", "{}", "issues:write"),
        ("POST", "/milestones", r#"{"title":"x"}"#, "issues:write"),
        ("DELETE", "/milestones/7", "", "issues:write"),
        ("POST", "/pulls", r#"{"head":"x","base":"main","title":"x"}"#, "pulls:write"),
        ("POST", "/pulls", r#"{"head":"Acme:x","base":"main"}"#, "pulls:write"),
        ("POST", "/pulls", r#"{"head":"me:x","head_repo":"fork","base":"main"}"#, "pulls:write; read on me/fork"),
        ("POST", "/pulls", r#"{"head":"x","head_repo":"fork"}"#, "pulls:write; read on acme/fork"),
        ("PATCH", "/pulls/7", r#"{"state":"closed"}"#, "pulls:write"),
        ("PUT", "/pulls/7/merge", "", "pulls:merge"),
        ("PUT", "/pulls/7/merge", r#"{"merge_method":"squash"}"#, "pulls:merge"),
        ("PUT", "/pulls/7/merge-async", "{}", "pulls:merge"),
        ("POST", "/pulls/7/reviews", r#"{"event":"APPROVE"}"#, "pulls:write"),
        ("POST", "/pulls/7/reviews/8/events", r#"{"event":"APPROVE"}"#, "pulls:write"),
        ("PUT", "/pulls/7/reviews/8/dismissals", r#"{"message":"x"}"#, "pulls:write"),
        ("POST", "/pulls/7/comments", r#"{"body":"x"}"#, "pulls:write"),
        ("POST", "/pulls/7/comments/8/replies", r#"{"body":"x"}"#, "pulls:write"),
        ("POST", "/pulls/comments/7/reactions", r#"{"content":"+1"}"#, "pulls:write"),
        ("POST", "/pulls/7/requested_reviewers", r#"{"reviewers":["x"]}"#, "pulls:write"),
        ("POST", "/stacks", r#"{"pull_requests":[1,2]}"#, "pulls:write"),
    ]);
}

#[test]
fn workflows_deployments_and_pages_have_their_own_verbs() {
    check(&[
        ("POST", "/dispatches", r#"{"event_type":"x"}"#, "actions:write"),
        ("POST", "/actions/workflows/ci.yml/dispatches", r#"{"ref":"main"}"#, "actions:write"),
        ("PUT", "/actions/workflows/7/disable", "", "actions:write"),
        ("POST", "/actions/runs/7/rerun", "", "actions:write"),
        ("POST", "/actions/runs/7/cancel", "", "actions:write"),
        ("POST", "/actions/runs/7/approve", "", "actions:write"),
        ("DELETE", "/actions/runs/7", "", "actions:write"),
        ("DELETE", "/actions/caches?key=x", "", "actions:write"),
        ("POST", "/actions/runs/7/pending_deployments", "{}", "deployments:write"),
        ("POST", "/deployments/7/statuses", r#"{"state":"success"}"#, "deployments:write"),
        ("PUT", "/environments/prod", "{}", "deployments:write; administration:write"),
        ("PUT", "/actions/secrets/TOKEN", "{}", "secrets:write"),
        ("GET", "/actions/secrets", "", "secrets:read"),
        ("GET", "/actions/variables/NAME", "", "secrets:read"),
        ("PATCH", "/environments/prod/variables/NAME", "{}", "secrets:write"),
        ("GET", "/dependabot/secrets/public-key", "", "secrets:read"),
        ("GET", "/actions/runners", "", "administration:read"),
        ("POST", "/actions/runners/registration-token", "", "administration:write"),
        ("PUT", "/actions/permissions", r#"{"enabled":true}"#, "administration:write"),
        ("POST", "/pages/builds", "", "pages:write"),
        ("PUT", "/pages", "{}", "pages:write; administration:write"),
        ("POST", "/statuses/abc", r#"{"state":"success"}"#, "statuses:write"),
        ("POST", "/check-runs", r#"{"name":"x"}"#, "checks:write"),
        ("PATCH", "/check-runs/7", "{}", "checks:write"),
        ("POST", "/check-suites/7/rerequest", "", "checks:write"),
    ]);
}

#[test]
fn settings_hooks_and_alerts_are_not_just_read_or_written() {
    check(&[
        ("PATCH", "", r#"{"default_branch":"x"}"#, "administration:write"),
        ("DELETE", "", "", "administration:write"),
        ("DELETE", "/", "", "administration:write"),
        ("POST", "/transfer", r#"{"new_owner":"x"}"#, "administration:write"),
        ("POST", "/forks", "{}", "administration:write"),
        ("POST", "/generate", r#"{"name":"x"}"#, "administration:write"),
        ("PUT", "/topics", r#"{"names":[]}"#, "administration:write"),
        ("GET", "/collaborators", "", "administration:read"),
        ("PUT", "/collaborators/me", r#"{"permission":"admin"}"#, "administration:write"),
        ("GET", "/invitations", "", "administration:read"),
        ("POST", "/keys", r#"{"key":"x"}"#, "administration:write"),
        ("GET", "/autolinks", "", "administration:read"),
        ("GET", "/traffic/views", "", "administration:read"),
        ("POST", "/rulesets", "{}", "administration:write"),
        ("DELETE", "/branches/main/protection", "", "administration:write"),
        ("PUT", "/branches/a/b/protection", "{}", "administration:write"),
        ("POST", "/branches/main/protection/restrictions/users", r#"["me"]"#, "administration:write"),
        ("GET", "/hooks", "", "hooks:read"),
        ("GET", "/hooks/7/deliveries/8", "", "hooks:read"),
        ("POST", "/hooks", r#"{"config":{}}"#, "hooks:write"),
        ("POST", "/hooks/7/pings", "", "hooks:write"),
        ("GET", "/code-scanning/alerts", "", "security:read"),
        ("PATCH", "/secret-scanning/alerts/7", r#"{"state":"resolved"}"#, "security:write"),
        ("GET", "/dependabot/alerts/7", "", "security:read"),
        ("POST", "/security-advisories", "{}", "security:write"),
        ("PATCH", "/code-scanning/default-setup", "{}", "security:write; administration:write"),
        ("DELETE", "/vulnerability-alerts", "", "administration:write"),
        ("POST", "/releases/generate-notes", r#"{"tag_name":"v1"}"#, "releases:write"),
        ("DELETE", "/releases/assets/7", "", "releases:write"),
    ]);
}

#[test]
fn reading_is_reading() {
    check(&[
        ("GET", "", "", "read"),
        ("HEAD", "/issues/7", "", "read"),
        ("GET", "/issues?state=all&per_page=100", "", "read"),
        ("GET", "/pulls/7/files", "", "read"),
        ("GET", "/pulls/7/merge", "", "read"),
        ("GET", "/contents", "", "read"),
        ("GET", "/contents/", "", "read"),
        ("GET", "/contents/a/b?ref=agent/x", "", "read"),
        ("GET", "/commits/feature/x", "", "read"),
        ("GET", "/commits/feature/x/check-runs", "", "read"),
        ("GET", "/git/ref/heads/main", "", "read"),
        ("GET", "/git/refs/heads/main", "", "read"),
        ("GET", "/git/trees/main?recursive=1", "", "read"),
        ("GET", "/rules/branches/a/b", "", "read"),
        ("GET", "/compare/main...agent/x", "", "read"),
        ("GET", "/compare/main...ACME:agent/x", "", "read"),
        ("GET", "/compare/main...me:fork:agent/x", "", "read; read on me/fork"),
        ("GET", "/actions/runs/7/logs", "", "read"),
        ("GET", "/actions/artifacts/7/zip", "", "read"),
        ("GET", "/tarball/refs/heads/main", "", "read"),
        ("GET", "/releases/latest", "", "read"),
        ("GET", "/releases/tags/v1", "", "read"),
        ("GET", "/environments/prod", "", "read"),
    ]);
}

#[test]
fn what_tells_of_no_repository_reads_the_service() {
    for (method, path, body, expected) in [
        ("GET", "", "", "read"),
        ("GET", "/", "", "read"),
        ("GET", "/meta", "", "read"),
        ("GET", "/rate_limit", "", "read"),
        ("GET", "/user", "", "read"),
        ("GET", "/users/octocat", "", "read"),
        ("GET", "/licenses/mit", "", "read"),
        ("GET", "/gitignore/templates/Rust", "", "read"),
        ("POST", "/markdown", r#"{"text":"x"}"#, "read"),
        ("POST", "/markdown", r#"{"text":"x","mode":"gfm","context":"me/fork"}"#, "read on me/fork"),
        ("POST", "/markdown/raw", "# plain text", "read"),
        ("GET", "/search/issues?q=is:open+repo:acme/widgets&per_page=5", "", "read"),
        ("GET", "/search/code?q=main%20repo%3Aacme%2Fwidgets+repo:me/fork", "", "read; read on me/fork"),
        ("GET", "/search/issues?q=label:%22good+first+issue%22+repo:acme/widgets+%22it+breaks%22", "", "read"),
        ("GET", "/search/commits?q=%22fix%22+repo:acme/widgets", "", "read"),
        ("GET", "/repos/Acme/Widgets.git", "", "read"),
    ] {
        assert_eq!(effects(method, path, body), expected, "{method} {path} {body}");
    }
}
