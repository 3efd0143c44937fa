//! `doorward approvals …`

use doorward_gateway::{Answer, AnswerError, ApprovalId, ApprovalRecord, Approvals, Verdict, WhichApprovals};
use serde_json::json;

use super::Context;
use crate::Environment;
use crate::cli::{AnswerArgs, ApprovalsCommand};
use crate::failure::Failure;
use crate::terminal;

pub(super) async fn run(command: ApprovalsCommand, context: &Context<'_>) -> Result<(), Failure> {
    let config = context.config()?;
    let database = context.gateway_database(&config).await?;
    let world = context.world;
    let timeout = config.gateway.approval_timeout.0;
    let approvals = Approvals::new(database, world.clock.clone(), world.random.clone(), timeout);
    match command {
        ApprovalsCommand::List { all } => {
            let which = if all { WhichApprovals::All } else { WhichApprovals::Open };
            list(&approvals.list(which).await?, context.json);
            Ok(())
        }
        ApprovalsCommand::Show { id } => show(&approvals, &id, context.json).await,
        ApprovalsCommand::Approve { id, answer } => give(&approvals, &id, Verdict::Approve, &answer, context).await,
        ApprovalsCommand::Deny { id, answer } => give(&approvals, &id, Verdict::Deny, &answer, context).await,
    }
}

async fn give(
    approvals: &Approvals,
    id: &str,
    verdict: Verdict,
    args: &AnswerArgs,
    context: &Context<'_>,
) -> Result<(), Failure> {
    let by = args.by.as_deref().unwrap_or_else(|| user(&context.world.environment));
    let answer = Answer::new(verdict, by, args.reason.as_deref())?;
    let record = approvals.answer(&read(id)?, &answer).await.map_err(|error| match error {
        AnswerError::Unknown => unknown(id),
        other => other.into(),
    })?;
    if context.json {
        terminal::say_json(&record);
    } else {
        terminal::say(format_args!("{} {}", record.state.as_str(), record.id));
    }
    Ok(())
}

async fn show(approvals: &Approvals, id: &str, json: bool) -> Result<(), Failure> {
    let record = approvals.get(&read(id)?).await?.ok_or_else(|| unknown(id))?;
    if json {
        terminal::say_json(&record);
        return Ok(());
    }
    terminal::say(&record.summary);
    terminal::say(format_args!("\n{} asks with {} since {}", record.consumer, record.token_id, record.created_at));
    terminal::say(format_args!("{}, until {}", record.state.as_str(), record.expires_at));
    terminal::say(format_args!("SHA-256 of the request: {}", record.digest));
    Ok(())
}

fn read(id: &str) -> Result<ApprovalId, Failure> {
    ApprovalId::read(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Failure {
    Failure::new(format_args!("there is no request `{id}`: `doorward approvals list` shows those that wait"))
}

/// Whoever is logged in on this machine.
fn user(environment: &Environment) -> &str {
    ["SUDO_USER", "USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| environment.get(name))
        .unwrap_or("operator")
}

fn list(records: &[ApprovalRecord], json: bool) {
    if json {
        return terminal::say_json(&json!({"approvals": records}));
    }
    let header = ["ID", "STATE", "CONSUMER", "EFFECTS", "REQUEST", "UPSTREAM", "EXPIRES", "ANSWERED"];
    terminal::say_table(&header, &records.iter().map(row).collect::<Vec<_>>());
}

fn row(record: &ApprovalRecord) -> Vec<String> {
    let answered = match (&record.answered_by, &record.reason) {
        (Some(by), Some(reason)) => format!("{by}: {reason}"),
        (Some(by), None) => by.clone(),
        (None, _) => "-".to_owned(),
    };
    vec![
        record.id.to_string(),
        record.state.as_str().to_owned(),
        record.consumer.clone(),
        record.effects.join(", "),
        format!("{} {}", record.method, record.path),
        record.upstream.clone(),
        record.expires_at.to_string(),
        answered,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_the_user_of_the_machine_or_the_operator() {
        let named: Environment = [("USER", "root"), ("SUDO_USER", "ann")].into_iter().collect();
        assert_eq!((user(&named), user(&Environment::default())), ("ann", "operator"));
    }
}
