//! Reading: canaries, their samples and reports, and what is too old to keep.

use super::Redis;
use super::keys::{digits, json_of};
use crate::store::redb::decode;
use crate::store::{
    JournalEntry, MARK_LIFE, Mark, RolloutReport, Snapshot, StoreError, StoredCanary, UNIT_LIFE,
};
use serde::de::DeserializeOwned;
use serin_contract::FieldError;
use serin_contract::report::Instance;
use serin_judge::ramp::Transition;
use serin_judge::time::Time;
use std::collections::BTreeMap;

type Bytes = Vec<u8>;

fn wrong(table: &'static str, error: &str) -> StoreError {
    StoreError::Record { table, error: error.to_owned() }
}

fn instance(name: &str) -> Result<Instance, StoreError> {
    name.parse().map_err(|error: FieldError| wrong("marks", &error.message))
}

/// The number in front of a member, and its record.
fn numbered<T: DeserializeOwned>(table: &'static str, member: &[u8]) -> Result<(u64, T), StoreError> {
    let number = member.get(..20).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    let number = number.ok_or_else(|| wrong(table, "has no number"))?;
    Ok((number, decode(table, json_of(member))?))
}

impl Redis {
    pub(super) fn read_marks(&self, now: Time) -> Result<BTreeMap<Instance, Mark>, StoreError> {
        let mut marks = self.all_marks()?;
        marks.retain(|_, mark| now.since(mark.time) < MARK_LIFE);
        Ok(marks)
    }

    fn all_marks(&self) -> Result<BTreeMap<Instance, Mark>, StoreError> {
        let key = self.keys.of("marks");
        let rows: Vec<(String, Bytes)> =
            self.link.call("read", |connection| redis::cmd("HGETALL").arg(&key).query(connection))?;
        rows.iter().map(|(name, value)| Ok((instance(name)?, decode("marks", json_of(value))?))).collect()
    }

    pub(super) fn read_canary(&self, canary: &str) -> Result<Option<StoredCanary>, StoreError> {
        let key = self.keys.of("snapshots");
        let found: Option<Bytes> = self
            .link
            .call("read", |connection| redis::cmd("HGET").arg(&key).arg(canary).query(connection))?;
        let Some(snapshot) = found else { return Ok(None) };
        let snapshot: Snapshot = decode("snapshots", &snapshot)?;
        let mut rest = redis::pipe();
        rest.cmd("HGET").arg(self.keys.of("units")).arg(canary);
        let after = format!("({}", digits(snapshot.offset));
        rest.cmd("ZRANGEBYSCORE").arg(self.keys.with("journal", canary)).arg(after).arg("+inf");
        rest.cmd("ZRANGE").arg(self.keys.with("history", canary)).arg(0).arg(-1);
        let (units, journal, history): (Option<Bytes>, Vec<Bytes>, Vec<Bytes>) =
            self.link.call("read", |connection| rest.query(connection))?;
        let journal = journal.iter().map(|row| numbered::<JournalEntry>("journal", row));
        let history = history.iter().map(|row| decode::<Transition>("history", row));
        Ok(Some(StoredCanary {
            snapshot,
            units: units.unwrap_or_default(),
            journal: journal.collect::<Result<_, _>>()?,
            history: history.collect::<Result<_, _>>()?,
        }))
    }

    pub(super) fn read_last_samples(
        &self,
        canary: &str,
        since: Time,
        most: usize,
    ) -> Result<Vec<serde_json::Value>, StoreError> {
        let mut command = redis::cmd("ZREVRANGEBYSCORE");
        command.arg(self.keys.with("samples", canary)).arg("+inf").arg(since.0);
        command.arg("LIMIT").arg(0).arg(most);
        let rows: Vec<Bytes> = self.link.call("read", |connection| command.query(connection))?;
        rows.iter().rev().map(|row| decode("samples", json_of(row))).collect()
    }

    pub(super) fn read_samples_between(
        &self,
        canary: &str,
        from: Time,
        to: Time,
        most: usize,
    ) -> Result<(Vec<serde_json::Value>, usize), StoreError> {
        let key = self.keys.with("samples", canary);
        let mut counts = redis::pipe();
        counts.cmd("ZCOUNT").arg(&key).arg("-inf").arg(format!("({}", from.0));
        counts.cmd("ZCOUNT").arg(&key).arg(from.0).arg(to.0);
        let (before, count): (usize, usize) =
            self.link.call("read", |connection| counts.query(connection))?;
        if count == 0 {
            return Ok((Vec::new(), 0));
        }
        let each = count.div_ceil(most.max(1)).max(1);
        let mut some = redis::pipe();
        let last = ((count - 1) % each != 0).then_some(count - 1);
        for place in (0..count).step_by(each).chain(last) {
            some.cmd("ZRANGE").arg(&key).arg(before + place).arg(before + place);
        }
        let rows: Vec<Vec<Bytes>> = self.link.call("read", |connection| some.query(connection))?;
        let samples = rows.iter().flatten().map(|row| decode("samples", json_of(row)));
        Ok((samples.collect::<Result<_, _>>()?, count))
    }

    pub(super) fn read_reports(&self, canary: &str, most: usize) -> Result<Vec<RolloutReport>, StoreError> {
        let Some(last) = most.checked_sub(1) else { return Ok(Vec::new()) };
        let mut command = redis::cmd("ZREVRANGE");
        command.arg(self.keys.with("reports", canary)).arg(0).arg(last);
        let rows: Vec<Bytes> = self.link.call("read", |connection| command.query(connection))?;
        rows.iter().map(|row| decode("reports", json_of(row))).collect()
    }

    /// Marks of senders that were silent for a day, and the units of experiments that ended a month ago.
    /// Idempotency keys run out by themselves.
    pub(super) fn sweep_all(&self, now: Time) -> Result<(), StoreError> {
        let mut gone = redis::pipe();
        let mut some = false;
        for (name, mark) in self.all_marks()? {
            if now.since(mark.time) >= MARK_LIFE {
                gone.cmd("HDEL").arg(self.keys.of("marks")).arg(name.to_string());
                some = true;
            }
        }
        for record in self.read_experiments()? {
            if record.ended.is_some_and(|ended| now.since(ended) > UNIT_LIFE) {
                gone.cmd("UNLINK").arg(self.keys.with("experiment-units", &record.id));
                gone.cmd("UNLINK").arg(self.keys.with("experiment-actions", &record.id));
                some = true;
            }
        }
        if !some {
            return Ok(());
        }
        self.link.call("sweep", |connection| gone.exec(connection))
    }
}
