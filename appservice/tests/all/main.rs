//! The framework as a bot and as a homeserver see it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod conformance;
mod durability;
mod example;
mod health;
mod inbox;
mod intent;
mod members;
mod outbox;
mod registering;
mod support;
