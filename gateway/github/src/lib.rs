//! What a request to GitHub does, by effect and not by spelling, and what a grant says to it. No I/O happens here.

mod effect;
mod rules;

pub use effect::{BadRepositoryName, Effect, RefChange, RepositoryName, UnknownVerb, Verb};
pub use rules::{BadRule, Decision, Rule, Rules};
