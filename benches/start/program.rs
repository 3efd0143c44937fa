//! A doorward that was started, and what is asked of it.

use std::path::Path;
use std::process::Stdio;

use doorward_testkit::wait_for;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

use crate::measure::{Memory, Milliseconds};

/// The program under measurement.
pub(crate) const DOORWARD: &str = env!("CARGO_BIN_EXE_doorward");

/// A running doorward.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    started: Instant,
    /// Where the homeserver reaches it, from the line `ready`.
    appservice: String,
}

impl Program {
    /// `doorward up --local --rehearsal`.
    pub(crate) fn local(data: &Path, tools: &Path) -> Self {
        let (data, tools) = (data.to_str().unwrap(), tools.to_str().unwrap());
        Self::start(&["up", "--local", "--rehearsal", "--data", data, "--tools", tools])
    }

    /// `doorward up` with the configuration that an earlier `up --local` has left.
    pub(crate) fn beside(data: &Path) -> Self {
        Self::start(&["up", "--config", data.join("doorward.toml").to_str().unwrap()])
    }

    fn start(arguments: &[&str]) -> Self {
        let started = Instant::now();
        let mut child = Command::new(DOORWARD)
            .args(arguments)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, started, appservice: String::new() }
    }

    /// From the start of the process to the line that says that all listeners answer.
    pub(crate) async fn wait_for_ready(&mut self) -> Milliseconds {
        while let Some(line) = self.lines.next_line().await.unwrap() {
            if let Some(listeners) = line.strip_prefix("ready") {
                let time = self.started.elapsed();
                let address = listeners.split(", ").find_map(|listener| listener.split("appservice ").nth(1));
                address.expect("the line names the listeners").clone_into(&mut self.appservice);
                return time.into();
            }
        }
        panic!("doorward ended before it was ready");
    }

    /// From the start of the process until `/ready` says that the homeserver knows it and reaches it.
    pub(crate) async fn wait_for_homeserver(&self) -> Milliseconds {
        let url = format!("{}/ready", self.appservice);
        wait_for("/ready of the appservice", async || answers(&url).await.then_some(())).await;
        self.started.elapsed().into()
    }

    /// What it takes now.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.child.id().expect("it runs"))
    }

    /// From Ctrl-C to the end that follows.
    pub(crate) async fn interrupt(mut self) -> Milliseconds {
        let pid = self.child.id().expect("it runs").to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        let asked = Instant::now();
        let status = self.child.wait().await.unwrap();
        assert!(status.success(), "{status}");
        asked.elapsed().into()
    }
}

/// Makes a worker, and waits until it is there.
pub(crate) async fn worker(data: &Path, name: &str) {
    let config = data.join("doorward.toml");
    let output =
        Command::new(DOORWARD).args(["worker", "create", name, "--config"]).arg(config).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The homeserver of a configuration.
pub(crate) fn homeserver_url(data: &Path) -> String {
    let text = std::fs::read_to_string(data.join("doorward.toml")).unwrap();
    let config: toml::Table = toml::from_str(&text).unwrap();
    config["homeserver"]["url"].as_str().unwrap().trim_end_matches('/').to_owned()
}

/// Whether a GET is answered with success.
pub(crate) async fn answers(url: &str) -> bool {
    reqwest::get(url).await.is_ok_and(|response| response.status().is_success())
}
