//! git itself, at both ends: the client of the machine, and `git http-backend` behind a server that asks for the real key.

mod fetches;
mod gh;
mod http_backend;
mod pushes;

use std::path::{Path, PathBuf};

use axum::Json;
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use doorward_testkit::program;
use serde_json::{Value, json};

use crate::client::{Client, Said};
use crate::fake::{Fake, Key};
use crate::stage::{Plan, Stage};

const REAL_KEY: &str = "ghp_realGt7canaryU3hXw9dLq0mZ5vB1nKs";

/// A gateway before a GitHub with the repositories `acme/widgets` and `acme/gadgets`.
struct Forge {
    stage: Stage,
    fake: Fake,
    upstream: PathBuf,
    token: String,
    _folder: tempfile::TempDir,
}

impl Forge {
    async fn open() -> Self {
        Self::open_with(false).await
    }

    async fn open_with(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let upstream = folder.path().join("acme");
        for name in ["widgets", "gadgets"] {
            make_repository(&upstream.join(format!("{name}.git")));
        }
        let basic = format!("Basic {}", STANDARD.encode(format!("x-access-token:{REAL_KEY}")));
        let key = Key { header: "authorization", values: vec![basic, format!("Bearer {REAL_KEY}")] };
        let router = http_backend::router(folder.path()).route("/api/graphql", post(async || Json(repository())));
        let fake = Fake::serve(key, router).await;
        let stage = Stage::open(Plan { config: config(&fake.url), secrets: &[("github", REAL_KEY)], tls }).await;
        let token = stage.token("ann", "coder").await;
        Self { stage, fake, upstream, token, _folder: folder }
    }

    /// An address with the token in it.
    fn url(&self, repository: &str) -> String {
        let host = self.stage.authority();
        format!("http://x:{}@{host}/git/acme/{repository}.git", self.token)
    }

    /// The same without.
    fn bare_url(&self, repository: &str) -> String {
        format!("{}/git/acme/{repository}.git", self.stage.url())
    }

    fn git(&self, folder: &Path, arguments: &[&str]) -> Client {
        let client = self.stage.client(git()).folder(folder).args(["-c", "protocol.version=2"]).args(arguments);
        in_the_name_of_ann(client)
    }

    /// A working copy of the granted repository.
    async fn clone(&self, name: &str) -> Copy<'_> {
        let home = self.stage.folder("home");
        self.git(&home, &["clone", "--quiet", &self.url("widgets"), name]).succeeds().await;
        Copy { forge: self, folder: home.join(name) }
    }

    /// Which commit a ref of the upstream names, if it is there.
    fn upstream_ref(&self, name: &str) -> Option<String> {
        let repository = self.upstream.join("widgets.git");
        let output = std::process::Command::new(git())
            .arg("-C")
            .arg(repository)
            .args(["rev-parse", "--verify", "--quiet", name])
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }
}

/// A working copy.
struct Copy<'a> {
    forge: &'a Forge,
    folder: PathBuf,
}

impl Copy<'_> {
    fn git(&self, arguments: &[&str]) -> Client {
        self.forge.git(&self.folder, arguments)
    }

    async fn does(&self, arguments: &[&str]) -> Said {
        self.git(arguments).succeeds().await
    }

    /// What git says about a refusal.
    async fn is_refused(&self, arguments: &[&str]) -> String {
        self.git(arguments).fails().await
    }

    /// A new commit with a file of this content; its id.
    async fn commit(&self, file: &str, content: &[u8]) -> String {
        std::fs::write(self.folder.join(file), content).unwrap();
        self.does(&["add", file]).await;
        self.does(&["commit", "--quiet", "--message", file]).await;
        self.does(&["rev-parse", "HEAD"]).await.stdout.trim().to_owned()
    }
}

/// What `gh` wants to know of a repository.
fn repository() -> Value {
    json!({"data": {"repository": {
        "id": "R_1", "name": "widgets", "owner": {"login": "acme"}, "description": "", "hasIssuesEnabled": true,
        "hasWikiEnabled": false, "viewerPermission": "WRITE", "parent": null, "defaultBranchRef": {"name": "main"},
        "mergeCommitAllowed": true, "rebaseMergeAllowed": true, "squashMergeAllowed": true,
    }}})
}

fn git() -> PathBuf {
    program("git", "git 2.39 or later")
}

fn in_the_name_of_ann(client: Client) -> Client {
    let settings = [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Ann"),
        ("GIT_AUTHOR_EMAIL", "ann@example.org"),
        ("GIT_COMMITTER_NAME", "Ann"),
        ("GIT_COMMITTER_EMAIL", "ann@example.org"),
    ];
    settings.into_iter().fold(client, |client, (name, value)| client.env(name, value))
}

/// A bare repository whose `main` has three commits, and the tag `v1`.
fn make_repository(folder: &Path) {
    let script = r#"
        set -e
        git init --quiet --bare --initial-branch=main "$1"
        git -C "$1" config http.receivepack true
        commit=
        for number in 1 2 3; do
            tree=$(echo "$number" | git -C "$1" hash-object -w --stdin | sed 's/^/100644 blob /; s/$/\tnumber/' | git -C "$1" mktree)
            commit=$(echo "commit $number" | git -C "$1" commit-tree "$tree" ${commit:+-p "$commit"})
        done
        git -C "$1" update-ref refs/heads/main "$commit"
        git -C "$1" update-ref refs/tags/v1 "$commit~1"
    "#;
    std::fs::create_dir_all(folder).unwrap();
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", script, "sh"]).arg(folder).env("GIT_CONFIG_NOSYSTEM", "1");
    for name in ["GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"] {
        sh.env(name, "acme");
    }
    let output = sh.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn config(url: &str) -> String {
    format!(
        r#"
        [[gateway.upstreams]]
        name = "github"
        kind = "github"
        base_url = "{url}/api"
        git_url = "{url}"
        credential = {{ secret = "github" }}

        [[grants.coder.github]]
        repos = ["acme/widgets"]
        allow = ["read"]
        push = ["refs/heads/agent/*"]

        [[grants.coder.github]]
        repos = ["acme/widgets"]
        push = ["refs/heads/release/*"]
        approve = ["contents:write"]
        "#
    )
}
