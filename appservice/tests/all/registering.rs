//! Whose name it is: ours, or a person's.

use std::io::Read;

use doorward_appservice::{Appservice, IntentError};
use doorward_testkit::{free_port, on_both_engines};
use serde_json::json;

use crate::support::{Homeserver, open, rows, sqlite};

const MARKER: &str = "/account_data/org.doorward.registration$";

async fn in_use(homeserver: &Homeserver) {
    let taken = json!({"errcode": "M_USER_IN_USE", "error": "taken"});
    homeserver.refuse("POST", "/register$", u64::MAX, 400, taken).await;
}

async fn without_marker(homeserver: &Homeserver) {
    let none = json!({"errcode": "M_NOT_FOUND", "error": "no account data"});
    homeserver.refuse("GET", MARKER, u64::MAX, 404, none).await;
}

async fn register(appservice: &Appservice, localpart: &str) -> Result<(), IntentError> {
    let user = appservice.user_id(localpart).unwrap();
    appservice.intent(&user).unwrap().ensure_registered().await
}

#[tokio::test]
async fn a_user_is_registered_once_without_login_and_gets_a_marker_and_a_device() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        let appservice = open(url.clone(), &homeserver.url()).await;
        register(&appservice, "bot-ann").await.unwrap();
        register(&appservice, "bot-ann").await.unwrap();
        let again = open(url, &homeserver.url()).await;
        register(&again, "bot-ann").await.unwrap();
        let registrations = homeserver.requests("POST", "/register").await;
        let body = json!({"type": "m.login.application_service", "username": "bot-ann", "inhibit_login": true});
        assert_eq!(registrations, [("/_matrix/client/v3/register?".to_owned(), body)]);
        let markers = homeserver.requests("PUT", "/account_data/").await;
        assert_eq!(markers.len(), 1);
        assert_eq!(markers[0].1, json!({"id": "bot"}));
        assert!(markers[0].0.ends_with("?user_id=%40bot-ann%3Aexample.org"), "{}", markers[0].0);
        assert_eq!(homeserver.requests("PUT", "/devices/").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_person_who_has_the_name_keeps_it_and_the_operator_is_told_what_to_do() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        in_use(&homeserver).await;
        without_marker(&homeserver).await;
        homeserver.on("GET", "/devices$", json!({"devices": [{"device_id": "PHONE"}]})).await;
        let appservice = open(url, &homeserver.url()).await;
        for _ in 0..2 {
            let error = register(&appservice, "bot").await.unwrap_err();
            assert!(matches!(&error, IntentError::UserInUse { user } if user == "@bot:example.org"), "{error:?}");
            assert!(error.to_string().contains("@bot:example.org") && !error.is_retryable(), "{error}");
        }
        assert_eq!(rows(&appservice, "virtual_user", None).await, 0);
        assert!(homeserver.requests("PUT", "").await.is_empty(), "nothing of the person's was touched");
    })
    .await;
}

#[tokio::test]
async fn a_person_without_any_device_keeps_the_name_too() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    without_marker(&homeserver).await;
    homeserver.on("GET", "/devices$", json!({"devices": []})).await;
    homeserver.on("GET", "/federation/v1/version$", json!({"server": {"name": "Synapse", "version": "1.163.0"}})).await;
    let appservice = open(url, &homeserver.url()).await;
    for localpart in ["bot", "bot-ann"] {
        let error = register(&appservice, localpart).await.unwrap_err();
        assert!(matches!(error, IntentError::UserInUse { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn two_attempts_at_the_same_time_do_not_take_a_persons_account_for_each_others() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    without_marker(&homeserver).await;
    homeserver.on("GET", "/devices$", json!({"devices": []})).await;
    let appservice = open(url, &homeserver.url()).await;
    let attempts = tokio::join!(register(&appservice, "bot-ann"), register(&appservice, "bot-ann"));
    for result in [attempts.0, attempts.1] {
        assert!(matches!(result, Err(IntentError::UserInUse { .. })), "{result:?}");
    }
}

#[tokio::test]
async fn what_carries_our_marker_is_ours_even_if_our_database_was_lost() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    homeserver.on("GET", MARKER, json!({"id": "bot"})).await;
    let appservice = open(url, &homeserver.url()).await;
    register(&appservice, "bot").await.unwrap();
    assert_eq!(homeserver.requests("PUT", "/devices/").await.len(), 1, "with a new device");
}

#[tokio::test]
async fn the_marker_of_another_application_service_is_not_ours() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    homeserver.on("GET", MARKER, json!({"id": "other"})).await;
    let appservice = open(url, &homeserver.url()).await;
    assert!(matches!(register(&appservice, "bot-ann").await, Err(IntentError::UserInUse { .. })));
}

#[tokio::test]
async fn a_registration_that_was_cut_short_is_finished() {
    on_both_engines(async |url| {
        let homeserver = Homeserver::start().await;
        let gone = json!({"errcode": "M_UNKNOWN", "error": "restarting"});
        homeserver.refuse("PUT", "/account_data/", 1, 502, gone).await;
        let appservice = open(url, &homeserver.url()).await;
        assert!(register(&appservice, "bot-ann").await.unwrap_err().is_retryable());
        in_use(&homeserver).await;
        without_marker(&homeserver).await;
        homeserver.on("GET", "/devices$", json!({"devices": []})).await;
        register(&appservice, "bot-ann").await.unwrap();
        assert_eq!(rows(&appservice, "virtual_user", Some("registered")).await, 1);
    })
    .await;
}

/// A homeserver where a person has every name, and no device.
async fn taken_by_a_person_without_device() -> Homeserver {
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    without_marker(&homeserver).await;
    homeserver.on("GET", "/devices$", json!({"devices": []})).await;
    homeserver
}

#[tokio::test]
async fn an_attempt_that_never_arrived_gives_no_claim_to_a_persons_account() {
    on_both_engines(async |url| {
        let closed = format!("http://127.0.0.1:{}", free_port());
        let appservice = open(url.clone(), &closed).await;
        assert!(register(&appservice, "bot-ann").await.unwrap_err().is_retryable());
        let homeserver = taken_by_a_person_without_device().await;
        let appservice = open(url, &homeserver.url()).await;
        assert!(matches!(register(&appservice, "bot-ann").await, Err(IntentError::UserInUse { .. })));
        assert!(homeserver.requests("PUT", "").await.is_empty(), "nothing of the person's was touched");
    })
    .await;
}

#[tokio::test]
async fn an_attempt_that_was_refused_gives_no_claim_to_a_persons_account() {
    for (status, errcode) in [(401, "M_UNKNOWN_TOKEN"), (403, "M_FORBIDDEN"), (400, "M_EXCLUSIVE")] {
        let (_folder, url) = sqlite();
        let homeserver = taken_by_a_person_without_device().await;
        let refusing = refusing(status, errcode).await;
        let appservice = open(url.clone(), &refusing.url()).await;
        assert!(matches!(register(&appservice, "bot-ann").await, Err(IntentError::Matrix { .. })));
        let appservice = open(url, &homeserver.url()).await;
        let error = register(&appservice, "bot-ann").await.unwrap_err();
        assert!(matches!(error, IntentError::UserInUse { .. }), "{errcode}: {error:?}");
    }
}

async fn refusing(status: u16, errcode: &str) -> Homeserver {
    let homeserver = Homeserver::start().await;
    homeserver.refuse("POST", "/register$", u64::MAX, status, json!({"errcode": errcode, "error": "no"})).await;
    homeserver
}

#[tokio::test]
async fn a_taken_name_whose_owner_could_not_be_found_out_stays_the_persons() {
    let (_folder, url) = sqlite();
    let homeserver = taken_by_a_person_without_device().await;
    let gone = json!({"errcode": "M_UNKNOWN", "error": "restarting"});
    homeserver.refuse("GET", "/federation/v1/version$", 1, 502, gone).await;
    let appservice = open(url, &homeserver.url()).await;
    assert!(register(&appservice, "bot").await.unwrap_err().is_retryable());
    assert!(matches!(register(&appservice, "bot").await, Err(IntentError::UserInUse { .. })));
}

#[tokio::test]
async fn an_attempt_that_may_have_made_the_account_is_finished_even_after_one_that_was_refused() {
    on_both_engines(async |url| {
        let (port, answerless) = answerless();
        let appservice = open(url.clone(), &format!("http://127.0.0.1:{port}")).await;
        assert!(register(&appservice, "bot-ann").await.unwrap_err().is_retryable());
        answerless.join().unwrap();
        let refusing = refusing(401, "M_UNKNOWN_TOKEN").await;
        let appservice = open(url.clone(), &refusing.url()).await;
        register(&appservice, "bot-ann").await.unwrap_err();
        let homeserver = taken_by_a_person_without_device().await;
        let appservice = open(url, &homeserver.url()).await;
        register(&appservice, "bot-ann").await.unwrap();
        assert_eq!(rows(&appservice, "virtual_user", Some("registered")).await, 1);
    })
    .await;
}

/// Takes one request and hangs up.
fn answerless() -> (u16, std::thread::JoinHandle<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let task = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 16]).unwrap() > 0);
    });
    (port, task)
}

#[tokio::test]
async fn a_sender_that_tuwunel_made_by_itself_is_ours_and_a_persons_there_is_not() {
    let (_folder, url) = sqlite();
    let homeserver = Homeserver::start().await;
    in_use(&homeserver).await;
    without_marker(&homeserver).await;
    homeserver.on("GET", "/federation/v1/version$", json!({"server": {"name": "Tuwunel", "version": "1.9"}})).await;
    homeserver.refuse("GET", "/devices$", 1, 200, json!({"devices": [{"device_id": "PHONE"}]})).await;
    homeserver.on("GET", "/devices$", json!({"devices": []})).await;
    let appservice = open(url, &homeserver.url()).await;
    assert!(matches!(register(&appservice, "bot").await, Err(IntentError::UserInUse { .. })));
    register(&appservice, "bot").await.unwrap();
    assert!(matches!(register(&appservice, "bot-ann").await, Err(IntentError::UserInUse { .. })), "only the sender");
}

#[tokio::test]
async fn a_name_that_is_not_ours_gives_no_intent() {
    let (_folder, url) = sqlite();
    let appservice = open(url, "http://127.0.0.1:1").await;
    let user = |id: &str| ruma::UserId::parse(id).unwrap();
    assert!(appservice.owns(&user("@bot:example.org")) && appservice.owns(&user("@bot-ann:example.org")));
    for other in ["@ann:example.org", "@bot-ann:elsewhere.org", "@bot-ANN:example.org", "@robot-ann:example.org"] {
        let error = appservice.intent(&user(other)).unwrap_err();
        assert!(error.to_string().contains(other), "{error}");
    }
    assert!(
        appservice.user_id("Bot").is_err() && appservice.user_id("a:b").is_err() && appservice.user_id("").is_err()
    );
    assert!(appservice.user_id(&"x".repeat(250)).is_err());
}
