//! The commands that need no homeserver, as a script uses them: exit codes, JSON, one clear line on failure.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn doorward(folder: &Path, arguments: &str, input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_remove("DOORWARD_CONFIG")
        .env_remove("OPENAI_API_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn ok(folder: &Path, arguments: &str, input: &str) -> String {
    let output = doorward(folder, arguments, input);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(folder: &Path, arguments: &str) -> Value {
    serde_json::from_str(&ok(folder, arguments, "")).unwrap()
}

/// The one line that a failure prints.
fn fails(folder: &Path, arguments: &str, input: &str) -> String {
    let output = doorward(folder, arguments, input);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments}: {stderr}");
    assert!(stderr.starts_with("doorward: ") && stderr.trim_end().lines().count() == 1, "{arguments}: {stderr}");
    stderr
}

fn initialized() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    ok(folder.path(), "init --homeserver http://127.0.0.1:1 --server-name example.org", "");
    folder
}

#[test]
fn a_token_is_minted_listed_and_revoked_without_a_running_gateway() {
    let folder = initialized();
    let minted = json(folder.path(), "token mint --consumer ci --ttl 15m --json");
    assert!(minted["token"].as_str().unwrap().starts_with("dw_"));
    assert_eq!((&minted["consumer"], &minted["grants"][0]), (&Value::from("ci"), &Value::from("default")));
    let listed = json(folder.path(), "token list --json");
    assert_eq!(listed["tokens"][0]["id"], minted["id"]);
    assert!(!listed.to_string().contains(minted["token"].as_str().unwrap()), "a token is shown once");
    let id = minted["id"].as_str().unwrap();
    assert_eq!(json(folder.path(), &format!("token revoke {id} --json"))["revoked"], 1);
    assert!(fails(folder.path(), &format!("token revoke {id}"), "").contains(id));
}

#[test]
fn a_grant_that_is_not_configured_is_refused_with_those_that_are() {
    let folder = initialized();
    let sentence = fails(folder.path(), "token mint --consumer ci --grant coder", "");
    assert!(sentence.contains("coder") && sentence.contains("`default`"), "{sentence}");
}

#[test]
fn a_secret_comes_from_standard_input_and_is_never_shown() {
    let folder = initialized();
    ok(folder.path(), "secret set openai", "sk-very-secret\n");
    assert!(folder.path().join("master.key").exists());
    let listed = ok(folder.path(), "secret list --json", "");
    assert!(listed.contains("openai") && !listed.contains("sk-very-secret"), "{listed}");
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let stored = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!stored.windows(14).any(|bytes| bytes == b"sk-very-secret"), "it is sealed at rest");
    }
    assert!(fails(folder.path(), "secret set openai", "").contains("standard input"));
    ok(folder.path(), "secret remove openai", "");
    assert!(fails(folder.path(), "secret remove openai", "").contains("secret list"));
}

#[test]
fn an_audit_and_a_usage_of_nothing_are_empty_lists() {
    let folder = initialized();
    assert_eq!(json(folder.path(), "audit --json")["audit"], Value::Array(Vec::new()));
    assert_eq!(json(folder.path(), "usage --since 24h --json")["usage"], Value::Array(Vec::new()));
}

#[test]
fn init_does_not_overwrite() {
    let folder = initialized();
    assert!(fails(folder.path(), "init", "").contains("not overwritten"));
}

#[test]
fn check_names_what_is_wrong_and_the_cure() {
    let folder = initialized();
    let output = doorward(folder.path(), "check", "");
    let findings = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(findings.lines().any(|line| line.starts_with("ok      configuration")), "{findings}");
    assert!(
        findings.lines().any(|line| line.starts_with("FAILED  homeserver") && line.contains("homeserver.url")),
        "{findings}"
    );
    assert!(
        findings.lines().any(|line| line.starts_with("FAILED  upstream openai") && line.contains("OPENAI_API_KEY")),
        "{findings}"
    );
}

#[test]
fn a_broken_configuration_is_one_sentence_for_every_command() {
    let folder = initialized();
    let file = folder.path().join("doorward.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("admin_listen", "admin_listn")).unwrap();
    for command in ["up", "appservice", "gateway", "token list", "worker list", "usage"] {
        let sentence = fails(folder.path(), command, "");
        assert!(
            sentence.contains("`gateway.admin_listn`") && sentence.contains("`gateway.admin_listen`"),
            "{sentence}"
        );
    }
    assert!(fails(&folder.path().join(".."), "token list --config nowhere.toml", "").contains("doorward init"));
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in ["frobnicate", "token mint", "secret set a b"] {
        assert_eq!(doorward(folder.path(), arguments, "").status.code(), Some(2), "{arguments}");
    }
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let folder = initialized();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let file = folder.path().join("doorward.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("127.0.0.1:9010", &address)).unwrap();
    let sentence = fails(folder.path(), "gateway", "");
    assert!(sentence.contains("`gateway.listen`") && sentence.contains(&address), "{sentence}");
}
