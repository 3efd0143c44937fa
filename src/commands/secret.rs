//! `doorward secret …`

use std::io::{IsTerminal, Read};

use doorward_gateway::{Credential, SecretName, Secrets};
use serde_json::json;

use super::Context;
use crate::cli::SecretCommand;
use crate::failure::Failure;
use crate::terminal;

/// No key of any provider is longer; an accidental file is.
const LONGEST: u64 = 64 * 1024;

pub(super) async fn run(command: SecretCommand, context: &Context<'_>) -> Result<(), Failure> {
    let config = context.config()?;
    let database = context.gateway_database(&config).await?;
    let world = context.world;
    let master_key = config.gateway.master_key_file.clone();
    let secrets = Secrets::new(database, master_key, world.clock.clone(), world.random.clone());
    match command {
        SecretCommand::Set { name } => {
            let name = SecretName::new(&name)?;
            secrets.set(&name, &value()?).await?;
            terminal::tell(format_args!("kept: credential = {{ secret = \"{}\" }}", name.as_str()));
        }
        SecretCommand::List => {
            let records = secrets.list().await?;
            if context.json {
                terminal::say_json(&json!({"secrets": records}));
            } else {
                let row = |record: &doorward_gateway::SecretRecord| {
                    vec![record.name.as_str().to_owned(), record.created_at.to_string(), record.updated_at.to_string()]
                };
                terminal::say_table(&["NAME", "CREATED", "UPDATED"], &records.iter().map(row).collect::<Vec<_>>());
            }
        }
        SecretCommand::Remove { name } => {
            if !secrets.remove(&SecretName::new(&name)?).await? {
                return Err(Failure::new(format_args!(
                    "there is no secret `{name}`: `doorward secret list` shows them"
                )));
            }
            terminal::tell(format_args!("removed {name}"));
        }
    }
    Ok(())
}

/// Reads standard input to its end.
fn value() -> Result<Credential, Failure> {
    if std::io::stdin().is_terminal() {
        terminal::tell(
            "type or paste the value, then Enter and Ctrl-D (it is shown while you type; `doorward secret set NAME < FILE` shows nothing)",
        );
    }
    let mut input = Vec::new();
    std::io::stdin().lock().take(LONGEST + 1).read_to_end(&mut input)?;
    if input.len() as u64 > LONGEST {
        return Err(Failure::new(format_args!(
            "the value on standard input is longer than {LONGEST} bytes: that is no key"
        )));
    }
    if input.trim_ascii().is_empty() {
        return Err(Failure::new(
            "no value came on standard input: write `doorward secret set NAME < FILE`, or pipe it in",
        ));
    }
    Ok(Credential::from_input(&input)?)
}
