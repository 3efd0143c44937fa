//! Upstreams that answer in two ways: an answer that hides another one reaches nobody else.

use futures_util::future::join_all;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::rig::{RawUpstream, Rig, openai, soon};

const OK: &str = "HTTP/1.1 200 OK\r\n";
const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

/// What a second consumer gets after a first one was answered with these bytes.
async fn after(answer: &str) -> String {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let (alice, bob) = (rig.token("all").await, rig.token_of("bob", "all").await);
    let first = rig.chat(&alice, "gpt-5");
    let first = tokio::spawn(async move { first.send().await?.bytes().await });
    let mut call = soon(upstream.call()).await;
    call.send(answer.as_bytes()).await;
    // A broken answer may wait for more that never comes: the client gives up, as the gateway would in the end.
    let _ = tokio::time::timeout(std::time::Duration::from_millis(300), first).await;
    let second = rig.chat(&bob, "gpt-5");
    let second = tokio::spawn(async move { second.send().await?.text().await });
    let mut call = soon(upstream.call()).await;
    call.answer("clean").await;
    soon(second).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_answer_that_hides_a_second_one_poisons_nobody() {
    for answer in [
        format!("{OK}content-length: 2\r\n\r\n{{}}{POISON}"),
        format!("{OK}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{POISON}"),
        format!("{OK}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{POISON}"),
        format!("{OK}transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n{POISON}"),
        format!("{OK}content-length: 2\r\ncontent-length: 0\r\n\r\n{{}}{POISON}"),
        format!("{OK}content-length: 0\r\n\r\n{POISON}"),
        format!("HTTP/1.1 204 No Content\r\n\r\n{POISON}"),
        format!("HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\n{POISON}"),
        format!("HTTP/1.1 100 Continue\r\n\r\n{OK}content-length: 2\r\n\r\n{{}}{POISON}"),
        format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n{POISON}"),
        format!("{OK}content-length: -1\r\n\r\n{POISON}"),
        format!("{OK}transfer-encoding: xchunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n{POISON}"),
    ] {
        assert_eq!(after(&answer).await, "clean", "{answer:?}");
    }
}

#[tokio::test]
async fn an_answer_of_one_consumer_is_never_that_of_another_however_many_ask_at_once() {
    let server = MockServer::start().await;
    let echo = |request: &Request| ResponseTemplate::new(200).set_body_raw(request.body.clone(), "application/json");
    Mock::given(any()).respond_with(echo).mount(&server).await;
    let rig = Rig::start(&[openai("up", *server.address())]).await;
    let token = rig.token("all").await;
    let answers = (0..60).map(|number| {
        let body = json!({ "model": "gpt-5", "number": number }).to_string();
        let request = rig.post(&token, "responses", body.clone());
        async move {
            // Some give up: their connection must not be used for the next.
            if number % 3 == 0 {
                let _ = tokio::time::timeout(std::time::Duration::from_millis(2), request.send()).await;
                return;
            }
            assert_eq!(soon(request.send()).await.unwrap().text().await.unwrap(), body);
        }
    });
    join_all(answers).await;
}
