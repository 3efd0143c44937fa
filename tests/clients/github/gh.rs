//! GitHub's own `gh`, which talks to an Enterprise Server by `https` alone and mostly in GraphQL.

use axum::http::Method;

use super::{Hub, REAL_KEY, nothing_was_merged, stage};
use crate::client::{Client, Said};
use crate::stage::Stage;

/// `gh` with this token, for the gateway as its Enterprise Server.
pub fn gh(stage: &Stage, token: &str) -> Client {
    let certificate = stage.certificate().display().to_string();
    stage
        .client(doorward_testkit::gh())
        .env("GH_HOST", &stage.authority())
        .env("GH_ENTERPRISE_TOKEN", token)
        .env("SSL_CERT_FILE", &certificate)
        .env("GIT_SSL_CAINFO", &certificate)
        .env("GH_PROMPT_DISABLED", "1")
        .env("NO_COLOR", "1")
}

struct Gh {
    stage: Stage,
    token: String,
}

impl Gh {
    fn run(&self, arguments: &[&str]) -> Client {
        gh(&self.stage, &self.token).args(arguments)
    }

    /// The same, about the granted repository.
    fn in_widgets(&self, arguments: &[&str]) -> Client {
        self.run(arguments).args(["--repo", &self.repository()])
    }

    fn repository(&self) -> String {
        format!("{}/acme/widgets", self.stage.authority())
    }

    async fn says(&self, arguments: &[&str], expected: &str) {
        let Said { stdout, .. } = self.in_widgets(arguments).succeeds().await;
        assert!(stdout.contains(expected), "{arguments:?}: {stdout}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gh_does_what_the_grant_says() {
    let (fake, hub) = Hub::serve().await;
    let stage = stage(&fake, true).await;
    let token = stage.token("ann", "coder").await;
    let gh = Gh { stage, token };

    gh.says(&["issue", "list"], "The second").await;
    gh.says(&["issue", "create", "--title", "Squeaks", "--body", "It squeaks"], "/acme/widgets/issues/4").await;
    gh.says(&["issue", "view", "4"], "Squeaks").await;
    gh.says(&["issue", "comment", "4", "--body", "It squeaks, too"], "#issuecomment").await;
    let create = ["pr", "create", "--head", "agent/x", "--base", "main", "--title", "Oil it", "--body", ""];
    gh.says(&create, "/acme/widgets/pull/101").await;
    gh.says(&["pr", "list"], "Oil it").await;
    gh.says(&["pr", "view", "101"], "Oil it").await;
    for change in [
        &["issue", "edit", "4", "--title", "Squeaks loudly"][..],
        &["issue", "close", "4"],
        &["pr", "review", "101", "--approve"],
        &["pr", "close", "101"],
    ] {
        gh.in_widgets(change).succeeds().await;
    }
    std::fs::write(gh.stage.folder("home").join("bell.wav"), "RIFF of a bell").unwrap();
    gh.says(&["release", "upload", "v1", "bell.wav"], "").await;
    let in_environment = gh.run(&["issue", "list"]).env("GH_REPO", &gh.repository()).succeeds().await.stdout;
    assert!(in_environment.contains("The second"), "{in_environment}");
    let viewed = gh.run(&["repo", "view", &gh.repository()]).succeeds().await.stdout;
    assert!(viewed.contains("Things that rattle") && viewed.contains("Hello"), "{viewed}");
    let titles = ["api", "--paginate", "repos/acme/widgets/issues", "--jq", ".[].title"];
    assert_eq!(gh.run(&titles).succeeds().await.stdout, "The first\nThe second\nThe third\nSqueaks\n");
    assert_eq!(gh.run(&["api", "user", "--jq", ".login"]).succeeds().await.stdout, "robot\n");
    let graphql = "query={ repository(owner: \"acme\", name: \"widgets\") { description } }";
    assert!(gh.run(&["api", "graphql", "-f", graphql]).succeeds().await.stdout.contains("rattle"));

    let merged = gh.in_widgets(&["pr", "merge", "101", "--merge"]).fails().await;
    assert!(merged.contains("pulls:merge on acme/widgets is not granted to this token"), "{merged}");
    let merged = gh.run(&["api", "--method", "PUT", "repos/acme/widgets/pulls/101/merge"]).fails().await;
    assert!(merged.contains("pulls:merge on acme/widgets is not granted to this token"), "{merged}");
    let elsewhere =
        gh.run(&["issue", "list", "--repo", &format!("{}/acme/gadgets", gh.stage.authority())]).fails().await;
    assert!(elsewhere.contains("read on acme/gadgets is not granted to this token"), "{elsewhere}");

    fake.heard_the_real_key_alone();
    nothing_was_merged(&fake.heard());
    assert!(!fake.heard_at(&Method::POST, "/graphql").iter().any(|one| one.text().contains("gadgets")));
    let work = hub.work.lock().unwrap();
    assert_eq!(work.issues, ["The first", "The second", "The third", "Squeaks"]);
    assert_eq!(
        (&work.comments[..], &work.pulls[..]),
        (&["It squeaks, too".to_owned()][..], &["Oil it".to_owned()][..])
    );
    assert_eq!(work.changes, ["updateIssue", "closeIssue", "addPullRequestReview", "closePullRequest"]);
    assert_eq!(work.assets, ["bell.wav: RIFF of a bell"]);
    gh.stage.keeps_nothing_of(&[REAL_KEY, &gh.token]);
}
