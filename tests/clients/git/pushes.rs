//! Pushing: what the grant names goes through, and git shows why the rest does not.

use std::time::Duration;

use axum::http::Method;
use doorward_testkit::wait_for;
use serde_json::Value;

use super::Forge;

#[tokio::test(flavor = "multi_thread")]
async fn granted_branches_are_made_and_go_forward() {
    let forge = Forge::open().await;
    let copy = forge.clone("copy").await;
    copy.does(&["switch", "--quiet", "--create", "agent/x"]).await;
    let first = copy.commit("one", b"one").await;
    copy.does(&["push", "--quiet", "origin", "agent/x"]).await;
    assert_eq!(forge.upstream_ref("refs/heads/agent/x"), Some(first));
    let second = copy.commit("two", b"two").await;
    let third = copy.commit("three", b"three").await;
    copy.does(&["push", "--quiet", "origin", "agent/x"]).await;
    assert_eq!(forge.upstream_ref("refs/heads/agent/x"), Some(third.clone()));
    let both = [&format!("{second}:refs/heads/agent/y"), &format!("{third}:refs/heads/agent/z")];
    copy.does(&["push", "--quiet", "--atomic", "origin", both[0], both[1]]).await;
    assert_eq!(forge.upstream_ref("refs/heads/agent/y"), Some(second));
    assert_eq!(forge.upstream_ref("refs/heads/agent/z"), Some(third));
    forge.fake.heard_the_real_key_alone();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_refused_beside_its_ref() {
    let forge = Forge::open().await;
    let copy = forge.clone("copy").await;
    let old = copy.does(&["rev-parse", "HEAD"]).await.stdout.trim().to_owned();
    copy.does(&["switch", "--quiet", "--create", "agent/x"]).await;
    let new = copy.commit("new", b"new").await;
    copy.does(&["push", "--quiet", "origin", "agent/x"]).await;
    let pushed = forge.fake.heard_at(&Method::POST, "/acme/widgets.git/git-receive-pack").len();

    for (arguments, ref_name, why) in [
        (&["push", "origin", "agent/x:main"][..], "main", "refs/heads/main on acme/widgets is not granted"),
        (
            &["push", "--force", "origin", "agent/x~1:agent/x"],
            "agent/x",
            "refs/heads/agent/x on acme/widgets is not granted",
        ),
        (&["push", "origin", "--delete", "agent/x"], "agent/x", "refs/heads/agent/x on acme/widgets is not granted"),
        (&["push", "--force", "origin", "agent/x:refs/tags/v1"], "v1", "refs/tags/v1 on acme/widgets is not granted"),
        (&["push", "origin", "agent/x:refs/tags/v2"], "v2", "refs/tags/v2 on acme/widgets is not granted"),
    ] {
        let said = copy.is_refused(arguments).await;
        let line = said.lines().find(|line| line.contains("! [remote rejected]")).unwrap_or_else(|| panic!("{said}"));
        assert!(line.contains(ref_name) && line.contains(why), "{arguments:?}: {said}");
        assert!(said.contains("remote: "), "{said}");
    }
    let said = copy.is_refused(&["push", "--atomic", "origin", "agent/x:refs/heads/agent/y", "agent/x:main"]).await;
    assert!(said.contains("refs/heads/main on acme/widgets is not granted"), "{said}");

    assert_eq!(forge.upstream_ref("refs/heads/main"), Some(old));
    assert_eq!(forge.upstream_ref("refs/heads/agent/x"), Some(new));
    assert_eq!(forge.upstream_ref("refs/heads/agent/y"), None);
    assert_eq!(
        forge.fake.heard_at(&Method::POST, "/acme/widgets.git/git-receive-pack").len(),
        pushed,
        "a push arrived"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shallow_copy_pushes() {
    let forge = Forge::open().await;
    let home = forge.stage.folder("home");
    forge.git(&home, &["clone", "--quiet", "--depth", "1", &forge.url("widgets"), "copy"]).succeeds().await;
    let copy = super::Copy { forge: &forge, folder: home.join("copy") };
    copy.does(&["switch", "--quiet", "--create", "agent/shallow"]).await;
    let new = copy.commit("new", b"new").await;
    copy.does(&["push", "--quiet", "origin", "agent/shallow"]).await;
    assert_eq!(forge.upstream_ref("refs/heads/agent/shallow"), Some(new));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_push_is_probed_and_comes_in_chunks() {
    let forge = Forge::open().await;
    let copy = forge.clone("copy").await;
    copy.does(&["switch", "--quiet", "--create", "agent/large"]).await;
    // More than http.postBuffer (1 MiB) of what no compression makes smaller.
    let noise: Vec<u8> =
        (0_u32..3 << 18).flat_map(|at| at.wrapping_mul(2_654_435_761).wrapping_pow(3).to_le_bytes()).collect();
    let new = copy.commit("large", &noise).await;
    copy.does(&["push", "--quiet", "origin", "agent/large"]).await;
    assert_eq!(forge.upstream_ref("refs/heads/agent/large"), Some(new));
    let heard = forge.fake.heard_at(&Method::POST, "/acme/widgets.git/git-receive-pack");
    assert_eq!(
        heard.iter().map(|one| one.body.len() > 1 << 20).collect::<Vec<_>>(),
        [false, true],
        "a probe and the push"
    );
    assert_eq!(&heard[0].body[..], b"0000");
    forge.fake.heard_the_real_key_alone();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_needs_a_human_waits_and_lands() {
    let forge = Forge::open().await;
    let copy = forge.clone("copy").await;
    let new = copy.commit("new", b"new").await;
    let push = copy.git(&["push", "origin", "HEAD:refs/heads/release/1"]);
    let pushing = tokio::spawn(push.run());
    let id = held(&forge).await;
    assert_eq!(forge.upstream_ref("refs/heads/release/1"), None);
    forge.stage.doorward(&["approvals", "approve", &id, "--by", "bob"]).await;
    let said = tokio::time::timeout(Duration::from_secs(30), pushing).await.unwrap().unwrap();
    assert!(said.success, "{said:?}");
    assert_eq!(forge.upstream_ref("refs/heads/release/1"), Some(new));

    let push = copy.git(&["push", "origin", "HEAD:refs/heads/release/2"]);
    let pushing = tokio::spawn(push.run());
    let id = held(&forge).await;
    forge.stage.doorward(&["approvals", "deny", &id, "--by", "bob", "--reason", "not today"]).await;
    let said = tokio::time::timeout(Duration::from_secs(30), pushing).await.unwrap().unwrap();
    assert!(!said.success && said.stderr.contains("not today"), "{said:?}");
    assert_eq!(forge.upstream_ref("refs/heads/release/2"), None);
    forge.fake.heard_the_real_key_alone();
}

/// The id of the one held request.
async fn held(forge: &Forge) -> String {
    wait_for("the push to be held", async || {
        let listed: Value =
            serde_json::from_str(&forge.stage.doorward(&["approvals", "list", "--json"]).await).unwrap();
        let only = listed["approvals"].as_array().unwrap().first()?;
        assert!(only.to_string().contains("refs/heads/release/"), "{only}");
        only["id"].as_str().map(str::to_owned)
    })
    .await
}
