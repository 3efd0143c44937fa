//! Streams: they flow event by event, and end when they have to.

use std::time::Duration;

use doorward_gateway::{AuditFilter, ConsumerName, Ending};
use tokio::time::{Instant, timeout};

use crate::rig::{HOUR, RawCall, RawUpstream, Rig, error, openai, soon};

struct Streaming {
    rig: Rig,
    token: String,
    call: RawCall,
    answer: reqwest::Response,
    _upstream: RawUpstream,
}

/// A stream whose first event has arrived at the client.
async fn streaming() -> Streaming {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    call.begin_events().await;
    call.send_chunk("data: {\"n\":1}\n\n").await;
    let mut answer = soon(sent).await.unwrap().unwrap();
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), "data: {\"n\":1}\n\n");
    Streaming { rig, token, call, answer, _upstream: upstream }
}

#[tokio::test]
async fn every_event_arrives_before_the_next_is_sent_and_its_usage_is_counted() {
    let Streaming { rig, mut call, mut answer, .. } = streaming().await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    for n in 2..5 {
        let event = format!("data: {{\"n\":{n}}}\n\n");
        call.send_chunk(&event).await;
        assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), event);
    }
    for half in ["data: {\"usage\":{\"prompt_to", "kens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n"] {
        call.send_chunk(half).await;
    }
    call.end_events().await;
    let rest = soon(async {
        let mut rest = Vec::new();
        while let Some(chunk) = answer.chunk().await.unwrap() {
            rest.extend_from_slice(&chunk);
        }
        rest
    });
    assert!(rest.await.ends_with(b"data: [DONE]\n\n"));
    let row = rig.audit_row().await;
    assert_eq!((row.prompt_tokens, row.completion_tokens, row.ending), (Some(3), Some(4), Ending::Complete));
}

#[tokio::test]
async fn a_client_that_goes_away_closes_the_upstream() {
    let Streaming { rig, mut call, answer, .. } = streaming().await;
    drop(answer);
    soon(call.closed()).await;
    let row = rig.audit_row().await;
    assert_eq!((row.ending, row.status, row.prompt_tokens), (Ending::ClientGone, 200, None));
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_answer_closes_the_upstream() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    sent.abort();
    soon(call.closed()).await;
    let row = rig.audit_row().await;
    assert_eq!((row.ending, row.status), (Ending::ClientGone, 499));
}

#[tokio::test]
async fn a_revoked_token_takes_its_open_stream_with_it_within_a_second() {
    let Streaming { rig, mut call, mut answer, token, .. } = streaming().await;
    let revoked = Instant::now();
    assert_eq!(rig.gateway.tokens().revoke("alice").await.unwrap(), 1);
    assert!(soon(answer.chunk()).await.is_err(), "a stream that was cut must not look whole");
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    soon(call.closed()).await;
    assert_eq!(rig.audit_row().await.ending, Ending::Cut);
    assert_eq!(error(rig.chat(&token, "gpt-5").send().await.unwrap(), 401).await["code"], "invalid_api_key");
}

#[tokio::test]
async fn a_token_that_expires_takes_its_open_stream_with_it() {
    let Streaming { rig, call: _open, mut answer, .. } = streaming().await;
    rig.clock.advance(HOUR);
    assert!(soon(answer.chunk()).await.is_err());
    assert_eq!(rig.audit_row().await.ending, Ending::Cut);
}

#[tokio::test]
async fn the_streams_of_other_tokens_go_on() {
    let Streaming { rig, mut call, mut answer, .. } = streaming().await;
    let bob = ConsumerName::new("bob").unwrap();
    rig.gateway.tokens().mint(bob, vec!["default".to_owned()], HOUR).await.unwrap();
    assert_eq!(rig.gateway.tokens().revoke("bob").await.unwrap(), 1);
    assert!(timeout(Duration::from_millis(1200), answer.chunk()).await.is_err());
    call.send_chunk("data: 2\n\n").await;
    assert_eq!(soon(answer.chunk()).await.unwrap().unwrap(), "data: 2\n\n");
}

#[tokio::test]
async fn a_revoked_token_ends_a_call_that_waits_for_its_answer() {
    let upstream = RawUpstream::start().await;
    let rig = Rig::start(&[openai("up", upstream.address())]).await;
    let token = rig.token("default").await;
    let sent = tokio::spawn(rig.chat(&token, "gpt-5").send());
    let mut call = soon(upstream.call()).await;
    rig.gateway.tokens().revoke("alice").await.unwrap();
    let answer = soon(sent).await.unwrap().unwrap();
    assert!(error(answer, 401).await["message"].as_str().unwrap().contains("revoked"));
    soon(call.closed()).await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_leaves_an_answer_that_does_not_look_whole() {
    let Streaming { rig, call, mut answer, .. } = streaming().await;
    drop(call);
    assert!(soon(answer.chunk()).await.is_err());
    assert_eq!(rig.audit_row().await.ending, Ending::UpstreamBroke);
}

#[tokio::test]
async fn a_stop_lets_calls_end_cuts_the_rest_and_loses_no_row() {
    let Streaming { rig, call: _open, mut answer, .. } = streaming().await;
    let audit = rig.gateway.audit().clone();
    let (consumer, client, token) = (rig.url("/v1/chat/completions"), rig.client.clone(), rig.token("default").await);
    let folder = soon(rig.stop()).await;
    assert!(soon(answer.chunk()).await.is_err());
    let rows = audit.list(&AuditFilter::default(), 10).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.ending).collect::<Vec<_>>(), [Ending::Cut]);
    let late = client.post(consumer).bearer_auth(token).send().await.unwrap();
    assert_eq!(error(late, 503).await["code"], "gateway_unavailable");
    drop(folder);
}
