//! Which fields stay in a repository.
//!
//! The lists hold names without types, so that the schema need not be kept here. They were checked against GitHub's
//! schema (version 15.26 of `@octokit/graphql-schema`): from the node types of [`super::nodes`], the payloads of
//! [`super::mutations`] and issues found by search, no path of [`STAYS`] reaches an account, a team, an organization's
//! project or another repository. Who adds a name has to check that again: a name counts wherever it appears.

/// Object fields whose objects lie in the same repository (or, as a licence, in none) wherever they are reached.
///
/// Not here, so refused: `projectsV2`, `vulnerabilityAlerts`, `collaborators`, `deployKeys`, `environments`, `rulesets`,
/// `packages`, `submodules` and `compare`, among others.
const STAYS: &[&str] = &[
    // Lists.
    "edges",
    "node",
    "nodes",
    "pageInfo",
    // Issues and discussions.
    "answer",
    "category",
    "comment",
    "commentEdge",
    "comments",
    "discussion",
    "discussionCategories",
    "discussionCategory",
    "discussions",
    "issue",
    "issueComment",
    "issueOrPullRequest",
    "issueTemplates",
    "issues",
    "label",
    "labels",
    "milestone",
    "milestones",
    "pinnedIssues",
    "projects",
    "reaction",
    "reactionGroups",
    "reactions",
    "replies",
    "replyTo",
    "userContentEdits",
    // What mutations return.
    "assignable",
    "labelable",
    "lockedRecord",
    "minimizedComment",
    "unlockedRecord",
    "unminimizedComment",
    // Pull requests.
    "autoMergeRequest",
    "files",
    "latestOpinionatedReviews",
    "latestReviews",
    "mergeCommit",
    "mergeQueueEntry",
    "potentialMergeCommit",
    "pullRequest",
    "pullRequestReview",
    "pullRequestReviewComment",
    "pullRequestReviewThread",
    "pullRequestTemplates",
    "pullRequests",
    "revertPullRequest",
    "reviewEdge",
    "reviewRequests",
    "reviewThreads",
    "reviews",
    "thread",
    "viewerLatestReview",
    // Git.
    "baseRef",
    "blame",
    "blob",
    "branchProtectionRule",
    "commit",
    "commits",
    "defaultBranchRef",
    "entries",
    "file",
    "history",
    "object",
    "parents",
    "ranges",
    "ref",
    "refs",
    "signature",
    "tag",
    "tagCommit",
    "target",
    "tree",
    // Checks, deployments and releases.
    "annotations",
    "checkRun",
    "checkRuns",
    "checkSuite",
    "checkSuites",
    "combinedContexts",
    "context",
    "contexts",
    "deployment",
    "deploymentStatus",
    "deployments",
    "latestRelease",
    "latestStatus",
    "release",
    "releaseAssets",
    "releases",
    "status",
    "statusCheckRollup",
    "statuses",
    "steps",
    "workflow",
    "workflowRun",
    // About the repository.
    "codeOfConduct",
    "contactLinks",
    "fundingLinks",
    "languages",
    "licenseInfo",
    "primaryLanguage",
    "repositoryTopics",
    "topic",
];

/// Object fields whose objects may lie elsewhere: below them only [`ELSEWHERE_OBJECTS`] and [`ELSEWHERE_SCALARS`].
const LEAVES: &[&str] = &[
    // Accounts.
    "actor",
    "answerChosenBy",
    "app",
    "assignableUsers",
    "assignedActors",
    "assignee",
    "assignees",
    "author",
    "authors",
    "committer",
    "creator",
    "editor",
    "enabledBy",
    "headRepositoryOwner",
    "mentionableUsers",
    "mentions",
    "mergedBy",
    "onBehalfOf",
    "organization",
    "owner",
    "participants",
    "reactors",
    "requestedReviewer",
    "requestedReviewersEdge",
    "resolvedBy",
    "signer",
    "stargazers",
    "suggestedActors",
    "tagger",
    "user",
    "users",
    "watchers",
    // Repositories.
    "baseRepository",
    "forks",
    "headRepository",
    "parent",
    "repository",
    "templateRepository",
    // What may lie in another repository than what points to it.
    "associatedPullRequests",
    "closedByPullRequestsReferences",
    "closingIssuesReferences",
    "headRef",
    "linkedBranch",
    "linkedBranches",
    "projectCards",
    "projectItems",
    "subIssue",
    "subIssues",
    "subject",
    "timelineEdge",
    "timelineItems",
    "trackedInIssues",
    "trackedIssues",
];

/// Objects that may be asked of what lies elsewhere, with the same scalars only.
const ELSEWHERE_OBJECTS: &[&str] = &[
    "actor",
    "author",
    "column",
    "commit",
    "defaultBranchRef",
    "edges",
    "node",
    "nodes",
    "organization",
    "owner",
    "pageInfo",
    "project",
    "ref",
    "repository",
    "source",
    "subject",
    "target",
    "user",
];

/// What may be asked of an account, a repository or an item elsewhere: how it is called and what clients ask of a
/// fork's parent. No titles and no texts.
const ELSEWHERE_SCALARS: &[&str] = &[
    "__typename",
    "abbreviatedOid",
    "avatarUrl",
    "bio",
    "company",
    "createdAt",
    "cursor",
    "databaseId",
    "date",
    "description",
    "email",
    "endCursor",
    "hasIssuesEnabled",
    "hasNextPage",
    "hasPreviousPage",
    "hasWikiEnabled",
    "id",
    "isArchived",
    "isFork",
    "isInOrganization",
    "isPrivate",
    "location",
    "login",
    "mergeCommitAllowed",
    "name",
    "nameWithOwner",
    "number",
    "oid",
    "prefix",
    "rebaseMergeAllowed",
    "resourcePath",
    "slug",
    "squashMergeAllowed",
    "sshUrl",
    "startCursor",
    "state",
    "totalCount",
    "updatedAt",
    "url",
    "viewerPermission",
    "visibility",
    "websiteUrl",
];

/// Arguments that only cut a list or size a picture. Others (`repository(name:)` of an account) can name something.
pub(super) const ELSEWHERE_ARGUMENTS: &[&str] = &["after", "before", "first", "last", "size"];

/// Where an object field leads from within a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    Within,
    Elsewhere,
}

/// `None` for a field that is not known.
pub(super) fn leads(field: &str) -> Option<Leads> {
    if STAYS.contains(&field) {
        Some(Leads::Within)
    } else if LEAVES.contains(&field) {
        Some(Leads::Elsewhere)
    } else {
        None
    }
}

/// A scalar of the repository may be read, unless it is a credential (`tempCloneToken`).
pub(super) fn is_readable(scalar: &str) -> bool {
    let name = scalar.to_ascii_lowercase();
    !["token", "secret", "password"].iter().any(|word| name.contains(word))
}

/// Whether an object may be asked of what lies elsewhere.
pub(super) fn is_elsewhere_object(field: &str) -> bool {
    ELSEWHERE_OBJECTS.contains(&field)
}

/// Whether a scalar may be asked of what lies elsewhere.
pub(super) fn is_elsewhere_scalar(field: &str) -> bool {
    ELSEWHERE_SCALARS.contains(&field)
}
