//! How the programs of `up --local` are started: without the secrets that our own environment may hold.

use std::ffi::OsStr;
use std::process::Stdio;

use tokio::process::Command;

use crate::environment::Environment;

/// Starts programs that have no use for our keys.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    hidden: Vec<String>,
}

impl Programs {
    /// Hides the model's key and every setting of doorward itself.
    pub(super) fn without_secrets(environment: &Environment) -> Self {
        let ours = environment.with_prefix("DOORWARD").map(|(rest, _)| format!("DOORWARD{rest}"));
        Self { hidden: ours.chain(["OPENAI_API_KEY".to_owned()]).collect() }
    }

    /// A command that reads nothing from the terminal, and ends if nobody waits for it any more.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.stdin(Stdio::null()).kill_on_drop(true);
        for name in &self.hidden {
            command.env_remove(name);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_sees_a_key_or_a_setting() {
        let environment: Environment = [("DOORWARD__GATEWAY__LISTEN", "x"), ("HOME", "/")].into_iter().collect();
        let command = Programs::without_secrets(&environment).command("true");
        let hidden: Vec<_> =
            command.as_std().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name).collect();
        assert_eq!(hidden, ["DOORWARD__GATEWAY__LISTEN", "OPENAI_API_KEY"]);
    }
}
