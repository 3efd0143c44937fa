//! Logs on standard error, as `[log]` or `RUST_LOG` say.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::environment::Environment;
use crate::failure::Failure;

/// Starts logging for this process. `RUST_LOG` wins over the configuration.
pub(crate) fn start(config: &LogConfig, environment: &Environment) -> Result<(), Failure> {
    let filter = environment.get("RUST_LOG").unwrap_or(&config.level);
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(format_args!(
            "`log.level` (or RUST_LOG) is no log filter ({error}): write info, debug or doorward=debug,info"
        ))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only if a logger is there already, which then goes on.
    let _ = match config.format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    Ok(())
}
