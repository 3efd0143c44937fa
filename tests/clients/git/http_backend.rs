//! `git http-backend` over HTTP: CGI (RFC 3875) as far as it needs it.

use std::path::Path;
use std::process::Stdio;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Serves the repositories below `root`.
pub fn router(root: &Path) -> Router {
    let root = root.to_owned();
    Router::new().fallback(move |request: Request| async move { serve(&root, request).await })
}

async fn serve(root: &Path, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let header = |name: &str| head.headers.get(name).map_or("", |value| value.to_str().unwrap());
    let mut backend = Command::new(super::git());
    backend
        .arg("http-backend")
        .env_clear()
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("REMOTE_USER", "robot")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"));
    answer(&run(backend, body).await)
}

async fn run(mut backend: Command, input: Bytes) -> Vec<u8> {
    let piped = backend.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may answer before it has read everything.
    let writing = tokio::spawn(async move { stdin.write_all(&input).await });
    let output = child.wait_with_output().await.unwrap();
    let _ = writing.await;
    output.stdout
}

/// A head with `Status:` in place of the status line, an empty line, and the body.
fn answer(said: &[u8]) -> Response {
    let end = said.windows(4).position(|window| window == b"\r\n\r\n").expect("a CGI answer has a head");
    let (mut status, mut headers) = (StatusCode::OK, HeaderMap::new());
    for line in std::str::from_utf8(&said[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            status = value[..3].parse().unwrap();
        } else {
            headers.append(axum::http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        }
    }
    (status, headers, Body::from(said[end + 4..].to_vec())).into_response()
}
