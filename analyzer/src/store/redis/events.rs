//! Events that any analyzer takes: with the idempotency key in one script, so that a call that comes twice, also
//! to two analyzers, is in the inbox once.

use super::Redis;
use super::keys::unit;
use crate::experiments::desk::KEY_LIFE;
use crate::experiments::events::Deed;
use crate::experiments::{Record, UnitEvent};
use crate::store::redb::{decode, encode};
use crate::store::{KeptAnswer, StoreError};
use serin_contract::UnitHash;
use serin_judge::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A call whose events were checked.
#[derive(Debug, Clone)]
pub struct EventCall {
    /// What makes a repeated call the same call.
    pub key: Option<String>,
    /// Its events.
    pub events: Vec<UnitEvent>,
}

/// What of one experiment's units a call has to know, and what others will.
#[derive(Default)]
struct Units {
    /// Conversions of units that the call itself has not exposed before.
    converted: BTreeMap<UnitHash, u64>,
    exposed: BTreeSet<UnitHash>,
}

fn units_of(events: &[UnitEvent]) -> BTreeMap<&str, Units> {
    let mut all: BTreeMap<&str, Units> = BTreeMap::new();
    for event in events {
        let units = all.entry(&event.experiment).or_default();
        match event.deed {
            Deed::Exposure => {
                units.exposed.insert(event.unit);
            }
            Deed::Conversion { .. } if !units.exposed.contains(&event.unit) => {
                *units.converted.entry(event.unit).or_default() += 1;
            }
            Deed::Conversion { .. } | Deed::Custom(_) => {}
        }
    }
    all
}

impl Redis {
    /// Takes calls: their events are in the inbox when this returns, each once. Answers what each came to, as far
    /// as is known before it is counted, and whether the call was new.
    ///
    /// # Errors
    /// When Redis does not answer or refuses; a call may be in nevertheless, and is known by its key then when it
    /// comes again.
    pub fn take_events(&self, calls: &[EventCall], now: Time) -> Result<Vec<(KeptAnswer, bool)>, StoreError> {
        let mut script = self.scripts.events.prepare_invoke();
        script.key(self.keys.of("inbox")).key(self.keys.of("taken-calls"));
        script.arg(now.0).arg(u64::try_from(KEY_LIFE.as_millis()).unwrap_or(u64::MAX));
        for call in calls {
            let key = call.key.as_deref().map(|key| self.keys.with("experiment-keys", key));
            script.arg(key.unwrap_or_default()).arg(encode("inbox", &call.events)?).arg(call.events.len());
            let all = units_of(&call.events);
            script.arg(all.len());
            for (experiment, units) in all {
                script.arg(self.keys.with("experiment-units", experiment));
                script.arg(self.keys.with("exposed", experiment));
                script.arg(units.converted.len());
                for (hash, count) in units.converted {
                    script.arg(unit(hash)).arg(count);
                }
                script.arg(units.exposed.len());
                for hash in units.exposed {
                    script.arg(unit(hash));
                }
            }
        }
        let answers: Vec<(String, String)> = self.link.call("take", |connection| {
            let answers = script.invoke(connection)?;
            self.await_replicas(connection)?;
            Ok(answers)
        })?;
        if answers.len() != calls.len() {
            let error = "an answer that is none".to_owned();
            return Err(StoreError::Record { table: "experiment_keys", error });
        }
        let told = answers.iter();
        told.map(|(new, json)| Ok((decode("experiment_keys", json.as_bytes())?, new == "new"))).collect()
    }

    /// Experiments by their ids, as far as there are any.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub fn some_experiments(&self, ids: &BTreeSet<&str>) -> Result<Vec<Record>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.keys.of("experiments")).arg(ids.iter().copied().collect::<Vec<_>>());
        let rows: Vec<Option<Vec<u8>>> = self.link.call("read", |connection| command.query(connection))?;
        rows.iter().flatten().map(|row| decode("experiments", row)).collect()
    }
}
