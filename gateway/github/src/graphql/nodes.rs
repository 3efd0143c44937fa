//! Node ids: what is done with a node, and how its repository is learned from GitHub.
//! <https://docs.github.com/en/graphql/guides/using-global-node-ids>

use std::collections::HashMap;

use serde::Deserialize;

use crate::effect::{Effect, RefChange, RepositoryName, Verb};

use super::GraphqlRefused;

/// A node that a request names by its id, and what it does there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUse {
    /// As it stands in the request.
    pub id: String,
    /// What is done.
    pub need: Need,
}

/// What is done with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// This, in the node's repository.
    Does(Verb),
    /// Writes to a conversation: the verb follows from what the node is (an issue, a pull request, a discussion, …).
    Converses,
    /// Moves a ref of the node's repository.
    MovesRef {
        /// Its full name, or `None` where the request does not tell.
        name: Option<String>,
        /// How.
        change: RefChange,
    },
    /// The node is a ref, and is moved.
    MovesIt(RefChange),
    /// The node is a pull request, whose head branch is moved, wherever that is.
    MovesHead(RefChange),
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Where it is.
    pub repository: RepositoryName,
    /// What it is.
    pub kind: Kind,
}

/// What a node is, as far as an effect depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An issue or a comment on one.
    Issue,
    /// A pull request, a review or a comment on one.
    PullRequest {
        /// Repository and full name of the ref that it wants to merge; `None` if that repository is gone.
        head: Option<(RepositoryName, String)>,
    },
    /// A discussion or a comment on one.
    Discussion,
    /// A comment on a commit.
    CommitComment,
    /// A release.
    Release,
    /// A ref, by its full name.
    Ref(String),
    /// Anything else.
    Other,
}

impl NodeUse {
    /// The effect on a node that was looked up. A node that is not of the needed kind is refused.
    pub fn effect(&self, node: &Resolved) -> Result<Effect, GraphqlRefused> {
        let repository = node.repository.clone();
        let unfit = || GraphqlRefused::Unresolved(self.id.clone());
        Ok(match (&self.need, &node.kind) {
            (Need::Does(verb), _) => Effect::Does { verb: *verb, repository },
            (Need::Converses, kind) => Effect::Does { verb: kind.conversation().ok_or_else(unfit)?, repository },
            (Need::MovesRef { name, change }, _) => {
                Effect::MovesRef { repository, name: name.clone(), change: *change }
            }
            (Need::MovesIt(change), Kind::Ref(name)) => {
                Effect::MovesRef { repository, name: Some(name.clone()), change: *change }
            }
            (Need::MovesHead(change), Kind::PullRequest { head: Some((repository, name)) }) => {
                Effect::MovesRef { repository: repository.clone(), name: Some(name.clone()), change: *change }
            }
            (Need::MovesIt(_) | Need::MovesHead(_), _) => return Err(unfit()),
        })
    }
}

impl Kind {
    fn conversation(&self) -> Option<Verb> {
        match self {
            Self::Issue => Some(Verb::IssuesWrite),
            Self::PullRequest { .. } => Some(Verb::PullsWrite),
            Self::Discussion => Some(Verb::DiscussionsWrite),
            Self::CommitComment => Some(Verb::ContentsWrite),
            Self::Release => Some(Verb::ReleasesWrite),
            Self::Ref(_) | Self::Other => None,
        }
    }
}

/// The longest id. GitHub's have less than 100 characters.
const MAX_ID: usize = 255;

/// Ids are base64 in one of its alphabets, with `_` behind a prefix; old ones of objects hold `:` and digits encoded.
pub(super) fn checked(id: &str) -> Result<&str, GraphqlRefused> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    let fits = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(allowed);
    if fits { Ok(id) } else { Err(GraphqlRefused::NodeId) }
}

/// What every permitted mutation can take, and what reading begins at. Each fragment asks for `repository` with the
/// same type, as one answer has to fit them all.
const LOOKUP: &str = "query($ids:[ID!]!){nodes(ids:$ids){__typename \
...on Repository{nameWithOwner} \
...on Issue{repository{nameWithOwner}} \
...on PullRequest{repository{nameWithOwner} headRefName headRepository{nameWithOwner}} \
...on IssueComment{repository{nameWithOwner} pullRequest{id}} \
...on PullRequestReview{repository{nameWithOwner}} \
...on PullRequestReviewComment{repository{nameWithOwner}} \
...on PullRequestReviewThread{repository{nameWithOwner}} \
...on CommitComment{repository{nameWithOwner}} \
...on Label{repository{nameWithOwner}} \
...on Milestone{repository{nameWithOwner}} \
...on Discussion{repository{nameWithOwner}} \
...on DiscussionCategory{repository{nameWithOwner}} \
...on DiscussionComment{discussion{repository{nameWithOwner}}} \
...on Release{repository{nameWithOwner}} \
...on Deployment{repository{nameWithOwner}} \
...on CheckSuite{repository{nameWithOwner}} \
...on CheckRun{repository{nameWithOwner}} \
...on Commit{repository{nameWithOwner}} \
...on Tree{repository{nameWithOwner}} \
...on Blob{repository{nameWithOwner}} \
...on Tag{repository{nameWithOwner}} \
...on Ref{repository{nameWithOwner} name prefix}}}";

/// The body of the gateway's own request to `POST /graphql`, for at most [`super::MAX_NODES`] ids.
pub fn lookup(ids: &[String]) -> Vec<u8> {
    serde_json::json!({ "query": LOOKUP, "variables": { "ids": ids } }).to_string().into_bytes()
}

/// The answer to [`lookup`] cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// It is not what GitHub answers to such a query.
    #[error("the answer is no answer to a lookup of nodes")]
    Format,
    /// It has another number of nodes than was asked for.
    #[error("the answer has {answered} nodes, but {asked} were asked for")]
    Length {
        /// In the question.
        asked: usize,
        /// In the answer.
        answered: usize,
    },
}

/// Reads the answer to [`lookup`] with the same `ids`. An id that is of no repository, or not seen by the credential,
/// is not in the map, and what uses it has to be refused.
///
/// Nodes come in the order of the ids; their own `id` is not asked for, since GitHub may answer an old id with a new one.
pub fn resolve(ids: &[String], answer: &[u8]) -> Result<HashMap<String, Resolved>, BadAnswer> {
    let answer: Answer = serde_json::from_slice(answer).map_err(|_| BadAnswer::Format)?;
    let nodes = answer.data.ok_or(BadAnswer::Format)?.nodes;
    if nodes.len() != ids.len() {
        return Err(BadAnswer::Length { asked: ids.len(), answered: nodes.len() });
    }
    let resolved = ids.iter().cloned().zip(nodes);
    Ok(resolved.filter_map(|(id, node)| Some((id, node?.resolved()?))).collect())
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    nodes: Vec<Option<Node>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    #[serde(rename = "__typename")]
    typename: String,
    name_with_owner: Option<String>,
    repository: Option<Named>,
    discussion: Option<Owned>,
    pull_request: Option<serde::de::IgnoredAny>,
    head_ref_name: Option<String>,
    head_repository: Option<Named>,
    name: Option<String>,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    name_with_owner: String,
}

#[derive(Deserialize)]
struct Owned {
    repository: Named,
}

impl Node {
    fn resolved(self) -> Option<Resolved> {
        let owner = self.discussion.as_ref().map(|discussion| &discussion.repository).or(self.repository.as_ref());
        let name = self.name_with_owner.as_ref().or(owner.map(|named| &named.name_with_owner))?;
        Some(Resolved { repository: name.parse().ok()?, kind: self.kind()? })
    }

    fn kind(&self) -> Option<Kind> {
        Some(match self.typename.as_str() {
            "Issue" => Kind::Issue,
            "IssueComment" if self.pull_request.is_none() => Kind::Issue,
            "PullRequest" => Kind::PullRequest { head: self.head() },
            "IssueComment" | "PullRequestReview" | "PullRequestReviewComment" | "PullRequestReviewThread" => {
                Kind::PullRequest { head: None }
            }
            "Discussion" | "DiscussionComment" => Kind::Discussion,
            "CommitComment" => Kind::CommitComment,
            "Release" => Kind::Release,
            "Ref" => Kind::Ref(format!("{}{}", self.prefix.as_ref()?, self.name.as_ref()?)),
            _ => Kind::Other,
        })
    }

    fn head(&self) -> Option<(RepositoryName, String)> {
        let repository = self.head_repository.as_ref()?.name_with_owner.parse().ok()?;
        Some((repository, format!("refs/heads/{}", self.head_ref_name.as_ref()?)))
    }
}
