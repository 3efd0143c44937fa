//! Clients of GitHub, and a server that answers as GitHub does.

pub mod gh;
mod graphql;
mod octokit;
mod pygithub;
mod rest;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::Method;
use axum::routing::{get, post};
use serde_json::{Value, json};

use crate::fake::{Fake, Heard, Key};
use crate::stage::{Plan, Stage};

pub const REAL_KEY: &str = "ghp_realK1canaryW84nsuZ0pB6yyQ2xLm3fTe";

/// What people did on the fake.
#[derive(Default)]
pub struct Work {
    pub issues: Vec<String>,
    pub comments: Vec<String>,
    pub pulls: Vec<String>,
    pub assets: Vec<String>,
    /// Names of other mutations.
    pub changes: Vec<String>,
}

/// A GitHub with the repository `acme/widgets`.
#[derive(Clone)]
pub struct Hub {
    /// Where it is, for the links in its answers.
    pub base: String,
    /// Where whoever has the address downloads.
    pub downloads: Arc<Fake>,
    pub work: Arc<Mutex<Work>>,
}

impl Hub {
    /// Serves it to whoever shows the real key.
    pub async fn serve() -> (Fake, Self) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let downloads = Router::new().route("/signed/archive", get(async || "all of it"));
        let downloads = Arc::new(Fake::serve_everyone(downloads).await);
        let hub = Self { base, downloads, work: Arc::default() };
        let issues = ["The first", "The second", "The third"].map(str::to_owned).to_vec();
        hub.work.lock().unwrap().issues = issues;
        let key = Key::new("authorization", format!("Bearer {REAL_KEY}"));
        (Fake::serve_on(listener, key, hub.router()), hub)
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/user", get(rest::user))
            .route("/repos/acme/widgets", get(rest::repository))
            .route("/repos/acme/widgets/issues", get(rest::issues).post(rest::create_issue))
            .route("/repositories/1/issues", get(rest::issues))
            .route("/repos/acme/widgets/issues/{number}", get(rest::issue))
            .route("/repos/acme/widgets/issues/{number}/comments", get(rest::comments).post(rest::create_comment))
            .route("/repos/acme/widgets/pulls", post(rest::create_pull))
            .route("/repos/acme/widgets/pulls/{number}", get(rest::pull))
            .route("/repos/acme/widgets/contents/{*path}", get(rest::contents))
            .route("/repos/acme/widgets/releases/{*which}", get(rest::release))
            .route("/uploads/repos/acme/widgets/releases/1/assets", post(rest::upload))
            .route("/repos/acme/widgets/tarball/{*name}", get(rest::archive))
            .route("/repos/acme/widgets/readme", get(rest::readme))
            .route("/repos/acme/widgets/git/ref/{*name}", get(rest::git_ref))
            .route("/repos/acme/widgets/branches/{*name}", get(rest::branch))
            .route("/repos/acme/widgets/compare/{*basehead}", get(rest::compare))
            .route("/graphql", post(graphql::answer))
            .with_state(self.clone())
    }

    /// Issues are numbered from 1 here, pull requests from 101.
    fn title(&self, number: usize) -> String {
        let work = self.work.lock().unwrap();
        if number > 100 { work.pulls[number - 101].clone() } else { work.issues[number - 1].clone() }
    }

    fn issue(&self, number: usize) -> Value {
        let title = self.title(number);
        let url = format!("{}/repos/acme/widgets/issues/{number}", self.base);
        json!({
            "id": number, "node_id": format!("I_{number}"), "number": number, "title": title, "state": "open", "body": "It rattles",
            "url": url, "comments_url": format!("{url}/comments"), "repository_url": format!("{}/repos/acme/widgets", self.base),
            "html_url": format!("https://hub.example/acme/widgets/issues/{number}"), "user": self.user(), "labels": [],
            "assignees": [], "comments": 0, "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        })
    }

    fn pull(&self, number: usize) -> Value {
        let title = self.title(number);
        let url = format!("{}/repos/acme/widgets/pulls/{number}", self.base);
        let end = |name: &str| json!({"ref": name, "sha": "a".repeat(40), "label": format!("acme:{name}"), "user": self.user(), "repo": self.repository()});
        json!({
            "id": number, "node_id": format!("PR_{number}"), "number": number, "title": title, "state": "open", "url": url,
            "html_url": format!("https://hub.example/acme/widgets/pull/{number}"), "head": end("agent/x"), "base": end("main"),
            "issue_url": format!("{}/repos/acme/widgets/issues/{number}", self.base), "user": self.user(), "merged": false,
        })
    }

    fn user(&self) -> Value {
        json!({"login": "robot", "id": 7, "node_id": "U_7", "type": "User", "url": format!("{}/users/robot", self.base),
            "html_url": "https://hub.example/robot"})
    }

    fn repository(&self) -> Value {
        let url = format!("{}/repos/acme/widgets", self.base);
        json!({
            "id": 1, "node_id": "R_1", "name": "widgets", "full_name": "acme/widgets", "private": true, "default_branch": "main",
            "owner": {"login": "acme", "id": 2, "type": "Organization", "url": format!("{}/users/acme", self.base)},
            "url": url, "issues_url": format!("{url}/issues{{/number}}"), "contents_url": format!("{url}/contents/{{+path}}"),
            "html_url": "https://hub.example/acme/widgets", "clone_url": format!("{}/web/acme/widgets.git", self.base),
        })
    }
}

/// A gateway before `fake`, whose grant lets everything be done but merging.
async fn stage(fake: &Fake, tls: bool) -> Stage {
    let config = format!(
        r#"
        [[gateway.upstreams]]
        name = "github"
        kind = "github"
        base_url = "{0}"
        git_url = "{0}/web"
        uploads_url = "{0}/uploads"
        credential = {{ secret = "github" }}

        [[grants.coder.github]]
        repos = ["acme/widgets"]
        allow = ["read", "issues:write", "pulls:write", "releases:write"]
        push = ["refs/heads/agent/*"]
        "#,
        fake.url
    );
    Stage::open(Plan { config, secrets: &[("github", REAL_KEY)], tls }).await
}

/// Nothing arrived that merges, whatever the client says.
#[track_caller]
fn nothing_was_merged(heard: &[Heard]) {
    let merges = |one: &Heard| one.target.contains("/merge") || one.text().contains("mergePullRequest");
    assert!(!heard.iter().any(merges), "{heard:?}");
    assert!(!heard.iter().any(|one| one.method == Method::DELETE));
}
