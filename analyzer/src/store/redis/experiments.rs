//! Experiments in Redis: their sums, their units, what units did.

use super::Redis;
use super::keys::{action, action_of, unit};
use crate::experiments::{Record, Unit};
use crate::store::redb::decode;
use crate::store::{Action, KeptAnswer, StoreError, Walk};
use serin_contract::UnitHash;
use serin_judge::time::Time;

/// Actions read in one call.
const PAGE: usize = 1000;

type Bytes = Vec<u8>;

impl Redis {
    pub(super) fn read_experiments(&self) -> Result<Vec<Record>, StoreError> {
        let key = self.keys.of("experiments");
        let rows: Vec<(String, Bytes)> =
            self.link.call("read", |connection| redis::cmd("HGETALL").arg(&key).query(connection))?;
        let records = rows.iter().map(|(_, record)| decode("experiments", record));
        let mut records: Vec<Record> = records.collect::<Result<_, _>>()?;
        records.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(records)
    }

    pub(super) fn read_units(&self, experiment: &str, units: &[UnitHash]) -> Result<Vec<Unit>, StoreError> {
        let mut found = Vec::with_capacity(units.len());
        for some in units.chunks(PAGE) {
            let mut command = redis::cmd("HMGET");
            command.arg(self.keys.with("experiment-units", experiment));
            command.arg(some.iter().map(|hash| unit(*hash)).collect::<Vec<_>>());
            let rows: Vec<Option<Bytes>> = self.link.call("read", |connection| command.query(connection))?;
            for row in rows {
                found.push(match row {
                    Some(row) => decode("experiment_units", &row)?,
                    None => Unit::default(),
                });
            }
        }
        Ok(found)
    }

    pub(super) fn read_key(&self, key: &str) -> Result<Option<KeptAnswer>, StoreError> {
        let key = self.keys.with("experiment-keys", key);
        let found: Option<Bytes> =
            self.link.call("read", |connection| redis::cmd("GET").arg(&key).query(connection))?;
        found.map(|bytes| decode("experiment_keys", &bytes)).transpose()
    }

    pub(super) fn read_walk(&self, experiment: &str, show: &mut dyn FnMut(Walk)) -> Result<(), StoreError> {
        let mut walk: Option<(u64, Walk)> = None;
        let mut last: Option<Bytes> = None;
        loop {
            let page = self.page_of_actions(experiment, last.as_deref())?;
            let mut rows = Vec::with_capacity(page.len());
            for row in &page {
                let (unit, time, _, json) = action_of(row).ok_or_else(|| StoreError::Record {
                    table: "experiment_actions",
                    error: "has no numbers".to_owned(),
                })?;
                let action: Action = decode("experiment_actions", json)?;
                rows.push((unit, time, action.name));
            }
            let mut units: Vec<UnitHash> = rows.iter().map(|(unit, ..)| UnitHash(*unit)).collect();
            units.dedup();
            let known = self.read_units(experiment, &units)?;
            let mut known = units.iter().zip(known).peekable();
            for (unit, time, name) in rows {
                while known.next_if(|(hash, _)| hash.0 < unit).is_some() {}
                if walk.as_ref().is_none_or(|(now, _)| *now != unit) {
                    let arm = known.peek().and_then(|(_, unit)| unit.last().map(|entry| entry.arm));
                    if let Some((_, whole)) = walk.replace((unit, Walk { arm, actions: Vec::new() })) {
                        show(whole);
                    }
                }
                if let Some((_, whole)) = &mut walk {
                    whole.actions.push((Time(time), name));
                }
            }
            if page.len() < PAGE {
                break;
            }
            last = page.into_iter().next_back();
        }
        if let Some((_, whole)) = walk {
            show(whole);
        }
        Ok(())
    }

    fn page_of_actions(&self, experiment: &str, after: Option<&[u8]>) -> Result<Vec<Bytes>, StoreError> {
        let from = match after {
            Some(last) => [b"(", last].concat(),
            None => [b"[".as_slice(), &action(0, 0, 0, b"")].concat(),
        };
        let mut command = redis::cmd("ZRANGEBYLEX");
        command.arg(self.keys.with("experiment-actions", experiment)).arg(from).arg("+");
        command.arg("LIMIT").arg(0).arg(PAGE);
        self.link.call("read", |connection| command.query(connection))
    }
}
