//! An upstream that quotes the gateway's credentials: whatever it writes them as, and wherever, the client gets none of it.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::renderings::{leak, of};
use crate::rig::{KEY, RawUpstream, Rig, soon};
use crate::secrets;

struct Echo {
    rig: Rig,
    upstream: RawUpstream,
    token: String,
}

async fn echo() -> Echo {
    let upstream = RawUpstream::start().await;
    let rig = secrets::start(&format!("http://{}", upstream.address())).await;
    let token = rig.mine().await;
    Echo { rig, upstream, token }
}

impl Echo {
    /// Has the upstream answer with these bytes, and gives all bytes that the client gets.
    async fn raw(&self, answer: &[u8]) -> Vec<u8> {
        let body = json!({ "model": "gpt-5" }).to_string();
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             te: trailers\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let mut client = TcpStream::connect(self.rig.consumer).await.unwrap();
        client.write_all(head.as_bytes()).await.unwrap();
        let mut call = soon(self.upstream.call()).await;
        call.send(answer).await;
        drop(call);
        let mut got = Vec::new();
        let _ = soon(client.read_to_end(&mut got)).await;
        got
    }

    /// Has the upstream answer with this head and these chunks; the body that the client gets.
    async fn body(&self, head: &str, body: &[u8], size: usize) -> Vec<u8> {
        let sent = tokio::spawn(self.rig.post(&self.token, "responses", r#"{"model":"gpt-5"}"#).send());
        let mut call = soon(self.upstream.call()).await;
        let mut bytes = format!("HTTP/1.1 {head}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
        for chunk in body.chunks(size) {
            write!(bytes, "{:x}\r\n", chunk.len()).unwrap();
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"0\r\n\r\n");
        call.send(&bytes).await;
        soon(sent).await.unwrap().unwrap().bytes().await.unwrap().to_vec()
    }
}

/// Every rendering of every secret.
fn canaries() -> Vec<(String, Vec<u8>)> {
    secrets::all().iter().flat_map(|secret| of(secret)).collect()
}

/// All renderings one after the other, with something harmless between them.
fn everything(canaries: &[(String, Vec<u8>)], between: &str) -> Vec<u8> {
    let mut body = between.as_bytes().to_vec();
    for (_, rendering) in canaries {
        body.extend_from_slice(rendering);
        body.extend_from_slice(between.as_bytes());
    }
    body
}

fn assert_clean(got: &[u8], canaries: &[(String, Vec<u8>)], place: &str) {
    let seen: std::collections::HashSet<&[u8]> = got.windows(8).collect();
    for (name, rendering) in canaries {
        let piece = rendering.windows(8).find(|piece| seen.contains(piece));
        let piece = piece.map(String::from_utf8_lossy);
        assert!(piece.is_none(), "{place}: {piece:?} of a secret written as {name}");
    }
}

/// Renderings that hold nothing of their own but framing: what stays after the secret's own characters were overwritten.
fn is_framing(piece: &[u8]) -> bool {
    piece.iter().all(|byte| byte.is_ascii_punctuation() || *byte == b'\n')
}

#[tokio::test]
async fn no_rendering_of_any_credential_comes_through_a_body_of_any_type() {
    let (echo, canaries) = (echo().await, canaries());
    for (head, between) in [
        ("200 OK\r\ncontent-type: application/json", "\", \"next\": \""),
        ("200 OK\r\ncontent-type: text/event-stream", "\n\ndata: "),
        ("200 OK\r\ncontent-type: application/octet-stream", "\u{1}\u{2}"),
        ("200 OK", "\n"),
        ("400 Bad Request\r\ncontent-type: application/json", "\",\""),
        ("500 Internal Server Error\r\ncontent-type: text/html", "<p>"),
        ("503 Busy\r\ncontent-type: text/plain", " "),
    ] {
        let sent = everything(&canaries, between);
        let got = echo.body(head, &sent, 4096).await;
        assert_eq!(got.len(), sent.len(), "{head}: only overwritten");
        assert!(got.starts_with(between.as_bytes()) && got.ends_with(between.as_bytes()), "{head}");
        assert_clean(&got, &canaries, head);
    }
}

#[tokio::test]
async fn chunks_of_any_size_hide_nothing() {
    let (echo, canaries) = (echo().await, canaries());
    let sent = everything(&canaries, "; ");
    let whole = echo.body("200 OK\r\ncontent-type: text/plain", &sent, usize::MAX).await;
    assert_clean(&whole, &canaries, "whole");
    for size in 1..=16 {
        let got = echo.body("200 OK\r\ncontent-type: text/event-stream", &sent, size).await;
        assert!(got == whole, "in chunks of {size}");
    }
}

#[tokio::test]
async fn what_is_compressed_is_searched_too() {
    let (echo, canaries) = (echo().await, canaries());
    let sent = everything(&canaries, "; ");
    let plain = echo.body("200 OK", &sent, 1000).await;
    let gzip = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&sent).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&sent).unwrap();
        encoder.finish().unwrap()
    };
    let deflate = {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&sent).unwrap();
        encoder.finish().unwrap()
    };
    for (coding, compressed) in
        [("gzip", &gzip), ("x-gzip", &gzip), ("GZip", &gzip), ("deflate", &zlib), ("deflate", &deflate)]
    {
        for size in [3, 5000] {
            let got = echo.body(&format!("200 OK\r\ncontent-encoding: {coding}"), compressed, size).await;
            assert!(got == plain, "{coding} in chunks of {size}");
        }
    }
}

#[tokio::test]
async fn what_is_compressed_twice_or_in_a_foreign_way_does_not_come_through() {
    let echo = echo().await;
    for coding in ["br", "zstd", "gzip, gzip", "compress", "gzip\r\ncontent-encoding: gzip", "identity, gzip"] {
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: 3\r\n\r\nabc");
        let got = String::from_utf8(echo.raw(answer.as_bytes()).await).unwrap();
        assert!(got.starts_with("HTTP/1.1 502 ") && !got.contains("abc"), "{coding}: {got}");
    }
}

#[tokio::test]
async fn no_header_carries_a_credential_in_its_value_or_its_name() {
    let (echo, canaries) = (echo().await, canaries());
    // A value has one line, and no zero bytes.
    let fits = |text: &[u8]| text.iter().all(|byte| (0x20..0x7f).contains(byte)) && text.len() < 8000;
    for part in canaries.iter().filter(|(_, text)| fits(text)).collect::<Vec<_>>().chunks(40) {
        let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-good: yes\r\n".to_vec();
        for (at, (_, text)) in part.iter().enumerate() {
            answer.extend_from_slice(format!("x-echo-{at}: before ").as_bytes());
            answer.extend_from_slice(text);
            answer.extend_from_slice(b" after\r\n");
        }
        answer.extend_from_slice(b"\r\n{}");
        let got = echo.raw(&answer).await;
        assert!(got.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&got));
        assert!(String::from_utf8_lossy(&got).contains("x-good: yes\r\n"));
        for (name, text) in part {
            assert_eq!(leak(&got, text), None, "in a header: {name}");
        }
    }
    let is_name = |text: &[u8]| {
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+%&".contains(byte)) && text.len() < 500
    };
    for (name, text) in canaries.iter().filter(|(_, text)| is_name(text)) {
        let lower = text.to_ascii_lowercase();
        // Names have no case: what is told by the case of its letters is no secret any more.
        if !name.starts_with("itself") && !name.starts_with("percent") {
            continue;
        }
        let answer = [b"HTTP/1.1 200 OK\r\nx-", text.as_slice(), b": 1\r\ncontent-length: 2\r\n\r\n{}"].concat();
        let got = echo.raw(&answer).await;
        assert_eq!(leak(&got, &lower).or_else(|| leak(&got, text)), None, "in the name of a header: {name}");
    }
}

#[tokio::test]
async fn neither_reason_phrase_nor_trailers_nor_chunk_extensions_nor_interim_answers_come_through() {
    let (echo, canaries) = (echo().await, canaries());
    for secret in secrets::all().iter().filter(|secret| !secret.contains('\n')) {
        for answer in [
            format!("HTTP/1.1 200 {secret}\r\ncontent-length: 2\r\n\r\n{{}}"),
            format!("HTTP/1.1 500 {secret}\r\ncontent-length: 2\r\n\r\n{{}}"),
            format!(
                "HTTP/1.1 200 OK\r\ntrailer: x-echo\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\nx-echo: {secret}\r\n\r\n"
            ),
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=\"{secret}\"\r\n{{}}\r\n0\r\n\r\n"),
            format!(
                "HTTP/1.1 103 Early Hints\r\nlink: <{secret}>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{{}}"
            ),
            format!(
                "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer error=\"{secret}\"\r\ncontent-length: 40\r\n\r\n{secret}"
            ),
            format!("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/?{secret}\r\ncontent-length: 0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\nset-cookie: k={secret}\r\ncontent-length: 2\r\n\r\n{{}}"),
            format!("{secret} is no HTTP\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n{secret}\r\n\r\n"),
        ] {
            let got = echo.raw(answer.as_bytes()).await;
            assert_clean_of(&got, secret, &answer);
        }
    }
    assert!(!canaries.is_empty());
}

fn assert_clean_of(got: &[u8], secret: &str, answer: &str) {
    assert!(got.starts_with(b"HTTP/1.1 "), "there is an answer to {answer}");
    assert_eq!(leak(got, secret.as_bytes()), None, "{answer}");
}

#[tokio::test]
async fn every_route_is_searched() {
    let echo = echo().await;
    let body = format!("quoted: {}", secrets::all().join(" | "));
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let json = r#"{"model":"gpt-5"}"#;
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (method, path, sent) in [
        ("POST", "/v1/chat/completions", json),
        ("POST", "/v1/anything/else", json),
        ("GET", "/v1/files", ""),
        ("POST", "/anthropic/v1/messages", json),
        ("GET", "/http/stored/x", ""),
        ("PUT", "/http/basic/x", "x"),
        ("POST", "/mcp/memory", ping),
        ("GET", "/mcp/memory", ""),
        ("GET", "/v1/models", ""),
        ("GET", "/anthropic/v1/models", ""),
    ] {
        let request = echo.rig.client.request(method.parse().unwrap(), echo.rig.url(path)).bearer_auth(&echo.token);
        let sent = tokio::spawn(request.header("content-type", "application/json").body(sent).send());
        let mut call = soon(echo.upstream.call()).await;
        call.send(answer.as_bytes()).await;
        let got = soon(async { sent.await.unwrap().unwrap().bytes().await.unwrap() }).await;
        for secret in secrets::all() {
            assert_eq!(leak(&got, secret.as_bytes()).filter(|piece| !is_framing(piece)), None, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_github_answers_is_searched_behind_the_rewritten_links_and_so_is_git() {
    let upstream = RawUpstream::start().await;
    let base = format!("http://{}", upstream.address());
    let github = json!({
        "name": "github", "kind": "github", "base_url": base, "git_url": base, "uploads_url": base, "credential": { "env": "KEY" },
    });
    let mut config = crate::rig::config(&[github]);
    config.url = Some("https://gateway.example".parse().unwrap());
    let grant = json!({ "github": [{ "repos": ["acme/*"], "allow": ["read", "releases:write"] }] });
    let rig = Rig::granting_with(config, &grant).await;
    let token = rig.mine().await;
    let pair = format!("x-access-token:{KEY}");
    let in_base64 = of(&pair).into_iter().filter(|(name, _)| name.contains("base64"));
    let quoted: Vec<Vec<u8>> = of(KEY).into_iter().chain(in_base64).map(|(_, text)| text).collect();
    let texts = quoted.iter().filter_map(|text| str::from_utf8(text).ok());
    let body =
        json!({ "url": format!("{base}/repos/acme/w?key={KEY}"), "quoted": texts.collect::<Vec<_>>() }).to_string();
    let link = format!("<{base}/repositories/1/issues?key={KEY}>; rel=\"next\"");
    let query = r#"{"query":"{repository(owner:\"acme\",name:\"w\"){name}}"}"#;
    for (method, path, content_type, sent) in [
        ("GET", "/api/v3/repos/acme/w", "", ""),
        ("POST", "/api/graphql", "application/json", query),
        ("POST", "/api/uploads/repos/acme/w/releases/1/assets?name=a", "application/zip", "x"),
        ("GET", "/git/acme/w.git/info/refs?service=git-upload-pack", "", ""),
        ("POST", "/git/acme/w.git/git-upload-pack", "application/x-git-upload-pack-request", "0000"),
    ] {
        let request = rig.client.request(method.parse().unwrap(), rig.url(path)).basic_auth("x", Some(&token));
        let waiting = tokio::spawn(request.header("content-type", content_type).body(sent).send());
        let mut call = soon(upstream.call()).await;
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\nlink: {link}\r\n");
        call.send(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        let answer = soon(waiting).await.unwrap().unwrap();
        let headers = format!("{:?}", answer.headers());
        let got = soon(answer.bytes()).await.unwrap();
        // Of the pair that git is shown, the user's name is no secret.
        for (_, text) in &of(KEY) {
            assert_eq!(leak(&got, text), None, "{method} {path}");
            assert_eq!(leak(headers.as_bytes(), text), None, "{method} {path}: {headers}");
        }
        if path.starts_with("/api/v3") {
            assert!(
                String::from_utf8_lossy(&got).contains("https://gateway.example/api/v3/repos/acme/w?key=*"),
                "links lead back"
            );
        }
    }
}
