//! The embedded store: one redb file beside the program.

use super::exchange::Row;
use super::{
    AuditLine, JournalEntry, KeptAnswer, MARK_LIFE, Mark, Post, RolloutReport, Snapshot, Store, StoreError,
    StoredCanary, Walk, Write,
};
use super::{audit, experiments};
use crate::experiments::{Record, Unit};
use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serin_contract::UnitHash;
use serin_contract::report::Instance;
use serin_judge::ramp::Transition;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Raised when a record changes its meaning.
const FORMAT: u64 = 3;
/// redb would use a gigabyte; the working set here is a few megabytes.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

pub(super) type ByCanary = TableDefinition<'static, &'static str, &'static [u8]>;
pub(super) type ByCanaryAndNumber = TableDefinition<'static, (&'static str, u64), &'static [u8]>;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
pub(super) const INBOX: TableDefinition<u64, &[u8]> = TableDefinition::new("inbox");
pub(super) const MARKS: TableDefinition<u64, &[u8]> = TableDefinition::new("marks");
pub(super) const SNAPSHOTS: ByCanary = TableDefinition::new("snapshots");
pub(super) const UNITS: ByCanary = TableDefinition::new("units");
pub(super) const JOURNAL: ByCanaryAndNumber = TableDefinition::new("journal");
pub(super) const HISTORY: ByCanaryAndNumber = TableDefinition::new("history");
pub(super) const SAMPLES: ByCanaryAndNumber = TableDefinition::new("samples");
pub(super) const REPORTS: ByCanaryAndNumber = TableDefinition::new("reports");

/// The store in a file.
#[derive(Clone)]
pub struct Redb {
    /// None after the disk has failed: redb refuses everything from then on, until the file is opened anew.
    database: Arc<RwLock<Option<Arc<Database>>>>,
    path: Arc<Path>,
}

impl Redb {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened (another analyzer holds it, no rights), or has another format.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Self { database: Arc::default(), path: path.into() };
        store.prepare()?;
        Ok(store)
    }

    pub(super) fn database(&self) -> Result<Arc<Database>, StoreError> {
        if let Some(database) = &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            return Ok(Arc::clone(database));
        }
        let mut place = self.database.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &*place {
            return Ok(Arc::clone(database));
        }
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(&*self.path).map_err(fail)?;
        Ok(Arc::clone(place.insert(Arc::new(opened))))
    }

    /// Lets go of the file, so that whoever comes next opens it anew.
    fn close(&self) {
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn try_commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let transaction = self.database()?.begin_write().map_err(fail)?;
        let together = |one: &Write, next: &Write| {
            is_of_report(one) && is_of_report(next) || is_of_unit(one) && is_of_unit(next)
        };
        for run in writes.chunk_by(together) {
            if run.iter().all(is_of_report) {
                apply_reports(&transaction, run)?;
            } else if run.iter().all(is_of_unit) {
                experiments::apply_units(&transaction, run)?;
            } else {
                run.iter().try_for_each(|write| apply(&transaction, write))?;
            }
        }
        transaction.commit().map_err(fail)
    }

    /// Makes the tables, so that readers find them, and checks the format.
    fn prepare(&self) -> Result<(), StoreError> {
        let transaction = self.database()?.begin_write().map_err(fail)?;
        {
            let mut meta = transaction.open_table(META).map_err(fail)?;
            let found = meta.get("format").map_err(fail)?.map(|value| value.value());
            match found {
                Some(FORMAT) => {}
                Some(old @ 1..FORMAT) => {
                    // 1 had no inbox and no cursor, 2 no events in the inbox and no audit; the rest is as it was.
                    tracing::info!(from = old, to = FORMAT, "the store's format is brought up to date");
                    meta.insert("format", FORMAT).map_err(fail)?;
                }
                Some(found) => return Err(StoreError::Format { found, expected: FORMAT }),
                None => {
                    meta.insert("format", FORMAT).map_err(fail)?;
                }
            }
            transaction.open_table(MARKS).map_err(fail)?;
            transaction.open_table(INBOX).map_err(fail)?;
            transaction.open_table(audit::AUDIT).map_err(fail)?;
            for table in [SNAPSHOTS, UNITS] {
                transaction.open_table(table).map_err(fail)?;
            }
            for table in [JOURNAL, HISTORY, SAMPLES, REPORTS] {
                transaction.open_table(table).map_err(fail)?;
            }
            experiments::prepare(&transaction)?;
        }
        transaction.commit().map_err(fail)
    }
}

impl Store for Redb {
    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let written = self.try_commit(writes);
        if let Err(StoreError::Database(_)) = written {
            self.close();
        }
        written
    }

    fn marks(&self, now: Time) -> Result<BTreeMap<Instance, Mark>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(MARKS).map_err(fail)?;
        let mut marks = BTreeMap::new();
        for row in table.iter().map_err(fail)? {
            let (instance, bytes) = row.map_err(fail)?;
            let mark: Mark = decode("marks", bytes.value())?;
            marks.insert(Instance(instance.value()), mark);
        }
        marks.retain(|_, mark| now.since(mark.time) < MARK_LIFE);
        Ok(marks)
    }

    fn canary(&self, canary: &str) -> Result<Option<StoredCanary>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let snapshots = reading.open_table(SNAPSHOTS).map_err(fail)?;
        let Some(bytes) = snapshots.get(canary).map_err(fail)? else { return Ok(None) };
        let snapshot: Snapshot = decode("snapshots", bytes.value())?;
        let units = reading.open_table(UNITS).map_err(fail)?;
        let units = units.get(canary).map_err(fail)?.map(|bytes| bytes.value().to_vec()).unwrap_or_default();
        let journal = rows::<JournalEntry>(&reading, JOURNAL, "journal", canary, snapshot.offset + 1)?;
        let history = rows::<Transition>(&reading, HISTORY, "history", canary, 0)?;
        let history = history.into_iter().map(|(_, transition)| transition).collect();
        Ok(Some(StoredCanary { snapshot, units, journal, history }))
    }

    fn last_samples(
        &self,
        canary: &str,
        since: Time,
        most: usize,
    ) -> Result<Vec<serde_json::Value>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(SAMPLES).map_err(fail)?;
        let range = table.range((canary, since.0)..=(canary, u64::MAX)).map_err(fail)?;
        let mut samples = Vec::with_capacity(most);
        for row in range.rev().take(most) {
            samples.push(decode("samples", row.map_err(fail)?.1.value())?);
        }
        samples.reverse();
        Ok(samples)
    }

    fn samples_between(
        &self,
        canary: &str,
        from: Time,
        to: Time,
        most: usize,
    ) -> Result<(Vec<serde_json::Value>, usize), StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(SAMPLES).map_err(fail)?;
        let range = || table.range((canary, from.0)..=(canary, to.0)).map_err(fail);
        let count = range()?.count();
        let each = count.div_ceil(most.max(1)).max(1);
        let mut samples = Vec::with_capacity(count.min(most) + 1);
        for (place, row) in range()?.enumerate() {
            let row = row.map_err(fail)?;
            if place % each == 0 || place + 1 == count {
                samples.push(decode("samples", row.1.value())?);
            }
        }
        Ok((samples, count))
    }

    fn report(&self, canary: &str) -> Result<Option<RolloutReport>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(REPORTS).map_err(fail)?;
        let mut range = table.range((canary, 0)..=(canary, u64::MAX)).map_err(fail)?;
        match range.next_back() {
            Some(row) => Ok(Some(decode("reports", row.map_err(fail)?.1.value())?)),
            None => Ok(None),
        }
    }

    fn reports(&self, canary: &str, most: usize) -> Result<Vec<RolloutReport>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(REPORTS).map_err(fail)?;
        let range = table.range((canary, 0)..=(canary, u64::MAX)).map_err(fail)?;
        range.rev().take(most).map(|row| decode("reports", row.map_err(fail)?.1.value())).collect()
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

    fn inbox(&self, after: u64, most: usize) -> Result<Vec<(u64, Post)>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(INBOX).map_err(fail)?;
        let mut found = Vec::new();
        for row in table.range(after.saturating_add(1)..).map_err(fail)?.take(most) {
            let (place, bytes) = row.map_err(fail)?;
            found.push((place.value(), post_of(bytes.value())?));
        }
        Ok(found)
    }

    fn cursor(&self) -> Result<u64, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(META).map_err(fail)?;
        Ok(table.get("cursor").map_err(fail)?.map_or(0, |place| place.value()))
    }

    fn dump(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        self.dump_all(show)
    }

    fn sweep(&self, now: Time) -> Result<(), StoreError> {
        let transaction = self.database()?.begin_write().map_err(fail)?;
        {
            let mut marks = transaction.open_table(MARKS).map_err(fail)?;
            let alive = |bytes: &[u8]| {
                decode::<Mark>("marks", bytes).is_ok_and(|mark| now.since(mark.time) < MARK_LIFE)
            };
            marks.retain(|_, bytes| alive(bytes)).map_err(fail)?;
        }
        self.sweep_experiments(&transaction, now)?;
        transaction.commit().map_err(fail)
    }
}

/// Whether a write comes with every report: there may be thousands of them in one commit.
fn is_of_report(write: &Write) -> bool {
    matches!(write, Write::Mark(..) | Write::Journal { .. })
}

/// Whether a write is of an experiment's unit, of which each report may have hundreds.
fn is_of_unit(write: &Write) -> bool {
    matches!(write, Write::Unit { .. })
}

/// Marks and journal entries, with each table opened once.
fn apply_reports(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), StoreError> {
    let mut marks = transaction.open_table(MARKS).map_err(fail)?;
    let mut journal = transaction.open_table(JOURNAL).map_err(fail)?;
    for write in writes {
        if let Write::Mark(instance, mark) = write {
            marks.insert(instance.0, encode("marks", mark)?.as_slice()).map_err(fail)?;
        } else if let Write::Journal { canary, offset, entry } = write {
            let bytes = encode("journal", entry)?;
            journal.insert((canary.as_str(), *offset), bytes.as_slice()).map_err(fail)?;
        }
    }
    Ok(())
}

fn apply(transaction: &WriteTransaction, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Mark(..) | Write::Journal { .. } => {
            apply_reports(transaction, std::slice::from_ref(write))?;
        }
        Write::Snapshot { canary, snapshot, units } => {
            let mut table = transaction.open_table(SNAPSHOTS).map_err(fail)?;
            table.insert(canary.as_str(), encode("snapshots", snapshot)?.as_slice()).map_err(fail)?;
            let mut table = transaction.open_table(UNITS).map_err(fail)?;
            table.insert(canary.as_str(), units.as_slice()).map_err(fail)?;
            let mut journal = transaction.open_table(JOURNAL).map_err(fail)?;
            let ended = (canary.as_str(), 0)..=(canary.as_str(), snapshot.offset);
            journal.retain_in(ended, |_, _| false).map_err(fail)?;
        }
        Write::Transition(canary, transition) => {
            // Two in one millisecond stay two: the later takes the next free number.
            let number = free(transaction, HISTORY, canary, transition.time.0)?;
            put(transaction, HISTORY, (canary, number), transition)?;
        }
        Write::Sample(canary, time, sample) => put(transaction, SAMPLES, (canary, time.0), sample)?,
        Write::Report(canary, report) => put(transaction, REPORTS, (canary, report.time.0), report)?,
        Write::Audit(line) => audit::apply(transaction, line)?,
        Write::Cursor(place) => {
            transaction.open_table(META).map_err(fail)?.insert("cursor", place).map_err(fail)?;
        }
        Write::Trim(place) => {
            let mut inbox = transaction.open_table(INBOX).map_err(fail)?;
            inbox.retain_in(..=*place, |_, _| false).map_err(fail)?;
        }
        Write::Inbox(place, post) => {
            let bytes = match post {
                Post::Report(report) => encode("inbox", report)?,
                Post::Events(events) => encode("inbox", events)?,
            };
            let mut inbox = transaction.open_table(INBOX).map_err(fail)?;
            inbox.insert(place, bytes.as_slice()).map_err(fail)?;
        }
        // There is nobody else to whom it would be of use.
        Write::Plan(..) => {}
        Write::Experiment(..) | Write::Unit { .. } | Write::Action { .. } | Write::Key(..) => {
            experiments::apply(transaction, write)?;
        }
    }
    Ok(())
}

fn put(
    transaction: &WriteTransaction,
    table: ByCanaryAndNumber,
    key: (&str, u64),
    value: &impl Serialize,
) -> Result<(), StoreError> {
    let bytes = encode("history, samples or reports", value)?;
    let mut table = transaction.open_table(table).map_err(fail)?;
    table.insert(key, bytes.as_slice()).map_err(fail)?;
    Ok(())
}

fn free(
    transaction: &WriteTransaction,
    table: ByCanaryAndNumber,
    canary: &str,
    wanted: u64,
) -> Result<u64, StoreError> {
    let table = transaction.open_table(table).map_err(fail)?;
    let mut range = table.range((canary, wanted)..=(canary, u64::MAX)).map_err(fail)?;
    match range.next_back() {
        Some(row) => Ok(row.map_err(fail)?.0.value().1.saturating_add(1)),
        None => Ok(wanted),
    }
}

fn rows<T: DeserializeOwned>(
    reading: &ReadTransaction,
    table: ByCanaryAndNumber,
    name: &'static str,
    canary: &str,
    from: u64,
) -> Result<Vec<(u64, T)>, StoreError> {
    let table: ReadOnlyTable<(&str, u64), &[u8]> = reading.open_table(table).map_err(fail)?;
    let mut found = Vec::new();
    for row in table.range((canary, from)..=(canary, u64::MAX)).map_err(fail)? {
        let (key, bytes) = row.map_err(fail)?;
        found.push((key.value().1, decode(name, bytes.value())?));
    }
    Ok(found)
}

/// What waits in the inbox: a report is an object, the events of a call are a list.
pub(super) fn post_of(bytes: &[u8]) -> Result<Post, StoreError> {
    match bytes.first() {
        Some(b'[') => Ok(Post::Events(decode("inbox", bytes)?)),
        Some(_) | None => Ok(Post::Report(decode("inbox", bytes)?)),
    }
}

pub(super) fn fail(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Database(Box::new(error.into()))
}

pub(super) fn encode(table: &'static str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Record { table, error: error.to_string() })
}

pub(super) fn decode<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Record { table, error: error.to_string() })
}
