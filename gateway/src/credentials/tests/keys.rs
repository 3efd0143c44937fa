use doorward_base::{ManualClock, Timestamp};
use doorward_github::Verb;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::jwt::tests::PKCS1;
use super::super::known::Known;
use super::super::permissions::permissions;
use super::super::tests::{Place, secret, set};
use super::*;
use crate::config::UpstreamKind;
use crate::consumer::client;

pub(in crate::credentials) fn tools() -> Tools {
    Tools {
        client: client(Duration::from_secs(5)).unwrap(),
        clock: Arc::new(ManualClock::new(Timestamp::from_millis(0))),
        random: Random::seeded(1),
    }
}

pub(in crate::credentials) fn keys(sources: &[CredentialSource], basic_user: Option<&str>, tools: &Tools) -> Arc<Keys> {
    at("https://up.example", sources, basic_user, tools)
}

fn at(base_url: &str, sources: &[CredentialSource], basic_user: Option<&str>, tools: &Tools) -> Arc<Keys> {
    let config = UpstreamConfig {
        name: "up".to_owned(),
        kind: UpstreamKind::Github,
        base_url: base_url.parse().unwrap(),
        uploads_url: None,
        git_url: None,
        credential: None,
        credentials: sources.to_vec(),
        inject: basic_user.map(|user| InjectConfig::BasicUser(user.to_owned())),
        models: None,
        aliases: std::collections::BTreeMap::new(),
        fallback: None,
        limits: crate::config::UpstreamLimits::default(),
        timeouts: crate::config::UpstreamTimeouts::default(),
    };
    Arc::new(Keys::compile(&config, tools).unwrap())
}

const ALONE: For<'_> = For { consumer: "alice", scope: None, can_fall_back: false };
const WITH_FALLBACK: For<'_> = For { can_fall_back: true, ..ALONE };

fn limited() -> Outcome {
    Outcome::RateLimited { retry_after: Some(Duration::from_secs(30)) }
}

#[tokio::test]
async fn a_credential_that_had_too_many_requests_is_replaced_by_the_next() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "a", "one").await;
    set(&place.secrets, "b", "two").await;
    let keys = keys(&[secret("a"), secret("b")], None, &tools());
    let first = keys.take(&place.credentials, ALONE).await.unwrap();
    first.report(limited());
    let second = keys.take(&place.credentials, ALONE).await.unwrap();
    assert_ne!(first.credential.expose(), second.credential.expose());
    second.report(limited());
    let error = keys.take(&place.credentials, WITH_FALLBACK).await.unwrap_err();
    assert!(matches!(error, TakeError::NoneReady { retry_after, .. } if retry_after > Duration::from_secs(25)));
    // Without a fallback the upstream itself may say no.
    assert!(keys.take(&place.credentials, ALONE).await.is_ok());
}

#[tokio::test]
async fn a_credential_that_is_not_set_is_passed_over_while_there_are_others() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "b", "two").await;
    let keys = keys(&[secret("a"), secret("b")], None, &tools());
    for consumer in ["alice", "bob", "carol", "dave"] {
        let taken = keys.take(&place.credentials, For { consumer, ..ALONE }).await.unwrap();
        assert_eq!(taken.credential.expose(), "two");
    }
}

#[tokio::test]
async fn when_none_is_set_the_cure_is_said_and_setting_one_helps_at_once() {
    let place = Place::in_a_file().await;
    let keys = keys(&[secret("a")], None, &tools());
    for choice in [ALONE, WITH_FALLBACK] {
        let error = keys.take(&place.credentials, choice).await.unwrap_err();
        assert!(error.to_string().contains("doorward secret set a"), "{error}");
    }
    set(&place.secrets, "a", "one").await;
    assert_eq!(keys.take(&place.credentials, ALONE).await.unwrap().credential.expose(), "one");
}

#[tokio::test]
async fn the_pair_of_basic_authentication_is_guarded_with_the_credential() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "a", "hunter2").await;
    let taken = keys(&[secret("a")], Some("me"), &tools()).take(&place.credentials, ALONE).await.unwrap();
    let guarded: Vec<_> = taken.guarded.iter().map(Credential::expose).collect();
    assert_eq!((taken.credential.expose(), guarded), ("hunter2", vec!["me:hunter2", "hunter2"]));
}

fn app() -> CredentialSource {
    CredentialSource::GithubApp { app_id: 7, private_key: Box::new(secret("app")) }
}

fn scope() -> Scope {
    Scope { repository: "acme/widgets".parse().unwrap(), permissions: permissions([Verb::Read].into_iter()) }
}

#[tokio::test]
async fn an_app_gives_a_token_that_is_known_with_its_private_key() {
    let (place, github) = (Place::in_a_file().await, MockServer::start().await);
    set(&place.secrets, "app", PKCS1).await;
    let answer = ResponseTemplate::new(200).set_body_json(json!({ "id": 42 }));
    Mock::given(method("GET")).and(path("/repos/acme/widgets/installation")).respond_with(answer).mount(&github).await;
    let answer = json!({ "token": "ghs_token", "expires_at": "1970-01-01T01:00:00Z" });
    let answer = ResponseTemplate::new(201).set_body_json(answer);
    Mock::given(method("POST")).respond_with(answer).expect(2).mount(&github).await;
    let keys = at(&github.uri(), &[app()], None, &tools());
    let known = Known::new(place.credentials.clone(), vec![keys.clone()]);
    assert_eq!(known.snapshot().await.credentials.len(), 1);

    let (scope, generation) = (scope(), known.generation());
    let r#for = For { scope: Some(&scope), ..ALONE };
    let taken = keys.take(&place.credentials, r#for).await.unwrap();
    assert_eq!(taken.credential.expose(), "ghs_token");
    let snapshot = known.snapshot().await;
    assert!(snapshot.generation > generation);
    assert!(snapshot.credentials.iter().any(|credential| credential.expose() == "ghs_token"));
    assert!(snapshot.credentials.iter().any(|credential| credential.expose() == PKCS1.trim_end()));

    taken.report(Outcome::Refused);
    keys.take(&place.credentials, r#for).await.unwrap().report(Outcome::Fine);
}

#[tokio::test]
async fn an_app_gives_nothing_for_a_request_without_a_repository() {
    let place = Place::in_a_file().await;
    let error = keys(&[app()], None, &tools()).take(&place.credentials, ALONE).await.unwrap_err();
    assert!(matches!(error, TakeError::NoRepository));
}
