//! The gateway as its users see it: real sockets on both sides.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

mod admin;
mod approvals;
mod canary;
mod models;
mod opening;
mod pass_through;
mod refusals;
mod rig;
mod streams;
mod trouble;
