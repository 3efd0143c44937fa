//! What a request to GitHub does, by effect and not by spelling, and what a grant says to it. No I/O happens here.

mod effect;
pub mod graphql;
mod links;
mod refs;
mod rest;
mod rules;

pub use effect::{BadRepositoryName, Effect, RefChange, RepositoryName, UnknownVerb, Verb};
pub use links::{BadBase, LinkRewriter, Links};
pub use refs::BadRef;
pub use rest::{RestCall, RestRefused, RestRequest};
pub use rules::{BadRule, Decision, Rule, Rules};
