//! The Python package `mcp` and the server `@modelcontextprotocol/server-everything`, over streamable HTTP.

use std::net::TcpStream;
use std::process::Stdio;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use doorward_testkit::{DiesWithUs, free_port, program, wait_for};

use crate::client::{node_packages, python};
use crate::fake::{Fake, Key};
use crate::stage::{Plan, Stage};

const REAL_KEY: &str = "key-real-R5canaryMcp0ZtQ2wE";

/// The server, which asks for no key, and a proxy before it that does.
async fn everything() -> (Fake, DiesWithUs) {
    let (port, node) = (free_port(), program("node", "Node 20 or later"));
    let script = node_packages().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js");
    let server = [&node.display().to_string(), &script.display().to_string(), "streamableHttp"];
    let server = DiesWithUs::start(&server, |command| {
        command.env("PORT", port.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    });
    wait_for("the MCP server", async || TcpStream::connect(("127.0.0.1", port)).ok()).await;
    doorward::install_tls();
    let client = reqwest::Client::new();
    let proxy = Router::new().fallback(move |request: Request| pass(client.clone(), port, request));
    (Fake::serve(Key { header: "x-everything-key", value: REAL_KEY.to_owned() }, proxy).await, server)
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
        name = "everything"
        kind = "mcp"
        base_url = "{}/mcp"
        credential = {{ secret = "everything" }}
        inject = {{ header = "X-Everything-Key" }}

        [[grants.coder.mcp]]
        upstream = "everything"
        tools = ["echo", "get-s*", "trigger-long-running-operation"]

        [grants.other]
        models = ["*"]
        "#,
        fake.url
    );
    Stage::open(Plan { config, secrets: &[("everything", REAL_KEY)], tls: false }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_mcp_sees_and_calls_the_granted_tools_alone() {
    let (fake, _server) = everything().await;
    let stage = stage(&fake).await;
    let (token, other) = (stage.token("ann", "coder").await, stage.token("bob", "other").await);
    stage
        .client(python())
        .args(["-c", include_str!("python/mcp_story.py")])
        .env("MCP_URL", &format!("{}/mcp/everything", stage.url()))
        .env("MCP_TOKEN", &token)
        .env("OTHER_TOKEN", &other)
        .succeeds()
        .await;

    fake.heard_the_real_key_alone();
    let calls = fake.heard_at(&Method::POST, "/mcp");
    let refused = |text: &str| text.contains("get-env") || text.contains("resources/read");
    assert!(!calls.iter().any(|one| refused(&one.text())), "{calls:?}");
    assert!(!fake.heard_at(&Method::DELETE, "/mcp").is_empty(), "the session was not ended");
    assert!(!stage.log().contains(REAL_KEY) && !stage.log().contains(&token));
}
