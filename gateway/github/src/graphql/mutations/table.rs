//! The table. Input fields are those of GitHub's schema in October 2026, without the ones that reach further: projects,
//! an agent's assignment, an issue by URL.
//!
//! Not here, so refused, are among others `transferIssue`, `deleteIssue`, `createRepository`, `cloneTemplateRepository`,
//! `updateRepository`, `archiveRepository`, rules of branches, environments and approvals of deployments, projects,
//! stars, subscriptions, and everything of organizations and enterprises.

use super::{Mutation, Use};
use crate::effect::Verb;

const READ: Use = Use::Does(Verb::Read);
const ISSUES: Use = Use::Does(Verb::IssuesWrite);
const PULLS: Use = Use::Does(Verb::PullsWrite);
const MERGE: Use = Use::Does(Verb::PullsMerge);
const DISCUSSIONS: Use = Use::Does(Verb::DiscussionsWrite);
const CHECKS: Use = Use::Does(Verb::ChecksWrite);
const DEPLOYMENTS: Use = Use::Does(Verb::DeploymentsWrite);
/// By what the node is: an issue, a pull request, a discussion.
const TALK: Use = Use::Converses;

const fn row(name: &'static str, nodes: &'static [(&'static str, Use)], others: &'static [&'static str]) -> Mutation {
    Mutation { name, nodes, others }
}

pub(super) const TABLE: &[Mutation] = &[
    // Issues, and what they have in common with pull requests and discussions.
    row("addComment", &[("subjectId", TALK)], &["body"]),
    row("updateIssueComment", &[("id", TALK)], &["body"]),
    row("deleteIssueComment", &[("id", TALK)], &[]),
    row("minimizeComment", &[("subjectId", TALK)], &["classifier"]),
    row("unminimizeComment", &[("subjectId", TALK)], &[]),
    row("addReaction", &[("subjectId", TALK)], &["content"]),
    row("removeReaction", &[("subjectId", TALK)], &["content"]),
    row("lockLockable", &[("lockableId", TALK)], &["lockReason"]),
    row("unlockLockable", &[("lockableId", TALK)], &[]),
    row("addLabelsToLabelable", &[("labelableId", TALK), ("labelIds", READ)], &[]),
    row("removeLabelsFromLabelable", &[("labelableId", TALK), ("labelIds", READ)], &[]),
    row("clearLabelsFromLabelable", &[("labelableId", TALK)], &[]),
    row("addAssigneesToAssignable", &[("assignableId", TALK)], &["assigneeIds"]),
    row("removeAssigneesFromAssignable", &[("assignableId", TALK)], &["assigneeIds"]),
    row("replaceActorsForAssignable", &[("assignableId", TALK)], &["actorIds", "actorLogins"]),
    row(
        "createIssue",
        &[("repositoryId", ISSUES), ("labelIds", READ), ("milestoneId", READ), ("parentIssueId", ISSUES)],
        &["title", "body", "assigneeIds", "issueTemplate", "issueTypeId"],
    ),
    row(
        "updateIssue",
        &[("id", ISSUES), ("labelIds", READ), ("milestoneId", READ)],
        &["title", "body", "assigneeIds", "state", "issueTypeId"],
    ),
    row("closeIssue", &[("issueId", ISSUES), ("duplicateIssueId", READ)], &["stateReason"]),
    row("reopenIssue", &[("issueId", ISSUES)], &[]),
    row("pinIssue", &[("issueId", ISSUES)], &[]),
    row("unpinIssue", &[("issueId", ISSUES)], &[]),
    row("addSubIssue", &[("issueId", ISSUES), ("subIssueId", ISSUES)], &["replaceParent"]),
    row("removeSubIssue", &[("issueId", ISSUES), ("subIssueId", ISSUES)], &[]),
    row("createLabel", &[("repositoryId", ISSUES)], &["name", "color", "description"]),
    row("updateLabel", &[("id", ISSUES)], &["name", "color", "description"]),
    row("deleteLabel", &[("id", ISSUES)], &[]),
    // Pull requests.
    row(
        "createPullRequest",
        &[("repositoryId", PULLS), ("headRepositoryId", READ)],
        &["title", "body", "baseRefName", "headRefName", "draft", "maintainerCanModify"],
    ),
    row(
        "updatePullRequest",
        &[("pullRequestId", PULLS), ("labelIds", READ), ("milestoneId", READ)],
        &["title", "body", "baseRefName", "state", "assigneeIds", "maintainerCanModify"],
    ),
    row("closePullRequest", &[("pullRequestId", PULLS)], &[]),
    row("reopenPullRequest", &[("pullRequestId", PULLS)], &[]),
    row("markPullRequestReadyForReview", &[("pullRequestId", PULLS)], &[]),
    row("convertPullRequestToDraft", &[("pullRequestId", PULLS)], &[]),
    row("requestReviews", &[("pullRequestId", PULLS)], &["userIds", "teamIds", "botIds", "union"]),
    row("requestReviewsByLogin", &[("pullRequestId", PULLS)], &["userLogins", "teamSlugs", "botLogins", "union"]),
    row("markFileAsViewed", &[("pullRequestId", PULLS)], &["path"]),
    row("unmarkFileAsViewed", &[("pullRequestId", PULLS)], &["path"]),
    // Reviews.
    row("addPullRequestReview", &[("pullRequestId", PULLS)], &["body", "comments", "threads", "commitOID", "event"]),
    row(
        "addPullRequestReviewComment",
        &[("pullRequestId", PULLS), ("pullRequestReviewId", PULLS), ("inReplyTo", PULLS)],
        &["body", "commitOID", "path", "position"],
    ),
    row(
        "addPullRequestReviewThread",
        &[("pullRequestId", PULLS), ("pullRequestReviewId", PULLS)],
        &["body", "path", "line", "side", "startLine", "startSide", "subjectType"],
    ),
    row(
        "addPullRequestReviewThreadReply",
        &[("pullRequestReviewId", PULLS), ("pullRequestReviewThreadId", PULLS)],
        &["body"],
    ),
    row("submitPullRequestReview", &[("pullRequestId", PULLS), ("pullRequestReviewId", PULLS)], &["body", "event"]),
    row("updatePullRequestReview", &[("pullRequestReviewId", PULLS)], &["body"]),
    row("deletePullRequestReview", &[("pullRequestReviewId", PULLS)], &[]),
    row("dismissPullRequestReview", &[("pullRequestReviewId", PULLS)], &["message"]),
    row("updatePullRequestReviewComment", &[("pullRequestReviewCommentId", PULLS)], &["body"]),
    row("deletePullRequestReviewComment", &[("id", PULLS)], &[]),
    row("resolveReviewThread", &[("threadId", PULLS)], &[]),
    row("unresolveReviewThread", &[("threadId", PULLS)], &[]),
    // Merging.
    row(
        "mergePullRequest",
        &[("pullRequestId", MERGE)],
        &["authorEmail", "commitBody", "commitHeadline", "expectedHeadOid", "mergeMethod"],
    ),
    row(
        "enablePullRequestAutoMerge",
        &[("pullRequestId", MERGE)],
        &["authorEmail", "commitBody", "commitHeadline", "expectedHeadOid", "mergeMethod"],
    ),
    row("disablePullRequestAutoMerge", &[("pullRequestId", MERGE)], &[]),
    row("enqueuePullRequest", &[("pullRequestId", MERGE)], &["expectedHeadOid", "jump"]),
    row("dequeuePullRequest", &[("id", MERGE)], &[]),
    // What moves refs: the fields that say which and how are read in `refs`.
    row("mergeBranch", &[], &["repositoryId", "base", "head", "commitMessage", "authorEmail"]),
    row("createCommitOnBranch", &[], &["branch", "expectedHeadOid", "fileChanges", "message"]),
    row("createRef", &[], &["repositoryId", "name", "oid"]),
    row("updateRef", &[], &["refId", "oid", "force"]),
    row("updateRefs", &[], &["repositoryId", "refUpdates"]),
    row("deleteRef", &[], &["refId"]),
    row("updatePullRequestBranch", &[("pullRequestId", PULLS)], &["expectedHeadOid", "updateMethod"]),
    row("revertPullRequest", &[("pullRequestId", PULLS)], &["title", "body", "draft"]),
    row("createLinkedBranch", &[("issueId", ISSUES)], &["repositoryId", "name", "oid"]),
    row(
        "createDeployment",
        &[("repositoryId", DEPLOYMENTS)],
        &["refId", "autoMerge", "description", "environment", "payload", "requiredContexts", "task"],
    ),
    row(
        "createDeploymentStatus",
        &[("deploymentId", DEPLOYMENTS)],
        &["autoInactive", "description", "environment", "environmentUrl", "logUrl", "state"],
    ),
    // Discussions.
    row("createDiscussion", &[("repositoryId", DISCUSSIONS), ("categoryId", READ)], &["title", "body"]),
    row("updateDiscussion", &[("discussionId", DISCUSSIONS), ("categoryId", READ)], &["title", "body"]),
    row("closeDiscussion", &[("discussionId", DISCUSSIONS)], &["reason"]),
    row("reopenDiscussion", &[("discussionId", DISCUSSIONS)], &[]),
    row("deleteDiscussion", &[("id", DISCUSSIONS)], &[]),
    row("addDiscussionComment", &[("discussionId", DISCUSSIONS), ("replyToId", DISCUSSIONS)], &["body"]),
    row("updateDiscussionComment", &[("commentId", DISCUSSIONS)], &["body"]),
    row("deleteDiscussionComment", &[("id", DISCUSSIONS)], &[]),
    row("markDiscussionCommentAsAnswer", &[("id", DISCUSSIONS)], &[]),
    row("unmarkDiscussionCommentAsAnswer", &[("id", DISCUSSIONS)], &[]),
    // Checks.
    row(
        "createCheckRun",
        &[("repositoryId", CHECKS)],
        &[
            "headSha",
            "name",
            "actions",
            "completedAt",
            "conclusion",
            "detailsUrl",
            "externalId",
            "output",
            "startedAt",
            "status",
        ],
    ),
    row(
        "updateCheckRun",
        &[("repositoryId", CHECKS), ("checkRunId", CHECKS)],
        &["name", "actions", "completedAt", "conclusion", "detailsUrl", "externalId", "output", "startedAt", "status"],
    ),
    row("createCheckSuite", &[("repositoryId", CHECKS)], &["headSha"]),
    row("rerequestCheckSuite", &[("repositoryId", CHECKS), ("checkSuiteId", CHECKS)], &[]),
];
