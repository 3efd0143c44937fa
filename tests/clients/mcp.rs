//! The Python package `mcp` and the server `@modelcontextprotocol/server-everything`, over streamable HTTP.

use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use doorward_testkit::{DiesWithUs, own_port, program, wait_for};

use crate::client::{node_packages, python};
use crate::fake::{Fake, Key};
use crate::stage::{Plan, Stage};

const REAL_KEY: &str = "key-real-R5canaryMcp0ZtQ2wE";

/// A server, which asks for no key, and a proxy before it that does.
async fn serve(program: &Path, arguments: &[&str]) -> (Fake, DiesWithUs) {
    let port = own_port();
    let (program, number) = (program.display().to_string(), port.to_string());
    let command: Vec<&str> =
        [program.as_str()].into_iter().chain(arguments.iter().copied()).chain([&*number]).collect();
    let server = DiesWithUs::start(&command, |command| {
        command.env("PORT", &number).stdout(Stdio::null()).stderr(Stdio::null());
    });
    wait_for("the MCP server", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    doorward::install_tls();
    let client = reqwest::Client::new();
    let proxy = Router::new().fallback(move |request: Request| pass(client.clone(), port, request));
    (Fake::serve(Key::new("x-server-key", REAL_KEY.to_owned()), proxy).await, server)
}

async fn pass(client: reqwest::Client, port: u16, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    head.headers.remove("host");
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let url = format!("http://127.0.0.1:{port}{}", head.uri);
    let answer = client.request(head.method, url).headers(head.headers).body(body).send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove("transfer-encoding");
    (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
}

async fn stage(fake: &Fake) -> Stage {
    let config = format!(
        r#"
        [[gateway.upstreams]]
        name = "server"
        kind = "mcp"
        base_url = "{}/mcp"
        credential = {{ secret = "server" }}
        inject = {{ header = "X-Server-Key" }}

        [[grants.coder.mcp]]
        upstream = "server"
        tools = ["echo", "get-s*", "trigger-long-running-operation", "add"]

        [grants.other]
        models = ["*"]
        "#,
        fake.url
    );
    Stage::open(Plan { config, secrets: &[("server", REAL_KEY)], tls: false }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_mcp_sees_and_calls_the_granted_tools_alone() {
    let script = node_packages().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let node = program("node", "Node 20 or later");
    let (fake, _server) = serve(&node, &[&script.display().to_string(), "streamableHttp"]).await;
    let stage = stage(&fake).await;
    let (token, other) = (stage.token("ann", "coder").await, stage.token("bob", "other").await);
    stage
        .client(python())
        .args(["-"])
        .env("MCP_URL", &format!("{}/mcp/server", stage.url()))
        .env("MCP_TOKEN", &token)
        .env("OTHER_TOKEN", &other)
        .succeeds_on(include_str!("python/mcp_story.py"))
        .await;

    fake.heard_the_real_key_alone();
    let calls = fake.heard_at(&Method::POST, "/mcp");
    let refused = |text: &str| text.contains("get-env") || text.contains("resources/read");
    assert!(!calls.iter().any(|one| refused(&one.text())), "{calls:?}");
    assert!(!fake.heard_at(&Method::DELETE, "/mcp").is_empty(), "the session was not ended");
    stage.keeps_nothing_of(&[REAL_KEY, &token, "Hello there"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_version_of_the_protocol_is_spoken() {
    let (fake, _server) = serve(&python(), &["-c", include_str!("python/mcp_server.py")]).await;
    let stage = stage(&fake).await;
    let token = stage.token("ann", "coder").await;
    stage
        .client(python())
        .args(["-"])
        .env("MCP_URL", &format!("{}/mcp/server", stage.url()))
        .env("MCP_TOKEN", &token)
        .succeeds_on(include_str!("python/mcp_newest_story.py"))
        .await;

    fake.heard_the_real_key_alone();
    let calls = fake.heard_at(&Method::POST, "/mcp");
    let names: Vec<&str> = calls.iter().map(|one| one.header("mcp-name")).filter(|name| !name.is_empty()).collect();
    assert_eq!(names, ["add"], "{calls:?}");
}
