//! Everything that is in Redis, for another store.

use super::Redis;
use super::keys::{action_of, json_of};
use crate::store::exchange::{Row, to_hex};
use crate::store::redb::decode;
use crate::store::{AUDIT_LINES, Snapshot, Store, StoreError};
use serin_contract::UnitHash;
use serin_judge::time::Time;

type Bytes = Vec<u8>;

/// Records read in one call.
const PAGE: usize = 1000;

impl Redis {
    /// See [`crate::store::Store::dump`]. Nobody may lead meanwhile, for nothing holds still then.
    pub(super) fn dump_all(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        self.check_free()?;
        let moves = self.link.moves();
        for (instance, mark) in self.read_marks(Time(0))? {
            show(Row::Mark { instance, mark });
        }
        self.dump_canaries(show)?;
        self.dump_experiments(show)?;
        let mut lines = self.read_audit(u64::MAX, AUDIT_LINES)?;
        while let Some((_, line)) = lines.pop() {
            show(Row::Audit { line: Box::new(line) });
        }
        match self.read_cursor()? {
            0 => {}
            place => show(Row::Cursor { place }),
        }
        let mut after = 0;
        loop {
            let page = self.inbox(after, PAGE)?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            page.into_iter().for_each(|(place, post)| show(Row::of_post(place, post)));
        }
        // A node that is asked for all its keys does not say that they are another's now.
        self.check_free()?;
        if self.link.moves() != moves {
            let problem = "the slot has moved to another node of the cluster meanwhile: begin again";
            return Err(StoreError::Unavailable(problem.to_owned()));
        }
        Ok(())
    }

    fn check_free(&self) -> Result<(), StoreError> {
        let lock = self.keys.of("lock");
        let held: bool =
            self.link.call("read", |connection| redis::cmd("EXISTS").arg(&lock).query(connection))?;
        if held { Err(StoreError::Held) } else { Ok(()) }
    }

    fn dump_canaries(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        let key = self.keys.of("snapshots");
        let rows: Vec<(String, Bytes)> =
            self.link.call("read", |connection| redis::cmd("HGETALL").arg(&key).query(connection))?;
        for (canary, json) in rows {
            let snapshot: Snapshot = decode("snapshots", &json)?;
            if let Some(stored) = self.read_canary(&canary)? {
                let (canary, units) = (canary.clone(), to_hex(&stored.units));
                show(Row::Snapshot { canary: canary.clone(), snapshot: Box::new(snapshot), units });
                for (offset, entry) in stored.journal {
                    show(Row::Journal { canary: canary.clone(), offset, entry });
                }
                for transition in stored.history {
                    show(Row::Transition { canary: canary.clone(), transition });
                }
            }
        }
        for canary in self.ids("samples")? {
            self.members("samples", &canary, &mut |member| {
                let time = std::str::from_utf8(member.get(..20).unwrap_or_default()).unwrap_or_default();
                let time = Time(time.parse().unwrap_or(0));
                show(Row::Sample {
                    canary: canary.clone(),
                    time,
                    sample: decode("samples", json_of(member))?,
                });
                Ok(())
            })?;
        }
        for canary in self.ids("reports")? {
            self.members("reports", &canary, &mut |member| {
                let report = Box::new(decode("reports", json_of(member))?);
                show(Row::Report { canary: canary.clone(), report });
                Ok(())
            })?;
        }
        Ok(())
    }

    fn dump_experiments(&self, show: &mut dyn FnMut(Row)) -> Result<(), StoreError> {
        for record in self.read_experiments()? {
            show(Row::Experiment { record: Box::new(record) });
        }
        for experiment in self.ids("experiment-units")? {
            let key = self.keys.with("experiment-units", &experiment);
            let mut at = 0_u64;
            loop {
                let (next, rows): (u64, Vec<(String, Bytes)>) = self.link.call("read", |connection| {
                    redis::cmd("HSCAN").arg(&key).arg(at).arg("COUNT").arg(PAGE).query(connection)
                })?;
                for (unit, json) in rows {
                    let wrong = |_| StoreError::Record {
                        table: "experiment_units",
                        error: "a unit that is none".into(),
                    };
                    let unit = UnitHash(u64::from_str_radix(&unit, 16).map_err(wrong)?);
                    let record = decode("experiment_units", &json)?;
                    show(Row::Unit { experiment: experiment.clone(), unit, record });
                }
                at = next;
                if at == 0 {
                    break;
                }
            }
        }
        for experiment in self.ids("experiment-actions")? {
            self.members("experiment-actions", &experiment, &mut |member| {
                let wrong =
                    || StoreError::Record { table: "experiment_actions", error: "has no numbers".into() };
                let (unit, time, number, json) = action_of(member).ok_or_else(wrong)?;
                let action = decode("experiment_actions", json)?;
                let experiment = experiment.clone();
                show(Row::Action { experiment, unit: UnitHash(unit), time: Time(time), number, action });
                Ok(())
            })?;
        }
        for key in self.ids("experiment-keys")? {
            if let Some(answer) = self.read_key(&key)? {
                show(Row::Key { key, answer });
            }
        }
        Ok(())
    }

    /// What stands behind a name in the keys that there are.
    fn ids(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let start = self.keys.with(name, "");
        let mut ids = Vec::new();
        let mut at = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = self.link.call("read", |connection| {
                let mut command = redis::cmd("SCAN");
                command.arg(at).arg("MATCH").arg(format!("{start}*")).arg("COUNT").arg(PAGE);
                command.query(connection)
            })?;
            ids.extend(keys.iter().filter_map(|key| key.strip_prefix(&start).map(str::to_owned)));
            at = next;
            if at == 0 {
                break;
            }
        }
        ids.sort();
        ids.dedup();
        Ok(ids)
    }

    fn members(
        &self,
        name: &str,
        id: &str,
        show: &mut dyn FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let key = self.keys.with(name, id);
        let mut at = 0;
        loop {
            let page: Vec<Bytes> = self.link.call("read", |connection| {
                redis::cmd("ZRANGE").arg(&key).arg(at).arg(at + PAGE - 1).query(connection)
            })?;
            page.iter().try_for_each(|member| show(member))?;
            if page.len() < PAGE {
                return Ok(());
            }
            at += PAGE;
        }
    }
}
