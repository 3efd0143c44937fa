use std::sync::Arc;

use doorward_base::{Database, DatabaseUrl, ManualClock, Random};
use doorward_testkit::on_both_engines;

use super::*;
use crate::open_database;
use crate::tokens::{ConsumerName, TokenRefused};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const USUAL: Rotation = Rotation { overlap: MINUTE, ttl: None };

/// Two processes over one database.
struct Two {
    tokens: Tokens,
    other: Tokens,
    clock: ManualClock,
    databases: [Database; 2],
}

impl Two {
    async fn open(url: String) -> Self {
        let url = DatabaseUrl::try_from(url).unwrap();
        let databases = [open_database(&url).await.unwrap(), open_database(&url).await.unwrap()];
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000));
        let [tokens, other] = [0, 1].map(|n| {
            Tokens::new(databases[n].clone(), Arc::new(clock.clone()), Random::seeded(u64::try_from(n).unwrap()))
        });
        Self { tokens, other, clock, databases }
    }

    async fn mint(&self, consumer: &str) -> MintedToken {
        self.tokens.mint(ConsumerName::new(consumer).unwrap(), vec!["default".to_owned()], HOUR).await.unwrap()
    }

    async fn rotate(&self, id: &TokenId) -> MintedToken {
        self.tokens.rotate(id.as_str(), USUAL).await.unwrap().remove(0)
    }

    async fn is_good(&self, token: &MintedToken) -> bool {
        self.tokens.authenticate(&token.token).await.is_ok()
    }

    async fn close(self) {
        for database in self.databases {
            database.close().await;
        }
    }
}

#[tokio::test]
async fn a_rotated_token_keeps_its_id_and_lifetime_and_its_old_text_for_the_overlap() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let old = two.mint("alice").await;
        two.clock.advance(HOUR / 2);
        let new = two.rotate(&old.record.id).await;
        assert_ne!(new.token.expose(), old.token.expose());
        let expected = (&old.record.id, &old.record.consumer, &old.record.grants);
        assert_eq!((&new.record.id, &new.record.consumer, &new.record.grants), expected);
        assert_eq!(new.record.expires_at.since(new.record.created_at), HOUR);
        assert!(two.is_good(&old).await && two.is_good(&new).await);
        assert!(two.tokens.revoked().await.unwrap().is_empty());

        let consumer = two.tokens.authenticate(&old.token).await.unwrap();
        assert_eq!(consumer.expires_at, new.record.created_at.plus(MINUTE), "its open calls end with the overlap");
        two.clock.advance(MINUTE.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(two.is_good(&old).await);
        two.clock.advance(Duration::from_millis(1));
        assert!(!two.is_good(&old).await && two.is_good(&new).await);
        assert!(
            two.tokens.revoked().await.unwrap().contains(&old.token.digest()),
            "calls from before the rotation end"
        );
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn an_old_text_that_ends_before_the_overlap_is_not_good_for_longer() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let old = two.mint("alice").await;
        two.clock.advance(HOUR.checked_sub(Duration::from_secs(1)).unwrap());
        let new = two.rotate(&old.record.id).await;
        assert_eq!(new.record.old_text_until, Some(old.record.expires_at));
        two.clock.advance(Duration::from_secs(1));
        assert!(!two.is_good(&old).await);
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn without_an_overlap_the_old_text_is_refused_at_once_and_a_new_lifetime_can_be_chosen() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let old = two.mint("alice").await;
        assert!(two.is_good(&old).await);
        let at_once = Rotation { overlap: Duration::ZERO, ttl: Some(MINUTE) };
        let new = two.tokens.rotate(old.record.id.as_str(), at_once).await.unwrap().remove(0);
        assert!(!two.is_good(&old).await && two.is_good(&new).await);
        assert_eq!((new.record.expires_at, new.record.old_text_until), (new.record.created_at.plus(MINUTE), None));
        // The lifetime of the newest text is the one that the next rotation goes by.
        let newer = two.rotate(&old.record.id).await;
        assert_eq!(newer.record.expires_at, newer.record.created_at.plus(MINUTE));
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn of_two_rotations_the_shorter_overlap_counts_for_the_oldest_text() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let [short, long] = [1, 3].map(|minutes| Rotation { overlap: MINUTE * minutes, ttl: None });
        for (first, then) in [(short, long), (long, short)] {
            let old = two.mint("alice").await;
            let id = old.record.id.as_str();
            two.tokens.rotate(id, first).await.unwrap();
            two.tokens.rotate(id, then).await.unwrap();
            two.clock.advance(MINUTE);
            assert!(!two.is_good(&old).await);
        }
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_list_shows_a_rotated_token_once_with_its_newest_text() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let old = two.mint("alice").await;
        two.clock.advance(MINUTE);
        let new = two.rotate(&old.record.id).await;
        let list = two.tokens.list().await.unwrap();
        let [only] = &list[..] else { panic!("{list:?}") };
        assert_eq!(
            (&only.id, only.created_at, only.expires_at),
            (&old.record.id, new.record.created_at, new.record.expires_at)
        );
        assert_eq!(only.old_text_until, Some(new.record.created_at.plus(MINUTE)));
        assert_eq!(only.revoked_at, None);
        two.clock.advance(MINUTE);
        assert_eq!(two.tokens.list().await.unwrap()[0].old_text_until, None);
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn by_the_name_of_a_consumer_each_of_its_good_tokens_is_rotated() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let (one, revoked, bob) = (two.mint("alice").await, two.mint("alice").await, two.mint("bob").await);
        two.tokens.revoke(revoked.record.id.as_str()).await.unwrap();
        let another = two.mint("alice").await;
        let rotated = two.tokens.rotate("alice", USUAL).await.unwrap();
        let ids: HashSet<_> = rotated.iter().map(|minted| minted.record.id.clone()).collect();
        assert_eq!(ids, HashSet::from([one.record.id, another.record.id]));
        two.clock.advance(MINUTE);
        assert!(two.is_good(&bob).await);
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_not_good_any_more_is_not_rotated() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let (revoked, expired) = (two.mint("alice").await, two.mint("bob").await);
        two.tokens.revoke("alice").await.unwrap();
        let why = async |name: &str| two.tokens.rotate(name, USUAL).await.unwrap_err();
        assert!(matches!(why("alice").await, RotateError::Revoked(_)));
        assert!(matches!(why(revoked.record.id.as_str()).await, RotateError::Revoked(_)));
        two.clock.advance(HOUR);
        assert!(matches!(why(expired.record.id.as_str()).await, RotateError::Expired(_)));
        assert!(matches!(why("nobody").await, RotateError::Unknown(_)));
        assert!(matches!(why("tok_none").await, RotateError::Unknown(_)));
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_revocation_takes_the_old_text_and_the_new_one() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        let old = two.mint("alice").await;
        let new = two.rotate(&old.record.id).await;
        assert!(two.is_good(&old).await && two.is_good(&new).await);
        assert_eq!(two.tokens.revoke(old.record.id.as_str()).await.unwrap(), 1);
        assert!(!two.is_good(&old).await && !two.is_good(&new).await);
        assert_eq!(two.tokens.revoked().await.unwrap().len(), 2);
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn no_text_outlives_a_revocation_that_comes_at_the_same_time_as_a_rotation() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        for _ in 0..15 {
            let old = two.mint("alice").await;
            let id = old.record.id.as_str();
            let (rotated, again, revoked) =
                tokio::join!(two.tokens.rotate(id, USUAL), two.other.rotate(id, USUAL), two.other.revoke(id));
            assert_eq!(revoked.unwrap(), 1);
            for minted in rotated.into_iter().chain(again).flatten().chain([old]) {
                let refused = two.tokens.authenticate(&minted.token).await;
                assert!(matches!(refused, Err(TokenRefused::Revoked)), "{refused:?}");
            }
        }
        two.close().await;
    })
    .await;
}

#[tokio::test]
async fn tokens_that_expired_long_ago_are_forgotten() {
    on_both_engines(async |url| {
        let two = Two::open(url).await;
        two.mint("alice").await;
        two.clock.advance(HOUR + Duration::from_secs(30 * 24 * 60 * 60));
        assert_eq!(two.tokens.purge().await.unwrap(), 0);
        two.clock.advance(Duration::from_millis(1));
        assert_eq!(two.tokens.purge().await.unwrap(), 1);
        assert!(two.tokens.list().await.unwrap().is_empty());
        two.close().await;
    })
    .await;
}
