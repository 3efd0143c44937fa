//! Tuwunel in Docker: its configuration, its container, and how the human gets an account.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::account;
use super::programs::Programs;
use super::state::State;
use super::supervisor::{Program, Supervised};
use crate::failure::Failure;
use crate::files;
use crate::matrix::{Homeserver, MatrixError};
use crate::terminal::Progress;

/// Pinned, so that every start anywhere runs what was tested; docker-compose.yml has the same.
const IMAGE: &str = "ghcr.io/matrix-construct/tuwunel:v1.9.3";
const ENGINE_ANSWERS: Duration = Duration::from_secs(3);
const START: Duration = Duration::from_mins(1);
/// Where the container sees the data folder.
const INSIDE: &str = "/data";

/// Whether a Docker engine answers quickly.
pub(super) async fn engine_answers(programs: &Programs) -> bool {
    let mut command = programs.command("docker");
    command.args(["info", "--format", "{{.ServerVersion}}"]);
    let output = tokio::time::timeout(ENGINE_ANSWERS, command.output()).await;
    // The client ends well even if no engine is there; only the engine has a version.
    matches!(output, Ok(Ok(output)) if output.status.success() && !output.stdout.trim_ascii().is_empty())
}

/// Tuwunel in one data folder.
#[derive(Debug)]
pub(super) struct Tuwunel {
    folder: PathBuf,
    programs: Programs,
}

impl Tuwunel {
    /// `data` is the data folder.
    pub(super) fn new(data: &Path, programs: Programs) -> Self {
        Self { folder: data.join("tuwunel"), programs }
    }

    /// How the container reaches a listener on this machine's loopback.
    pub(super) fn host() -> &'static str {
        if shares_the_network() { "127.0.0.1" } else { "host.docker.internal" }
    }

    /// Downloads the image if need be, writes its configuration and starts it; returns when it answers.
    pub(super) async fn start(
        &self,
        state: &State,
        registration: &Path,
        progress: &Progress,
    ) -> Result<Supervised, Failure> {
        self.write_files(state, registration)?;
        self.pull(progress).await?;
        let name = format!("doorward-tuwunel-{}", state.ports.homeserver);
        let mut process = Supervised::start(
            Program {
                name: "Tuwunel",
                command: self.command(&name, state.ports.homeserver)?,
                cleanup: format!("docker rm --force {name}"),
                log: self.folder.join("homeserver.log"),
            },
            &self.programs,
        )
        .await?;
        let manager = account::manager(state, registration)?;
        if let Err(failure) = process.wait_until(async || manager.whoami().await.is_ok(), START).await {
            process.stop().await;
            return Err(failure);
        }
        Ok(process)
    }

    /// Creates the human's account with the registration token that only we know; one that is there already is kept.
    pub(super) async fn create_human(&self, state: &State) -> Result<(), Failure> {
        let homeserver = Homeserver::at(state.homeserver_url())?;
        let mut request = json!({
            "username": state.human.name,
            "password": state.human.password,
            "inhibit_login": true,
        });
        let first = register(&homeserver, &request).await;
        let Err(MatrixError::Refused { session: Some(session), .. }) = first else { return accepted(first) };
        request["auth"] =
            json!({"type": "m.login.registration_token", "token": state.registration_secret, "session": session});
        accepted(register(&homeserver, &request).await)
    }

    fn write_files(&self, state: &State, registration: &Path) -> Result<(), Failure> {
        let registrations = self.folder.join("appservices");
        files::private_folder(&registrations)?;
        let text = std::fs::read_to_string(registration)?;
        files::replace_private(&registrations.join("doorward.yaml"), &text)?;
        Ok(files::replace_private(&self.folder.join("tuwunel.toml"), &toml::to_string(&config(state))?)?)
    }

    async fn pull(&self, progress: &Progress) -> Result<(), Failure> {
        let docker = || self.programs.command("docker");
        if docker().args(["image", "inspect", IMAGE]).output().await?.status.success() {
            return Ok(());
        }
        progress.step(&format!("downloading {IMAGE} (only this once)"));
        let output = docker().args(["pull", "--quiet", IMAGE]).output().await?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format_args!("docker pull {IMAGE} failed: {}", said.trim())))
    }

    fn command(&self, name: &str, port: u16) -> Result<Vec<String>, Failure> {
        let folder = std::path::absolute(&self.folder)?;
        let owner = std::fs::metadata(&folder)?;
        let network = if shares_the_network() {
            ["--network".to_owned(), "host".to_owned()]
        } else {
            ["--publish".to_owned(), format!("127.0.0.1:{port}:{port}")]
        };
        let mut command: Vec<String> = ["docker", "run", "--rm", "--name", name].map(str::to_owned).to_vec();
        command.extend(network);
        command.extend(["--user".to_owned(), format!("{}:{}", owner.uid(), owner.gid())]);
        command.extend(["--volume".to_owned(), format!("{}:{INSIDE}", folder.display())]);
        command.extend(["--env".to_owned(), format!("TUWUNEL_CONFIG={INSIDE}/tuwunel.toml"), IMAGE.to_owned()]);
        Ok(command)
    }
}

/// What deploy/tuwunel.toml says too, with the places of this data folder.
fn config(state: &State) -> Value {
    let address = if shares_the_network() { "127.0.0.1" } else { "0.0.0.0" };
    json!({"global": {
        "server_name": state.server_name,
        "address": address,
        "port": state.ports.homeserver,
        "database_path": format!("{INSIDE}/db"),
        "appservice_dir": format!("{INSIDE}/appservices"),
        "allow_registration": true,
        "registration_token": state.registration_secret,
        // The first user here is @manager: an agent, which must not become the administrator.
        "grant_admin_to_first_user": false,
        "new_user_displayname_suffix": "",
        // Agents do not read encrypted rooms yet. Element would encrypt every direct chat.
        "allow_encryption": false,
        "allow_federation": false,
        "trusted_servers": [],
        "log": "warn",
    }})
}

/// On Linux a container can use the loopback of the machine; elsewhere it runs in a virtual machine.
fn shares_the_network() -> bool {
    cfg!(target_os = "linux")
}

async fn register(homeserver: &Homeserver, request: &Value) -> Result<Value, MatrixError> {
    homeserver.call(Method::POST, "/_matrix/client/v3/register", None, Some(request)).await
}

fn accepted(answer: Result<Value, MatrixError>) -> Result<(), Failure> {
    match answer {
        Err(MatrixError::Refused { code, .. }) if code == "M_USER_IN_USE" => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

#[cfg(test)]
mod tests {
    use doorward_base::Random;

    use super::*;

    #[test]
    fn docker_compose_runs_the_same_homeserver() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::read_or_new(folder.path(), &Random::seeded(1)).unwrap();
        let deployed: Value = toml::from_str(include_str!("../../deploy/tuwunel.toml")).unwrap();
        for key in [
            "allow_registration",
            "grant_admin_to_first_user",
            "new_user_displayname_suffix",
            "allow_encryption",
            "allow_federation",
            "trusted_servers",
        ] {
            let (ours, theirs) = (&config(&state)["global"][key], &deployed["global"][key]);
            assert!(ours == theirs && !ours.is_null(), "{key}: {ours} here, {theirs} in deploy/tuwunel.toml");
        }
        assert!(include_str!("../../docker-compose.yml").contains(&format!("image: {IMAGE}\n")), "{IMAGE}");
    }
}
