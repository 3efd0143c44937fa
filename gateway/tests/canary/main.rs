//! Secrets and prompts are where they belong and nowhere else: canaries in every place and every rendering, in both directions.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

mod echoes;
mod files;
mod logs;
mod outward;
mod renderings;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "each suite uses a part of it")]
mod rig;
mod secrets;
