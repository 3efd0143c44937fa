//! Where the stories play: the built program as the README starts it, with a real Synapse, and a human at a client.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use doorward_testkit::{DiesWithUs, Human, testkit_folder, wait_for};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::model::REAL_KEY;

/// Each stage has ports of its own, also while it is stopped: below those that the system gives away.
static NEXT_PORT: AtomicU16 = AtomicU16::new(20_000);

/// The built program.
pub const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

/// What `up --local` remembers.
#[derive(Deserialize)]
pub struct Local {
    pub ports: Ports,
    pub human: Account,
    pub room: String,
}

#[derive(Deserialize)]
pub struct Ports {
    pub homeserver: u16,
    pub appservice: u16,
}

#[derive(Deserialize)]
pub struct Account {
    pub name: String,
    pub password: String,
}

/// A running doorward beside a running Synapse.
pub struct Stage {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
    program: Option<Child>,
    pub local: Local,
    pub human: Human,
}

impl Stage {
    /// `doorward up --local` with a model at `model`, and the human logged in.
    pub async fn open(model: &str) -> Self {
        Self::open_with(model, &[]).await
    }

    /// The same, with more in the environment.
    pub async fn open_with(model: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut all = vec![
            ("OPENAI_API_KEY".to_owned(), REAL_KEY.to_owned()),
            ("OPENAI_BASE_URL".to_owned(), format!("{model}/v1")),
        ];
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        seed(&folder.path().join("data"));
        let program = up_local(folder.path(), &all).await;
        let local: Local =
            toml::from_str(&std::fs::read_to_string(folder.path().join("data/local.toml")).unwrap()).unwrap();
        let human = Human::log_in(&homeserver(&local), &local.human.name, &local.human.password).await;
        Self { folder, environment: all, program: Some(program), local, human }
    }

    pub fn homeserver(&self) -> String {
        homeserver(&self.local)
    }

    /// Where all state is.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The first room: the human and the manager.
    pub fn room(&self) -> &str {
        &self.local.room
    }

    /// Everything that the program logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends the program as Ctrl-C does, and waits for it.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut program = self.program.take().expect("the program runs");
        interrupt(&program).await;
        tokio::time::timeout(Duration::from_secs(20), program.wait()).await.expect("it ends in time").unwrap()
    }

    /// Kills the program, as a power cut would.
    pub async fn kill(&mut self) {
        self.program.take().expect("the program runs").kill().await.unwrap();
    }

    /// Starts it again on the same data.
    pub async fn start(&mut self) {
        self.program = Some(up_local(self.folder.path(), &self.environment).await);
        self.human.reconnect().await;
    }

    /// Starts doorward alone, without a homeserver.
    pub async fn start_without_homeserver(&mut self) {
        let config = self.data().join("doorward.toml").display().to_string();
        self.program = Some(start(self.folder.path(), &["up", "--config", &config], &self.environment).await);
    }

    /// Starts the homeserver alone.
    pub async fn start_homeserver(&self) -> DiesWithUs {
        let config = self.data().join("synapse/homeserver.yaml").display().to_string();
        let python = synapse_bin().join("python").display().to_string();
        let process = DiesWithUs::start(&[&python, "-m", "synapse.app.homeserver", "-c", &config], |command| {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        });
        let versions = format!("{}/_matrix/client/versions", self.homeserver());
        wait_for("Synapse", async || reqwest::get(&versions).await.ok().filter(|answer| answer.status().is_success()))
            .await;
        self.human.reconnect().await;
        process
    }

    /// Creates another account.
    pub async fn another_human(&self, name: &str) -> Human {
        let output = Command::new(synapse_bin().join("register_new_matrix_user"))
            .args(["-u", name, "-p", "a long password", "--no-admin", "-c"])
            .arg(self.data().join("synapse/homeserver.yaml"))
            .arg(self.homeserver())
            .output()
            .await
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Human::log_in(&self.homeserver(), name, "a long password").await
    }

    /// Runs another command of the program on the same configuration.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let config = self.data().join("doorward.toml");
        Command::new(DOORWARD).args(arguments).arg("--config").arg(config).output().await.unwrap()
    }

    /// `@manager` or `@worker-…`
    pub fn user(localpart: &str) -> String {
        format!("@{localpart}:doorward.local")
    }

    /// Asks for a worker by command, and waits until it is there; its room.
    pub async fn create_worker(&self, name: &str) -> String {
        self.human.say(self.room(), &format!("!worker create {name}"), &[]).await;
        let there = format!("{name} is there");
        self.human.wait_for_line(self.room(), &Self::user("manager"), |line| line.body.starts_with(&there)).await;
        self.human.wait_for_invite(&[self.room()]).await
    }
}

/// What `up --local` would remember of an earlier start that went no further than choosing ports.
fn seed(data: &Path) {
    let [homeserver, appservice, gateway, admin] = std::array::from_fn(|_| own_port());
    let state = format!(
        "server_name = \"doorward.local\"\nregistration_secret = \"of a story\"\n\
         [ports]\nhomeserver = {homeserver}\nappservice = {appservice}\ngateway = {gateway}\nadmin = {admin}\n\
         [human]\nname = \"you\"\npassword = \"a long password\"\n"
    );
    std::fs::create_dir(data).unwrap();
    std::fs::write(data.join("local.toml"), state).unwrap();
}

fn own_port() -> u16 {
    let ports = std::iter::repeat_with(|| NEXT_PORT.fetch_add(1, Ordering::SeqCst));
    ports.take(5_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

fn homeserver(local: &Local) -> String {
    format!("http://127.0.0.1:{}", local.ports.homeserver)
}

/// The programs that all stories share.
pub fn tools() -> PathBuf {
    testkit_folder().join("tools")
}

/// The folder with Synapse's programs.
fn synapse_bin() -> PathBuf {
    let all = std::fs::read_dir(tools()).expect("up --local has installed Synapse").flatten();
    all.map(|entry| entry.path().join("bin"))
        .find(|bin| bin.join("register_new_matrix_user").exists())
        .expect("Synapse is installed")
}

async fn up_local(folder: &Path, environment: &[(String, String)]) -> Child {
    let (data, tools) = (folder.join("data").display().to_string(), tools().display().to_string());
    start(folder, &["up", "--local", "--data", &data, "--tools", &tools], environment).await
}

async fn start(folder: &Path, arguments: &[&str], environment: &[(String, String)]) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut program = Command::new(DOORWARD)
        .args(arguments)
        .env("RUST_LOG", "info,doorward=debug,doorward_agents=debug,doorward_appservice=debug,doorward_gateway=debug")
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(Duration::from_secs(600), async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("ready") {
                return true;
            }
        }
        false
    });
    let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    assert!(ready.await.is_ok_and(|ready| ready), "doorward did not become ready:\n{}", log());
    // What it prints later is not waited for, and must not block it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    program
}

async fn interrupt(program: &Child) {
    let pid = program.id().expect("the program runs").to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().await.unwrap();
    assert!(sent.success());
}
