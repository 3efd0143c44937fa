//! ferrogw, the AI gateway of Ferro Labs: a Go program, which PyPI has too.

use std::process::Command;

use super::{Place, Started, text};
use crate::install::{self, Missing};
use crate::upstream::REAL_KEY;

/// What it checks at its door.
const MASTER_KEY: &str = "fgw_0123456789abcdef0123456789abcdef";

/// As it comes, but for a rate limit that does not stop the load, and logs without a line for each request. It keeps no audit log.
pub(super) fn start(place: &Place) -> Result<Started, Missing> {
    let program = install::from_pypi("ferrogw", "ferrogw==1.5.10")?.join("bin/ferrogw");
    let version = install::run(Command::new(&program).arg("version"))?;
    let version = version.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let config = place.write("config.yaml", "strategy:\n  mode: single\ntargets:\n  - virtual_key: openai\n")?;
    let (port, upstream) = (place.listen.port().to_string(), format!("http://{}", place.upstream));
    let environment = [
        ("GATEWAY_CONFIG", config.as_str()),
        ("MASTER_KEY", MASTER_KEY),
        ("PORT", &port),
        ("OPENAI_API_KEY", REAL_KEY),
        ("OPENAI_BASE_URL", &upstream),
        ("LOG_LEVEL", "warn"),
        ("RATE_LIMIT_RPS", "100000000"),
        ("RATE_LIMIT_BURST", "100000000"),
    ];
    let process = place.run(&[text(&program)?, "serve"], &environment)?;
    Ok(Started { version, process, key: MASTER_KEY.to_owned() })
}
