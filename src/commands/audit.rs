//! `doorward audit`, `doorward usage`

use doorward_base::Timestamp;
use doorward_gateway::{AuditLog, AuditRow, UsageRow};
use serde_json::json;

use super::Context;
use crate::cli::{AuditArgs, UsageArgs};
use crate::failure::Failure;
use crate::terminal;

pub(super) async fn list(args: &AuditArgs, context: &Context<'_>) -> Result<(), Failure> {
    let rows = log(context).await?.list(args.consumer.as_deref(), args.limit).await?;
    if context.json {
        terminal::say_json(&json!({"audit": rows}));
        return Ok(());
    }
    let header = ["AT", "CONSUMER", "REQUEST", "MODEL", "UPSTREAM", "DECISION", "STATUS", "TOKENS", "MS"];
    terminal::say_table(&header, &rows.iter().map(audit_row).collect::<Vec<_>>());
    Ok(())
}

pub(super) async fn usage(args: &UsageArgs, context: &Context<'_>) -> Result<(), Failure> {
    let now = context.world.clock.now();
    let beginning = Timestamp::from_millis(0);
    let since = args.since.map_or(beginning, |time| beginning.plus(now.since(beginning).saturating_sub(time)));
    let rows = log(context).await?.usage(args.consumer.as_deref(), since).await?;
    if context.json {
        terminal::say_json(&json!({"usage": rows}));
        return Ok(());
    }
    let header = ["CONSUMER", "MODEL", "REQUESTS", "PROMPT TOKENS", "COMPLETION TOKENS"];
    terminal::say_table(&header, &rows.iter().map(usage_row).collect::<Vec<_>>());
    Ok(())
}

async fn log(context: &Context<'_>) -> Result<AuditLog, Failure> {
    let config = context.config()?;
    Ok(AuditLog::new(context.gateway_database(&config).await?))
}

fn audit_row(row: &AuditRow) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let tokens = match (row.prompt_tokens, row.completion_tokens) {
        (None, None) => "-".to_owned(),
        (prompt, completion) => format!("{}+{}", prompt.unwrap_or(0), completion.unwrap_or(0)),
    };
    let decision = match &row.reason {
        Some(reason) => format!("{} ({reason})", row.decision.as_str()),
        None => row.decision.as_str().to_owned(),
    };
    vec![
        row.at.to_string(),
        or_dash(&row.consumer),
        format!("{} {}", row.method, row.path),
        or_dash(&row.model),
        or_dash(&row.upstream),
        decision,
        row.status.to_string(),
        tokens,
        row.latency_ms.to_string(),
    ]
}

fn usage_row(row: &UsageRow) -> Vec<String> {
    vec![
        row.consumer.clone(),
        row.model.clone(),
        row.requests.to_string(),
        row.prompt_tokens.to_string(),
        row.completion_tokens.to_string(),
    ]
}
