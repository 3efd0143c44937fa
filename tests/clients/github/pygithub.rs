//! The Python package `PyGithub`.

use axum::http::Method;

use super::{Hub, REAL_KEY, nothing_was_merged, stage};
use crate::client::python;

#[tokio::test(flavor = "multi_thread")]
async fn pygithub_does_what_the_grant_says() {
    let (fake, hub) = Hub::serve().await;
    let stage = stage(&fake, false).await;
    let token = stage.token("ann", "coder").await;
    stage
        .client(python())
        .args(["-"])
        .env("GITHUB_API_URL", &format!("{}/api/v3", stage.url()))
        .env("GITHUB_TOKEN", &token)
        .succeeds_on(include_str!("../python/pygithub_story.py"))
        .await;

    fake.heard_the_real_key_alone();
    let work = hub.work.lock().unwrap();
    assert_eq!(work.issues, ["The first", "The second", "The third", "Squeaks"]);
    assert_eq!(work.comments, ["It squeaks, too"]);
    assert_eq!(work.pulls, ["Oil it"]);
    assert_eq!(work.assets, ["bell.wav: RIFF of a bell"]);
    nothing_was_merged(&fake.heard());
    assert_eq!(fake.heard_at(&Method::GET, "/repos/acme/widgets/issues").len(), 2, "two pages, by name");
    stage.keeps_nothing_of(&[REAL_KEY, &token]);
}
