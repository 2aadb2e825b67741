//! Experiments in the store: their sums, their units, what units did. Units and actions are many, so they
//! stay here and are looked up one by one.

use super::exchange::Row;
use super::redb::{decode, encode, fail};
use super::{Action, KeptAnswer, Redb, StoreError, UNIT_LIFE, Walk, Write};
use crate::experiments::desk::KEY_LIFE;
use crate::experiments::{Record, Unit};
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};
use serin_contract::UnitHash;
use serin_judge::time::Time;

const EXPERIMENTS: TableDefinition<&str, &[u8]> = TableDefinition::new("experiments");
const UNITS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("experiment_units");
const ACTIONS: TableDefinition<(&str, u64, u64, u64), &[u8]> = TableDefinition::new("experiment_actions");
const KEYS: TableDefinition<&str, &[u8]> = TableDefinition::new("experiment_keys");

pub(super) fn prepare(transaction: &WriteTransaction) -> Result<(), StoreError> {
    transaction.open_table(EXPERIMENTS).map_err(fail)?;
    transaction.open_table(UNITS).map_err(fail)?;
    transaction.open_table(ACTIONS).map_err(fail)?;
    transaction.open_table(KEYS).map_err(fail)?;
    Ok(())
}

/// Units, with their table opened once.
pub(super) fn apply_units(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), StoreError> {
    let mut table = transaction.open_table(UNITS).map_err(fail)?;
    for write in writes {
        if let Write::Unit { experiment, unit, record } = write {
            let bytes = encode("experiment_units", record)?;
            table.insert((experiment.as_str(), unit.0), bytes.as_slice()).map_err(fail)?;
        }
    }
    Ok(())
}

pub(super) fn apply(transaction: &WriteTransaction, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Experiment(record) => {
            let mut table = transaction.open_table(EXPERIMENTS).map_err(fail)?;
            let bytes = encode("experiments", record)?;
            table.insert(record.id.as_str(), bytes.as_slice()).map_err(fail)?;
        }
        Write::Unit { .. } => apply_units(transaction, std::slice::from_ref(write))?,
        Write::Action { experiment, unit, time, number, action } => {
            let mut table = transaction.open_table(ACTIONS).map_err(fail)?;
            let bytes = encode("experiment_actions", action)?;
            let key = (experiment.as_str(), unit.0, time.0, *number);
            table.insert(key, bytes.as_slice()).map_err(fail)?;
        }
        Write::Key(key, answer) => {
            let mut table = transaction.open_table(KEYS).map_err(fail)?;
            table.insert(key.as_str(), encode("experiment_keys", answer)?.as_slice()).map_err(fail)?;
        }
        Write::Mark(..)
        | Write::Cursor(_)
        | Write::Trim(_)
        | Write::Inbox(..)
        | Write::Plan(..)
        | Write::Audit(_)
        | Write::Journal { .. }
        | Write::Snapshot { .. }
        | Write::Transition(..)
        | Write::Sample(..)
        | Write::Report(..) => {}
    }
    Ok(())
}

impl Redb {
    pub(super) fn read_experiments(&self) -> Result<Vec<Record>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(EXPERIMENTS).map_err(fail)?;
        let mut records = Vec::new();
        for row in table.iter().map_err(fail)? {
            records.push(decode("experiments", row.map_err(fail)?.1.value())?);
        }
        Ok(records)
    }

    /// Forgets keys that have run out, and the units of experiments that ended a month ago.
    pub(super) fn sweep_experiments(
        &self,
        transaction: &WriteTransaction,
        now: Time,
    ) -> Result<(), StoreError> {
        let mut keys = transaction.open_table(KEYS).map_err(fail)?;
        let alive = |bytes: &[u8]| {
            let answer = decode::<KeptAnswer>("experiment_keys", bytes);
            answer.is_ok_and(|answer| now.since(answer.time) < KEY_LIFE)
        };
        keys.retain(|_, bytes| alive(bytes)).map_err(fail)?;
        let mut units = transaction.open_table(UNITS).map_err(fail)?;
        let mut actions = transaction.open_table(ACTIONS).map_err(fail)?;
        let old = |record: &Record| record.ended.is_some_and(|ended| now.since(ended) > UNIT_LIFE);
        for record in self.read_experiments()?.iter().filter(|record| old(record)) {
            let id = record.id.as_str();
            units.retain_in((id, 0)..=(id, u64::MAX), |_, _| false).map_err(fail)?;
            let all = (id, 0, 0, 0)..=(id, u64::MAX, u64::MAX, u64::MAX);
            actions.retain_in(all, |_, _| false).map_err(fail)?;
        }
        Ok(())
    }

    pub(super) fn dump_experiments(
        &self,
        reading: &ReadTransaction,
        show: &mut dyn FnMut(Row),
    ) -> Result<(), StoreError> {
        for record in self.read_experiments()? {
            show(Row::Experiment { record: Box::new(record) });
        }
        for row in reading.open_table(UNITS).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let (experiment, unit) = key.value();
            let record = decode("experiment_units", json.value())?;
            show(Row::Unit { experiment: experiment.to_owned(), unit: UnitHash(unit), record });
        }
        for row in reading.open_table(ACTIONS).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let (experiment, unit, time, number) = key.value();
            let action = decode("experiment_actions", json.value())?;
            let (experiment, unit, time) = (experiment.to_owned(), UnitHash(unit), Time(time));
            show(Row::Action { experiment, unit, time, number, action });
        }
        for row in reading.open_table(KEYS).map_err(fail)?.iter().map_err(fail)? {
            let (key, json) = row.map_err(fail)?;
            let answer = decode("experiment_keys", json.value())?;
            show(Row::Key { key: key.value().to_owned(), answer });
        }
        Ok(())
    }

    pub(super) fn read_units(&self, experiment: &str, units: &[UnitHash]) -> Result<Vec<Unit>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(UNITS).map_err(fail)?;
        let read = |unit: &UnitHash| match table.get((experiment, unit.0)).map_err(fail)? {
            Some(bytes) => decode("experiment_units", bytes.value()),
            None => Ok(Unit::default()),
        };
        units.iter().map(read).collect()
    }

    pub(super) fn read_key(&self, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let table = reading.open_table(KEYS).map_err(fail)?;
        let found = table.get(key).map_err(fail)?;
        found.map(|bytes| decode("experiment_keys", bytes.value())).transpose()
    }

    pub(super) fn read_walk(&self, experiment: &str, show: &mut dyn FnMut(Walk)) -> Result<(), StoreError> {
        let reading = self.database()?.begin_read().map_err(fail)?;
        let actions = reading.open_table(ACTIONS).map_err(fail)?;
        let units = reading.open_table(UNITS).map_err(fail)?;
        let arm = |unit: u64| -> Result<Option<usize>, StoreError> {
            let found = units.get((experiment, unit)).map_err(fail)?;
            let known = found.map(|bytes| decode::<Unit>("experiment_units", bytes.value())).transpose()?;
            Ok(known.and_then(|unit| unit.last().map(|entry| entry.arm)))
        };
        let mut walk: Option<(u64, Walk)> = None;
        let all = (experiment, 0, 0, 0)..=(experiment, u64::MAX, u64::MAX, u64::MAX);
        for row in actions.range(all).map_err(fail)? {
            let (key, bytes) = row.map_err(fail)?;
            let (_, unit, time, _) = key.value();
            let action: Action = decode("experiment_actions", bytes.value())?;
            if walk.as_ref().is_some_and(|(known, _)| *known != unit)
                && let Some((_, whole)) = walk.take()
            {
                show(whole);
            }
            let (_, whole) = match &mut walk {
                Some(walk) => walk,
                none @ None => none.insert((unit, Walk { arm: arm(unit)?, actions: Vec::new() })),
            };
            whole.actions.push((Time(time), action.name));
        }
        if let Some((_, whole)) = walk {
            show(whole);
        }
        Ok(())
    }
}
