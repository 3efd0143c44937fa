//! Cloning and fetching.

use axum::http::Method;

use super::{Forge, REAL_KEY};

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_repository_is_cloned_and_fetched() {
    let forge = Forge::open().await;
    let copy = forge.clone("copy").await;
    assert_eq!(copy.does(&["log", "--oneline"]).await.stdout.lines().count(), 3);
    // The address is as it was given, and the token in it is ours.
    let address = copy.does(&["remote", "get-url", "origin"]).await.stdout;
    assert_eq!(address.trim(), forge.url("widgets"));
    assert!(forge.fake.heard().iter().any(|one| one.header("git-protocol") == "version=2"));

    let v1 = ["-c", "protocol.version=1", "ls-remote", "origin"];
    let refs = copy.does(&v1).await.stdout;
    assert!(refs.contains("refs/heads/main") && refs.contains("refs/tags/v1"), "{refs}");
    copy.does(&["-c", "protocol.version=0", "fetch", "--quiet", "origin"]).await;
    let shallow = forge.stage.folder("home").join("shallow");
    let clone = ["clone", "--quiet", "--depth", "1", &forge.url("widgets"), "shallow"];
    forge.git(shallow.parent().unwrap(), &clone).succeeds().await;
    forge.fake.heard_the_real_key_alone();
    forge.stage.keeps_nothing_of(&[REAL_KEY, &forge.token]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_conversation_is_compressed_by_git_and_passes() {
    let forge = Forge::open().await;
    let (reader, writer) = (forge.clone("reader").await, forge.clone("writer").await);
    for number in 0..60 {
        reader.commit("local", format!("{number}").as_bytes()).await;
    }
    writer.does(&["switch", "--quiet", "--create", "agent/new"]).await;
    let new = writer.commit("new", b"new").await;
    writer.does(&["push", "--quiet", "origin", "agent/new"]).await;

    reader.does(&["fetch", "--quiet", "origin"]).await;
    assert_eq!(reader.does(&["rev-parse", "origin/agent/new"]).await.stdout.trim(), new);
    let asked = forge.fake.heard_at(&Method::POST, "/acme/widgets.git/git-upload-pack");
    assert!(asked.iter().any(|one| one.header("content-encoding") == "gzip"), "git compressed nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_helper_is_asked_once_the_gateway_asks() {
    let forge = Forge::open().await;
    let home = forge.stage.folder("home");
    let helper =
        "credential.helper=!f() { test \"$1\" = get && echo username=x && echo \"password=$DOORWARD_TOKEN\"; }; f";
    let clone = ["-c", helper, "clone", "--quiet", &forge.bare_url("widgets"), "copy"];
    forge.git(&home, &clone).env("DOORWARD_TOKEN", &forge.token).succeeds().await;
    let settings = std::fs::read_to_string(home.join("copy/.git/config")).unwrap();
    assert!(settings.contains(&forge.bare_url("widgets")) && !settings.contains("dw_"), "{settings}");

    let without = forge.git(&home, &["clone", &forge.bare_url("widgets"), "none"]).fails().await;
    assert!(without.contains("could not read Username"), "{without}");
    let unknown = forge.git(&home, &["-c", helper, "clone", &forge.bare_url("widgets"), "none"]);
    let unknown = unknown.env("DOORWARD_TOKEN", "dw_nobody").fails().await;
    assert!(unknown.contains("Authentication failed"), "{unknown}");
    forge.fake.heard_the_real_key_alone();
}

#[tokio::test(flavor = "multi_thread")]
async fn git_is_also_where_an_enterprise_server_has_it() {
    let forge = Forge::open().await;
    let home = forge.stage.folder("home");
    let url = |repository: &str| forge.url(repository).replace("/git/acme/", "/acme/");
    forge.git(&home, &["clone", "--quiet", &url("widgets"), "copy"]).succeeds().await;
    let copy = super::Copy { forge: &forge, folder: home.join("copy") };
    copy.does(&["push", "--quiet", "origin", "HEAD:refs/heads/agent/x"]).await;
    let refused = copy.is_refused(&["push", "origin", "HEAD:refs/heads/other"]).await;
    assert!(refused.contains("refs/heads/other on acme/widgets is not granted"), "{refused}");
    let refused = forge.git(&home, &["clone", &url("gadgets"), "none"]).fails().await;
    assert!(refused.contains("remote: read on acme/gadgets is not granted to this token"), "{refused}");
    forge.fake.heard_the_real_key_alone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_beyond_the_grant_is_refused_with_the_reason() {
    let forge = Forge::open().await;
    let home = forge.stage.folder("home");
    let refused = forge.git(&home, &["clone", &forge.url("gadgets"), "copy"]).fails().await;
    assert!(refused.contains("remote: read on acme/gadgets is not granted to this token"), "{refused}");
    let copy = forge.clone("widgets").await;
    let refused = copy.is_refused(&["push", &forge.url("gadgets"), "HEAD:refs/heads/agent/x"]).await;
    assert!(refused.contains("remote: push to acme/gadgets is not granted to this token"), "{refused}");
    assert!(!forge.fake.heard().iter().any(|one| one.target.contains("gadgets")), "it arrived");
}
