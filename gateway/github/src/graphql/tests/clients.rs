//! What GitHub's own clients ask, in the shapes of `gh` 2.23 as seen on the wire, and of Octokit's users.

use super::*;

const READS: &[&str] = &["read on acme/widgets"];

fn widgets() -> Value {
    json!({ "owner": "Acme", "name": "widgets", "number": 7, "limit": 30, "cursor": null, "tag": "v1" })
}

#[track_caller]
fn assert_reads(below: &str) {
    let query = format!(
        "query Q($owner: String!, $name: String!, $number: Int!, $limit: Int, $cursor: String, $tag: String!) \
         {{ repository(owner: $owner, name: $name) {{ {below} }} }}"
    );
    assert_says(&query, &widgets(), READS);
}

#[test]
fn issues_are_listed_and_viewed() {
    for below in [
        "id hasIssuesEnabled",
        "hasIssuesEnabled issues(first: $limit, after: $cursor, states: [OPEN], filterBy: {assignee: null, labels: [\"bug\"]}, \
         orderBy: {field: CREATED_AT, direction: DESC}) { totalCount nodes { number title url state updatedAt \
         labels(first: 100) { nodes { id name description color } totalCount } } pageInfo { hasNextPage endCursor } }",
        "issue: issueOrPullRequest(number: $number) { __typename ... on Issue { title body number author { login } \
         comments(last: 1) { nodes { author { login } authorAssociation body isMinimized reactionGroups { content \
         users { totalCount } } } totalCount } assignees(first: 100) { nodes { id login name } totalCount } \
         projectCards(first: 100) { nodes { project { name } column { name } } totalCount } \
         milestone { number title description dueOn } } ... on PullRequest { id number isDraft } }",
        "pullRequest(number: $number) { projectItems(first: 100, after: $cursor) { nodes { id project { id title } } \
         pageInfo { hasNextPage endCursor } } }",
        "issue(number: $number) { linkedBranches(first: 30) { nodes { ref { name } } } }",
        "pinnedIssues(first: 3) { nodes { issue { number title } } }",
        "l000: label(name: \"bug\") { id name } l001: label(name: \"docs\") { id name }",
        "milestones(states: [OPEN], first: 100, after: $cursor) { nodes { id title } pageInfo { hasNextPage endCursor } }",
        "labels(first: $limit, after: $cursor, query: \"b\") { totalCount nodes { name color } pageInfo { endCursor } }",
        "assignableUsers(first: 100, after: $cursor) { nodes { id login name } pageInfo { hasNextPage endCursor } }",
        "issueTemplates { name title body about } pullRequestTemplates { body filename }",
    ] {
        assert_reads(below);
    }
}

#[test]
fn pull_requests_are_listed_viewed_and_checked() {
    for below in [
        "pullRequests(states: [OPEN], headRefName: \"agent\", first: $limit, after: $cursor, orderBy: {field: CREATED_AT, \
         direction: DESC}) { totalCount nodes { number title state url headRefName headRepositoryOwner { id login ... on \
         User { name } } isCrossRepository isDraft baseRefName mergeStateStatus } pageInfo { hasNextPage endCursor } }",
        "pullRequest(number: $number) { id headRepository { id name } headRepositoryOwner { id login } mergedBy { login } \
         mergeCommit { oid } potentialMergeCommit { oid } maintainerCanModify reviewDecision mergeable \
         reviewRequests(first: 100) { nodes { requestedReviewer { __typename ... on User { login } ... on Team { \
         organization { login } name slug } } } } }",
        "pullRequest(number: $number) { baseRef { branchProtectionRule { requiresStrictStatusChecks } } \
         statusCheckRollup: commits(last: 1) { nodes { commit { statusCheckRollup { contexts(first: 100) { nodes { \
         __typename ... on StatusContext { context state targetUrl createdAt } ... on CheckRun { name checkSuite { \
         workflowRun { workflow { name } } } status conclusion startedAt completedAt detailsUrl } } pageInfo { hasNextPage \
         endCursor } } } } } } }",
        "pullRequest(number: $number) { reviews(first: 100) { nodes { id author { login } body state submittedAt commit { \
         oid } reactionGroups { content users { totalCount } } } pageInfo { hasNextPage endCursor } totalCount } \
         latestReviews(first: 100) { nodes { author { login } state } } files(first: 100) { nodes { additions deletions \
         path } } commits(first: 100) { nodes { commit { authors(first: 100) { nodes { name email user { id login } } } \
         messageHeadline messageBody oid committedDate } } } }",
        "pullRequest(number: $number) { reviewThreads(first: 50) { nodes { id isResolved path line comments(first: 20) { \
         nodes { id body author { login } replyTo { id } diffHunk } } } } autoMergeRequest { enabledAt enabledBy { login } \
         mergeMethod } closingIssuesReferences(first: 10) { nodes { id number url repository { id name owner { id login } } } } }",
        "forks(first: $limit, affiliations: [OWNER, COLLABORATOR]) { nodes { id name owner { login } url viewerPermission } }",
    ] {
        assert_reads(below);
    }
}

#[test]
fn repositories_and_releases_are_viewed() {
    for below in [
        "id name owner { login } hasIssuesEnabled description hasWikiEnabled viewerPermission defaultBranchRef { name } \
         parent { id name owner { login } hasIssuesEnabled description hasWikiEnabled viewerPermission defaultBranchRef { \
         name } } mergeCommitAllowed rebaseMergeAllowed squashMergeAllowed",
        "defaultBranchRef { name target { oid ... on Commit { history(first: 5) { nodes { oid message author { name email \
         date user { login } } } } } } }",
        "codeOfConduct { key name url } contactLinks { about name url } fundingLinks { platform url } licenseInfo { key name } \
         languages(first: 100) { edges { size node { name } } } primaryLanguage { name } watchers { totalCount } \
         repositoryTopics(first: 100) { nodes { topic { name } } } latestRelease { publishedAt tagName name url } \
         templateRepository { id name owner { id login } } projects(first: 100, states: [OPEN]) { nodes { id name number } } \
         mentionableUsers(first: 100) { nodes { id login name } }",
        "releases(first: 30, orderBy: {field: CREATED_AT, direction: DESC}, after: $cursor) { nodes { name tagName isDraft \
         isLatest isPrerelease createdAt publishedAt } pageInfo { hasNextPage endCursor } }",
        "release(tagName: $tag) { databaseId isDraft releaseAssets(first: 10) { nodes { name size downloadUrl } } author { login } }",
        "ref(qualifiedName: $tag) { id target { oid } }",
        "object(expression: \"main:src\") { ... on Tree { entries { name type object { ... on Blob { text byteSize } } } } }",
        "discussions(first: 10) { nodes { number title category { name } answer { body } comments(first: 5) { nodes { \
         replies(first: 5) { nodes { body author { login avatarUrl(size: 40) } } } } } } }",
        "deployments(first: 5) { nodes { environment latestStatus { state } } }",
    ] {
        assert_reads(below);
    }
}

#[test]
fn the_network_of_a_repository_is_seen_as_gh_asks_before_a_pull_request() {
    let query = "fragment r on Repository { id name owner { login } viewerPermission defaultBranchRef { name target { oid } } \
        isPrivate } query Network { viewer { login } repo_000: repository(owner: \"acme\", name: \"widgets\") { ...r parent { \
        ...r } } repo_001: repository(owner: \"me\", name: \"widgets\") { ...r parent { ...r } } }";
    assert_says(query, &json!({}), &["read", "read on acme/widgets", "read on me/widgets"]);
}

#[test]
fn the_status_of_pull_requests_is_asked_with_searches() {
    let query = "query Status($owner: String!, $name: String!, $mine: String!, $theirs: String!, $per: Int = 10) { \
        repository(owner: $owner, name: $name) { defaultBranchRef { name } pullRequests(first: $per) { totalCount edges { \
        node { ...pr } } } } viewerCreated: search(query: $mine, type: ISSUE, first: $per) { totalCount: issueCount edges { \
        node { ...pr } } } reviewRequested: search(query: $theirs, type: ISSUE, first: $per) { totalCount: issueCount edges { \
        node { ...pr } } } } fragment pr on PullRequest { number title state url isDraft }";
    let variables = json!({
        "owner": "acme", "name": "widgets",
        "mine": "repo:acme/widgets state:open is:pr author:@me",
        "theirs": "repo:acme/widgets state:open review-requested:@me",
    });
    assert_says(query, &variables, READS);
}

#[test]
fn introspection_works_for_feature_detection() {
    for query in [
        "query { Issue: __type(name: \"Issue\") { fields(includeDeprecated: true) { name } } \
         PullRequest: __type(name: \"PullRequest\") { fields(includeDeprecated: true) { name } enumValues { name } } }",
        "{ __schema { types { name kind possibleTypes { name } fields { name args { name defaultValue type { name ofType { \
         name } } } } } queryType { name } } }",
        "{ __typename }",
        "{ rateLimit { limit cost remaining resetAt } }",
        "{ meta { gitHubServicesSha isPasswordAuthenticationVerifiable } }",
        "{ license(key: \"mit\") { name body conditions { label } } licenses { key } codeOfConduct(key: \"x\") { body } }",
        "{ viewer { login id name email avatarUrl(size: 40) url databaseId } }",
        "{ u000: user(login: \"octocat\") { id login } organization(login: \"acme\") { login name } }",
    ] {
        assert_says(query, &json!({}), &["read"]);
    }
}

#[test]
fn nodes_are_read_where_they_turn_out_to_be() {
    let query = "query Checks($id: ID!, $endCursor: String) { node(id: $id) { ... on PullRequest { statusCheckRollup: \
        commits(last: 1) { nodes { commit { statusCheckRollup { contexts(first: 100, after: $endCursor) { nodes { ... on \
        CheckRun { name isRequired(pullRequestId: $id) } } } } } } } viewerMergeBodyText(mergeType: SQUASH) } } }";
    assert_says(query, &json!({ "id": "PR_kw1" }), &["PR_kw1 read"]);
    let query = "{ nodes(ids: [\"A_1\", \"MDU6SXNzdWUx\"]) { id } node(id: \"B_2\") { id } }";
    assert_says(query, &json!({}), &["A_1 read", "MDU6SXNzdWUx read", "B_2 read"]);
    let elsewhere =
        "{ repository(owner: \"acme\", name: \"widgets\") { issue(number: 1) { f(x: {pullRequestId: \"PR_9\"}) } } }";
    assert_says(elsewhere, &json!({}), &["read on acme/widgets", "PR_9 read"]);
}

#[test]
fn a_repository_is_found_below_its_owner_and_by_url() {
    for query in [
        "{ user(login: \"acme\") { login repository(name: \"Widgets\") { issues(first: 1) { nodes { title } } } } }",
        "{ repositoryOwner(login: \"ACME\") { repository(name: \"widgets\", followRenames: true) { id } } }",
    ] {
        assert_says(query, &json!({}), &["read", "read on acme/widgets"]);
    }
    for url in ["", "/issues/1", "/pull/2", "/commit/abc", "/releases/tag/v1"] {
        let query =
            format!("{{ resource(url: \"https://github.com/acme/widgets{url}\") {{ ... on Issue {{ title }} }} }}");
        assert_says(&query, &json!({}), READS);
    }
}
