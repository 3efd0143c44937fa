//! The npm package `octokit`.

use super::{Hub, REAL_KEY, nothing_was_merged, stage};
use crate::client::node_packages;

#[tokio::test(flavor = "multi_thread")]
async fn octokit_does_what_the_grant_says() {
    let (fake, hub) = Hub::serve().await;
    let stage = stage(&fake, false).await;
    let token = stage.token("ann", "coder").await;
    let packages = node_packages();
    stage
        .client(doorward_testkit::program("node", "Node 20 or later"))
        .folder(&packages)
        .args(["--input-type=module"])
        .env("GITHUB_API_URL", &format!("{}/api/v3", stage.url()))
        .env("GITHUB_TOKEN", &token)
        .succeeds_on(include_str!("../node/octokit_story.mjs"))
        .await;

    fake.heard_the_real_key_alone();
    // The address is for the client, which takes no token there.
    hub.downloads.heard_the_real_key_alone();
    assert!(!hub.downloads.heard()[0].headers.contains_key("authorization"));
    let work = hub.work.lock().unwrap();
    assert_eq!(work.issues, ["The first", "The second", "The third", "Squeaks", "By GraphQL"]);
    assert_eq!(work.comments, ["It squeaks, too"]);
    assert_eq!(work.pulls, ["Oil it"]);
    assert_eq!(work.assets, ["bell.wav: RIFF of a bell"]);
    nothing_was_merged(&fake.heard());
    assert!(!fake.heard().iter().any(|one| one.target.contains("%2F")), "an encoded slash arrived");
    stage.keeps_nothing_of(&[REAL_KEY, &token]);
}
