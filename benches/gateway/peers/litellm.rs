//! LiteLLM's proxy: Python, the gateway that most people know.

use std::process::Command;

use super::{Place, Started, text};
use crate::install::{self, Missing};
use crate::upstream::REAL_KEY;

/// What it checks at its door.
const MASTER_KEY: &str = "sk-litellm-0123456789abcdef";

/// As its guide for production says: one worker, errors logged alone. No database, hence neither budgets nor an audit log.
pub(super) fn start(place: &Place) -> Result<Started, Missing> {
    let venv = install::from_pypi("litellm", "litellm[proxy]==1.106.2")?;
    let config = place.write("config.yaml", &config(place))?;
    let (program, host, port) =
        (venv.join("bin/litellm"), place.listen.ip().to_string(), place.listen.port().to_string());
    let command = [text(&program)?, "--config", &config, "--host", &host, "--port", &port, "--num_workers", "1"];
    let environment = [
        ("LITELLM_LOG", "ERROR"),
        ("LITELLM_MODE", "PRODUCTION"),
        ("LITELLM_TELEMETRY", "False"),
        ("LITELLM_LOCAL_MODEL_COST_MAP", "True"),
        ("NO_DOCS", "True"),
    ];
    let read = "import importlib.metadata; print(importlib.metadata.version('litellm'))";
    let version = install::run(Command::new(venv.join("bin/python")).args(["-c", read]))?.trim().to_owned();
    Ok(Started { version, process: place.run(&command, &environment)?, key: MASTER_KEY.to_owned() })
}

fn config(place: &Place) -> String {
    let upstream = place.upstream;
    format!(
        r#"model_list:
  - model_name: gpt-4o
    litellm_params: {{ model: openai/gpt-4o, api_base: "http://{upstream}/v1", api_key: "{REAL_KEY}" }}
litellm_settings: {{ telemetry: false, request_timeout: 600 }}
general_settings: {{ master_key: "{MASTER_KEY}" }}
"#
    )
}
