//! The store for several analyzers: Redis. What the leader decides is committed by a script that checks its
//! token; reports and events are taken by scripts that any analyzer calls. See [`keys`] for what stands where.

mod audit;
mod commit;
mod dump;
mod events;
mod experiments;
mod inbox;
mod keys;
mod link;
mod lock;
mod read;

pub use events::EventCall;
pub use inbox::{Intaken, Taken};
pub use lock::{Lock, Standing};

use super::exchange::Row;
use super::{
    AuditLine, KeptAnswer, MOST_SENDERS, Mark, Post, RolloutReport, Store, StoreError, StoredCanary, Walk,
    Write,
};
use crate::experiments::{Record, Unit};
use crate::metrics::StoreMetrics;
use keys::Keys;
use link::Link;
use serin_contract::report::Instance;
use serin_contract::{Revision, UnitHash};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Raised when a record changes its meaning.
const FORMAT: u64 = 3;

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// From the URL: host, port, TLS, user, database.
    pub info: redis::ConnectionInfo,
    /// The URL without any password, for people.
    pub shown: String,
    /// Holds the password alone; read at each connection.
    pub password_file: Option<PathBuf>,
    /// Whom a `rediss://` server's certificate is checked against; the system's authorities without it.
    pub ca_file: Option<PathBuf>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// How long a silent leader stays the leader, where no Kubernetes elects.
    pub lease: Duration,
    /// How many replicas must have a write before it counts as done.
    pub replicas: u32,
}

impl PartialEq for RedisSettings {
    fn eq(&self, other: &Self) -> bool {
        (&self.shown, &self.password_file, &self.ca_file, &self.prefix)
            == (&other.shown, &other.password_file, &other.ca_file, &other.prefix)
            && (self.timeout, self.lease, self.replicas) == (other.timeout, other.lease, other.replicas)
    }
}

/// The store in Redis; clones share everything.
#[derive(Clone)]
pub struct Redis {
    link: Arc<Link>,
    keys: Keys,
    scripts: Arc<Scripts>,
    leading: Arc<Mutex<Leading>>,
    /// How many senders of reports are known at most.
    senders: usize,
    fenced: Arc<Notify>,
    metrics: StoreMetrics,
}

/// What the leader's commits are checked by.
#[derive(Debug, Default, Clone)]
struct Leading {
    /// Our token; none: nobody may lead while we write.
    token: String,
    /// The number of commits so far; unknown at first, and after a commit without an answer.
    commits: Option<u64>,
}

struct Scripts {
    commit: redis::Script,
    bump: redis::Script,
    take: redis::Script,
    events: redis::Script,
    lock: redis::Script,
    unlock: redis::Script,
}

impl Redis {
    /// Connects, and checks the format: an older one is brought up to date, a newer one refused.
    ///
    /// # Errors
    /// When Redis does not answer, or has a newer format.
    pub fn open(settings: RedisSettings, metrics: StoreMetrics) -> Result<Self, StoreError> {
        let store = Self {
            keys: Keys::new(&settings.prefix),
            link: Arc::new(Link::new(settings, metrics.clone())),
            scripts: Arc::new(Scripts {
                commit: redis::Script::new(include_str!("commit.lua")),
                bump: redis::Script::new(include_str!("bump.lua")),
                take: redis::Script::new(include_str!("take.lua")),
                events: redis::Script::new(include_str!("events.lua")),
                lock: redis::Script::new(include_str!("lock.lua")),
                unlock: redis::Script::new(include_str!("unlock.lua")),
            }),
            leading: Arc::default(),
            senders: MOST_SENDERS,
            fenced: Arc::default(),
            metrics,
        };
        store.check_format()?;
        Ok(store)
    }

    /// Format 1 had no inbox and no cursor, 2 no events in the inbox and no audit; everything else is as it was, and
    /// what is not there is nothing.
    fn check_format(&self) -> Result<(), StoreError> {
        let key = self.keys.of("format");
        let found: Option<u64> = self.link.call("check", |connection| {
            redis::cmd("SET").arg(&key).arg(FORMAT).arg("NX").exec(connection)?;
            redis::cmd("GET").arg(&key).query(connection)
        })?;
        match found {
            Some(FORMAT) => Ok(()),
            Some(old @ 1..FORMAT) => {
                tracing::info!(from = old, to = FORMAT, "the store's format is brought up to date");
                self.link.call("check", |connection| redis::cmd("SET").arg(&key).arg(FORMAT).exec(connection))
            }
            Some(found) => Err(StoreError::Format { found, expected: FORMAT }),
            None => Err(StoreError::Unavailable("Redis forgot what was written a moment ago".into())),
        }
    }

    /// With another bound on the senders of reports than a day's.
    #[must_use]
    pub fn with_senders(self, senders: usize) -> Self {
        Self { senders, ..self }
    }

    /// Looks whether Redis is back, while it is away; from now on nobody else waits for it then.
    pub async fn watch(self) {
        self.link.watch(&self.keys.of("format")).await;
    }

    /// How Redis is reached.
    pub fn settings(&self) -> &RedisSettings {
        self.link.settings()
    }

    /// Why Redis is thought to be away.
    pub fn away(&self) -> Option<String> {
        self.link.away()
    }

    /// Comes back when a commit was refused because another has led after us.
    pub async fn fenced(&self) {
        self.fenced.notified().await;
    }

    fn note_fence(&self, error: &StoreError) {
        if matches!(error, StoreError::Fenced) {
            self.fenced.notify_one();
        }
    }

    /// From now on commits carry this token, as the lock gave it.
    fn lead(&self, token: &str) {
        let mut leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        if leading.token != token {
            *leading = Leading { token: token.to_owned(), commits: None };
        }
    }

    /// Waits until enough replicas have what this connection wrote last.
    fn await_replicas(&self, connection: &mut redis::Connection) -> redis::RedisResult<()> {
        let wanted = self.settings().replicas;
        if wanted == 0 {
            return Ok(());
        }
        let patience = u64::try_from(self.link.patience().as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let have: u32 = redis::cmd("WAIT").arg(wanted).arg(patience).query(connection)?;
        if have >= wanted {
            return Ok(());
        }
        let message = format!("{have} of {wanted} replicas have the write");
        Err((redis::ErrorKind::Server(redis::ServerErrorKind::TryAgain), "TRYAGAIN", message).into())
    }
}

impl Store for Redis {
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.commit_all(writes)
    }

    fn settle(&self) -> Result<(), StoreError> {
        let mut leading = self.leading.lock().unwrap_or_else(PoisonError::into_inner);
        self.bump(&mut leading).map(drop)
    }

    fn marks(&self, now: Time) -> Result<BTreeMap<Instance, Mark>, StoreError> {
        self.read_marks(now)
    }

    fn canary(&self, canary: &str) -> Result<Option<StoredCanary>, StoreError> {
        self.read_canary(canary)
    }

    fn last_samples(
        &self,
        canary: &str,
        since: Time,
        most: usize,
    ) -> Result<Vec<serde_json::Value>, StoreError> {
        self.read_last_samples(canary, since, most)
    }

    fn samples_between(
        &self,
        canary: &str,
        from: Time,
        to: Time,
        most: usize,
    ) -> Result<(Vec<serde_json::Value>, usize), StoreError> {
        self.read_samples_between(canary, from, to, most)
    }

    fn report(&self, canary: &str) -> Result<Option<RolloutReport>, StoreError> {
        Ok(self.read_reports(canary, 1)?.pop())
    }

    fn reports(&self, canary: &str, most: usize) -> Result<Vec<RolloutReport>, StoreError> {
        self.read_reports(canary, most)
    }

    fn experiments(&self, now: Time) -> Result<Vec<Record>, StoreError> {
        self.sweep(now)?;
        self.read_experiments()
    }

    fn units(&self, experiment: &str, units: &[UnitHash]) -> Result<Vec<Unit>, StoreError> {
        self.read_units(experiment, units)
    }

    fn key(&self, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
        self.read_key(key)
    }

    fn walk(&self, experiment: &str, show: &mut dyn FnMut(Walk)) -> Result<(), StoreError> {
        self.read_walk(experiment, show)
    }

    fn audit(&self, before: u64, most: usize) -> Result<Vec<(u64, AuditLine)>, StoreError> {
        self.read_audit(before, most)
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn inbox(&self, after: u64, most: usize) -> Result<Vec<(u64, Post)>, StoreError> {
        self.read_inbox(after, most)
    }

    fn cursor(&self) -> Result<u64, StoreError> {
        self.read_cursor()
    }

    fn plan_revision(&self) -> Result<Revision, StoreError> {
        self.read_plan_revision()
    }

    fn sweep(&self, now: Time) -> Result<(), StoreError> {
        self.sweep_all(now)
    }

    fn dump(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        self.dump_all(show)
    }
}
