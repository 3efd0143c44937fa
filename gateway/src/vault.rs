//! The credentials of all upstreams: what a request takes, and what no answer may carry.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use doorward_redaction::Secrets;
use secrecy::zeroize::Zeroizing;

use crate::config::UpstreamConfig;
use crate::credential::Credential;
use crate::credentials::keys::{For, TakeError, Taken, Tools};
use crate::credentials::known::Known;
use crate::credentials::{Credentials, Keys};
use crate::policy::Permit;
use crate::tokens::Consumer;

/// Gives credentials to requests that have a permit, and knows all of them again when they come back.
#[derive(Debug)]
pub(crate) struct Vault {
    credentials: Credentials,
    keys: HashMap<String, Arc<Keys>>,
    known: Known,
    compiled: Mutex<Compiled>,
}

/// What is looked for in answers, compiled from one snapshot of the credentials.
#[derive(Debug)]
struct Compiled {
    generation: u64,
    credentials: Arc<[Credential]>,
    secrets: Arc<Secrets>,
}

impl Vault {
    pub(crate) fn new(credentials: Credentials, upstreams: &[UpstreamConfig], tools: &Tools) -> Self {
        let keys = |config: &UpstreamConfig| Some((config.name.clone(), Arc::new(Keys::compile(config, tools)?)));
        let keys: HashMap<_, _> = upstreams.iter().filter_map(keys).collect();
        let known = Known::new(credentials.clone(), keys.values().cloned().collect());
        let nothing = Compiled { generation: 0, credentials: Arc::default(), secrets: Arc::new(Secrets::new([])) };
        Self { credentials, keys, known, compiled: Mutex::new(nothing) }
    }

    /// A credential for a permitted request; none if the upstream asks for none.
    pub(crate) async fn take(&self, permit: &Permit, consumer: &Consumer) -> Result<Option<Taken>, TakeError> {
        let upstream = permit.upstream();
        let Some(keys) = self.keys.get(&upstream.name) else { return Ok(None) };
        let wanted =
            For { consumer: consumer.name.as_str(), scope: permit.scope(), can_fall_back: upstream.fallback.is_some() };
        keys.take(&self.credentials, wanted).await.map(Some)
    }

    /// How many credentials an upstream has.
    pub(crate) fn count(&self, upstream: &str) -> usize {
        self.keys.get(upstream).map_or(0, |keys| keys.len())
    }

    /// How many credentials of each upstream rest, because it turned them away.
    pub(crate) fn resting(&self) -> BTreeMap<&str, usize> {
        self.keys.iter().map(|(upstream, keys)| (upstream.as_str(), keys.resting())).collect()
    }

    /// What must not come back, whichever upstream it belongs to; what the request has just taken is among it.
    pub(crate) async fn secrets(&self, taken: Option<&Taken>) -> Arc<Secrets> {
        let snapshot = self.known.snapshot().await;
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if compiled.generation != snapshot.generation {
            let secrets = Arc::new(secrets_of(&snapshot.credentials, &[]));
            *compiled = Compiled { generation: snapshot.generation, credentials: snapshot.credentials, secrets };
        }
        let guarded = taken.map(|taken| taken.guarded.as_slice()).unwrap_or_default();
        if guarded.iter().all(|credential| compiled.holds(credential)) {
            return compiled.secrets.clone();
        }
        // It was changed since the snapshot was taken.
        Arc::new(secrets_of(&compiled.credentials, guarded))
    }
}

impl Compiled {
    fn holds(&self, credential: &Credential) -> bool {
        self.credentials.iter().any(|known| known.expose() == credential.expose())
    }
}

fn secrets_of(known: &[Credential], more: &[Credential]) -> Secrets {
    let all = || known.iter().chain(more).map(Credential::expose);
    // Names of headers are passed on in lower case.
    let in_a_name = |secret: &&str| secret.bytes().any(|byte| byte.is_ascii_uppercase()) && !secret.contains('\n');
    let folded: Vec<_> = all().filter(in_a_name).map(|secret| Zeroizing::new(secret.to_ascii_lowercase())).collect();
    Secrets::new(all().chain(folded.iter().map(|secret| secret.as_str())).map(str::as_bytes))
}
