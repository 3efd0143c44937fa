//! `doorward audit`, `doorward usage`

use doorward_base::Timestamp;
use doorward_gateway::config::{BudgetConfig, Usd};
use doorward_gateway::{AuditFilter, AuditLog, AuditRow, BudgetState, UsageBy, UsageRow, budget_states};
use serde_json::json;

use super::Context;
use crate::cli::{AuditArgs, UsageArgs};
use crate::failure::Failure;
use crate::terminal;

pub(super) async fn list(args: &AuditArgs, context: &Context<'_>) -> Result<(), Failure> {
    let database = context.gateway_database(&context.config()?).await?;
    let rows = AuditLog::new(database).list(&filter(args, context.world.clock.now()), args.limit).await?;
    if context.json {
        terminal::say_json(&json!({"audit": rows}));
        return Ok(());
    }
    let header =
        ["AT", "CONSUMER", "REQUEST", "WHAT", "UPSTREAM", "GRANT", "DECISION", "STATUS", "TOKENS", "COST", "MS"];
    terminal::say_table(&header, &rows.iter().map(audit_row).collect::<Vec<_>>());
    Ok(())
}

fn filter(args: &AuditArgs, now: Timestamp) -> AuditFilter {
    AuditFilter {
        consumer: args.consumer.clone(),
        since: args.since.map(|moment| moment.at(now)),
        until: args.until.map(|moment| moment.at(now)),
        decision: args.decision,
        status: args.status,
        model: args.model.as_deref().map(Into::into),
        upstream: args.upstream.clone(),
        path: args.path.as_deref().map(Into::into),
    }
}

pub(super) async fn usage(args: &UsageArgs, context: &Context<'_>) -> Result<(), Failure> {
    let now = context.world.clock.now();
    let config = context.config()?;
    let database = context.gateway_database(&config).await?;
    let consumer = args.consumer.as_deref();
    let since = args.since.map_or(Timestamp::from_millis(0), |moment| moment.at(now));
    let rows = AuditLog::new(database.clone()).usage(consumer, since, args.by).await?;
    let budgets = budget_states(&database, &config.grants, consumer, now).await?;
    if context.json {
        terminal::say_json(&json!({"usage": rows, "budgets": budgets}));
        return Ok(());
    }
    terminal::say_table(&usage_header(args.by), &rows.iter().map(usage_row).collect::<Vec<_>>());
    let limited: Vec<_> = budgets.iter().filter(|state| state.limits != BudgetConfig::default()).collect();
    if !limited.is_empty() {
        terminal::say("");
        let header = ["CONSUMER", "GRANT", "TOKENS TODAY", "COST TODAY", "TOKENS IN ALL", "COST IN ALL", "RENEWS AT"];
        terminal::say_table(&header, &limited.into_iter().map(budget_row).collect::<Vec<_>>());
    }
    Ok(())
}

fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "-".to_owned(), |text| text.to_string())
}

fn audit_row(row: &AuditRow) -> Vec<String> {
    let tokens = match (row.prompt_tokens, row.completion_tokens) {
        (None, None) => "-".to_owned(),
        (prompt, completion) => format!("{}+{}", prompt.unwrap_or(0), completion.unwrap_or(0)),
    };
    let mut decision = row.decision.as_str().to_owned();
    if let Some(human) = &row.approved_by {
        decision += &format!(" by {human}");
    }
    if let Some(reason) = &row.reason {
        decision += &format!(" ({reason})");
    }
    let what: Vec<&str> = [&row.model, &row.effects].into_iter().flatten().map(String::as_str).collect();
    vec![
        row.at.to_string(),
        or_dash(row.consumer.as_ref()),
        format!("{} {}", row.method, row.path),
        or_dash((!what.is_empty()).then(|| what.join(", "))),
        or_dash(row.upstream.as_ref()),
        or_dash(row.grant.as_ref()),
        decision,
        row.status.to_string(),
        tokens,
        or_dash(row.usd),
        row.latency_ms.to_string(),
    ]
}

/// The columns that are summed by, as far as they are asked for, and the sums.
fn usage_header(by: UsageBy) -> Vec<&'static str> {
    let dimensions = [(by.day, "DAY"), (by.consumer, "CONSUMER"), (by.model, "MODEL")];
    let dimensions = dimensions.into_iter().filter_map(|(given, word)| given.then_some(word));
    dimensions.chain(["REQUESTS", "PROMPT TOKENS", "CACHED", "COMPLETION TOKENS", "COST"]).collect()
}

fn usage_row(row: &UsageRow) -> Vec<String> {
    let dimensions = [&row.day, &row.consumer, &row.model].into_iter().flatten().cloned();
    let counts = [row.requests, row.prompt_tokens, row.cached_tokens, row.completion_tokens];
    dimensions.chain(counts.iter().map(ToString::to_string)).chain([row.usd.to_string()]).collect()
}

fn budget_row(state: &BudgetState) -> Vec<String> {
    let limits = state.limits;
    vec![
        state.consumer.clone(),
        state.grant.clone(),
        of(state.tokens_today, limits.tokens_per_day),
        of_money(state.usd_today, limits.usd_per_day),
        of(state.tokens_total, limits.tokens_total),
        of_money(state.usd_total, limits.usd_total),
        state.renews_at.to_string(),
    ]
}

fn of(used: u64, limit: Option<u64>) -> String {
    limit.map_or_else(|| used.to_string(), |limit| format!("{used} of {limit}"))
}

fn of_money(used: Usd, limit: Option<Usd>) -> String {
    limit.map_or_else(|| used.to_string(), |limit| format!("{used} of {limit}"))
}
