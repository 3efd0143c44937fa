//! A program on the agent's side: it holds a consumer token, and never a real key.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use doorward_testkit::{node_tools, python_tools};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const PYTHON: &[&str] = &["openai==3.54.0", "anthropic==2.12.0", "PyGithub==2.10.0", "mcp==2.3.0"];
const NODE: &[&str] = &["octokit@5.0.5", "@modelcontextprotocol/server-everything@2026.8.31"];
const LONGEST: Duration = Duration::from_secs(60);

/// What a program said in the end.
#[derive(Debug)]
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// A program that is about to run.
pub struct Client {
    command: Command,
    arguments: Vec<String>,
    environment: Vec<String>,
    home: PathBuf,
    keys: Vec<String>,
}

impl Client {
    /// Nothing is inherited: what is not set here, the program does not have. It must never see one of `keys`.
    pub fn new(program: &Path, home: &Path, keys: Vec<String>) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", search_path()).env("HOME", home).env("LANG", "C.UTF-8").current_dir(home);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        Self { command, arguments: Vec::new(), environment: Vec::new(), home: home.to_owned(), keys }
    }

    pub fn args<S: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        for argument in arguments {
            self.arguments.push(argument.as_ref().to_owned());
            self.command.arg(argument.as_ref());
        }
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push(value.to_owned());
        self.command.env(name, value);
        self
    }

    pub fn folder(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs the program to its end.
    pub async fn run(self) -> Said {
        self.run_on("").await
    }

    /// Runs the program with `input` on its standard input.
    pub async fn run_on(mut self, input: &str) -> Said {
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that ends without reading all is judged by what it says.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(LONGEST, child.wait_with_output()).await.expect("it ends in time").unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said =
            Said { success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        self.sees_no_real_key(&said);
        said
    }

    /// Runs the program, which has to succeed.
    pub async fn succeeds(self) -> Said {
        self.succeeds_on("").await
    }

    /// The same, with `input` on its standard input.
    pub async fn succeeds_on(self, input: &str) -> Said {
        let arguments = self.arguments.clone();
        let said = self.run_on(input).await;
        assert!(said.success, "{arguments:?}\n{}\n{}", said.stdout, said.stderr);
        said
    }

    /// Runs the program, which has to fail; what it says about that.
    pub async fn fails(self) -> String {
        let arguments = self.arguments.clone();
        let said = self.run().await;
        assert!(!said.success, "{arguments:?}\n{}\n{}", said.stdout, said.stderr);
        said.stderr
    }

    /// Not in its arguments and environment, not in what it said, not in what it wrote to its home.
    fn sees_no_real_key(&self, said: &Said) {
        let mut seen = format!("{:?}{:?}{said:?}", self.arguments, self.environment).into_bytes();
        append_files(&self.home, &mut seen);
        for key in &self.keys {
            let found = seen.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!found, "the client has seen a real key: {said:?}");
        }
    }
}

fn append_files(folder: &Path, to: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => append_files(&entry.path(), to),
            kind if kind.is_file() => to.extend(std::fs::read(entry.path()).unwrap_or_default()),
            _ => {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a program of the machine is looked for where the machine has it")]
fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap()
}

/// Python, with the packages that the stories use.
pub fn python() -> PathBuf {
    python_tools("tools/clients-python", PYTHON).join("bin/python")
}

/// The folder with the packages from npm.
pub fn node_packages() -> PathBuf {
    node_tools("tools/clients-node", NODE)
}
