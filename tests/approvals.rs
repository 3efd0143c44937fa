//! Answering held requests and rotating tokens from the command line, with no gateway running.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Output};

use doorward_base::{Clock, SystemClock};
use doorward_gateway::open_database;
use serde_json::Value;

fn doorward(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("DOORWARD_CONFIG")
        .env_remove("SUDO_USER")
        .env("USER", "ann")
        .output()
        .unwrap()
}

fn ok(folder: &Path, arguments: &[&str]) -> String {
    let output = doorward(folder, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&ok(folder, arguments)).unwrap()
}

/// The one line that a failure prints.
fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = doorward(folder, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
    assert!(stderr.starts_with("doorward: ") && stderr.trim_end().lines().count() == 1, "{stderr}");
    stderr
}

fn initialized() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), &["init", "--homeserver", "http://127.0.0.1:1", "--server-name", "example.org"]);
    folder
}

/// A row as a gateway that holds a request has it, its lease good for `lease` milliseconds.
async fn held(folder: &Path, id: &str, lease: i64) {
    let url = format!("sqlite://{}", folder.join("gateway.db").display());
    let database = open_database(&url.try_into().unwrap()).await.unwrap();
    let now = SystemClock.now().as_millis();
    let mut tx = database.write().await.unwrap();
    sqlx::query(
        "INSERT INTO approval (id, consumer, token_id, effects, method, path, upstream, summary, digest, created_at, expires_at, \
         state, holder, lease_until) VALUES ($1, 'alice', 'tok_1', '[\"pulls:merge on acme/widgets\"]', 'PUT', '/a/merge', \
         'github', 'merge_method: squash', 'abcdef', $2, $3, 'open', 'a gateway', $4)",
    )
    .bind(id)
    .bind(now)
    .bind(now + 600_000)
    .bind(now + lease)
    .execute(tx.connection())
    .await
    .unwrap();
    tx.commit().await.unwrap();
    database.close().await;
}

#[tokio::test]
async fn a_held_request_is_listed_shown_and_answered_once() {
    let folder = initialized();
    let folder = folder.path();
    assert_eq!(json(folder, &["approvals", "list", "--json"])["approvals"], Value::Array(Vec::new()));
    held(folder, "k7f3ab", 60_000).await;
    let table = ok(folder, &["approvals", "list"]);
    for part in ["k7f3ab", "alice", "pulls:merge on acme/widgets", "PUT /a/merge", "github", "open"] {
        assert!(table.lines().nth(1).unwrap().contains(part), "{part}: {table}");
    }
    let shown = ok(folder, &["approvals", "show", "K7F3AB"]);
    assert!(shown.contains("merge_method: squash") && shown.contains("abcdef"), "{shown}");

    let denied = json(folder, &["approvals", "deny", "k7f3ab", "--reason", "not today", "--json"]);
    let told = (&denied["state"], &denied["answered_by"], &denied["reason"]);
    assert_eq!(told, (&"denied".into(), &"ann".into(), &"not today".into()));
    let sentence = fails(folder, &["approvals", "approve", "k7f3ab", "--by", "eve"]);
    assert!(sentence.contains("denied by ann at "), "{sentence}");
    assert!(ok(folder, &["approvals", "list"]).lines().count() == 1);
    assert_eq!(json(folder, &["approvals", "list", "--all", "--json"])["approvals"][0]["state"], "denied");
}

#[tokio::test]
async fn an_answer_that_reaches_nobody_fails_with_the_reason() {
    let folder = initialized();
    let folder = folder.path();
    held(folder, "dead00", 0).await;
    held(folder, "k7f3ab", 60_000).await;
    assert!(fails(folder, &["approvals", "approve", "dead00"]).contains("no longer waiting"));
    for unknown in ["zzzzzz", "k7", "' OR 1=1"] {
        assert!(fails(folder, &["approvals", "approve", unknown]).contains("approvals list"));
    }
    assert!(fails(folder, &["approvals", "approve", "k7f3ab", "--by", "a\nb"]).contains("`by`"));
    assert_eq!(ok(folder, &["approvals", "approve", "k7f3ab", "--by", "bob"]), "approved k7f3ab\n");
}

#[test]
fn a_token_is_rotated_by_its_id_and_by_its_consumer() {
    let folder = initialized();
    let folder = folder.path();
    let old = json(folder, &["token", "mint", "--consumer", "ci", "--ttl", "2h", "--json"]);
    let id = old["id"].as_str().unwrap();
    let new = json(folder, &["token", "rotate", id, "--overlap", "60s", "--json"]);
    assert_eq!((&new["id"], &new["consumer"], &new["grants"]), (&old["id"], &old["consumer"], &old["grants"]));
    assert_ne!(new["token"], old["token"]);
    let keys: Vec<&String> = new.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["consumer", "expires_at", "grants", "id", "token"]);

    let listed = json(folder, &["token", "list", "--json"]);
    assert_eq!(listed["tokens"].as_array().unwrap().len(), 1);
    assert!(listed["tokens"][0]["old_text_until"].is_string());
    assert!(ok(folder, &["token", "list"]).contains("old text until"));

    let by_name = json(folder, &["token", "rotate", "ci", "--ttl", "1h", "--json"]);
    assert_eq!(by_name["tokens"][0]["id"], old["id"]);
    assert!(ok(folder, &["token", "rotate", id, "--overlap", "0s"]).starts_with("dw_"));
    ok(folder, &["token", "revoke", id]);
    assert!(fails(folder, &["token", "rotate", id]).contains("revoked"));
    assert!(fails(folder, &["token", "rotate", "nobody"]).contains("nobody"));
}
