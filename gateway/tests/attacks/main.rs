//! What attackers send: targets that servers read differently, requests in requests, and the classes of holes that others had.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic; clippy exempts only functions marked as tests")]

mod answers;
mod known;
mod recorder;
#[path = "../rig/mod.rs"]
#[allow(dead_code, reason = "each suite uses a part of it")]
mod rig;
mod smuggling;
mod targets;
mod whatwg;
