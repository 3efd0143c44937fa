//! Mutations.

use super::*;

#[track_caller]
fn assert_writes(mutation: &str, expected: &[&str]) {
    assert_says(&format!("mutation {{ {mutation} {{ clientMutationId }} }}"), &json!({}), expected);
}

#[test]
fn writes_are_uses_of_the_nodes_in_the_input() {
    for (mutation, expected) in [
        ("addComment(input: {subjectId: \"I_1\", body: \"b\", clientMutationId: \"c\"})", &["I_1 converses"][..]),
        ("addReaction(input: {subjectId: \"I_1\", content: HEART})", &["I_1 converses"]),
        ("lockLockable(input: {lockableId: \"I_1\", lockReason: SPAM})", &["I_1 converses"]),
        ("minimizeComment(input: {subjectId: \"C_1\", classifier: SPAM})", &["C_1 converses"]),
        (
            "createIssue(input: {repositoryId: \"R_1\", title: \"t\", labelIds: [\"L_1\", \"L_2\"], assigneeIds: [\"U_1\"], \
             milestoneId: \"M_1\", parentIssueId: \"I_1\", projectIds: null})",
            &["R_1 issues:write", "L_1 read", "L_2 read", "M_1 read", "I_1 issues:write"],
        ),
        ("updateIssue(input: {id: \"I_1\", state: CLOSED, projectIds: []})", &["I_1 issues:write"]),
        ("closeIssue(input: {issueId: \"I_1\", stateReason: COMPLETED})", &["I_1 issues:write"]),
        ("createLabel(input: {repositoryId: \"R_1\", name: \"n\", color: \"c\"})", &["R_1 issues:write"]),
        (
            "createPullRequest(input: {repositoryId: \"R_1\", baseRefName: \"main\", headRefName: \"a\", title: \"t\"})",
            &["R_1 pulls:write"],
        ),
        (
            "createPullRequest(input: {repositoryId: \"R_1\", headRepositoryId: \"R_2\"})",
            &["R_1 pulls:write", "R_2 read"],
        ),
        (
            "requestReviews(input: {pullRequestId: \"P_1\", userIds: [\"U_1\"], teamIds: [], union: true})",
            &["P_1 pulls:write"],
        ),
        ("addPullRequestReview(input: {pullRequestId: \"P_1\", event: APPROVE})", &["P_1 pulls:write"]),
        ("addPullRequestReviewComment(input: {inReplyTo: \"C_1\", body: \"b\"})", &["C_1 pulls:write"]),
        ("resolveReviewThread(input: {threadId: \"T_1\"})", &["T_1 pulls:write"]),
        ("mergePullRequest(input: {pullRequestId: \"P_1\", mergeMethod: SQUASH})", &["P_1 pulls:merge"]),
        ("enablePullRequestAutoMerge(input: {pullRequestId: \"P_1\"})", &["P_1 pulls:merge"]),
        ("enqueuePullRequest(input: {pullRequestId: \"P_1\", jump: true})", &["P_1 pulls:merge"]),
        (
            "createDiscussion(input: {repositoryId: \"R_1\", categoryId: \"D_1\", title: \"t\"})",
            &["R_1 discussions:write", "D_1 read"],
        ),
        ("createCheckRun(input: {repositoryId: \"R_1\", name: \"n\", headSha: \"a\"})", &["R_1 checks:write"]),
        ("createDeploymentStatus(input: {deploymentId: \"D_1\", state: SUCCESS})", &["D_1 deployments:write"]),
    ] {
        assert_writes(mutation, expected);
    }
}

#[test]
fn moves_of_refs_say_which_and_how() {
    for (mutation, expected) in [
        (
            "createRef(input: {repositoryId: \"R_1\", name: \"refs/heads/a\", oid: \"1\"})",
            &["R_1 CreateOrFastForward of refs/heads/a"][..],
        ),
        ("updateRef(input: {refId: \"F_1\", oid: \"1\"})", &["F_1 CreateOrFastForward of it"]),
        ("updateRef(input: {refId: \"F_1\", oid: \"1\", force: false})", &["F_1 CreateOrFastForward of it"]),
        ("updateRef(input: {refId: \"F_1\", oid: \"1\", force: true})", &["F_1 Force of it"]),
        ("updateRef(input: {refId: \"F_1\", oid: \"1\", force: $undeclared})", &["F_1 Force of it"]),
        ("updateRef(input: {refId: \"F_1\", oid: \"1\", force: \"false\"})", &["F_1 Force of it"]),
        ("deleteRef(input: {refId: \"F_1\"})", &["F_1 Delete of it"]),
        (
            "updateRefs(input: {repositoryId: \"R_1\", refUpdates: [{name: \"refs/heads/a\", afterOid: \"1\"}, \
             {name: \"refs/heads/b\", afterOid: \"1\", force: true}, {name: \"refs/tags/c\", afterOid: \"0000\"}]})",
            &["R_1 CreateOrFastForward of refs/heads/a", "R_1 Force of refs/heads/b", "R_1 Delete of refs/tags/c"],
        ),
        // A list of one may be given without brackets.
        (
            "updateRefs(input: {repositoryId: \"R_1\", refUpdates: {name: \"refs/heads/a\", afterOid: \"0\"}})",
            &["R_1 Delete of refs/heads/a"],
        ),
        (
            "mergeBranch(input: {repositoryId: \"R_1\", base: \"main\", head: \"a\"})",
            &["R_1 CreateOrFastForward of refs/heads/main"],
        ),
        (
            "createCommitOnBranch(input: {branch: {repositoryNameWithOwner: \"Acme/Widgets\", branchName: \"a/b\"}, \
             expectedHeadOid: \"1\", message: {headline: \"h\"}, fileChanges: {additions: [{path: \"p\", contents: \"eA==\"}]}})",
            &["push to refs/heads/a/b on acme/widgets"],
        ),
        (
            "createCommitOnBranch(input: {branch: {id: \"F_1\"}, expectedHeadOid: \"1\"})",
            &["F_1 CreateOrFastForward of it"],
        ),
        (
            "createCommitOnBranch(input: {branch: {id: \"F_1\", repositoryNameWithOwner: \"acme/widgets\", branchName: \"a\"}})",
            &["push to refs/heads/a on acme/widgets", "F_1 CreateOrFastForward of it"],
        ),
        (
            "updatePullRequestBranch(input: {pullRequestId: \"P_1\"})",
            &["P_1 pulls:write", "P_1 CreateOrFastForward of its head"],
        ),
        (
            "updatePullRequestBranch(input: {pullRequestId: \"P_1\", updateMethod: MERGE})",
            &["P_1 pulls:write", "P_1 CreateOrFastForward of its head"],
        ),
        (
            "updatePullRequestBranch(input: {pullRequestId: \"P_1\", updateMethod: REBASE})",
            &["P_1 pulls:write", "P_1 Force of its head"],
        ),
        (
            "revertPullRequest(input: {pullRequestId: \"P_1\"})",
            &["P_1 pulls:write", "P_1 CreateOrFastForward of some ref"],
        ),
        (
            "createLinkedBranch(input: {issueId: \"I_1\", oid: \"1\"})",
            &["I_1 issues:write", "I_1 CreateOrFastForward of some ref"],
        ),
        (
            "createLinkedBranch(input: {issueId: \"I_1\", oid: \"1\", repositoryId: \"R_1\", name: \"a\"})",
            &["I_1 issues:write", "R_1 CreateOrFastForward of refs/heads/a"],
        ),
        (
            "createDeployment(input: {repositoryId: \"R_1\", refId: \"F_1\"})",
            &["R_1 deployments:write", "F_1 CreateOrFastForward of it"],
        ),
        (
            "createDeployment(input: {repositoryId: \"R_1\", refId: \"F_1\", autoMerge: false})",
            &["R_1 deployments:write", "F_1 read"],
        ),
    ] {
        assert_writes(mutation, expected);
    }
}

#[test]
fn every_mutation_of_an_operation_counts() {
    let query = "mutation { a: addComment(input: {subjectId: \"I_1\", body: \"b\"}) { clientMutationId } \
        b: addComment(input: {subjectId: \"I_2\", body: \"b\"}) @skip(if: true) { clientMutationId } ...more } \
        fragment more on Mutation { deleteRef(input: {refId: \"F_1\"}) { clientMutationId } }";
    assert_says(query, &json!({}), &["I_1 converses", "I_2 converses", "F_1 Delete of it"]);
}

#[test]
fn what_a_mutation_returns_stays_in_the_repository() {
    for payload in [
        "commentEdge { node { url author { login } } } subject { id }",
        "pullRequest { id url state } issue { url number }",
        "actor { login } pullRequest { reviews(first: 1) { totalCount } }",
        "lockedRecord { locked } linkedBranch { id ref { name } }",
    ] {
        let query = format!("mutation {{ addComment(input: {{subjectId: \"I_1\", body: \"b\"}}) {{ {payload} }} }}");
        assert_says(&query, &json!({}), &["I_1 converses"]);
    }
    for payload in [
        "actor { ... on User { repositories(first: 1) { nodes { name } } } }",
        "subject { ... on Issue { body } }",
        "issue { repository { owner { repositories { totalCount } } } }",
        "pullRequest { headRepository { object(expression: \"HEAD:a\") { id } } }",
        "repository { tempCloneToken }",
        "query { viewer { login } }",
    ] {
        let query = format!("mutation {{ addComment(input: {{subjectId: \"I_1\", body: \"b\"}}) {{ {payload} }} }}");
        assert!(matches!(ask(&query), Err(GraphqlRefused::Field(_))), "{payload}");
    }
    let reads_more =
        "mutation { addComment(input: {subjectId: \"I_1\", body: \"b\"}) { issue { x(pullRequestId: \"P_2\") } } }";
    assert_says(reads_more, &json!({}), &["I_1 converses", "P_2 read"]);
}

#[test]
fn a_mutation_that_is_not_in_the_table_is_refused_by_name() {
    for name in [
        "transferIssue",
        "deleteIssue",
        "createRepository",
        "cloneTemplateRepository",
        "updateRepository",
        "archiveRepository",
        "unarchiveRepository",
        "deleteRepository",
        "updateTopics",
        "createBranchProtectionRule",
        "deleteBranchProtectionRule",
        "createRepositoryRuleset",
        "updateRepositoryRuleset",
        "addProjectV2ItemById",
        "createProjectV2",
        "linkProjectV2ToRepository",
        "approveDeployments",
        "createEnvironment",
        "deleteDeployment",
        "addStar",
        "followUser",
        "changeUserStatus",
        "updateSubscription",
        "createSponsorship",
        "startRepositoryMigration",
        "updateEnterpriseProfile",
        "addSubIssues",
        "dismissRepositoryVulnerabilityAlert",
        "deletePackageVersion",
        "AddComment",
        "addcomment",
        "repository",
        "updateTeamsRepository",
    ] {
        let answer = ask(&format!(
            "mutation {{ {name}(input: {{id: \"I_1\", repositoryId: \"R_1\"}}) {{ clientMutationId }} }}"
        ));
        assert_eq!(answer, Err(GraphqlRefused::Mutation(name.to_owned())));
        let alias = format!("mutation {{ addComment: {name}(input: {{subjectId: \"I_1\"}}) {{ clientMutationId }} }}");
        assert_eq!(ask(&alias), Err(GraphqlRefused::Mutation(name.to_owned())));
    }
}

#[test]
fn input_that_is_not_known_or_not_clear_is_refused() {
    for mutation in [
        "addComment(input: {body: \"b\"})",
        "addComment(input: {subjectId: null, body: \"b\"})",
        "addComment(input: {subjectId: \"I_1\", subjectIds: [\"I_2\"]})",
        "addComment(input: {subjectId: {id: \"I_1\"}})",
        "addComment(input: {subjectId: true})",
        "addComment(input: {subjectId: $undeclared})",
        "addComment(input: [{subjectId: \"I_1\"}])",
        "addComment(input: null)",
        "addComment(subjectId: \"I_1\")",
        "addComment(input: {subjectId: \"I_1\"}, other: 1)",
        "addComment",
        "addSubIssue(input: {issueId: \"I_1\", subIssueUrl: \"https://github.com/a/b/issues/1\"})",
        "createIssue(input: {title: \"t\"})",
        "createIssue(input: {repositoryId: \"R_1\", projectV2Ids: [\"P_1\"]})",
        "createIssue(input: {repositoryId: \"R_1\", projectIds: [\"P_1\"]})",
        "createIssue(input: {repositoryId: \"R_1\", agentAssignment: {targetRepositoryId: \"R_2\"}})",
        "createIssue(input: {labelIds: [\"L_1\"]})",
        "addLabelsToLabelable(input: {labelIds: [\"L_1\"]})",
        "createRef(input: {repositoryId: \"R_1\", oid: \"1\"})",
        "createRef(input: {repositoryId: \"R_1\", name: \"main\"})",
        "createRef(input: {repositoryId: \"R_1\", name: \"refs/heads/a/../main\"})",
        "createRef(input: {repositoryId: \"R_1\", name: \"refs/heads/ main\"})",
        "createRef(input: {repositoryId: \"R_1\", name: \"refs//heads/main\"})",
        "createRef(input: {name: \"refs/heads/main\", oid: \"1\"})",
        "deleteRef(input: {refId: [\"F_1\", \"F_2\"]})",
        "updateRefs(input: {repositoryId: \"R_1\", refUpdates: []})",
        "updateRefs(input: {repositoryId: \"R_1\", refUpdates: [{name: \"refs/heads/a\"}]})",
        "updateRefs(input: {repositoryId: \"R_1\", refUpdates: [{name: \"refs/heads/a\", afterOid: \"1\", refId: \"F_1\"}]})",
        "mergeBranch(input: {repositoryId: \"R_1\", base: \"refs/heads/main\", head: \"a\"})",
        "mergeBranch(input: {repositoryId: \"R_1\", base: \"heads/main\", head: \"a\"})",
        "mergeBranch(input: {repositoryId: \"R_1\", head: \"a\"})",
        "createCommitOnBranch(input: {branch: {branchName: \"a\"}})",
        "createCommitOnBranch(input: {branch: {repositoryNameWithOwner: \"acme/widgets\"}})",
        "createCommitOnBranch(input: {branch: {repositoryNameWithOwner: \"acme\", branchName: \"a\"}})",
        "createCommitOnBranch(input: {branch: {id: \"F_1\", oid: \"1\"}})",
        "createCommitOnBranch(input: {expectedHeadOid: \"1\"})",
        "createLinkedBranch(input: {issueId: \"I_1\", name: \"refs/heads/a\"})",
    ] {
        let answer = ask(&format!("mutation {{ {mutation} {{ clientMutationId }} }}"));
        assert!(matches!(answer, Err(GraphqlRefused::Argument { .. })), "{mutation}: {answer:?}");
    }
}
