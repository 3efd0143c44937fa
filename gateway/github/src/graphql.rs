//! GitHub's GraphQL API: what a request does, read from its text and its variables.
//!
//! One GraphQL endpoint reaches every repository that the credential reaches, and its mutations do what REST's writes
//! do, so the text is parsed (<https://spec.graphql.org/September2025/>) and every part has to be known:
//!
//! - Mutations are allowed by name, from one table that lists all of their input fields (`mutations`).
//! - Queries begin at a few root fields (`reading`). Below a repository, an object field is followed only if a list
//!   says that it stays in the repository; of an object that may lie elsewhere (an owner, a fork's parent) only a few
//!   scalars may be asked (`fields`).
//! - A node's id does not tell its repository: the gateway asks GitHub ([`lookup`], [`resolve`]) before it decides.
//! - `@skip` and `@include` are not looked at: what might run counts.
//!
//! GitHub reads the same bytes with another parser. What two parsers may take differently is refused: a key, argument,
//! variable, operation or fragment given twice, characters outside ASCII (but in strings), a lone carriage return.
//!
//! The caller has to refuse what would get around the body: another method than `POST`, a query string, another
//! content type than JSON.
//!
//! # The parser
//!
//! `apollo-parser`: it follows the specification of September 2025, is kept by those who run it in a gateway, keeps
//! a key that is given twice (so that it can be refused), and has limits for recursion and tokens. `async-graphql-parser`
//! drops the first of two equal keys and brings `pest`; `graphql-parser` does too, and follows an older specification;
//! `cynic-parser` needs no stack, but brings a lexer generator with procedural macros and is under the MPL.

mod body;
mod document;
mod fields;
mod input;
mod mutations;
mod nodes;
mod outline;
mod reading;
#[cfg(test)]
mod tests;
mod text;

pub use nodes::{BadAnswer, Kind, Need, NodeUse, Resolved, lookup, resolve};
pub use outline::{Outline, outline};

use crate::effect::Effect;
use crate::rest::RestRefused;
use document::{Document, OperationKind};

/// The longest query text, in bytes. Long values belong into variables.
pub const MAX_TEXT: usize = 256 << 10;
/// How deep braces, brackets and parentheses may nest, in the text and again with its fragments in place.
pub const MAX_DEPTH: usize = 64;
/// How many fields a request may ask for, its fragments in place.
const MAX_FIELDS: usize = 20_000;
/// How many different node ids, and how many different effects, a request may have. GitHub's `nodes` takes 100 ids.
pub const MAX_NODES: usize = 100;

/// What a GraphQL request does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphqlRequest {
    /// Where the text or the variables name the repository.
    pub effects: Vec<Effect>,
    /// Nodes whose repository has to be looked up before these uses can be decided ([`NodeUse::effect`]).
    pub nodes: Vec<NodeUse>,
}

impl GraphqlRequest {
    /// The different ids in `nodes`, for [`lookup`].
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.nodes.iter().map(|node| node.id.clone()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    fn add(&mut self, effect: Effect) -> Result<(), GraphqlRefused> {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
        if self.effects.len() > MAX_NODES { Err(GraphqlRefused::TooMany) } else { Ok(()) }
    }

    fn add_node(&mut self, id: &str, need: Need) -> Result<(), GraphqlRefused> {
        let node = NodeUse { id: nodes::checked(id)?.to_owned(), need };
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
        if self.nodes.len() > MAX_NODES { Err(GraphqlRefused::TooMany) } else { Ok(()) }
    }
}

/// Why a request is refused, whatever a grant says. Each sentence may be told to the consumer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphqlRefused {
    /// The body is not `{"query", "variables", "operationName"}`, each at most once.
    #[error("the body is no GraphQL request: {0}")]
    Body(String),
    /// The text cannot be parsed, or two parsers may take it differently.
    #[error("the query cannot be parsed: {0}")]
    Text(String),
    /// Longer than [`MAX_TEXT`].
    #[error("the query is longer than {MAX_TEXT} bytes: put long values into variables")]
    TooLong,
    /// Deeper than [`MAX_DEPTH`], or with fragments that contain themselves.
    #[error("the query nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More fields, node ids or repositories than are checked.
    #[error("the query asks for too much at once: at most {MAX_NODES} nodes or repositories and {MAX_FIELDS} fields")]
    TooMany,
    /// It cannot be told which operation will run, or it is none that is allowed.
    #[error("{0}")]
    Operation(&'static str),
    /// A fragment that is spread is not there, or contains itself.
    #[error("the fragment `{0}` is missing or contains itself")]
    Fragment(String),
    /// A field of the query root that reads more than one repository, or is not known.
    #[error("the query `{0}` is not allowed through the gateway")]
    Query(String),
    /// A field that may lead out of the repository, or is not known.
    #[error("the field `{0}` may lead out of the repository, and is not allowed through the gateway here")]
    Field(String),
    /// An argument that is missing, not known, or not of the expected kind.
    #[error("the argument `{argument}` of `{field}` is missing, not known or not what is expected")]
    Argument {
        /// Of which field.
        field: String,
        /// Its name.
        argument: String,
    },
    /// No such mutation is in the table.
    #[error("the mutation `{0}` is not allowed through the gateway")]
    Mutation(String),
    /// A search that is not confined to named repositories.
    #[error("{0}")]
    Search(RestRefused),
    /// Only issues and pull requests can be searched.
    #[error("only issues and pull requests can be searched through the gateway")]
    SearchType,
    /// This cannot be a node's id.
    #[error("this is no node id")]
    NodeId,
    /// The node is of no repository, cannot be seen, or is not of the kind that the request needs.
    #[error("the node `{0}` cannot be told to be in a repository")]
    Unresolved(String),
}

/// Reads the JSON body of a `POST /graphql`.
///
/// What it returns has at least one effect or node: a request that does nothing known is refused.
pub fn read(body: &[u8]) -> Result<GraphqlRequest, GraphqlRefused> {
    let body = body::read(body)?;
    text::check(&body.query)?;
    let document = Document::parse(&body)?;
    let found = match document.kind {
        OperationKind::Query => reading::query(&document)?,
        OperationKind::Mutation => mutations::mutation(&document)?,
    };
    let does_nothing = found.effects.is_empty() && found.nodes.is_empty();
    if does_nothing { Err(GraphqlRefused::Operation("the operation asks for nothing")) } else { Ok(found) }
}
