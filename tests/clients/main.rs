//! The clients that people use, unchanged, with a consumer token: the built program between them and servers that ask for the real key.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]
#![expect(unreachable_pub, reason = "the modules of one test program see each other")]

mod anthropic;
mod client;
mod fake;
mod git;
mod github;
mod mcp;
mod openai;
mod stage;
