//! git as `gh` starts it.

use super::{Forge, in_the_name_of_ann};
use crate::github::gh::gh;

#[tokio::test(flavor = "multi_thread")]
async fn gh_clones_and_lends_git_its_token() {
    let forge = Forge::open_with(true).await;
    let helper = "credential.helper=!gh auth git-credential";
    let clone =
        gh(&forge.stage, &forge.token).args(["repo", "clone", "acme/widgets", "copy", "--", "--quiet", "-c", helper]);
    in_the_name_of_ann(clone).succeeds().await;
    let copy = forge.stage.folder("home").join("copy");
    assert!(copy.join("number").exists());
    let settings = std::fs::read_to_string(copy.join(".git/config")).unwrap();
    assert!(!settings.contains("dw_"), "{settings}");
    forge.fake.heard_the_real_key_alone();
}
