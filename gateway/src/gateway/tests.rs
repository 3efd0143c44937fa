use doorward_base::{ManualClock, Timestamp};

use super::*;
use crate::consumer::Refusal;
use crate::token::ConsumerToken;
use crate::tokens::{ConsumerName, TokenRefused};

const LONG_AGO: Duration = Duration::from_secs(11);

async fn gateway() -> (Gateway, tempfile::TempDir, ConsumerToken) {
    let folder = tempfile::tempdir().unwrap();
    let config = GatewayConfig::default().relative_to(folder.path());
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    let gateway = Gateway::open(config, Grants::new(), Arc::new(|_| None), clock, Random::seeded(1)).await.unwrap();
    let alice = ConsumerName::new("alice").unwrap();
    let minted = gateway.tokens().mint(alice, Vec::new(), Duration::from_secs(60)).await.unwrap();
    (gateway, folder, minted.token)
}

#[tokio::test]
async fn open_calls_outlive_a_database_that_is_gone_for_a_moment_and_no_longer() {
    let (gateway, _folder, token) = gateway().await;
    let consumer = gateway.tokens().authenticate(&token).await.unwrap();
    let open_calls = &gateway.0.consumers.open_calls;
    let mut watched = open_calls.open(&consumer);
    gateway.0.database.close().await;
    let mut seen = Instant::now();
    gateway.look_for_refused_tokens(&mut seen).await;
    assert_eq!(open_calls.len(), 1);
    seen = seen.checked_sub(LONG_AGO).unwrap();
    gateway.look_for_refused_tokens(&mut seen).await;
    assert_eq!(open_calls.len(), 0);
    let cut = watched.unless_cut(std::future::pending::<Result<(), Refusal>>()).await.unwrap_err();
    assert!(matches!(cut, Refusal::Cut(Cut::Token)));
}

#[tokio::test]
async fn without_its_database_the_gateway_knows_nobody() {
    let (gateway, _folder, token) = gateway().await;
    gateway.0.database.close().await;
    let refused = gateway.tokens().authenticate(&token).await.unwrap_err();
    assert!(matches!(refused, TokenRefused::Store(_)));
    assert_eq!(Refusal::from(refused).status_and_code().0.as_u16(), 503);
}
