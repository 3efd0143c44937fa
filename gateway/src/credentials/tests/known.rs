use super::super::keys::tests::{keys, tools};
use super::super::tests::{Place, secret, set};
use super::*;

fn texts(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.credentials.iter().map(Credential::expose).collect()
}

fn known(place: &Place) -> Known {
    let plain = keys(&[secret("a"), secret("b")], None, &tools());
    let basic = keys(&[secret("c")], Some("me"), &tools());
    Known::new(place.credentials.clone(), vec![plain, basic])
}

#[tokio::test]
async fn every_configured_credential_is_known_with_its_pair() {
    let place = Place::in_a_file().await;
    for name in ["a", "c"] {
        set(&place.secrets, name, &format!("value of {name}")).await;
    }
    let known = known(&place);
    assert_eq!(texts(&known.snapshot().await), ["value of a", "me:value of c", "value of c"]);
}

#[tokio::test]
async fn the_generation_grows_with_a_change_and_not_with_time() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "a", "one").await;
    let (known, start) = (known(&place), Instant::now());
    let first = known.snapshot_at(start).await.generation;
    set(&place.secrets, "unrelated", "value").await;
    assert_eq!(known.snapshot_at(start + 5 * VALID_FOR).await.generation, first);
    assert_eq!(known.generation(), first);
    set(&place.secrets, "b", "two").await;
    let second = known.snapshot_at(start + 5 * VALID_FOR).await;
    assert_ne!(second.generation, first);
    assert_eq!(texts(&second), ["one", "two"]);
}

#[tokio::test]
async fn a_replaced_credential_stays_known_for_an_hour() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "a", "old").await;
    let (known, start) = (known(&place), Instant::now());
    known.snapshot_at(start).await;
    set(&place.secrets, "a", "new").await;
    assert_eq!(texts(&known.snapshot_at(start).await), ["old", "new"]);
    let hour = start + REMEMBERED_FOR;
    assert_eq!(texts(&known.snapshot_at(hour - VALID_FOR).await), ["old", "new"]);
    assert_eq!(texts(&known.snapshot_at(hour).await), ["new"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_any_more_stays_known() {
    let place = Place::in_a_file().await;
    set(&place.secrets, "a", "one").await;
    let (known, start) = (known(&place), Instant::now());
    known.snapshot_at(start).await;
    place.secrets.remove(&crate::SecretName::new("a").unwrap()).await.unwrap();
    assert_eq!(texts(&known.snapshot_at(start + VALID_FOR).await), ["one"]);
}
