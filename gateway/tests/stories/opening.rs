//! Starting, and refusing to start.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use doorward_base::{ManualClock, Timestamp};
use doorward_gateway::config::{GatewayConfig, Grants};
use doorward_gateway::{Gateway, OpenError};
use serde_json::json;

use crate::rig::{self, Rig, config, grants, openai};

async fn open(folder: &std::path::Path, config: GatewayConfig, grants: Grants) -> Result<Gateway, OpenError> {
    let clock = ManualClock::new(Timestamp::from_millis(0));
    rig::open(folder, config, grants, Arc::new(|_| None), clock).await
}

#[tokio::test]
async fn a_grant_that_could_not_be_enforced_as_it_is_written_stops_the_start_before_anything_is_made() {
    for (grant, part) in [
        (json!({ "http": [{ "upstream": "wether", "allow": ["GET /**"] }] }), "names `wether`, which is no upstream"),
        (json!({ "mcp": [{ "upstream": "up", "tools": ["*"] }] }), "names `up`, which is no upstream of kind mcp"),
        (json!({ "github": [{ "repos": ["acme/*"], "allow": ["issue:write"] }] }), "`issue:write`"),
        (json!({ "paths": ["/v2/**"] }), "it has to begin with /v1/"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let grants: Grants = serde_json::from_value(json!({ "coder": grant })).unwrap();
        let upstreams = config(&[openai("up", rig::nobody().await)]);
        let error = open(folder.path(), upstreams, grants).await.err().unwrap().to_string();
        assert!(error.contains("grant `coder`") && error.contains(part), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    }
    let misspelt = serde_json::from_value::<Grants>(json!({ "coder": { "budget": { "usd_per_dya": 5.0 } } }));
    assert!(misspelt.unwrap_err().to_string().contains("usd_per_dya"));
}

#[tokio::test]
async fn a_pattern_that_is_no_glob_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let broken: Grants = serde_json::from_value(json!({ "coder": { "models": ["gpt-[5"] } })).unwrap();
    let error = open(folder.path(), config(&[]), broken).await.err().unwrap().to_string();
    assert!(error.contains("models of grant `coder`") && error.contains("gpt-[5"), "{error}");
}

#[tokio::test]
async fn the_operators_token_is_made_once_for_its_owner_alone() {
    let rig = Rig::start(&[]).await;
    let file = rig.folder.path().join("admin.token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = rig.admin_token();
    let folder = rig.stop().await;
    let again = Rig::start_in(folder).await;
    assert_eq!(again.admin_token(), first);
}

#[tokio::test]
async fn an_operators_token_that_others_can_read_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), config(&[]), grants()).await.unwrap());
    let file = folder.path().join("admin.token");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = open(folder.path(), config(&[]), grants()).await.err().unwrap().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn two_gateways_on_one_database_know_each_others_tokens() {
    let nobody = rig::nobody().await;
    let rig = Rig::start(&[openai("up", nobody)]).await;
    let token = rig.token("default").await;
    let other = open(rig.folder.path(), config(&[]), grants()).await.unwrap();
    assert_eq!(other.tokens().revoke("alice").await.unwrap(), 1);
    assert_eq!(rig.chat(&token, "gpt-5").send().await.unwrap().status(), 401);
}
