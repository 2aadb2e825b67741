//! Who is in which arm, and which flags that gives.

use super::{Draft, Refused, Told};
use crate::analytics::{Via, What};
use crate::experiments::book::{ASSIGNMENT_LIFE, Book, Status};
use serde::Serialize;
use serin_contract::AssignedUnit;
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// What an assignment came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Assigned {
    /// The experiment.
    pub experiment: String,
    /// The arm; none when the user takes no part.
    pub arm: Option<String>,
    /// The step that assigned it.
    pub step: Option<u32>,
    /// The arm's flags.
    pub flags: BTreeMap<String, serde_json::Value>,
    /// Whether this call made the assignment, and counted the exposure.
    pub new: bool,
    /// Why there is no arm.
    pub reason: Option<String>,
}

/// A flag of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The flag.
    pub key: String,
    /// Its value.
    pub value: serde_json::Value,
    /// The user's arm.
    pub arm: String,
    /// Whose flag it is.
    pub experiment: String,
}

impl Assigned {
    fn none(id: &str, reason: &str) -> Self {
        Self {
            experiment: id.to_owned(),
            arm: None,
            step: None,
            flags: BTreeMap::new(),
            new: false,
            reason: Some(reason.to_owned()),
        }
    }
}

impl Draft<'_> {
    /// The arm of a user: the one that is stored, else by the unit's bucket; stored and counted then.
    ///
    /// # Errors
    /// When there is no such experiment, or the store fails.
    pub fn assign(
        &mut self,
        id: &str,
        user: &str,
        attributes: Option<&BTreeMap<String, serde_json::Value>>,
        time: Time,
    ) -> Result<Assigned, Refused> {
        let book = self.book(id)?;
        if let Some(canary) = book.canary() {
            let why = "its filters assign users, by the step's present weight";
            return Err(super::change::of_release(id, canary, why));
        }
        let none = |reason: &str| Ok(Assigned::none(id, reason));
        match book.status(self.now) {
            Status::Running => {}
            Status::Scheduled => return none("the experiment has not begun"),
            Status::Ended => return none("the experiment has ended"),
        }
        match book.experiment.unit(user) {
            Some(unit) => self.place(id, unit, attributes, time),
            None => none("an empty user is no user"),
        }
    }

    /// The arm of a user, whether the experiment runs or not: exposures may come late.
    pub(super) fn place(
        &mut self,
        id: &str,
        assigned: AssignedUnit,
        attributes: Option<&BTreeMap<String, serde_json::Value>>,
        time: Time,
    ) -> Result<Assigned, Refused> {
        let book = self.book(id)?;
        let (arm, unit) = (book.experiment.arm_of(assigned), assigned.hash);
        let step = book.step();
        let is_for = attributes.is_none_or(|attributes| book.experiment.is_for(attributes));
        let mut record = self.unit(id, unit)?;
        if let Some(entry) = record.last().filter(|entry| time.since(entry.time) < ASSIGNMENT_LIFE) {
            let (arm, step) = (entry.arm, entry.step.0);
            return self.told(id, arm, step, false);
        }
        if !is_for {
            return Ok(Assigned::none(id, "outside of the segment"));
        }
        let first = record.of(step).is_none();
        match record.of_mut(step) {
            // The same step would say the same again: the assignment is renewed, and counts no second time.
            Some(entry) => entry.time = time,
            None => {
                self.book_mut(id)?.expose(&mut record, step, arm, time);
            }
        }
        let arm = record.of(step).map_or(arm, |entry| entry.arm);
        self.put(id, unit, record);
        self.tell(id, unit, Some((arm, step)), Told { what: What::Exposure { first }, time, from: Via::Api });
        self.act(id, unit, time, "exposure", None)?;
        self.told(id, arm, step.0, true)
    }

    /// The flags that running experiments give a user, in the order of their ids; of two of one name the
    /// first. Only experiments that have the flag, where one is asked for, are asked and count the user as
    /// exposed.
    ///
    /// # Errors
    /// When the store fails.
    pub fn evaluate(
        &mut self,
        key: Option<&str>,
        user: &str,
        attributes: &BTreeMap<String, serde_json::Value>,
        time: Time,
    ) -> Result<Vec<Evaluated>, Refused> {
        let has = |book: &&Book| {
            let arms = book.experiment.spec.arms.iter();
            let mut flags = arms.flat_map(|arm| arm.flags.keys());
            flags.any(|flag| key.is_none_or(|key| key == flag))
        };
        let running = self.all().into_iter().filter(|book| book.status(self.now) == Status::Running);
        let ids: Vec<String> = running.filter(has).map(|book| book.record.id.clone()).collect();
        let mut found: Vec<Evaluated> = Vec::new();
        for id in ids {
            let assigned = self.assign(&id, user, Some(attributes), time)?;
            let Some(arm) = assigned.arm else { continue };
            for (flag, value) in assigned.flags {
                let wanted = key.is_none_or(|key| key == flag);
                if wanted && found.iter().all(|known| known.key != flag) {
                    found.push(Evaluated { key: flag, value, arm: arm.clone(), experiment: id.clone() });
                }
            }
        }
        Ok(found)
    }

    fn told(&self, id: &str, arm: usize, step: u32, new: bool) -> Result<Assigned, Refused> {
        let experiment = &self.book(id)?.experiment;
        Ok(Assigned {
            experiment: id.to_owned(),
            arm: experiment.arms.get(arm).cloned(),
            step: Some(step),
            flags: experiment.flags(arm),
            new,
            reason: None,
        })
    }
}
