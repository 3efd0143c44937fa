//! The gateway as a whole: opened from its configuration, served by two routers, kept going by one background task.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use doorward_base::{Clock, Database, Random, StoreError};
use futures_util::future::{OptionFuture, join_all};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Admin};
use crate::admin_token::AdminToken;
use crate::approvals::Approvals;
use crate::audit::{self, AuditLog, AuditReader, Moment};
use crate::budget::{Budgets, Ledger, Prices};
use crate::check::{self, Finding};
use crate::config::{ConfigError, GatewayConfig, Grants, HumanDuration};
use crate::consumer::{self, Consumers, Forwarder, LastRepositories, Room};
use crate::credentials::keys::Tools;
use crate::credentials::{Credentials, Environment};
use crate::health::Health;
use crate::open_calls::{Cut, OpenCalls};
use crate::policy::Policy;
use crate::private_file::PrivateFileError;
use crate::secrets::Secrets;
use crate::store::open_database;
use crate::telemetry::{Exporter, Telemetry};
use crate::tokens::Tokens;
use crate::vault::Vault;

/// How often revocations are looked for while calls are open; they have to hold within a second.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// For so long open calls outlive a database that does not say which tokens are revoked.
const BLIND_FOR: Duration = Duration::from_secs(10);
/// How often old rows are removed.
const TIDY_EVERY: Duration = Duration::from_hours(1);
/// For so long calls may go on after the gateway was told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// The gateway. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    database: Database,
    consumers: Arc<Consumers>,
    admin: Arc<Admin>,
    health: Health,
    credentials: Credentials,
    client: reqwest::Client,
    writers: Mutex<Option<Writers>>,
    audit_retention: Duration,
}

/// What writes in the background, until [`Gateway::run`] takes it.
struct Writers {
    audit: AuditReader,
    ledger: Ledger,
    spans: Option<Exporter>,
}

/// The gateway cannot start. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file of the operator's token.
    #[error(transparent)]
    AdminToken(#[from] PrivateFileError),
    /// No TLS client could be made.
    #[error("no HTTPS client can be made on this machine: {0}")]
    Client(#[from] reqwest::Error),
}

impl Gateway {
    /// Checks the configuration, opens the database and makes the operator's token. Talks to no upstream.
    pub async fn open(
        config: GatewayConfig,
        grants: Grants,
        environment: Environment,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Result<Self, OpenError> {
        let policy = Policy::compile(&config, &grants)?;
        let links = consumer::links(policy.upstreams(), &config.consumer_url())?;
        let database = open_database(&config.database).await?;
        let token = AdminToken::read_or_create(&config.admin_token_file, &random)?;
        let tokens = Tokens::new(database.clone(), clock.clone(), random.clone());
        let secrets = Secrets::new(database.clone(), config.master_key_file, clock.clone(), random.clone());
        let approval_timeout = config.approval_timeout.0;
        let approvals = Approvals::new(database.clone(), clock.clone(), random.clone(), approval_timeout);
        let prices = Prices::compile(&config.prices)?;
        let (budgets, ledger) = Budgets::new(database.clone(), clock.clone(), random.clone(), &grants, prices);
        let (writer, reader) = audit::channel();
        let client = consumer::client(config.timeouts.connect.0)?;
        let (telemetry, spans) = Telemetry::new(&config.telemetry, &environment, client.clone(), random.clone())?;
        let health = Health { secrets: secrets.clone(), upstreams: policy.upstreams().into() };
        let credentials = Credentials::new(environment, secrets.clone());
        let tools = Tools { client: client.clone(), clock: clock.clone(), random };
        let consumers = Arc::new(Consumers {
            clock: clock.clone(),
            tokens: tokens.clone(),
            vault: Vault::new(credentials.clone(), &config.upstreams, &tools),
            policy,
            budgets,
            approvals: approvals.clone(),
            forwarder: Forwarder::new(&config.limits, &config.timeouts)?,
            audit: writer,
            metrics: Arc::default(),
            telemetry,
            open_calls: OpenCalls::default(),
            links,
            last_repositories: LastRepositories::default(),
            room: Room::new(config.limits.bodies),
            limits: config.limits,
            timeouts: config.timeouts,
        });
        let audit = AuditLog::new(database.clone());
        let admin = Admin {
            token,
            grants,
            tokens,
            secrets,
            approvals,
            audit,
            clock,
            database: database.clone(),
            consumers: consumers.clone(),
        };
        Ok(Self(Arc::new(Inner {
            database,
            consumers,
            admin: Arc::new(admin),
            health,
            credentials,
            client,
            writers: Mutex::new(Some(Writers { audit: reader, ledger, spans })),
            audit_retention: config.audit_retention.0,
        })))
    }

    /// For the listener that agents call.
    pub fn consumer_router(&self) -> Router {
        consumer::router(self.0.consumers.clone(), self.0.health.clone())
    }

    /// For the listener that operators and the appservice call.
    pub fn admin_router(&self) -> Router {
        admin::router(self.0.admin.clone(), self.0.health.clone())
    }

    /// Writes the audit log and the budgets, hands on the answers of humans and cuts the calls of tokens that stop being good, until
    /// `stop`; then gives open calls three seconds, cuts the rest, and returns when everything has been written. The routers need
    /// it running.
    pub async fn run(&self, stop: CancellationToken) {
        let writers = self.0.writers.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Writers { audit, ledger, spans }) = writers else { return stop.cancelled().await };
        let calls_ended = CancellationToken::new();
        let working = async {
            let writing = audit.run(&self.0.database, &stop);
            let approvals = &self.0.consumers.approvals;
            tokio::join!(writing, ledger.run(&stop), approvals.run(&stop), self.watch(&stop), self.tidy(&stop));
            calls_ended.cancel();
        };
        let exporting = OptionFuture::from(spans.map(|spans| spans.run(&calls_ended)));
        tokio::join!(working, exporting);
    }

    /// Forgets what nobody asks for any more.
    async fn tidy(&self, stop: &CancellationToken) {
        let mut ticks = interval(TIDY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {
                    let admin = &self.0.admin;
                    let oldest = Moment::Ago(HumanDuration(self.0.audit_retention)).at(admin.clock.now());
                    let purged =
                        [admin.tokens.purge().await, admin.approvals.purge().await, admin.audit.purge(oldest).await];
                    for error in purged.into_iter().filter_map(Result::err) {
                        tracing::warn!(%error, "old rows stay for now");
                    }
                }
            }
        }
    }

    /// The requests that wait for a human.
    pub fn approvals(&self) -> &Approvals {
        &self.0.consumers.approvals
    }

    /// The consumers' tokens.
    pub fn tokens(&self) -> &Tokens {
        &self.0.admin.tokens
    }

    /// The stored credentials.
    pub fn secrets(&self) -> &Secrets {
        &self.0.admin.secrets
    }

    /// What was asked of the gateway.
    pub fn audit(&self) -> &AuditLog {
        &self.0.admin.audit
    }

    /// Whether each upstream's credential is there, and the upstream answers and takes it.
    pub async fn check_upstreams(&self) -> Vec<Finding> {
        let consumers = &self.0.consumers;
        let upstreams = consumers.policy.upstreams().iter();
        join_all(upstreams.map(|upstream| check::check(upstream, &self.0.credentials, &self.0.client))).await
    }

    async fn watch(&self, stop: &CancellationToken) {
        let mut ticks = interval(WATCH_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Instant::now();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.look_for_refused_tokens(&mut seen).await,
            }
        }
        self.let_calls_end().await;
    }

    /// `seen` is when the database last answered.
    async fn look_for_refused_tokens(&self, seen: &mut Instant) {
        let Consumers { open_calls, tokens, clock, .. } = &*self.0.consumers;
        if open_calls.len() == 0 {
            *seen = Instant::now();
            return;
        }
        match timeout(BLIND_FOR, tokens.revoked()).await {
            Ok(Ok(revoked)) => {
                *seen = Instant::now();
                open_calls.cut_refused(&revoked, clock.now());
            }
            _ if seen.elapsed() > BLIND_FOR => {
                tracing::error!("open calls are cut: the database does not say which tokens are revoked");
                open_calls.cut_all(Cut::Token);
            }
            _ => {}
        }
    }

    async fn let_calls_end(&self) {
        let open_calls = &self.0.consumers.open_calls;
        let ended = async {
            while open_calls.len() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(GRACE, ended).await.is_err() {
            open_calls.cut_all(Cut::Stopping);
        }
    }
}

#[cfg(test)]
mod tests;
