//! What survives a restart. One commit is one transaction: reports with the high-water marks of their
//! senders, so that nothing counts twice, or a canary's snapshot with the end of the journal before it.

mod experiments;
mod record;
mod redb;

pub use record::{
    Action, JournalEntry, KeptAnswer, Mark, RolloutReport, Snapshot, StoredCanary, Walk, Write,
};
pub use redb::Redb;

use crate::experiments::{Record, Unit};
use serin_contract::UnitHash;
use serin_contract::report::Instance;
use serin_judge::time::Time;
use std::collections::BTreeMap;

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
    /// The file was written by another version.
    #[error(
        "the store has format {found}, this program reads {expected}: use the version that wrote it, or another file"
    )]
    Format {
        /// What the file says.
        found: u64,
        /// What this program writes.
        expected: u64,
    },
}
