//! What survives a restart. One commit is one transaction: reports with the high-water marks of their
//! senders, so that nothing counts twice, or a canary's snapshot with the end of the journal before it.

mod audit;
mod dump;
pub mod exchange;
mod experiments;
mod record;
mod redb;
mod redis;

pub use audit::{AUDIT_LINES, AuditLine, Outcome};
pub use record::{
    Action, JournalEntry, KeptAnswer, Mark, Post, RolloutReport, Snapshot, StoredCanary, Walk, Write,
};
pub use redb::Redb;
pub use redis::{EventCall, Intaken, Lock, Redis, RedisSettings, Standing, Taken};

use crate::experiments::{Record, Unit};
use serin_contract::report::Instance;
use serin_contract::{Revision, UnitHash};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a sender's high-water mark is kept after its last report.
const MARK_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How many senders are known at most: a day's. Each is some hundred bytes, and whoever has the report token
/// could make up any number.
pub const MOST_SENDERS: usize = 250_000;
/// How long after an experiment's end its units and their actions are kept.
const UNIT_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// What the engine needs of a store. Calls wait for their answer, so whoever has other things to do calls
/// from a place that may block. Every one fails when the store does not answer or a record of it is not what
/// this version writes; a commit that fails has written nothing.
pub trait Store: Send + Sync {
    /// Writes everything, or nothing; it survives a restart of the store when this returns.
    ///
    /// # Errors
    /// When the store refuses; then nothing was written.
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError>;

    /// All senders' high-water marks; those that are a day old are forgotten.
    ///
    /// # Errors
    /// See [`Store`].
    fn marks(&self, now: Time) -> Result<BTreeMap<Instance, Mark>, StoreError>;

    /// What is known of a canary; nothing when it is new.
    ///
    /// # Errors
    /// See [`Store`].
    fn canary(&self, canary: &str) -> Result<Option<StoredCanary>, StoreError>;

    /// A canary's last samples since a moment, at most so many, oldest first.
    ///
    /// # Errors
    /// See [`Store`].
    fn last_samples(
        &self,
        canary: &str,
        since: Time,
        most: usize,
    ) -> Result<Vec<serde_json::Value>, StoreError>;

    /// A canary's samples between two moments, oldest first, and how many there are. Of more than `most`
    /// every second, third or nth is read, and the last.
    ///
    /// # Errors
    /// See [`Store`].
    fn samples_between(
        &self,
        canary: &str,
        from: Time,
        to: Time,
        most: usize,
    ) -> Result<(Vec<serde_json::Value>, usize), StoreError>;

    /// The report of the last rollout that ended.
    ///
    /// # Errors
    /// See [`Store`].
    fn report(&self, canary: &str) -> Result<Option<RolloutReport>, StoreError>;

    /// The reports of the last rollouts that ended, at most so many, the newest first.
    ///
    /// # Errors
    /// See [`Store`].
    fn reports(&self, canary: &str, most: usize) -> Result<Vec<RolloutReport>, StoreError> {
        Ok(self.report(canary)?.into_iter().take(most).collect())
    }

    /// All experiments. Idempotency keys that have run out are forgotten, and so are the units of
    /// experiments that ended a month ago.
    ///
    /// # Errors
    /// See [`Store`].
    fn experiments(&self, now: Time) -> Result<Vec<Record>, StoreError>;

    /// What is known of units of an experiment, in the order that was asked; nothing of those that are new.
    ///
    /// # Errors
    /// See [`Store`].
    fn units(&self, experiment: &str, units: &[UnitHash]) -> Result<Vec<Unit>, StoreError>;

    /// What was answered to an idempotency key.
    ///
    /// # Errors
    /// See [`Store`].
    fn key(&self, key: &str) -> Result<Option<KeptAnswer>, StoreError>;

    /// Shows what each unit of an experiment did, unit by unit: only one is in memory at a time.
    ///
    /// # Errors
    /// See [`Store`].
    fn walk(&self, experiment: &str, show: &mut dyn FnMut(Walk)) -> Result<(), StoreError>;

    /// The last lines of the audit with numbers below this one, at most so many, the newest first. Of all lines
    /// [`AUDIT_LINES`] are kept.
    ///
    /// # Errors
    /// See [`Store`].
    fn audit(&self, before: u64, most: usize) -> Result<Vec<(u64, AuditLine)>, StoreError>;

    /// Whether several analyzers share it: then reports and events come through the inbox, whoever took them.
    fn is_shared(&self) -> bool {
        false
    }

    /// Reports and events that are acknowledged and wait to be counted, after a place in the inbox, in order, at
    /// most so many. A place tells its time, see [`time_of`].
    ///
    /// # Errors
    /// See [`Store`].
    fn inbox(&self, after: u64, most: usize) -> Result<Vec<(u64, Post)>, StoreError>;

    /// The place of the last entry of the inbox that experiments have counted.
    ///
    /// # Errors
    /// See [`Store`].
    fn cursor(&self) -> Result<u64, StoreError>;

    /// The revision of the last plan that was published here, 0 for none.
    ///
    /// # Errors
    /// See [`Store`].
    fn plan_revision(&self) -> Result<Revision, StoreError> {
        Ok(Revision(0))
    }

    /// After a commit that failed: from now on what it would have written is there, or it will never be. A
    /// store that is not over the network knows at once.
    ///
    /// # Errors
    /// See [`Store`].
    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Forgets what is too old: marks of senders that were silent for a day, idempotency keys that have run
    /// out, units and actions of experiments that ended a month ago.
    ///
    /// # Errors
    /// See [`Store`].
    fn sweep(&self, now: Time) -> Result<(), StoreError>;

    /// Shows every record, to be written elsewhere.
    ///
    /// # Errors
    /// See [`Store`].
    fn dump(&self, show: &mut dyn FnMut(exchange::Row)) -> Result<(), StoreError>;
}

/// When a report came into the inbox, by the store's clock.
pub fn time_of(place: u64) -> Time {
    Time(place >> 22)
}

/// Why the store did not answer. Nothing of the commit that failed is in it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the store failed: {0}")]
    Database(#[from] Box<::redb::Error>),
    /// A record is not what this version writes.
    #[error("the store has a record of {table} that cannot be read or written: {error}")]
    Record {
        /// Which table.
        table: &'static str,
        /// Why not.
        error: String,
    },
    /// It does not answer, or takes nothing.
    #[error("store unavailable: {0}")]
    Unavailable(String),
    /// Another analyzer has led after this one.
    #[error("another analyzer leads: this one writes nothing any more")]
    Fenced,
    /// An analyzer leads, and only it may write.
    #[error("an analyzer leads, and only it may write to the store: end all of them first")]
    Held,
    /// It was written by a newer version.
    #[error(
        "the store has format {found}, this program reads up to {expected}: use the version that wrote it, or another \
         store"
    )]
    Format {
        /// What the file says.
        found: u64,
        /// What this program writes.
        expected: u64,
    },
}
