use std::os::unix::fs::PermissionsExt;

use doorward_base::{DatabaseUrl, ManualClock};
use doorward_testkit::on_both_engines;

use super::*;
use crate::open_database;

async fn secrets(url: &str, folder: &Path) -> Secrets {
    let database = open_database(&DatabaseUrl::try_from(url.to_owned()).unwrap()).await.unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
    Secrets::new(database, folder.join("master.key"), clock, Random::seeded(1))
}

fn name(name: &str) -> SecretName {
    SecretName::new(name).unwrap()
}

async fn set(secrets: &Secrets, secret: &str, value: &str) {
    secrets.set(&name(secret), &Credential::from_input(value.as_bytes()).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_secret_is_set_replaced_listed_and_removed() {
    on_both_engines(async |url| {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(&url, folder.path()).await;
        set(&secrets, "openai", "sk-one").await;
        set(&secrets, "openai", "sk-two").await;
        set(&secrets, "github", "ghp-one").await;
        assert_eq!(secrets.get("openai").await.unwrap().unwrap().expose(), "sk-two");
        let names: Vec<_> = secrets.list().await.unwrap().into_iter().map(|secret| secret.name.0).collect();
        assert_eq!(names, ["github", "openai"]);
        assert!(secrets.remove(&name("openai")).await.unwrap());
        assert!(!secrets.remove(&name("openai")).await.unwrap());
        assert!(secrets.get("openai").await.unwrap().is_none());
        secrets.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_database_holds_no_secret_in_clear() {
    on_both_engines(async |url| {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(&url, folder.path()).await;
        set(&secrets, "openai", "sk-hunter2").await;
        let sealed: Vec<u8> =
            sqlx::query("SELECT sealed FROM secret").fetch_one(secrets.database.reader()).await.unwrap().get(0);
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        secrets.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn a_sealed_value_moved_to_another_row_does_not_open() {
    on_both_engines(async |url| {
        let folder = tempfile::tempdir().unwrap();
        let secrets = secrets(&url, folder.path()).await;
        set(&secrets, "public", "harmless").await;
        set(&secrets, "openai", "sk-hunter2").await;
        let mut tx = secrets.database.write().await.unwrap();
        sqlx::query(
            "UPDATE secret SET sealed = (SELECT sealed FROM secret WHERE name = 'openai') WHERE name = 'public'",
        )
        .execute(tx.connection())
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert!(matches!(secrets.get("public").await, Err(SecretsError::DoesNotOpen { .. })));
        secrets.database.close().await;
    })
    .await;
}

#[tokio::test]
async fn the_master_key_is_made_when_first_needed_and_never_silently_replaced() {
    on_both_engines(async |url| {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("master.key");
        let first = secrets(&url, folder.path()).await;
        first.check().await.unwrap();
        assert!(!key.exists());
        set(&first, "openai", "sk-one").await;
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&key).unwrap();
        let second = secrets(&url, folder.path()).await;
        assert!(matches!(second.check().await, Err(SecretsError::NoMasterKey { .. })));
        let value = Credential::from_input(b"sk-two").unwrap();
        assert!(matches!(second.set(&name("openai"), &value).await, Err(SecretsError::NoMasterKey { .. })));
        assert!(!key.exists());
        first.database.close().await;
        second.database.close().await;
    })
    .await;
}

#[test]
fn names_that_would_need_escaping_are_refused() {
    for bad in ["", "a b", "a/b", "../a", "ä", &"a".repeat(129)] {
        assert!(SecretName::new(bad).is_err(), "{bad}");
    }
}
