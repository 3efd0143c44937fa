//! Synapse from PyPI: its configuration, its process, and how the human gets an account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use doorward_base::Random;
use serde_json::{Value, json};

use super::account;
use super::programs::Programs;
use super::state::State;
use super::supervisor::{Program, Supervised};
use crate::failure::Failure;
use crate::files;

/// A slow machine takes most of this for the first start, when the database is made.
const START: Duration = Duration::from_mins(2);

/// Synapse in one data folder.
#[derive(Debug)]
pub(super) struct Synapse {
    bin: PathBuf,
    folder: PathBuf,
    programs: Programs,
}

impl Synapse {
    /// `bin` is the one of its virtual environment, `data` the data folder.
    pub(super) fn new(bin: PathBuf, data: &Path, programs: Programs) -> Self {
        Self { bin, folder: data.join("synapse"), programs }
    }

    /// Writes its configuration and starts it; returns when it answers.
    pub(super) async fn start(
        &self,
        state: &State,
        registration: &Path,
        random: &Random,
    ) -> Result<Supervised, Failure> {
        files::private_folder(&self.folder)?;
        self.write_signing_key(random)?;
        self.write_json("log.yaml", &log_config())?;
        self.write_json("homeserver.yaml", &self.config(state, registration))?;
        let python = self.bin.join("python").display().to_string();
        let config = self.config_file().display().to_string();
        let mut process = Supervised::start(
            Program {
                name: "Synapse",
                command: [python.as_str(), "-m", "synapse.app.homeserver", "-c", &config].map(str::to_owned).to_vec(),
                cleanup: String::new(),
                log: self.folder.join("homeserver.log"),
            },
            &self.programs,
        )
        .await?;
        let manager = account::manager(state, registration)?;
        process.wait_until(async || manager.whoami().await.is_ok(), START).await?;
        Ok(process)
    }

    /// Creates the human's account by Synapse's own script; one that is there already is kept.
    pub(super) async fn create_human(&self, state: &State) -> Result<(), Failure> {
        let password_file = self.folder.join("password");
        // A file, because arguments are visible to every user of the machine.
        files::replace_private(&password_file, &state.human.password)?;
        let output = self
            .programs
            .command(self.bin.join("register_new_matrix_user"))
            .args(["--user", &state.human.name, "--no-admin", "--exists-ok", "--password-file"])
            .arg(&password_file)
            .arg("--config")
            .arg(self.config_file())
            .arg(state.homeserver_url().as_str().trim_end_matches('/'))
            .output()
            .await;
        std::fs::remove_file(&password_file)?;
        let output = output?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(Failure::new(format_args!("Synapse did not create {}: {}", state.user_id(), said.trim())))
    }

    fn config_file(&self) -> PathBuf {
        self.folder.join("homeserver.yaml")
    }

    /// Every JSON document is a YAML document, and JSON leaves no doubt about quoting.
    fn write_json(&self, name: &str, value: &Value) -> Result<(), Failure> {
        let text = format!("# Written by `doorward up --local` at every start.\n{value:#}\n");
        Ok(files::replace_private(&self.folder.join(name), &text)?)
    }

    fn write_signing_key(&self, random: &Random) -> Result<(), Failure> {
        let file = self.folder.join("signing.key");
        if file.exists() {
            return Ok(());
        }
        let seed = STANDARD_NO_PAD.encode(random.bytes::<32>());
        Ok(files::replace_private(&file, &format!("ed25519 a_{} {seed}\n", random.text(6)))?)
    }

    fn config(&self, state: &State, registration: &Path) -> Value {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let mut config = json!({
            "server_name": state.server_name,
            "public_baseurl": state.homeserver_url(),
            "listeners": [{
                "port": state.ports.homeserver,
                "bind_addresses": ["127.0.0.1"],
                "type": "http",
                "tls": false,
                "resources": [{"names": ["client"], "compress": false}],
            }],
            "database": {"name": "sqlite3", "args": {"database": path("homeserver.db")}},
            "media_store_path": path("media"),
            "signing_key_path": path("signing.key"),
            "log_config": path("log.yaml"),
            "app_service_config_files": [registration],
            "enable_registration": false,
            "registration_shared_secret": state.registration_secret,
            "federation_domain_whitelist": [],
            "trusted_key_servers": [],
            "suppress_key_server_warning": true,
            "presence": {"enabled": false},
            "url_preview_enabled": false,
            "report_stats": false,
        });
        if let (Some(config), Value::Object(limits)) = (config.as_object_mut(), rate_limits()) {
            config.extend(limits);
        }
        config
    }
}

/// Nobody else is here to be protected from: agents that edit a live answer must not be slowed down.
fn rate_limits() -> Value {
    let generous = json!({"per_second": 1000, "burst_count": 10000});
    json!({
        "rc_message": generous,
        "rc_registration": generous,
        "rc_admin_redaction": generous,
        "rc_login": {"address": generous, "account": generous, "failed_attempts": generous},
        "rc_joins": {"local": generous, "remote": generous},
        "rc_joins_per_room": generous,
        "rc_invites": {"per_room": generous, "per_user": generous, "per_issuer": generous},
    })
}

/// To standard error, which is the log file of the process.
fn log_config() -> Value {
    json!({
        "version": 1,
        "disable_existing_loggers": false,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "plain"}},
        "root": {"level": "WARNING", "handlers": ["console"]},
    })
}
