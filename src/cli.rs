//! The command line: what can be typed, and how it is read.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use doorward_gateway::config::{HumanDuration, UnitError};
use doorward_gateway::{Decision, Moment, StatusFilter, UsageBy};
use reqwest::Url;

/// AI agents in your Matrix rooms; your keys stay behind the door.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, arg_required_else_help = true)]
pub struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Configuration file [default: $DOORWARD_CONFIG, else doorward.toml, else .doorward/doorward.toml]"
    )]
    pub config: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything in one process: appservice, agents and gateway
    Up(UpArgs),
    /// Run the appservice and its agents alone
    Appservice,
    /// Run the gateway alone
    Gateway,
    /// Write doorward.toml and registration.yaml with fresh tokens
    Init(InitArgs),
    /// Examine configuration, databases, homeserver and credentials, and name the cure
    Check,
    /// Talk in a room from this terminal, as the account of `doorward up --local`
    Chat(ChatArgs),
    /// Make and steer workers
    #[command(subcommand)]
    Worker(WorkerCommand),
    /// Consumer tokens: what an agent shows to the gateway
    #[command(subcommand)]
    Token(TokenCommand),
    /// Real credentials, encrypted at rest
    #[command(subcommand)]
    Secret(SecretCommand),
    /// Requests that are held until a human has answered
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// What was asked of the gateway
    Audit(AuditArgs),
    /// What it cost
    Usage(UsageArgs),
}

/// `doorward up`
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Provide a homeserver, an account and a first room too; needs no configuration
    #[arg(long, conflicts_with = "config")]
    pub local: bool,
    /// A scripted stand-in instead of a model: a first look without an API key
    #[arg(long, requires = "local")]
    pub rehearsal: bool,
    /// Where `--local` keeps all its state
    #[arg(long, requires = "local", value_name = "DIR", default_value = crate::local::DEFAULT_DATA)]
    pub data: PathBuf,
    /// Where `--local` keeps the programs it downloads; several data folders may share one [default: DIR/tools]
    #[arg(long, requires = "local", value_name = "DIR")]
    pub tools: Option<PathBuf>,
}

/// `doorward init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// How doorward reaches the homeserver
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8008")]
    pub homeserver: Url,
    /// The part of the homeserver's ids after the colon [default: the host of the URL]
    #[arg(long, value_name = "NAME")]
    pub server_name: Option<String>,
    /// Where to write
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// `doorward chat`
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// A room by name, alias or id [default: the first room]
    pub room: Option<String>,
}

/// `doorward worker …`
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// Make a worker: the virtual user @worker-NAME
    Create {
        /// Its name
        name: String,
        /// What thinks for it
        #[arg(long, value_name = "R")]
        runtime: Option<String>,
        /// The model it asks for
        #[arg(long, value_name = "M")]
        model: Option<String>,
        /// What it may do
        #[arg(long, value_name = "G")]
        grant: Option<String>,
    },
    /// List the workers
    List,
    /// Show one worker
    Show {
        /// Its name
        name: String,
    },
    /// Let a worker keep what it is told, and answer later
    Pause {
        /// Its name
        name: String,
    },
    /// Let a paused worker go on
    Resume {
        /// Its name
        name: String,
    },
    /// Remove a worker; it leaves its rooms
    Remove {
        /// Its name
        name: String,
    },
}

/// `doorward token …`
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and print it this once
    Mint {
        /// Who will show it
        #[arg(long, value_name = "NAME")]
        consumer: String,
        /// A grant of the configuration; may be given again
        #[arg(long = "grant", value_name = "G", default_value = "default")]
        grants: Vec<String>,
        /// How long it works: 90s, 15m, 1h, 30d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        ttl: Duration,
    },
    /// List the tokens, never their values
    List,
    /// Give a token a new text under the same id, or all tokens of a consumer; printed this once
    Rotate {
        /// The public id of a token, or the name of a consumer
        id: String,
        /// For so long the old text stays good
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = overlap)]
        overlap: Duration,
        /// How long the new text works [default: as long as the old one did]
        #[arg(long, value_name = "TIME", value_parser = duration)]
        ttl: Option<Duration>,
    },
    /// End a token at once, or all tokens of a consumer
    Revoke {
        /// The public id of a token, or the name of a consumer
        id: String,
    },
}

/// `doorward secret …`
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Keep a credential that is read from standard input
    Set {
        /// Its name, as the configuration says: credential = { secret = "NAME" }
        name: String,
    },
    /// List the names
    List,
    /// Forget a credential
    Remove {
        /// Its name
        name: String,
    },
}

/// `doorward approvals …`
#[derive(Debug, Subcommand)]
pub enum ApprovalsCommand {
    /// List the requests that wait
    List {
        /// Those of the last thirty days too, with what became of them
        #[arg(long)]
        all: bool,
    },
    /// Show one request with what a human needs to decide
    Show {
        /// Its id
        id: String,
    },
    /// Let a request through
    Approve {
        /// Its id
        id: String,
        /// Who answers, and why.
        #[command(flatten)]
        answer: AnswerArgs,
    },
    /// Refuse a request
    Deny {
        /// Its id
        id: String,
        /// Who answers, and why.
        #[command(flatten)]
        answer: AnswerArgs,
    },
}

/// Who answers a held request, and why.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// Why; the agent is told
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who answers [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

/// `doorward audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only this consumer
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Only from this time on: 15m, 24h, 30d (before now), or 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Only what was allowed or refused
    #[arg(long, value_name = "allowed|refused")]
    pub decision: Option<Decision>,
    /// Only this status, such as 403, or class of them, such as 4xx
    #[arg(long, value_name = "STATUS")]
    pub status: Option<StatusFilter>,
    /// Only this model; `*` stands for any characters
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// Only this upstream
    #[arg(long, value_name = "NAME")]
    pub upstream: Option<String>,
    /// Only paths that begin so, or fit a pattern in which `*` stands for any characters
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// At most so many, the newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u32,
}

/// `doorward usage`
#[derive(Debug, Args)]
pub struct UsageArgs {
    /// Only this consumer
    #[arg(long, value_name = "NAME")]
    pub consumer: Option<String>,
    /// Only from this time on: 15m, 24h, 30d (before now), or 2026-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// What to sum by: some of consumer, model and day
    #[arg(long, value_name = "WORDS", default_value_t)]
    pub by: UsageBy,
}

/// Reads `90s`, `15m`, `1h`, `30d`; no time at all is a mistake.
fn duration(text: &str) -> Result<Duration, String> {
    let HumanDuration(duration) = text.parse().map_err(|error: UnitError| error.to_string())?;
    if duration.is_zero() { Err("write a time longer than that".to_owned()) } else { Ok(duration) }
}

/// The same, or `0s`.
fn overlap(text: &str) -> Result<Duration, String> {
    let HumanDuration(duration) = text.parse().map_err(|error: UnitError| error.to_string())?;
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_lines_of_the_contract_are_understood() {
        for line in [
            "doorward up --config other.toml",
            "doorward up --local --rehearsal --data here",
            "doorward appservice",
            "doorward gateway",
            "doorward init --homeserver http://h:1 --server-name example.org --out there",
            "doorward check --json",
            "doorward chat Doorward",
            "doorward worker create alice --runtime builtin --model m --grant g",
            "doorward token mint --consumer ci --grant a --grant b --ttl 30d --json",
            "doorward token rotate tok_1 --overlap 60s",
            "doorward token rotate ci --overlap 0s --ttl 1h --json",
            "doorward token revoke ci",
            "doorward approvals list --all --json",
            "doorward approvals show k7f3",
            "doorward approvals approve k7f3 --by me",
            "doorward approvals deny k7f3 --reason text",
            "doorward secret set openai",
            "doorward audit --consumer ci --limit 5",
            "doorward audit --since 24h --until 2026-01-31T00:00:00Z --decision refused --status 4xx --upstream up",
            "doorward audit --path /api/v3/*/merge --model gpt-* --json",
            "doorward usage --since 24h",
            "doorward usage --by consumer,model,day",
        ] {
            parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn wrong_usage_is_exit_code_2() {
        for line in [
            "doorward frobnicate",
            "doorward up --rehearsal",
            "doorward up --local --config x.toml",
            "doorward secret set name value",
            "doorward token mint",
            "doorward token mint --consumer a --ttl soon",
            "doorward token mint --consumer a --ttl 0s",
            "doorward token rotate a --ttl 0s",
            "doorward token rotate a --overlap soon",
            "doorward approvals approve",
            "doorward approvals",
            "doorward audit --since yesterday",
            "doorward audit --decision maybe",
            "doorward audit --status 4x",
            "doorward usage --by month",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn a_time_to_live_is_read_as_the_contract_writes_it() {
        assert_eq!(duration("30d"), Ok(Duration::from_hours(30 * 24)));
        for wrong in ["", "h", "1", "1w", "-1h", "0s", "99999999999999999999d", "ü"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
