//! Stories, end to end: the built program, a real Synapse, a human at a client, and a model behind the gateway that follows a script.

mod model;
mod secrets;
mod spine;
mod stage;
mod steering;
mod trouble;
