use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use doorward_base::{DatabaseUrl, ManualClock, Random, Timestamp};
use doorward_testkit::on_both_engines;

use super::*;
use crate::{SecretName, open_database};

/// A gateway's secrets and environment, and a second process at the same database.
pub(super) struct Place {
    pub(super) credentials: Credentials,
    pub(super) secrets: Secrets,
    elsewhere: Secrets,
    environment: Arc<Mutex<HashMap<String, String>>>,
    folder: tempfile::TempDir,
}

impl Place {
    async fn open(url: &str) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), url).await
    }

    pub(super) async fn in_a_file() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("gateway.db").display());
        Self::open_in(folder, &url).await
    }

    async fn open_in(folder: tempfile::TempDir, url: &str) -> Self {
        let key = folder.path().join("master.key");
        let url = DatabaseUrl::try_from(url.to_owned()).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(0)));
        let secrets = Secrets::new(open_database(&url).await.unwrap(), key.clone(), clock.clone(), Random::seeded(1));
        let elsewhere = Secrets::new(open_database(&url).await.unwrap(), key, clock, Random::seeded(2));
        let environment = Arc::<Mutex<HashMap<String, String>>>::default();
        let variables = environment.clone();
        let read = move |name: &str| variables.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let credentials = Credentials::new(Arc::new(read), secrets.clone());
        Self { credentials, secrets, elsewhere, environment, folder }
    }

    fn set_variable(&self, name: &str, value: &str) {
        self.environment.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    async fn fetch(&self, source: &CredentialSource) -> Result<String, String> {
        let fetched = self.credentials.fetch(source).await;
        fetched.map(|credential| credential.expose().to_owned()).map_err(|error| error.to_string())
    }
}

pub(super) async fn set(secrets: &Secrets, name: &str, value: &str) {
    let value = Credential::from_input(value.as_bytes()).unwrap();
    secrets.set(&SecretName::new(name).unwrap(), &value).await.unwrap();
}

pub(super) fn secret(name: &str) -> CredentialSource {
    CredentialSource::Secret(name.to_owned())
}

#[tokio::test]
async fn a_secret_that_this_process_changed_holds_at_once() {
    on_both_engines(async |url| {
        let place = Place::open(&url).await;
        assert!(place.fetch(&secret("a")).await.unwrap_err().contains("doorward secret set a"));
        for value in ["one", "two"] {
            set(&place.secrets, "a", value).await;
            assert_eq!(place.fetch(&secret("a")).await.unwrap(), value);
        }
        place.secrets.remove(&SecretName::new("a").unwrap()).await.unwrap();
        assert!(place.fetch(&secret("a")).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_another_process_changed_holds_within_a_second() {
    on_both_engines(async |url| {
        let place = Place::open(&url).await;
        set(&place.secrets, "a", "one").await;
        let read_at = Instant::now();
        assert_eq!(place.fetch(&secret("a")).await.unwrap(), "one");
        set(&place.elsewhere, "a", "two").await;
        while place.fetch(&secret("a")).await.unwrap() == "one" {
            assert!(read_at.elapsed() < 3 * cache::VALID_FOR, "the old value is still used");
            tokio::task::yield_now().await;
        }
        assert_eq!(place.fetch(&secret("a")).await.unwrap(), "two");
    })
    .await;
}

#[tokio::test]
async fn an_environment_variable_is_read_each_time() {
    let place = Place::in_a_file().await;
    let source = CredentialSource::Env("KEY".to_owned());
    assert!(place.fetch(&source).await.unwrap_err().contains("environment variable KEY"));
    for value in ["one", "two"] {
        place.set_variable("KEY", value);
        assert_eq!(place.fetch(&source).await.unwrap(), value);
    }
}

#[tokio::test]
async fn a_file_is_read_without_its_last_newline_and_names_itself_when_missing() {
    let place = Place::in_a_file().await;
    let source = CredentialSource::File(place.folder.path().join("key"));
    assert!(place.fetch(&source).await.unwrap_err().contains("which cannot be read"));
    std::fs::write(place.folder.path().join("key"), "value\n").unwrap();
    assert_eq!(place.fetch(&source).await.unwrap(), "value");
}
