//! `doorward token …`

use doorward_base::Timestamp;
use doorward_gateway::config::check_known;
use doorward_gateway::{ConsumerName, MintedToken, Rotation, TokenId, TokenRecord, Tokens};
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
        TokenCommand::Rotate { id, overlap, ttl } => {
            let rotated = tokens.rotate(&id, Rotation { overlap, ttl }).await?;
            show_rotated(&rotated, TokenId::is_named_by(&id), context.json);
        }
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
fn show_minted(minted: &MintedToken, json: bool) {
    if json {
        return terminal::say_json(minted);
    }
    let record = &minted.record;
    terminal::say(minted.token.expose());
    terminal::tell(format_args!(
        "token {} of {} for {}, until {}; it is not shown again",
        record.id,
        record.consumer,
        record.grants.join(", "),
        record.expires_at
    ));
}

/// The same for new texts; one object for an id, a list for the name of a consumer.
fn show_rotated(rotated: &[MintedToken], by_id: bool, json: bool) {
    if json && !by_id {
        return terminal::say_json(&json!({"tokens": rotated}));
    }
    for minted in rotated {
        show_minted(minted, json);
        if let Some(until) = minted.record.old_text_until.filter(|_| !json) {
            terminal::tell(format_args!("the token before it is good until {until}"));
        }
    }
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
        None => match record.old_text_until {
            Some(until) => format!("good, rotated at {}, old text until {until}", record.created_at),
            None => "good".to_owned(),
        },
    }
}
