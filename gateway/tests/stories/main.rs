//! The gateway as its users see it: real sockets on both sides.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

mod admin;
mod anthropic;
mod approvals;
mod budgets;
mod fallback;
mod flow;
mod git;
mod github;
mod github_app;
mod held;
mod http;
mod limits;
mod mcp;
mod models;
mod opening;
mod pass_through;
mod paths;
mod refusals;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "each suite uses a part of it")]
mod rig;
mod seeing;
mod spending;
mod streams;
mod trouble;
