//! REST, as <https://docs.github.com/rest> has it: links in bodies and in `Link`, pages by the number of the repository.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Hub;

pub async fn release(State(hub): State<Hub>) -> Json<Value> {
    let url = format!("{}/repos/acme/widgets/releases/1", hub.base);
    Json(
        json!({"id": 1, "node_id": "RE_1", "tag_name": "v1", "name": "The first", "url": url, "assets": [], "draft": false,
        "assets_url": format!("{url}/assets"), "html_url": "https://hub.example/acme/widgets/releases/tag/v1",
        "upload_url": format!("{}/uploads/repos/acme/widgets/releases/1/assets{{?name,label}}", hub.base)}),
    )
}

#[derive(Deserialize)]
pub struct Asset {
    name: String,
}

pub async fn upload(State(hub): State<Hub>, Query(Asset { name }): Query<Asset>, body: String) -> Response {
    let mut work = hub.work.lock().unwrap();
    work.assets.push(format!("{name}: {body}"));
    let id = work.assets.len();
    let asset = json!({"id": id, "name": name, "state": "uploaded", "size": body.len(),
        "url": format!("{}/repos/acme/widgets/releases/assets/{id}", hub.base)});
    (StatusCode::CREATED, Json(asset)).into_response()
}

#[derive(Deserialize)]
pub struct Page {
    #[serde(default = "first")]
    page: usize,
}

fn first() -> usize {
    1
}

const PER_PAGE: usize = 2;

pub async fn user(State(hub): State<Hub>) -> Json<Value> {
    Json(hub.user())
}

pub async fn repository(State(hub): State<Hub>) -> Json<Value> {
    Json(hub.repository())
}

pub async fn issues(State(hub): State<Hub>, Query(Page { page }): Query<Page>) -> Response {
    let count = hub.work.lock().unwrap().issues.len();
    let shown: Vec<Value> =
        (1..=count).skip((page - 1) * PER_PAGE).take(PER_PAGE).map(|number| hub.issue(number)).collect();
    let link = |page: usize, rel: &str| format!("<{}/repositories/1/issues?page={page}>; rel=\"{rel}\"", hub.base);
    let last = count.div_ceil(PER_PAGE);
    let link = match page {
        page if page < last => format!("{}, {}", link(page + 1, "next"), link(last, "last")),
        page => format!("{}, {}", link(page.max(2) - 1, "prev"), link(1, "first")),
    };
    ([("link", link)], Json(shown)).into_response()
}

pub async fn create_issue(State(hub): State<Hub>, Json(asked): Json<Value>) -> Response {
    let number = {
        let mut work = hub.work.lock().unwrap();
        work.issues.push(asked["title"].as_str().unwrap().to_owned());
        work.issues.len()
    };
    (StatusCode::CREATED, Json(hub.issue(number))).into_response()
}

pub async fn issue(State(hub): State<Hub>, Path(number): Path<usize>) -> Json<Value> {
    Json(hub.issue(number))
}

pub async fn comments(State(hub): State<Hub>) -> Json<Value> {
    let comments = hub.work.lock().unwrap().comments.clone();
    Json(comments.iter().enumerate().map(|(at, body)| comment(at + 1, body, &hub)).collect())
}

pub async fn create_comment(State(hub): State<Hub>, Json(asked): Json<Value>) -> Response {
    let body = asked["body"].as_str().unwrap().to_owned();
    let id = {
        let mut work = hub.work.lock().unwrap();
        work.comments.push(body.clone());
        work.comments.len()
    };
    (StatusCode::CREATED, Json(comment(id, &body, &hub))).into_response()
}

fn comment(id: usize, body: &str, hub: &Hub) -> Value {
    json!({"id": id, "node_id": format!("IC_{id}"), "body": body, "user": hub.user(),
        "url": format!("{}/repos/acme/widgets/issues/comments/{id}", hub.base)})
}

pub async fn create_pull(State(hub): State<Hub>, Json(asked): Json<Value>) -> Response {
    let number = {
        let mut work = hub.work.lock().unwrap();
        work.pulls.push(asked["title"].as_str().unwrap().to_owned());
        100 + work.pulls.len()
    };
    (StatusCode::CREATED, Json(hub.pull(number))).into_response()
}

pub async fn pull(State(hub): State<Hub>, Path(number): Path<usize>) -> Json<Value> {
    Json(hub.pull(number))
}

pub async fn contents(State(hub): State<Hub>, Path(path): Path<String>) -> Json<Value> {
    Json(file(&hub, &path))
}

pub async fn readme(State(hub): State<Hub>) -> Json<Value> {
    Json(file(&hub, "README.md"))
}

fn file(hub: &Hub, path: &str) -> Value {
    let name = path.rsplit('/').next();
    json!({"type": "file", "encoding": "base64", "name": name, "path": path, "size": 6, "sha": "b".repeat(40),
        "content": "SGVsbG8K\n", "url": format!("{}/repos/acme/widgets/contents/{path}?ref=main", hub.base),
        "html_url": format!("https://hub.example/acme/widgets/blob/main/{path}")})
}

pub async fn git_ref(State(hub): State<Hub>, Path(name): Path<String>) -> Json<Value> {
    let url = format!("{}/repos/acme/widgets/git/refs/{name}", hub.base);
    Json(json!({"ref": format!("refs/{name}"), "node_id": "REF_1", "url": url,
        "object": {"type": "commit", "sha": "a".repeat(40), "url": format!("{}/repos/acme/widgets/git/commits/{}", hub.base, "a".repeat(40))}}))
}

pub async fn branch(Path(name): Path<String>) -> Json<Value> {
    Json(json!({"name": name, "protected": false, "commit": {"sha": "a".repeat(40)}}))
}

pub async fn compare(Path(basehead): Path<String>) -> Json<Value> {
    Json(json!({"status": "ahead", "ahead_by": 1, "behind_by": 0, "total_commits": 1, "asked": basehead}))
}

pub async fn archive(State(hub): State<Hub>) -> Response {
    (StatusCode::FOUND, [("location", format!("{}/signed/archive?signature=1", hub.downloads.url))]).into_response()
}
