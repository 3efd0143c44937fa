//! Whether the homeserver and we reach each other, and what the operator is told.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use doorward_appservice::{Appservice, Health};
use serde_json::{Value, json};

use crate::support::{Bot, Homeserver, Running, open, request, sqlite};

async fn get(appservice: &Appservice, path: &str) -> (StatusCode, Value) {
    request(appservice, Request::get(path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn it_is_ready_when_the_homeserver_is_and_says_why_not_before() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    homeserver.refuse("POST", "/ping$", 1, 502, json!({"errcode": "M_CONNECTION_FAILED", "error": "refused"})).await;
    let appservice = open(url, &homeserver.url()).await;
    let (status, body) = get(&appservice, "/ready").await;
    assert_eq!((status.as_u16(), &body["ready"]), (503, &json!(false)));
    assert_eq!(get(&appservice, "/health").await.0, StatusCode::OK);
    let mut health = appservice.health();
    let running = Running::start(&appservice, Bot::content());
    health.wait_for(|health| matches!(health, Health::Refused { .. })).await.unwrap();
    health.wait_for(|health| matches!(health, Health::Ready { .. })).await.unwrap();
    assert_eq!(get(&appservice, "/ready").await, (StatusCode::OK, json!({"ready": true})));
    running.stop().await;
    let pings = homeserver.requests("POST", "/ping").await;
    assert!(pings[0].0.starts_with("/_matrix/client/v1/appservice/bot/ping"), "{}", pings[0].0);
    assert!(pings[0].1["transaction_id"].is_string());
}

#[tokio::test]
async fn each_refusal_is_one_clear_sentence_with_a_cure() {
    for (status, errcode, part) in [
        (401, "M_UNKNOWN_TOKEN", "as_token"),
        (403, "M_FORBIDDEN", "the id `bot`"),
        (400, "M_URL_NOT_SET", "has no url"),
        (502, "M_BAD_STATUS", "hs_token"),
        (502, "M_CONNECTION_FAILED", "http://127.0.0.1:9009"),
        (504, "M_CONNECTION_TIMEOUT", "does not reach us"),
        (404, "M_UNRECOGNIZED", "Matrix 1.7"),
        (418, "M_TEAPOT", "M_TEAPOT"),
    ] {
        let (_folder, url) = sqlite();
        let homeserver = Homeserver::start().await;
        homeserver.refuse("POST", "/ping$", 99, status, json!({"errcode": errcode, "error": "no"})).await;
        let appservice = open(url, &homeserver.url()).await;
        let running = Running::start(&appservice, Bot::content());
        let mut health = appservice.health();
        let now = health.wait_for(|health| *health != Health::Unknown).await.unwrap().clone();
        let Health::Refused { reason } = now else { panic!("{now:?}") };
        assert!(reason.contains(part) && !reason.contains('\n'), "{reason}");
        assert_eq!(get(&appservice, "/ready").await.1["reason"], json!(reason));
        running.stop().await;
    }
}

#[tokio::test]
async fn synapse_that_stumbles_over_its_own_timer_has_reached_us() {
    for message in ["AlreadyCalled: Tried to cancel an already-called event.", "AlreadyCancelled: Tried to cancel"] {
        let (_folder, url) = sqlite();
        let homeserver = Homeserver::start().await;
        let stumbled = json!({"errcode": "M_CONNECTION_FAILED", "error": message});
        homeserver.refuse("POST", "/ping$", 99, 502, stumbled).await;
        let appservice = open(url, &homeserver.url()).await;
        appservice.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_homeserver_that_is_down_is_unreachable_and_named() {
    let (_folder, url) = sqlite();
    let appservice = open(url, "http://127.0.0.1:1").await;
    let running = Running::start(&appservice, Bot::content());
    let mut health = appservice.health();
    let now = health.wait_for(|health| *health != Health::Unknown).await.unwrap().clone();
    let Health::Unreachable { reason } = now else { panic!("{now:?}") };
    assert!(reason.contains("http://127.0.0.1:1") && reason.contains("refused"), "{reason}");
    running.stop().await;
}
