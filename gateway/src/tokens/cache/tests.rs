use doorward_base::{Clock, DatabaseUrl, ManualClock, Random, Timestamp};
use doorward_testkit::on_both_engines;

use super::*;
use crate::open_database;
use crate::token::ConsumerToken;
use crate::tokens::{ConsumerName, MintedToken, Rotation, TokenRefused, Tokens};

const HOUR: Duration = Duration::from_secs(3600);

/// This process and another one, over one database.
async fn two(url: &str) -> (Tokens, Tokens, ManualClock) {
    let url = DatabaseUrl::try_from(url.to_owned()).unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(0));
    let open =
        async |seed| Tokens::new(open_database(&url).await.unwrap(), Arc::new(clock.clone()), Random::seeded(seed));
    (open(1).await, open(2).await, clock.clone())
}

async fn mint(tokens: &Tokens) -> MintedToken {
    tokens.mint(ConsumerName::new("alice").unwrap(), Vec::new(), HOUR).await.unwrap()
}

#[tokio::test]
async fn a_known_token_is_not_looked_up_again_and_its_expiry_is_still_seen() {
    on_both_engines(async |url| {
        let (tokens, other, clock) = two(&url).await;
        let minted = mint(&tokens).await;
        // Slow machines may need more than one try until both lookups fall into half a second.
        tokens.authenticate(&minted.token).await.unwrap();
        tokens.database.close().await;
        tokens.authenticate(&minted.token).await.unwrap();
        clock.advance(HOUR);
        assert!(matches!(tokens.authenticate(&minted.token).await, Err(TokenRefused::Expired)));
        other.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_revocation_by_this_process_holds_at_once() {
    on_both_engines(async |url| {
        let (tokens, other, _) = two(&url).await;
        let minted = mint(&tokens).await;
        tokens.authenticate(&minted.token).await.unwrap();
        tokens.clone().revoke("alice").await.unwrap();
        assert!(matches!(tokens.authenticate(&minted.token).await, Err(TokenRefused::Revoked)));
        tokens.database.close().await;
        other.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_revocation_and_a_rotation_by_another_process_hold_within_a_second() {
    on_both_engines(async |url| {
        let (tokens, other, _) = two(&url).await;
        let (revoked, rotated) = (mint(&tokens).await, mint(&tokens).await);
        tokens.authenticate(&revoked.token).await.unwrap();
        tokens.authenticate(&rotated.token).await.unwrap();
        other.revoke(revoked.record.id.as_str()).await.unwrap();
        let at_once = Rotation { overlap: Duration::ZERO, ttl: None };
        other.rotate(rotated.record.id.as_str(), at_once).await.unwrap();
        let done = Instant::now();
        for minted in [revoked, rotated] {
            // Asking all the time must not keep the old answer alive.
            while tokens.authenticate(&minted.token).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert!(done.elapsed() < Duration::from_secs(1), "{:?}", done.elapsed());
        }
        tokens.database.close().await;
        other.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_minted_after_it_was_asked_for_is_known_at_once() {
    on_both_engines(async |url| {
        let (tokens, other, _) = two(&url).await;
        let stranger = ConsumerToken::generate(&Random::seeded(99));
        assert!(matches!(tokens.authenticate(&stranger).await, Err(TokenRefused::Unknown)));
        assert!(tokens.cache.get(&stranger.digest()).is_none());
        tokens.database.close().await;
        other.database.close().await;
    })
    .await;
}

fn digest(n: usize) -> TokenDigest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TokenDigest::from_stored(&bytes).unwrap()
}

fn record() -> TokenRecord {
    let clock = ManualClock::new(Timestamp::from_millis(0));
    TokenRecord {
        id: crate::tokens::TokenId("tok_1".into()),
        consumer: ConsumerName::new("alice").unwrap(),
        grants: Vec::new(),
        created_at: clock.now(),
        expires_at: clock.now().plus(HOUR),
        revoked_at: None,
        old_text_until: None,
        revoked: false,
    }
}

#[test]
fn what_was_read_before_a_revocation_is_not_kept_after_it() {
    let cache = Cache::default();
    let reading = cache.begin_reading();
    cache.forget_all();
    cache.put(digest(1), record(), reading);
    assert!(cache.get(&digest(1)).is_none());
    cache.put(digest(1), record(), cache.begin_reading());
    assert!(cache.get(&digest(1)).is_some());
}

#[test]
fn what_took_long_to_read_is_believed_for_no_longer_than_what_did_not() {
    let cache = Cache::default();
    let reading = cache.begin_reading();
    let long_ago = reading.at.checked_sub(BELIEVED).unwrap();
    cache.put(digest(1), record(), Reading { at: long_ago, ..reading });
    assert!(cache.get(&digest(1)).is_none());
}

#[test]
fn the_cache_does_not_grow_without_bound() {
    let cache = Cache::default();
    for n in 0..MOST_ENTRIES + 5 {
        cache.put(digest(n), record(), cache.begin_reading());
    }
    assert_eq!(cache.lock().by_digest.len(), 5);
}
