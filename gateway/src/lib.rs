//! A credential gateway for AI agents. An agent holds one short-lived consumer token; the real keys stay here and are put in on
//! the way to the upstream.
//!
//! [`Gateway::open`] makes one from its configuration; [`Gateway::consumer_router`] and [`Gateway::admin_router`] are served on two
//! listeners; [`Gateway::run`] does the background work. [`Tokens`], [`Secrets`] and [`AuditLog`] work on the database alone, whether
//! or not a gateway is running:
//!
//! ```no_run
//! # async fn example(config: doorward_gateway::config::GatewayConfig) -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use doorward_base::{Random, SystemClock};
//! use doorward_gateway::{ConsumerName, Tokens, open_database};
//!
//! let database = open_database(&config.database).await?;
//! let tokens = Tokens::new(database, Arc::new(SystemClock), Random::from_os());
//! let minted = tokens.mint(ConsumerName::new("alice")?, vec!["default".into()], std::time::Duration::from_secs(3600)).await?;
//! # let _ = minted; Ok(()) }
//! ```

mod admin;
mod admin_token;
mod approvals;
mod audit;
mod budget;
mod check;
pub mod config;
mod consumer;
mod credential;
mod credentials;
mod destinations;
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod health;
mod metrics;
mod open_calls;
mod policy;
mod private_file;
mod secrets;
mod store;
mod telemetry;
mod token;
mod tokens;
mod upstream;
mod vault;

pub use approvals::{
    Answer, AnswerError, ApprovalId, ApprovalRecord, ApprovalState, Approvals, BadAnswer, Verdict, WhichApprovals,
};
pub use audit::{
    AuditFilter, AuditLog, AuditRow, BadFilter, Decision, Ending, Moment, PathPattern, Pattern, StatusFilter, UsageBy,
    UsageRow,
};
pub use budget::{BudgetState, budget_states};
pub use check::Finding;
pub use credential::{BadCredential, Credential};
pub use credentials::Environment;
pub use gateway::{Gateway, OpenError};
pub use private_file::PrivateFileError;
pub use secrets::{BadSecretName, SecretName, SecretRecord, Secrets, SecretsError};
pub use store::open_database;
pub use token::{ConsumerToken, MalformedToken};
pub use tokens::{BadConsumerName, ConsumerName, MintedToken, RotateError, Rotation, TokenId, TokenRecord, Tokens};
