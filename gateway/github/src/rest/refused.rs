//! Why a request is refused before any grant is asked.

use crate::effect::BadRepositoryName;
use crate::refs::BadRef;

/// What is wrong with a request, in a sentence for who sent it. No word of a body or of a credential is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestRefused {
    /// No such method.
    #[error("this method is not one of GET, HEAD, POST, PUT, PATCH and DELETE")]
    Method,
    /// The path could be read in two ways.
    #[error("the path can be read in more than one way: {0}")]
    Path(&'static str),
    /// The path names no repository where one has to stand.
    #[error(transparent)]
    Repository(#[from] BadRepositoryName),
    /// Nothing in the table fits.
    #[error("no request of this method and path is known here, and what is not known is refused")]
    UnknownRoute,
    /// The answer would tell of repositories, or the request change repositories, that it does not name.
    #[error("this reaches repositories that the request does not name; ask below `/repos/OWNER/REPO`")]
    ReachesOtherRepositories,
    /// It changes or shows what belongs to the account.
    #[error("this belongs to the account whose key the gateway keeps, not to a repository")]
    Account,
    /// It names an issue by a number that is unique at GitHub, not in a repository.
    #[error("this names an issue by an id that does not tell its repository, so no grant can be asked")]
    NamesById,
    /// A part of the query would make another request of it.
    #[error("the query has `_method`, which could turn the request into another")]
    MethodOverride,
    /// The query could be read in two ways.
    #[error("the query can be read in more than one way: {0}")]
    Query(&'static str),
    /// What decides is in the query, where a server might prefer it to the body.
    #[error("`{0}` decides what the request does and has to stand in the body alone, once")]
    InQuery(&'static str),
    /// A body where none belongs.
    #[error("a request that only reads has no body")]
    BodyOfARead,
    /// The body cannot be read in one way.
    #[error("the body cannot be read: {0}")]
    Body(String),
    /// A field that decides is missing.
    #[error("`{0}` is missing, and it decides what the request does")]
    Missing(&'static str),
    /// A field that decides has a value of another kind.
    #[error("`{field}` has to be {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it has to be.
        expected: &'static str,
    },
    /// A ref, branch or tag whose name is none, or could be read as another's.
    #[error("the name of the ref is none, or could be read as another's: {0}")]
    Ref(#[from] BadRef),
    /// Something that has to name two refs does not.
    #[error("a comparison is `BASE...HEAD`")]
    Comparison,
    /// A comparison with a repository that is not named whole.
    #[error("name the other repository whole: `OWNER:REPO:BRANCH` in a comparison, `head_repo` in a pull request")]
    OtherRepositoryUnnamed,
    /// A search that is not bound to repositories, or could be read as one that is not.
    #[error("a search has to be bound to repositories by `repo:OWNER/REPO`: {0}")]
    Search(&'static str),
}
