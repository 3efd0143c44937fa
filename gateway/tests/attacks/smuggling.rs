//! Requests that hide another one, sent byte by byte: an upstream never hears more than what was permitted.

use crate::recorder::{Recorder, assert_below_the_base, open_to_all};
use crate::rig::Rig;

/// What is smuggled: it has no token, so that it is only ever answered if it rides on another's.
const SMUGGLED: &str = "POST /v1/smuggled HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
const BODY: &str = r#"{"model":"gpt-5"}"#;

struct Line {
    rig: Rig,
    recorder: Recorder,
    token: String,
}

impl Line {
    async fn start() -> Self {
        let (rig, recorder, token) = open_to_all().await;
        Self { rig, recorder, token }
    }

    /// A permitted request with these further headers, each with its end of line, and these bytes behind its head; then the end, so
    /// that nobody waits for more.
    async fn send(&self, headers: &str, behind: &str) -> String {
        self.rig.raw_half_closed(self.request(headers, behind).as_bytes()).await
    }

    fn request(&self, headers: &str, behind: &str) -> String {
        let head = format!(
            "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n",
            self.token
        );
        format!("{head}{headers}\r\n{behind}")
    }

    /// What was heard: at most one request, the permitted one.
    fn heard(&self, sent: &str) -> usize {
        let heads = self.recorder.take();
        assert!(heads.len() <= 1, "{sent:?}: {heads:#?}");
        for head in &heads {
            assert!(head.starts_with("POST /base/responses HTTP/1.1\r\n"), "{sent:?}: {head}");
            assert_below_the_base(head, &self.recorder, sent);
        }
        heads.len()
    }
}

fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

#[tokio::test]
async fn the_same_line_carries_two_permitted_requests_and_each_is_judged_by_itself() {
    let line = Line::start().await;
    let request = line.request(&format!("content-length: {}\r\n", BODY.len()), &format!("{BODY}{SMUGGLED}"));
    let answers = line.rig.raw(request.as_bytes()).await;
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 1, "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), 1, "{answers}");
    assert_eq!(line.heard("pipelined"), 1);
}

#[tokio::test]
async fn a_length_and_an_encoding_are_never_both_believed() {
    let line = Line::start().await;
    let length = BODY.len();
    for headers in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n"),
        "content-length: 0\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "content-length: 4\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n".to_owned(),
    ] {
        for behind in
            [format!("{}{SMUGGLED}", chunked(BODY)), format!("0\r\n\r\n{SMUGGLED}"), format!("{BODY}{SMUGGLED}")]
        {
            let answers = line.send(&headers, &behind).await;
            line.heard(&format!("{headers}{behind}"));
            assert!(answers.matches("HTTP/1.1 200 ").count() <= 1, "{answers}");
        }
    }
}

#[tokio::test]
async fn an_encoding_that_is_spelt_oddly_is_no_way_in() {
    let line = Line::start().await;
    for encoding in [
        "transfer-encoding: xchunked",
        "transfer-encoding : chunked",
        "transfer-encoding:\tchunked",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: identity, chunked",
        "transfer-encoding: chunked, chunked",
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: chunked;q=0.5",
        "transfer-encoding: \"chunked\"",
        "transfer-encoding: 'chunked'",
        "transfer-encoding: chunked\u{b}",
        "transfer-encoding:\u{b}chunked",
        "transfer-encoding: x\r\n chunked",
        "transfer-encoding:\r\n chunked",
        " transfer-encoding: chunked",
        "x: y\ntransfer-encoding: chunked",
        "x: y\rtransfer-encoding: chunked",
        "transfer-encoding\u{0}: chunked",
        "transfer_encoding: chunked",
        "Transfer-Encoding: CHUNKED",
        "transfer-encoding: chun\u{212a}ed",
        "transfer-encoding: ",
        "transfer-encoding: ,chunked",
    ] {
        for length in [String::new(), format!("content-length: {}\r\n", BODY.len())] {
            for behind in
                [format!("{}{SMUGGLED}", chunked(BODY)), format!("{BODY}{SMUGGLED}"), format!("0\r\n\r\n{SMUGGLED}")]
            {
                let headers = format!("{length}{encoding}\r\n");
                line.send(&headers, &behind).await;
                line.heard(&format!("{headers}{behind}"));
            }
        }
    }
}

#[tokio::test]
async fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let line = Line::start().await;
    let n = BODY.len();
    for length in [
        format!("content-length: {n}\r\ncontent-length: 0"),
        format!("content-length: 0\r\ncontent-length: {n}"),
        format!("content-length: {n}, 0"),
        format!("content-length: +{n}"),
        format!("content-length: -{n}"),
        "content-length: -0".to_owned(),
        format!("content-length: 0x{n:x}"),
        format!("content-length: {n}.0"),
        format!("content-length: {n}e0"),
        "content-length: 1_7".to_owned(),
        "content-length: 1 7".to_owned(),
        format!("content-length: \"{n}\""),
        format!("content-length: {n};x"),
        format!("content-length : {n}"),
        "content-length: 18446744073709551633".to_owned(),
        "content-length: 99999999999999999999999".to_owned(),
        "content-length: ".to_owned(),
        "content-length: x".to_owned(),
        format!("content-length: \u{0}{n}"),
        "content-length: \u{0661}\u{0667}".to_owned(),
    ] {
        let answers = line.send(&format!("{length}\r\n"), &format!("{BODY}{SMUGGLED}")).await;
        assert!(!answers.contains("HTTP/1.1 200 "), "{length:?}: {answers}");
        assert_eq!(line.heard(&length), 0, "{length:?}");
    }
    for same in [
        format!("content-length: {n}\r\ncontent-length: {n}"),
        format!("content-length: 00{n}"),
        format!("content-length:\t{n} "),
    ] {
        line.send(&format!("{same}\r\n"), &format!("{BODY}{SMUGGLED}")).await;
        line.heard(&same);
    }
}

#[tokio::test]
async fn a_chunk_that_can_be_read_in_two_ways_is_no_way_in() {
    let line = Line::start().await;
    let n = BODY.len();
    for behind in [
        format!("{n:x};ext=\"\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{n:x};a=b\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{n:x};{SMUGGLED}\r\n{BODY}\r\n0\r\n\r\n"),
        format!("{n:x}\n{BODY}\n0\n\n{SMUGGLED}"),
        format!("{n:x} \r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!(" {n:x}\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("0x{n:x}\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("+{n:x}\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("-1\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("1000000000000000{n:x}\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("ffffffffffffffff\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}0\r\n\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}XX0\r\n\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}\r\n0\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}\r\n0\r\ncontent-length: 5\r\nauthorization: x\r\n\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}\r\n00000\r\n\r\n{SMUGGLED}"),
        format!("\r\n{n:x}\r\n{BODY}\r\n0\r\n\r\n{SMUGGLED}"),
        format!("{n:x}\r\n{BODY}\r\n\r\n{SMUGGLED}"),
    ] {
        line.send("transfer-encoding: chunked\r\n", &behind).await;
        line.heard(&behind);
    }
    let extension = format!("{n:x};{}\r\n{BODY}\r\n0\r\n\r\n", "x".repeat(1 << 20));
    line.send("transfer-encoding: chunked\r\n", &extension).await;
    assert_eq!(line.heard("a chunk extension of a megabyte"), 0);
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_no_way_in() {
    let line = Line::start().await;
    let length = format!("content-length: {}\r\n", BODY.len());
    for odd in [
        "x: a\r\n b: c\r\n",
        "x: a\r\n\tcontent-length: 0\r\n",
        "x: a\u{0}b\r\n",
        "x\u{0}: a\r\n",
        "x: a\nPOST /v1/smuggled HTTP/1.1\n\n",
        "x: a\n\n",
        "x: a\r\r\n",
        "x: a\rb: c\r\n",
        "x y: a\r\n",
        "x : a\r\n",
        ": a\r\n",
        "no colon\r\n",
        "x(y): a\r\n",
        "host: evil.example\r\n",
        "host: evil.example, x\r\n",
        "x: \u{7f}\r\n",
        "expect: 100-continue\r\n",
        "expect: 200-ok\r\n",
        "upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n",
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        "connection: authorization\r\n",
        "connection: host, content-length, content-type\r\n",
        "connection: close, x-api-key\r\nx-api-key: foreign\r\n",
        "keep-alive: timeout=1\r\nproxy-connection: keep-alive\r\n",
        "trailer: content-length\r\nte: trailers\r\n",
        "content-length : 0\r\n",
        "Content-Length: 0\r\n",
        "x-http-method-override: DELETE\r\n",
        "x-original-url: /v1/smuggled\r\nx-rewrite-url: /v1/smuggled\r\n",
    ] {
        line.send(&format!("{length}{odd}"), &format!("{BODY}{SMUGGLED}")).await;
        line.heard(odd);
        line.send(&format!("{odd}{length}"), &format!("{BODY}{SMUGGLED}")).await;
        line.heard(odd);
    }
}

#[tokio::test]
async fn another_protocol_is_not_spoken() {
    let line = Line::start().await;
    let token = &line.token;
    let bearer = format!("host: x\r\nauthorization: Bearer {token}\r\n");
    for bytes in [
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}".to_owned(),
        "GET /v1/files\r\n\r\n".to_owned(),
        format!("GET /v1/files\r\n{bearer}\r\n"),
        format!("GET /v1/files HTTP/0.9\r\n{bearer}\r\n"),
        format!("GET /v1/files HTTP/2.0\r\n{bearer}\r\n"),
        format!("GET /v1/files HTTP/1.2\r\n{bearer}\r\n"),
        format!("GET /v1/files http/1.1\r\n{bearer}\r\n"),
        format!("GET /v1/files HTTP/1.1 x\r\n{bearer}\r\n"),
        format!("GET  /v1/files HTTP/1.1\r\n{bearer}\r\n"),
        format!("GET\t/v1/files HTTP/1.1\r\n{bearer}\r\n"),
        format!("G\u{0}ET /v1/files HTTP/1.1\r\n{bearer}\r\n"),
        format!(" GET /v1/files HTTP/1.1\r\n{bearer}\r\n"),
        "\u{16}\u{3}\u{1}\u{0}\u{5}hello".to_owned(),
        "EHLO evil.example\r\n".to_owned(),
        "\u{0}\u{0}\u{0}\u{0}".to_owned(),
    ] {
        let answer = line.rig.raw_half_closed(bytes.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{bytes:?}: {answer}");
        assert_eq!(line.recorder.take(), Vec::<String>::new(), "{bytes:?}");
    }
}

#[tokio::test]
async fn headers_without_end_are_given_up() {
    let line = Line::start().await;
    let many: String = (0..2_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(2 << 20));
    for headers in [many, long] {
        let answer = line.send(&headers, BODY).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 400 "),
            "{answer}"
        );
        assert_eq!(line.heard("too many headers"), 0);
    }
    let target = format!("/v1/{}", "x".repeat(1 << 20));
    let answer = line.rig.raw_half_closed(format!("GET {target} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}
