//! `doorward up --local --rehearsal`, started as the README says, and talked to with `doorward chat`.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use doorward_testkit::testkit_folder;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");
/// The first start downloads Synapse.
const FIRST_START: Duration = Duration::from_mins(5);
const WHILE: Duration = Duration::from_mins(1);

/// A running `doorward`, and what it prints.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    stdin: ChildStdin,
    seen: Vec<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(DOORWARD)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stdin = child.stdin.take().unwrap();
        Self { child, lines, stdin, seen: Vec::new() }
    }

    fn up(data: &Path) -> Self {
        let tools = testkit_folder().join("tools");
        let (data, tools) = (data.to_str().unwrap(), tools.to_str().unwrap());
        Self::start(&["up", "--local", "--rehearsal", "--data", data, "--tools", tools])
    }

    /// Reads on until a line that contains `part`.
    async fn wait_for(&mut self, part: &str, longest: Duration) -> String {
        let found = tokio::time::timeout(longest, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.contains(part) {
                    return Some(line);
                }
            }
            None
        });
        let found = found.await.unwrap_or(None);
        found.unwrap_or_else(|| panic!("{part:?} was not printed; but this: {:#?}", self.seen))
    }

    async fn type_line(&mut self, line: &str) {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
    }

    /// Ctrl-C, and the end that follows.
    async fn interrupt(mut self) {
        self.signal("-INT").await;
        let status = tokio::time::timeout(WHILE, self.child.wait()).await.expect("it ends in time").unwrap();
        assert!(status.success(), "{status}");
    }
}

async fn workers(config: &str) -> Vec<String> {
    let output = Command::new(DOORWARD).args(["worker", "list", "--json", "--config", config]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    answer["workers"].as_array().unwrap().iter().map(|worker| worker["name"].as_str().unwrap().to_owned()).collect()
}

/// The port of the homeserver, as `local.toml` remembers it.
fn homeserver(data: &Path) -> String {
    let state: toml::Table = std::fs::read_to_string(data.join("local.toml")).unwrap().parse().unwrap();
    format!("127.0.0.1:{}", state["ports"]["homeserver"])
}

async fn is_listening(address: &str) -> bool {
    tokio::net::TcpStream::connect(address).await.is_ok()
}

// One story, because two at the same time would look for free ports at the same time.
#[tokio::test]
async fn a_fresh_machine_gets_a_homeserver_a_room_and_an_answer_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = data.join("doorward.toml").to_str().unwrap().to_owned();

    let mut up = Program::up(&data);
    up.wait_for("ready", FIRST_START).await;
    assert!(up.seen.iter().any(|line| line.contains("password")), "{:#?}", up.seen);

    let mut chat = Program::start(&["chat", "--config", &config]);
    chat.wait_for("I am the manager", WHILE).await;
    chat.type_line("Create a worker alice who writes Rust").await;
    chat.wait_for("a new room, \"alice\"", WHILE).await;
    chat.wait_for("(rehearsal) alice is there", WHILE).await;
    chat.type_line("/join alice").await;
    chat.wait_for("I am alice", WHILE).await;
    chat.type_line("@worker-alice say hello from the story").await;
    chat.wait_for("alice: (rehearsal) hello from the story", WHILE).await;
    assert!(!chat.seen.iter().any(|line| line.ends_with('…')), "half an answer was printed: {:#?}", chat.seen);
    chat.type_line("/quit").await;
    assert!(chat.child.wait().await.unwrap().success());
    up.interrupt().await;
    assert!(!is_listening(&homeserver(&data)).await, "Ctrl-C ends the homeserver too");

    let mut again = Program::up(&data);
    again.wait_for("ready", WHILE).await;
    assert_eq!(workers(&config).await, ["alice"]);
    let mut chat = Program::start(&["chat", "alice", "--config", &config]);
    chat.wait_for("alice: (rehearsal) hello from the story", WHILE).await;

    again.signal("-KILL").await;
    let gone = async {
        while is_listening(&homeserver(&data)).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(WHILE, gone).await.expect("a homeserver does not outlive a doorward that was killed");
}
