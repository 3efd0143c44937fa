//! How answers and requests flow: silences, slow readers, limits of size and time.

use std::io::Write;
use std::time::Duration;

use doorward_gateway::Ending;
use doorward_gateway::config::{ByteSize, GatewayConfig, HumanDuration};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::rig::{RawCall, RawUpstream, Rig, config, openai, soon};

const COMMENT: &str = ": keep-alive\n\n";

struct Flow {
    rig: Rig,
    call: RawCall,
    sent: tokio::task::JoinHandle<Result<reqwest::Response, reqwest::Error>>,
    _upstream: RawUpstream,
}

/// A request that waits for its answer, at a gateway with these settings.
async fn flow(set: impl FnOnce(&mut GatewayConfig)) -> Flow {
    let upstream = RawUpstream::start().await;
    let mut config = config(&[openai("up", upstream.address())]);
    set(&mut config);
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let call = soon(upstream.call()).await;
    Flow { rig, call, sent, _upstream: upstream }
}

fn millis(millis: u64) -> HumanDuration {
    HumanDuration(Duration::from_millis(millis))
}

/// All that comes within this time.
async fn heard(answer: &mut reqwest::Response, within: Duration) -> String {
    let mut text = String::new();
    let until = Instant::now() + within;
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(until, answer.chunk()).await {
        text.push_str(str::from_utf8(&chunk).unwrap());
    }
    text
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive_with_comments_between_events() {
    let Flow { mut call, sent, .. } = flow(|config| config.timeouts.keep_alive = millis(50)).await;
    call.begin_events().await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    // Before the first event already: a model may think for minutes.
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), COMMENT);
    call.send_chunk("data: 1\r\n\r\n").await;
    let text = heard(&mut answer, Duration::from_millis(200)).await;
    let (before, after) = text.split_once("data: 1\r\n\r\n").unwrap();
    assert_eq!((before.replace(COMMENT, ""), after.replace(COMMENT, "")), (String::new(), String::new()));
    assert!(after.contains(COMMENT), "{text}");
}

#[tokio::test]
async fn no_comment_is_ever_put_into_an_event() {
    for half in ["data: {\"a\":", "data: 1\n", "data: 1\nid: 2\n", "data: 1\r\n", "event: x\ndata: 1\r"] {
        let Flow { mut call, sent, .. } = flow(|config| config.timeouts.keep_alive = millis(20)).await;
        call.begin_events().await;
        call.send_chunk(half).await;
        let mut answer = soon(sent).await.unwrap().unwrap();
        let first = heard(&mut answer, Duration::from_millis(150)).await;
        // One that was due before the half event came may stand before it.
        assert_eq!(first.trim_start_matches(COMMENT), half);
        call.send_chunk("}\n\n").await;
        assert!(heard(&mut answer, Duration::from_millis(100)).await.starts_with("}\n\n"));
    }
}

#[tokio::test]
async fn what_is_no_stream_of_events_gets_no_comment() {
    let Flow { mut call, sent, .. } = flow(|config| config.timeouts.keep_alive = millis(20)).await;
    call.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n").await;
    call.send_chunk("{}").await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(heard(&mut answer, Duration::from_millis(100)).await, "{}");
    call.end_events().await;
    assert!(soon(answer.chunk()).await.unwrap().is_none());
}

#[tokio::test]
async fn events_that_come_compressed_arrive_one_by_one_too() {
    let Flow { mut call, sent, .. } = flow(|_| {}).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n";
    call.send(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut compressed = |event: &str| {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        std::mem::take(encoder.get_mut())
    };
    call.send_chunk(compressed("data: 1\n\n")).await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), "data: 1\n\n");
    for number in 2..5 {
        let event = format!("data: {number}\n\n");
        call.send_chunk(compressed(&event)).await;
        assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), event);
    }
}

#[tokio::test]
async fn an_upstream_that_goes_silent_is_let_go_and_its_answer_does_not_look_whole() {
    let Flow { rig, mut call, sent, .. } = flow(|config| {
        config.timeouts.idle = millis(200);
        config.timeouts.keep_alive = millis(50);
    })
    .await;
    call.begin_events().await;
    call.send_chunk("data: 1\n\n").await;
    let answer = soon(sent).await.unwrap().unwrap();
    assert!(soon(answer.bytes()).await.is_err());
    soon(call.closed()).await;
    assert_eq!(rig.audit_row().await.ending, Ending::UpstreamBroke);
}

#[tokio::test]
async fn an_answer_above_the_limit_is_cut_where_the_limit_is() {
    let Flow { rig, mut call, sent, .. } = flow(|config| config.limits.response = ByteSize(10_000)).await;
    call.begin_events().await;
    call.send_chunk(&[b'a'; 9_000]).await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert!(soon(answer.chunk()).await.unwrap().is_some());
    call.send_chunk(&[b'b'; 2_000]).await;
    let rest = async {
        let mut rest = 0;
        while let Some(chunk) = answer.chunk().await? {
            assert!(!chunk.contains(&b'b'));
            rest += chunk.len();
        }
        Ok::<_, reqwest::Error>(rest)
    };
    assert!(soon(rest).await.is_err());
    soon(call.closed()).await;
    assert_eq!(rig.audit_row().await.ending, Ending::UpstreamBroke);
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_upstream_after_what_the_sockets_hold() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let mut client = TcpStream::connect(rig.consumer).await.unwrap();
    let body = r#"{"model":"gpt-5"}"#;
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    let chunk = [b"data: ".as_slice(), &vec![b'x'; 60_000], b"\n\n"].concat();
    let taken = call.fill(&chunk, 256 << 20).await;
    assert!(taken < 64 << 20, "{taken} bytes were taken although nobody read any");
    // It goes on once the client reads.
    let mut read = vec![0; 1 << 20];
    let mut total = 0;
    while total < taken {
        total += soon(client.read(&mut read)).await.unwrap();
    }
}

/// The head of a request that announces 1000 bytes, of which these come.
async fn stalling(set: impl FnOnce(&mut GatewayConfig), body: &str) -> (Rig, RawUpstream, TcpStream) {
    let upstream = RawUpstream::start().await;
    let mut config = config(&[openai("up", upstream.address())]);
    set(&mut config);
    let rig = Rig::start_with(config).await;
    let token = rig.token("default").await;
    let mut client = TcpStream::connect(rig.consumer).await.unwrap();
    let head = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{body}"
    );
    client.write_all(head.as_bytes()).await.unwrap();
    (rig, upstream, client)
}

#[tokio::test]
async fn a_request_whose_body_stops_coming_is_answered_408_and_never_leaves() {
    let (rig, upstream, mut client) =
        stalling(|config| config.timeouts.request_body = millis(100), "{\"model\":").await;
    let mut answer = Vec::new();
    soon(client.read_buf(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(rig.audit_row().await.status, 408);
    assert!(timeout(Duration::from_millis(50), upstream.call()).await.is_err());
}

#[tokio::test]
async fn a_body_that_breaks_off_never_leaves() {
    let (rig, upstream, client) = stalling(|_| {}, "{\"model\":\"gpt-5\"}").await;
    drop(client);
    rig.audit_row().await;
    assert!(timeout(Duration::from_millis(50), upstream.call()).await.is_err());
}

#[tokio::test]
async fn a_body_may_come_slowly_as_long_as_it_comes() {
    let (_rig, upstream, mut client) =
        stalling(|config| config.timeouts.request_body = millis(400), "{\"model\":\"gpt-5\"").await;
    let rest = format!("{}}}", " ".repeat(1000 - 17));
    for piece in rest.as_bytes().chunks(200) {
        tokio::time::sleep(Duration::from_millis(150)).await;
        client.write_all(piece).await.unwrap();
    }
    assert_eq!(soon(upstream.call()).await.body.len(), 1000);
}
