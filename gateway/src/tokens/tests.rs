use doorward_base::{DatabaseUrl, ManualClock};
use doorward_testkit::on_both_engines;

use super::*;
use crate::open_database;

const HOUR: Duration = Duration::from_secs(3600);

async fn tokens(url: String) -> (Tokens, ManualClock) {
    let database = open_database(&DatabaseUrl::try_from(url).unwrap()).await.unwrap();
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
    (Tokens::new(database, Arc::new(clock.clone()), Random::seeded(1)), clock)
}

async fn mint(tokens: &Tokens, consumer: &str) -> MintedToken {
    tokens.mint(ConsumerName::new(consumer).unwrap(), vec!["default".to_owned()], HOUR).await.unwrap()
}

#[tokio::test]
async fn a_minted_token_is_known_and_its_text_is_not_kept() {
    on_both_engines(async |url| {
        let (tokens, _) = tokens(url).await;
        let minted = mint(&tokens, "alice").await;
        let consumer = tokens.authenticate(&minted.token).await.unwrap();
        assert_eq!((consumer.name.as_str(), &consumer.grants[..]), ("alice", &["default".to_owned()][..]));
        assert_eq!(consumer.token_id, minted.record.id);
        assert!(minted.record.to_string().starts_with("tok_"));
        let kept: Vec<u8> =
            sqlx::query("SELECT digest FROM token").fetch_one(tokens.database.reader()).await.unwrap().get(0);
        assert_eq!(kept, minted.token.digest().as_bytes());
        tokens.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_that_nobody_minted_is_unknown() {
    on_both_engines(async |url| {
        let (tokens, _) = tokens(url).await;
        mint(&tokens, "alice").await;
        let stranger = ConsumerToken::generate(&Random::seeded(99));
        assert!(matches!(tokens.authenticate(&stranger).await, Err(TokenRefused::Unknown)));
        tokens.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_token_expires_to_the_millisecond() {
    on_both_engines(async |url| {
        let (tokens, clock) = tokens(url).await;
        let minted = mint(&tokens, "alice").await;
        clock.advance(HOUR.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(tokens.authenticate(&minted.token).await.is_ok());
        clock.advance(Duration::from_millis(1));
        assert!(matches!(tokens.authenticate(&minted.token).await, Err(TokenRefused::Expired)));
        tokens.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn one_token_is_revoked_by_its_id_and_all_of_a_consumer_by_its_name() {
    on_both_engines(async |url| {
        let (tokens, clock) = tokens(url).await;
        let (one, two, other) =
            (mint(&tokens, "alice").await, mint(&tokens, "alice").await, mint(&tokens, "bob").await);
        assert_eq!(tokens.revoke(one.record.id.as_str()).await.unwrap(), 1);
        assert!(matches!(tokens.authenticate(&one.token).await, Err(TokenRefused::Revoked)));
        assert!(tokens.authenticate(&two.token).await.is_ok());
        assert_eq!(tokens.revoke("alice").await.unwrap(), 1);
        assert_eq!(tokens.revoke("alice").await.unwrap(), 0);
        assert_eq!(tokens.revoke("' OR 1=1 --").await.unwrap(), 0);
        assert!(tokens.authenticate(&other.token).await.is_ok());
        assert_eq!(tokens.revoked().await.unwrap().len(), 2);
        clock.advance(HOUR);
        assert!(tokens.revoked().await.unwrap().is_empty());
        tokens.database.close().await;
    })
    .await;
}

/// Two replicas over one database, the clock of the second one five seconds behind.
async fn two_with_different_clocks(url: &str) -> [Tokens; 2] {
    let url = DatabaseUrl::try_from(url.to_owned()).unwrap();
    let open = async |at, seed| {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(at)));
        Tokens::new(open_database(&url).await.unwrap(), clock, Random::seeded(seed))
    };
    [open(1_005_000, 1).await, open(1_000_000, 2).await]
}

/// Whether a replica refuses a token within the second that a revocation may take.
async fn is_refused_soon(tokens: &Tokens, minted: &MintedToken) -> bool {
    for _ in 0..90 {
        if matches!(tokens.authenticate(&minted.token).await, Err(TokenRefused::Revoked)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_honours_a_revocation_all_the_same() {
    on_both_engines(async |url| {
        let [ahead, behind] = two_with_different_clocks(&url).await;
        let [revoked, rotated, replaced] = [mint(&ahead, "a").await, mint(&ahead, "b").await, mint(&ahead, "c").await];
        for minted in [&revoked, &rotated, &replaced] {
            behind.authenticate(&minted.token).await.unwrap();
        }
        let overlap = Rotation { overlap: Duration::from_secs(2), ttl: None };
        ahead.revoke("a").await.unwrap();
        ahead.rotate("b", Rotation { overlap: Duration::ZERO, ttl: None }).await.unwrap();
        // The overlap is long over where the token is revoked, and goes on where the clock is behind.
        behind.rotate("c", overlap).await.unwrap();
        assert!(behind.authenticate(&replaced.token).await.is_ok());
        let rotated_last =
            behind.list().await.unwrap().into_iter().find(|record| record.id == replaced.record.id).unwrap();
        assert_eq!(rotated_last.revoked_at, None, "the newest text is listed, not the one that it replaces");
        assert_eq!(ahead.revoke("c").await.unwrap(), 1);
        let digests = behind.revoked().await.unwrap();
        for minted in [&revoked, &rotated, &replaced] {
            assert!(is_refused_soon(&behind, minted).await, "{minted:?}");
            assert!(digests.contains(&minted.token.digest()), "its open calls are cut: {minted:?}");
        }
        let listed = behind.list().await.unwrap().into_iter().find(|record| record.id == revoked.record.id).unwrap();
        assert_eq!(listed.revoked_at, Some(Timestamp::from_millis(1_005_000)), "people see when it was");
        let again = behind.rotate("a", overlap).await;
        assert!(matches!(again, Err(RotateError::Revoked(_))), "{again:?}");
        ahead.database.close().await;
        behind.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_list_shows_every_token_and_no_secret() {
    on_both_engines(async |url| {
        let (tokens, _) = tokens(url).await;
        let minted = mint(&tokens, "alice").await;
        tokens.revoke("alice").await.unwrap();
        let list = serde_json::to_value(tokens.list().await.unwrap()).unwrap();
        let expected = serde_json::json!([{
            "id": minted.record.id.as_str(), "consumer": "alice", "grants": ["default"],
            "created_at": "1970-01-01T00:16:40Z", "expires_at": "1970-01-01T01:16:40Z", "revoked_at": "1970-01-01T00:16:40Z",
            "old_text_until": null,
        }]);
        assert_eq!(list, expected);
        tokens.database.close().await;
    })
    .await;
}

#[test]
fn names_that_would_confuse_are_no_consumers() {
    for good in ["alice", "@worker-alice:example.org", "ci.build_7"] {
        assert!(ConsumerName::new(good).is_ok(), "{good}");
    }
    for bad in ["", "a b", "a/b", "a\nb", "tok_abc", &"a".repeat(201)] {
        assert!(ConsumerName::new(bad).is_err(), "{bad}");
    }
}
