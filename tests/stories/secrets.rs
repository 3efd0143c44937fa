//! The real key is the gateway's alone.

use std::path::Path;

use crate::model::{REAL_KEY, Reply, model};
use crate::stage::Stage;

#[tokio::test]
async fn the_upstream_sees_the_real_key_and_nobody_else_does() {
    let model = model(|asked| Reply::text(format!("You said: {}", asked.said()))).await;
    let stage = Stage::open(&model.uri()).await;
    let room = stage.create_worker("alice").await;
    stage.human.say(&room, "@worker-alice what is your key?", &[]).await;
    stage.human.wait_for_line(&room, &Stage::user("worker-alice"), |line| line.body.starts_with("You said")).await;

    let asked = model.received_requests().await.unwrap();
    assert!(!asked.is_empty(), "the model answers to the real key alone");
    for request in &asked {
        let body = String::from_utf8_lossy(&request.body);
        assert!(!body.contains(REAL_KEY) && !body.contains("dw_"), "no key in a prompt: {body}");
    }
    let audit = stage.command(&["audit", "--json"]).await;
    let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(audit.contains("worker-alice"), "the request was audited: {audit}");
    let said = format!("{:?}{:?}", stage.human.events(&room).await, stage.human.events(stage.room()).await);
    for (place, text) in [("the rooms", said.as_str()), ("the log", &stage.log()), ("the audit", &audit)] {
        assert!(!text.contains(REAL_KEY), "the real key is in {place}");
        assert!(!text.contains("dw_"), "a consumer token is in {place}");
    }
    assert_files_hold_no_key(&stage.data());
    assert_no_process_beside_us_holds_the_key(&stage.data());
    assert!(!audit.contains("what is your key"), "prompts are in no audit row");
}

/// The data folder with everything in it: databases, configuration, workspaces, the homeserver's files.
fn assert_files_hold_no_key(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            assert_files_hold_no_key(&path);
        } else if let Ok(bytes) = std::fs::read(&path) {
            let found = bytes.windows(REAL_KEY.len()).any(|window| window == REAL_KEY.as_bytes());
            assert!(!found, "the real key is in {}", path.display());
        }
    }
}

/// What runs for this house, other than the program that holds the gateway: neither arguments nor environment have the key.
fn assert_no_process_beside_us_holds_the_key(data: &Path) {
    let data = data.display().to_string();
    let read = |process: &Path, what: &str| std::fs::read(process.join(what)).unwrap_or_default();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut seen = 0;
    for process in std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path()) {
        let arguments = text(read(&process, "cmdline"));
        if !arguments.contains(&data) {
            continue;
        }
        assert!(!arguments.contains(REAL_KEY), "the key is an argument of {arguments}");
        if !arguments.starts_with(crate::stage::DOORWARD) {
            seen += 1;
            assert!(
                !text(read(&process, "environ")).contains(REAL_KEY),
                "the key is in the environment of {arguments}"
            );
        }
    }
    assert!(seen > 0, "the homeserver at least runs beside us");
}

#[tokio::test]
async fn a_key_in_the_secret_store_is_used_and_is_nowhere_in_clear() {
    let model = model(|_| Reply::text("hello")).await;
    let upstream = format!(
        r#"[{{name = "openai", kind = "openai", base_url = "{}/v1", credential = {{secret = "openai"}}}}]"#,
        model.uri()
    );
    let environment = [("DOORWARD__GATEWAY__UPSTREAMS", upstream.as_str()), ("OPENAI_API_KEY", "sk-wrong")];
    let stage = Stage::open_with(&model.uri(), &environment).await;
    let manager = Stage::user("manager");
    stage.human.say(stage.room(), "hello?", &[]).await;
    let refused =
        stage.human.wait_for_line(stage.room(), &manager, |line| line.body.contains("no answer from my model")).await;
    assert!(refused.body.contains("openai"), "it says which credential is missing: {}", refused.body);
    set_secret(&stage).await;
    stage.human.say(stage.room(), "and now?", &[]).await;
    stage.human.wait_for_line(stage.room(), &manager, |line| line.body == "hello").await;
    assert_files_hold_no_key(&stage.data());
}

async fn set_secret(stage: &Stage) {
    use tokio::io::AsyncWriteExt;
    let mut command = tokio::process::Command::new(crate::stage::DOORWARD);
    command.args(["secret", "set", "openai", "--config"]).arg(stage.data().join("doorward.toml"));
    let mut process = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    input.write_all(format!("{REAL_KEY}\n").as_bytes()).await.unwrap();
    drop(input);
    assert!(process.wait().await.unwrap().success());
}
