//! `doorward token …`

use doorward_base::Timestamp;
use doorward_gateway::config::check_known;
use doorward_gateway::{ConsumerName, TokenRecord, Tokens};
use serde_json::json;

use super::Context;
use crate::cli::TokenCommand;
use crate::failure::Failure;
use crate::terminal;

pub(super) async fn run(command: TokenCommand, context: &Context<'_>) -> Result<(), Failure> {
    let config = context.config()?;
    let database = context.gateway_database(&config).await?;
    let tokens = Tokens::new(database, context.world.clock.clone(), context.world.random.clone());
    match command {
        TokenCommand::Mint { consumer, grants, ttl } => {
            check_known(&config.grants, &grants)?;
            let minted = tokens.mint(ConsumerName::new(&consumer)?, grants, ttl).await?;
            show_minted(&minted, context.json);
        }
        TokenCommand::List => list(&tokens.list().await?, context),
        TokenCommand::Revoke { id } => {
            let revoked = tokens.revoke(&id).await?;
            if revoked == 0 {
                return Err(Failure::new(format_args!(
                    "no token of the id or consumer `{id}` is in use: `doorward token list` shows them"
                )));
            }
            if context.json {
                terminal::say_json(&json!({"revoked": revoked}));
            } else {
                terminal::say(format_args!("revoked {revoked} {}", if revoked == 1 { "token" } else { "tokens" }));
            }
        }
    }
    Ok(())
}

/// The only time that the text of a token is seen.
fn show_minted(minted: &doorward_gateway::MintedToken, json: bool) {
    let record = &minted.record;
    if json {
        return terminal::say_json(&json!({
            "id": record.id,
            "token": minted.token.expose(),
            "consumer": record.consumer,
            "grants": record.grants,
            "expires_at": record.expires_at.to_string(),
        }));
    }
    terminal::say(minted.token.expose());
    terminal::tell(format_args!(
        "token {} of {} for {}, until {}; it is not shown again",
        record.id,
        record.consumer,
        record.grants.join(", "),
        record.expires_at
    ));
}

fn list(records: &[TokenRecord], context: &Context<'_>) {
    if context.json {
        return terminal::say_json(&json!({"tokens": records}));
    }
    let now = context.world.clock.now();
    let row = |record: &TokenRecord| {
        vec![
            record.id.to_string(),
            record.consumer.to_string(),
            record.grants.join(","),
            record.expires_at.to_string(),
            state(record, now),
        ]
    };
    let rows: Vec<_> = records.iter().map(row).collect();
    terminal::say_table(&["ID", "CONSUMER", "GRANTS", "EXPIRES", "STATE"], &rows);
}

fn state(record: &TokenRecord, now: Timestamp) -> String {
    match record.revoked_at {
        Some(at) => format!("revoked {at}"),
        None if record.expires_at <= now => "expired".to_owned(),
        None => "good".to_owned(),
    }
}
