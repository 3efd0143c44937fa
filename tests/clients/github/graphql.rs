//! GraphQL: the questions that `gh` and Octokit ask here, told apart by what stands in their text.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Hub;

pub async fn answer(State(hub): State<Hub>, Json(asked): Json<Value>) -> Json<Value> {
    let (query, variables) = (asked["query"].as_str().unwrap(), &asked["variables"]);
    let asks = |part: &str| query.contains(part);
    let data = if asks("nodes(ids:$ids)") {
        nodes(&variables["ids"])
    } else if asks("mutation") {
        mutation(&hub, query, &variables["input"])
    } else if asks("__type(name: \"Issue\")") {
        json!({"Issue": {"fields": [{"name": "stateReason"}]}})
    } else if asks("__type(name: \"PullRequest\")") {
        json!({"PullRequest": {"fields": [{"name": "isInMergeQueue"}]}})
    } else {
        json!({"repository": repository(&hub, query, variables)})
    };
    Json(json!({"data": data}))
}

fn repository(hub: &Hub, query: &str, variables: &Value) -> Value {
    let asks = |part: &str| query.contains(part);
    let list = |nodes: Vec<Value>| json!({"totalCount": nodes.len(), "nodes": nodes, "pageInfo": {"hasNextPage": false, "endCursor": ""}});
    let number = |name: &str| usize::try_from(variables[name].as_u64().unwrap()).unwrap();
    let (issues, pulls) = {
        let work = hub.work.lock().unwrap();
        (work.issues.len(), work.pulls.len())
    };
    if asks("issueOrPullRequest(") {
        json!({"hasIssuesEnabled": true, "issue": issue(hub, number("number"))})
    } else if asks("issues(") {
        json!({"hasIssuesEnabled": true, "issues": list((1..=issues).map(|number| issue(hub, number)).collect())})
    } else if asks("pullRequest(") {
        json!({"pullRequest": pull(hub, number("pr_number"))})
    } else if asks("headRefName: $headRefName") {
        // Is there one for this branch already?
        json!({"pullRequests": list(Vec::new()), "defaultBranchRef": {"name": "main"}})
    } else if asks("release(") {
        json!({"release": {"databaseId": 1, "isDraft": false}})
    } else if asks("pullRequests(") {
        json!({"pullRequests": list((101..101 + pulls).map(|number| pull(hub, number)).collect())})
    } else {
        json!({
            "id": "R_1", "name": "widgets", "owner": {"id": "U_2", "login": "acme"}, "description": "Things that rattle",
            "hasIssuesEnabled": true, "hasWikiEnabled": false, "viewerPermission": "WRITE", "parent": null,
            "defaultBranchRef": {"name": "main"}, "mergeCommitAllowed": true, "rebaseMergeAllowed": true, "squashMergeAllowed": true,
        })
    }
}

fn mutation(hub: &Hub, query: &str, input: &Value) -> Value {
    let text = |name: &str| input[name].as_str().unwrap().to_owned();
    let mut work = hub.work.lock().unwrap();
    if query.contains("createIssue(") {
        work.issues.push(text("title"));
        let number = work.issues.len();
        drop(work);
        json!({"createIssue": {"issue": issue(hub, number)}})
    } else if query.contains("createPullRequest(") {
        work.pulls.push(text("title"));
        let number = 100 + work.pulls.len();
        drop(work);
        json!({"createPullRequest": {"pullRequest": pull(hub, number)}})
    } else if query.contains("addComment(") {
        work.comments.push(text("body"));
        let url = "https://hub.example/acme/widgets/issues/1#issuecomment-1";
        json!({"addComment": {"commentEdge": {"node": {"url": url}}}})
    } else {
        let name = query.split_once('{').unwrap().1.split('(').next().unwrap().trim();
        work.changes.push(name.to_owned());
        json!({name: null})
    }
}

/// What the gateway asks before it decides about ids.
fn nodes(ids: &Value) -> Value {
    let node = |id: &Value| {
        let named = json!({"nameWithOwner": "acme/widgets"});
        match id.as_str().unwrap().split_once('_').map(|(kind, _)| kind) {
            Some("R") => json!({"__typename": "Repository", "nameWithOwner": "acme/widgets"}),
            Some("I") => json!({"__typename": "Issue", "repository": named}),
            Some("PR") => {
                json!({"__typename": "PullRequest", "repository": named, "headRefName": "agent/x", "headRepository": named})
            }
            _ => Value::Null,
        }
    };
    json!({"nodes": ids.as_array().unwrap().iter().map(node).collect::<Vec<_>>()})
}

fn issue(hub: &Hub, number: usize) -> Value {
    let title = hub.title(number);
    let none = json!({"nodes": [], "totalCount": 0});
    json!({
        "__typename": "Issue", "id": format!("I_{number}"), "number": number, "title": title, "state": "OPEN", "body": "It rattles",
        "url": format!("https://hub.example/acme/widgets/issues/{number}"), "author": {"login": "robot"},
        "createdAt": "2026-01-01T00:00:00Z", "updatedAt": "2026-01-01T00:00:00Z", "stateReason": null,
        "labels": none, "assignees": none, "comments": none, "projectCards": none, "reactionGroups": [], "milestone": null,
    })
}

fn pull(hub: &Hub, number: usize) -> Value {
    let title = hub.title(number);
    json!({
        "id": format!("PR_{number}"), "number": number, "title": title, "state": "OPEN", "mergeable": "MERGEABLE",
        "url": format!("https://hub.example/acme/widgets/pull/{number}"), "mergeStateStatus": "CLEAN", "isDraft": false,
        "headRefName": "agent/x", "baseRefName": "main", "headRepository": {"id": "R_1", "name": "widgets"},
        "headRepositoryOwner": {"id": "U_2", "login": "acme"}, "isCrossRepository": false, "author": {"login": "robot"},
        "commits": {"totalCount": 1}, "createdAt": "2026-01-01T00:00:00Z",
    })
}
