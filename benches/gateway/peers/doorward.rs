//! Doorward with every control on: token looked up, grant checked, key unsealed and put in, answer watched, audit row on SQLite.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Place, Started, free_address, text};
use crate::install::{self, Missing};
use crate::upstream::REAL_KEY;

/// The grant of the token: every limit is counted, and none is met.
const GRANT: &str = r#"
[grants.bench]
models = ["gpt-*"]
budget = { tokens_per_day = 1000000000000, usd_per_day = 9000000.0 }
rate = { requests_per_minute = 100000000 }
"#;

/// The same for git.
const GIT_GRANT: &str = r#"
[grants.bench]
[[grants.bench.github]]
repos = ["acme/*"]
allow = ["read"]
push = ["refs/heads/agent/*"]
"#;

/// In front of a model.
pub(super) fn start(place: &Place, program: &Path) -> Result<Started, Missing> {
    let upstream = place.upstream;
    let lines = format!("kind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\nmodels = [\"gpt-*\"]\n");
    start_with(place, program, &(config(place) + &lines + GRANT))
}

/// In front of repositories.
pub(super) fn start_for_git(place: &Place, program: &Path) -> Result<Started, Missing> {
    let upstream = place.upstream;
    let lines = format!("kind = \"github\"\nbase_url = \"http://{upstream}\"\ngit_url = \"http://{upstream}\"\n");
    start_with(place, program, &(config(place) + &lines + GIT_GRANT))
}

fn start_with(place: &Place, program: &Path, config: &str) -> Result<Started, Missing> {
    let config = place.write("doorward.toml", config)?;
    let doorward = |arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).args(["--config", &config]).current_dir(&place.folder);
        command
    };
    set_secret(doorward(&["secret", "set", "bench"]))?;
    let minted = doorward(&["token", "mint", "--consumer", "bench", "--grant", "bench", "--ttl", "1d", "--json"]);
    let version = install::run(&mut doorward(&["--version"]))?;
    let process = place.run(&[text(program)?, "gateway", "--config", &config], &[])?;
    Ok(Started {
        version: version.trim().rsplit(' ').next().unwrap_or_default().to_owned(),
        process,
        key: token(minted)?,
    })
}

/// Everything up to what is special about the upstream.
fn config(place: &Place) -> String {
    let (listen, admin) = (place.listen, free_address());
    format!(
        r#"[gateway]
listen = "{listen}"
admin_listen = "{admin}"
database = "sqlite://gateway.db"

[[gateway.upstreams]]
name = "upstream"
credential = {{ secret = "bench" }}
"#
    )
}

fn set_secret(mut command: Command) -> Result<(), Missing> {
    let failed = |error: std::io::Error| format!("`doorward secret set`: {error}");
    let [input, output, error] = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
    let mut child = command.stdin(input).stdout(output).stderr(error).spawn().map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(REAL_KEY.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("`doorward secret set` failed: {said}")) }
}

fn token(mut command: Command) -> Result<String, Missing> {
    let output = install::run(&mut command)?;
    let minted: serde_json::Value =
        serde_json::from_str(&output).map_err(|error| format!("`doorward token mint` printed no JSON: {error}"))?;
    minted["token"].as_str().map(str::to_owned).ok_or_else(|| "`doorward token mint` printed no token".to_owned())
}
