//! Plays homeserver: each endpoint of the Application Service API, and how it refuses.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use doorward_appservice::Appservice;
use serde_json::{Value, json};

use crate::support::{Homeserver, authorized, event, open, open_deaf, put, request, rows, sqlite};

async fn ask(appservice: &Appservice, method: &str, path: &str) -> (u16, String) {
    let (status, body) = request(appservice, authorized(method, path, Body::empty())).await;
    (status.as_u16(), body["errcode"].as_str().unwrap_or_default().to_owned())
}

async fn ask_with(appservice: &Appservice, path: &str, header: Option<&str>) -> (u16, String) {
    let mut request_to = Request::builder().method("POST").uri(path);
    if let Some(header) = header {
        request_to = request_to.header("authorization", header);
    }
    let (status, body) = request(appservice, request_to.body(Body::empty()).unwrap()).await;
    (status.as_u16(), body["errcode"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn every_endpoint_answers_under_its_path_and_the_older_ones_under_their_old_path() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let not_found = (404, "M_NOT_FOUND".to_owned());
    for prefix in ["", "/_matrix/app/v1"] {
        for query in [
            "/rooms/%23room:example.org",
            "/users/@bot-nobody:example.org",
            "/thirdparty/protocol/irc",
            "/thirdparty/user/irc?nick=x",
            "/thirdparty/location/irc?channel=x",
            "/thirdparty/user?userid=@x:y",
            "/thirdparty/location?alias=%23x:y",
        ] {
            assert_eq!(ask(&appservice, "GET", &format!("{prefix}{query}")).await, not_found, "{prefix}{query}");
        }
        let transaction = authorized("PUT", &format!("{prefix}/transactions/1"), r#"{"events":[]}"#);
        assert_eq!(request(&appservice, transaction).await, (StatusCode::OK, json!({})));
    }
    for post in ["v1/ping", "unstable/org.matrix.msc3984/keys/query", "unstable/org.matrix.msc3983/keys/claim"] {
        let asked = request(&appservice, authorized("POST", &format!("/_matrix/app/{post}"), "{}")).await;
        assert_eq!(asked, (StatusCode::OK, json!({})), "{post}");
    }
}

#[tokio::test]
async fn the_token_is_taken_from_the_header_and_from_the_query_and_from_nothing_else() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let ping = "/_matrix/app/v1/ping";
    let with_query = |token: &str| format!("{ping}?access_token={token}");
    let right = Some("Bearer the-hs-token");
    assert_eq!(ask_with(&appservice, ping, right).await.0, 200);
    assert_eq!(ask_with(&appservice, &with_query("the-hs-token"), None).await.0, 200);
    assert_eq!(ask_with(&appservice, &with_query("the%2Dhs%2Dtoken"), right).await.0, 200);
    let missing = (401, "M_MISSING_TOKEN".to_owned());
    assert_eq!(ask_with(&appservice, ping, None).await, missing);
    assert_eq!(ask_with(&appservice, ping, Some("Basic dGhlLWhzLXRva2Vu")).await, missing);
    let wrong = (403, "M_FORBIDDEN".to_owned());
    for header in ["Bearer the-as-token", "Bearer the-hs-toke", "Bearer the-hs-token2", "Bearer "] {
        assert_eq!(ask_with(&appservice, ping, Some(header)).await, wrong, "{header}");
    }
    assert_eq!(ask_with(&appservice, &with_query("x"), None).await, wrong);
}

#[tokio::test]
async fn nothing_is_stored_for_a_caller_without_the_token() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let body = json!({"events": [event("$1", "!a", "hi")]}).to_string();
    let anonymous = Request::builder().method("PUT").uri("/_matrix/app/v1/transactions/1").body(body.into()).unwrap();
    assert_eq!(request(&appservice, anonymous).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(rows(&appservice, "inbox", None).await, 0);
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_unrecognized_in_json() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    for path in ["/", "/_matrix/app/v1/nothing", "/_matrix/app/v2/ping", "/_matrix/app/v1/transactions"] {
        assert_eq!(ask(&appservice, "GET", path).await, (404, "M_UNRECOGNIZED".to_owned()), "{path}");
    }
    for (method, path) in
        [("GET", "/_matrix/app/v1/ping"), ("POST", "/transactions/1"), ("PUT", "/_matrix/app/v1/users/@x:y")]
    {
        assert_eq!(ask(&appservice, method, path).await, (405, "M_UNRECOGNIZED".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn what_is_no_json_and_what_is_no_transaction_is_refused_with_a_400() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    for (body, errcode) in [
        ("", "M_NOT_JSON"),
        ("{\"events\": [", "M_NOT_JSON"),
        ("\u{1}", "M_NOT_JSON"),
        ("[1]", "M_BAD_JSON"),
        ("{\"events\": 5}", "M_BAD_JSON"),
    ] {
        let (status, answer) = request(&appservice, authorized("PUT", "/transactions/1", body)).await;
        assert_eq!((status.as_u16(), answer["errcode"].as_str()), (400, Some(errcode)), "{body}");
    }
}

#[tokio::test]
async fn a_transaction_of_20_mb_is_taken_and_one_above_32_mb_is_too_large() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let text = "x".repeat(60_000);
    let events: Vec<Value> = (0..350).map(|number| event(&format!("${number}"), "!a", &text)).collect();
    assert_eq!(put(&appservice, "1", &events).await, StatusCode::OK);
    assert_eq!(rows(&appservice, "inbox", Some("waiting")).await, 350);
    let huge = authorized("PUT", "/_matrix/app/v1/transactions/2", vec![b' '; 33 * 1024 * 1024]);
    let (status, answer) = request(&appservice, huge).await;
    assert_eq!((status.as_u16(), answer["errcode"].as_str()), (413, Some("M_TOO_LARGE")));
}

#[tokio::test]
async fn the_homeserver_is_told_of_the_sender_and_of_registered_users_only() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    let appservice = open(url, &homeserver.url()).await;
    let ann = appservice.user_id("bot-ann").unwrap();
    let exists = async |user: &str| ask(&appservice, "GET", &format!("/_matrix/app/v1/users/{user}")).await.0 == 200;
    assert!(exists("@bot:example.org").await && exists("%40bot%3Aexample.org").await);
    assert!(!exists("@bot-ann:example.org").await);
    appservice.intent(&ann).unwrap().ensure_registered().await.unwrap();
    assert!(exists("@bot-ann:example.org").await);
    assert!(!exists("@bot-bea:example.org").await && !exists("nonsense").await && !exists("@ann:example.org").await);
}

#[tokio::test]
async fn ephemeral_events_and_to_device_messages_are_accepted() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    let body = json!({
        "events": [event("$1", "!a", "hi")],
        "ephemeral": [{"type": "m.typing", "room_id": "!a", "content": {"user_ids": []}}],
        "de.sorunome.msc2409.ephemeral": [{"type": "m.receipt"}],
        "de.sorunome.msc2409.to_device": [{"type": "m.room_key_request", "sender": "@x:y", "content": {}}],
        "to_device": [5],
        "org.matrix.msc3202.device_lists": {"changed": [], "left": []},
    });
    let sent = authorized("PUT", "/_matrix/app/v1/transactions/1", body.to_string());
    assert_eq!(request(&appservice, sent).await, (StatusCode::OK, json!({})));
    assert_eq!(rows(&appservice, "inbox", None).await, 1);
}

#[tokio::test]
async fn a_database_that_fails_is_a_500_so_that_the_homeserver_sends_again() {
    let (_folder, url) = sqlite();
    let appservice = open_deaf(url).await;
    appservice.database().close().await;
    assert_eq!(put(&appservice, "1", &[event("$1", "!a", "hi")]).await, StatusCode::INTERNAL_SERVER_ERROR);
}
