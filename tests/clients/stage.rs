//! The built program as an operator runs it: a configuration, secrets set on standard input, tokens minted, `doorward gateway`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use doorward_testkit::own_port;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use crate::client::Client;

const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

/// What an operator sets up.
#[derive(Default)]
pub struct Plan<'a> {
    /// `[[gateway.upstreams]]` and `[grants.*]`.
    pub config: String,
    /// Names and values for `doorward secret set`.
    pub secrets: &'a [(&'a str, &'a str)],
    /// Whether agents reach the gateway by `https`.
    pub tls: bool,
}

/// A running gateway.
pub struct Stage {
    folder: tempfile::TempDir,
    port: u16,
    tls: bool,
    keys: Vec<String>,
    _program: Child,
}

impl Stage {
    /// Writes the configuration, sets the secrets and starts the gateway.
    pub async fn open(plan: Plan<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let port = own_port();
        let settings = settings(folder.path(), port, plan.tls);
        std::fs::write(folder.path().join("doorward.toml"), settings + &plan.config).unwrap();
        for (name, value) in plan.secrets {
            run(folder.path(), &["secret", "set", name], value).await;
        }
        let program = start(folder.path()).await;
        let keys = plan.secrets.iter().map(|(_, value)| (*value).to_owned()).collect();
        Self { folder, port, tls: plan.tls, keys, _program: program }
    }

    /// Where agents call.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// Name and port. Certificates name `localhost`.
    pub fn authority(&self) -> String {
        format!("{}:{}", if self.tls { "localhost" } else { "127.0.0.1" }, self.port)
    }

    /// The certificate to trust.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Another folder below the stage's.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// A new consumer's token.
    pub async fn token(&self, consumer: &str, grant: &str) -> String {
        let minted = self.doorward(&["token", "mint", "--consumer", consumer, "--grant", grant, "--json"]).await;
        let minted: Value = serde_json::from_str(&minted).unwrap();
        minted["token"].as_str().unwrap().to_owned()
    }

    /// What another command of the program prints.
    pub async fn doorward(&self, arguments: &[&str]) -> String {
        run(self.folder.path(), arguments, "").await
    }

    /// A program on the agent's side, with a home of its own and nothing else in its environment.
    pub fn client(&self, program: impl AsRef<Path>) -> Client {
        Client::new(program.as_ref(), &self.folder("home"), self.keys.clone())
    }

    /// Not in its log, at the finest level, nor in any file of its database.
    #[track_caller]
    pub fn keeps_nothing_of(&self, texts: &[&str]) {
        let mut searched = 0;
        for entry in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if name != "log" && !name.starts_with("gateway.db") {
                continue;
            }
            let content = std::fs::read(entry.path()).unwrap();
            searched += content.len();
            for text in texts {
                let found = content.windows(text.len()).any(|window| window == text.as_bytes());
                assert!(!found, "`{text}` is in {name}");
            }
        }
        assert!(searched > 1_000, "there is nothing to search");
    }
}

fn settings(folder: &Path, port: u16, tls: bool) -> String {
    let mut settings =
        format!("[gateway]\nlisten = \"127.0.0.1:{port}\"\nadmin_listen = \"127.0.0.1:{}\"\n", own_port());
    if tls {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        settings += &format!("url = \"https://localhost:{port}\"\n");
        settings += "tls = { cert_file = \"cert.pem\", key_file = \"key.pem\" }\n";
    }
    settings
}

async fn start(folder: &Path) -> Child {
    let log = File::create(folder.join("log")).unwrap();
    let mut program = doorward(folder, &["gateway"])
        .env("RUST_LOG", "info,doorward=trace,doorward_gateway=trace")
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
    let ready = first.is_ok_and(|line| line.unwrap().is_some_and(|line| line.starts_with("ready")));
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(ready, "the gateway did not become ready:\n{}", log());
    program
}

fn doorward(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(DOORWARD);
    command.args(arguments).current_dir(folder).env_remove("DOORWARD_CONFIG");
    command
}

async fn run(folder: &Path, arguments: &[&str], input: &str) -> String {
    let mut command = doorward(folder, arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
