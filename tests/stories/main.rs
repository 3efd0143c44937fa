//! Stories, end to end: the built program, a real Synapse, a human at a client, and a model behind the gateway that follows a script.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]
#![expect(unreachable_pub, reason = "the modules of one test program see each other")]

mod model;
mod secrets;
mod spine;
mod stage;
mod steering;
mod tls;
mod trouble;
