//! An upstream that says yes to everything and remembers every byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{KEY, Rig};

/// What it remembers: the head of each request, as it came.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let recorder = Self { address: listener.local_addr().unwrap(), heads: Arc::default() };
        let heads = recorder.heads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, heads.clone()));
            }
        });
        recorder
    }

    /// What came since the last time.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heads.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>) {
    let mut bytes = Vec::new();
    loop {
        while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            // The strictest reading: what is not announced by a plain length is another request.
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            while bytes.len() < end + 4 + length {
                if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
                    return;
                }
            }
            bytes.drain(..end + 4 + length);
            heads.lock().unwrap().push(head);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return;
        }
    }
}

/// A gateway with an upstream of each kind, all below `/base` of one recorder, and a token that may do nearly everything.
pub(crate) async fn open_to_all() -> (Rig, Recorder, String) {
    let recorder = Recorder::start().await;
    let base = format!("http://{}/base", recorder.address);
    let upstream = |name: &str, kind: &str| json!({ "name": name, "kind": kind, "base_url": base, "credential": { "env": "KEY" } });
    let mut github = upstream("github", "github");
    github["git_url"] = json!(format!("{base}/git"));
    github["uploads_url"] = json!(format!("{base}/uploads"));
    let upstreams = [
        upstream("up", "openai"),
        upstream("claude", "anthropic"),
        upstream("weather", "http"),
        upstream("memory", "mcp"),
        github,
    ];
    let rig = Rig::granting(&upstreams, &everything()).await;
    let token = rig.mine().await;
    (rig, recorder, token)
}

fn everything() -> Value {
    json!({
        "models": ["*"],
        "paths": ["/v1/**", "/anthropic/v1/**"],
        "http": [{ "upstream": "weather", "allow": ["* /**"] }],
        "mcp": [{ "upstream": "memory", "tools": ["*"] }],
        "github": [{ "repos": ["acme/*"], "allow": ["read", "contents:write"] }],
    })
}

/// What holds of every request that reaches an upstream, whatever was sent: it goes below the base, to the configured host, with our
/// credential, and in one reading.
pub(crate) fn assert_below_the_base(head: &str, recorder: &Recorder, sent: &str) {
    let mut lines = head.lines();
    let line = lines.next().unwrap();
    let target = line.split(' ').nth(1).unwrap();
    let path = target.split('?').next().unwrap();
    assert!(path == "/base" || path.starts_with("/base/"), "{sent:?} became {line}");
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    let plain =
        !["/../", "/./", "//", "\\", "%2f", "%5c", "%00", "%25", ";", "#"].iter().any(|part| decoded.contains(part));
    assert!(plain && !decoded.ends_with("/..") && !decoded.ends_with("/."), "{sent:?} became {line}");
    assert_eq!(line.split(' ').count(), 3, "{sent:?} became {line}");
    let values = |name: &str| -> Vec<String> {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
    };
    assert_eq!(values("host"), [recorder.address.to_string()], "{sent:?}: {head}");
    let keys = [values("authorization"), values("x-api-key")].concat();
    assert!(keys.len() == 1 && (keys[0].contains(KEY) || keys[0].starts_with("Basic ")), "{sent:?}: {head}");
    assert!(values("transfer-encoding").is_empty() && values("content-length").len() <= 1, "{sent:?}: {head}");
    assert!(values("upgrade").is_empty() && values("connection").is_empty(), "{sent:?}: {head}");
}
