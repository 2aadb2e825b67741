//! What users did: events of the API and reports of the filters.

use super::{Draft, KEY_LIFE, Refused, Told};
use crate::analytics::{Via, What};
use crate::experiments::book::{Book, Status};
use crate::experiments::events::{Deed, Event, LATEST, UnitEvent};
use crate::experiments::spec::written;
use crate::store::{Action, KeptAnswer, StoreError, Write};
use serde::Serialize;
use serin_contract::{ExperimentReport, FieldError, Step, UnitHash};
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// What a batch of events came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Events taken.
    pub accepted: u64,
    /// Among them conversions of users whom nothing had exposed: they are in no arm.
    pub unexposed: u64,
    /// Whether the answer is that of an earlier call with the same key.
    pub repeated: bool,
}

impl Draft<'_> {
    /// Takes events, all or none. `key` makes a repeated call the same call.
    ///
    /// # Errors
    /// With the path of the first event that is wrong.
    pub fn events(&mut self, events: Vec<Event>, key: Option<&str>) -> Result<Counted, Refused> {
        if let Some(key) = key
            && let Some(answer) = self.known(key)?
        {
            return Ok(answer);
        }
        let events = self.checked(events)?;
        let accepted = events.len() as u64;
        let unexposed = self.take(events)?;
        let counted = Counted { accepted, unexposed, repeated: false };
        if let Some(key) = key {
            let answer =
                KeptAnswer { time: self.now, accepted: counted.accepted, unexposed: counted.unexposed };
            self.keys.insert(key.to_owned(), answer.clone());
            self.writes.push(Write::Key(key.to_owned(), answer));
        }
        Ok(counted)
    }

    /// Checks events against their experiments; what is left of users is their units.
    ///
    /// # Errors
    /// With the path of the first event that is wrong.
    pub fn checked(&self, events: Vec<Event>) -> Result<Vec<UnitEvent>, Refused> {
        let checked = events.into_iter().enumerate().map(|(place, event)| {
            self.check(event).map_err(|error| match error {
                Refused::Field(error) => Refused::Field(error.under(&format!("events[{place}]"))),
                Refused::Unknown(id) => {
                    let message = format!("there is no experiment `{id}`");
                    Refused::Field(FieldError::new(format!("events[{place}].experiment"), message))
                }
                other @ (Refused::Conflict(_) | Refused::Unavailable(_)) => other,
            })
        });
        checked.collect()
    }

    /// Counts checked events; answers how many conversions were nobody's. Events of experiments that are not there
    /// are passed over.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take(&mut self, events: Vec<UnitEvent>) -> Result<u64, StoreError> {
        // Whatever the store has to say of units is asked for before anything counts.
        self.look_up_all(&events)?;
        let mut unexposed = 0;
        for event in events {
            if self.book(&event.experiment).is_ok() {
                let known = self.count(event).map_err(|refused| internal(&refused))?;
                unexposed += u64::from(!known);
            }
        }
        Ok(unexposed)
    }

    /// What judges are told of events that are counted already: a canary may be behind its experiment.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take_again(&mut self, events: &[UnitEvent]) -> Result<(), StoreError> {
        self.look_up_all(events)?;
        for event in events {
            let Deed::Conversion { goal, .. } = &event.deed else { continue };
            let Ok(book) = self.book(&event.experiment) else { continue };
            let (_, name) = goal_of(book, goal.as_deref());
            let record = self.unit(&event.experiment, event.unit)?;
            if let Some((arm, step)) = record.last().map(|entry| (entry.arm, entry.step)) {
                self.tell_judge(&event.experiment, &name, event.unit, arm, Some(step));
            }
        }
        Ok(())
    }

    fn look_up_all(&mut self, events: &[UnitEvent]) -> Result<(), StoreError> {
        let mut units: BTreeMap<&str, Vec<UnitHash>> = BTreeMap::new();
        for event in events {
            units.entry(&event.experiment).or_default().push(event.unit);
        }
        units.into_iter().try_for_each(|(experiment, units)| self.look_up(experiment, &units))
    }

    fn known(&self, key: &str) -> Result<Option<Counted>, StoreError> {
        let known = match self.keys.get(key) {
            Some(answer) => Some(answer.clone()),
            None => self.store.key(key)?,
        };
        let fresh = known.filter(|answer| self.now.since(answer.time) < KEY_LIFE);
        Ok(fresh.map(|KeptAnswer { accepted, unexposed, .. }| Counted {
            accepted,
            unexposed,
            repeated: true,
        }))
    }

    fn check(&self, event: Event) -> Result<UnitEvent, Refused> {
        let book = self.book(&event.experiment)?;
        if book.status(self.now) == Status::Scheduled {
            return Err(FieldError::new("experiment", "has not begun yet").into());
        }
        let ended = book.record.ended.or(book.experiment.end);
        if let Some(ended) = ended.filter(|ended| *ended <= self.now) {
            let late = event.time > ended || self.now.since(ended) > LATEST;
            if late {
                return Err(FieldError::new(
                    "time",
                    format!("is after the experiment's end, {}", written(ended)),
                )
                .into());
            }
        }
        match &event.deed {
            Deed::Conversion { goal: Some(goal), .. } if place_of(book, goal).is_none() => {
                let goals: Vec<&str> = book.experiment.goals.iter().map(|(name, _)| name.as_str()).collect();
                let message = format!("`{goal}` is no goal: allowed are {}", goals.join(", "));
                return Err(FieldError::new("goal", message).into());
            }
            Deed::Exposure if book.canary().is_some() => {
                let message = "exposures of a release come from its filters alone: send conversions";
                return Err(FieldError::new("type", message).into());
            }
            Deed::Exposure | Deed::Conversion { .. } | Deed::Custom(_) => {}
        }
        let unit = book.experiment.unit(&event.user);
        let unit = unit.ok_or_else(|| FieldError::new("user", "must have 1 to 1024 bytes"))?;
        Ok(UnitEvent::of(event, unit))
    }

    /// Counts one checked event; false when it is a conversion of nobody's.
    fn count(&mut self, event: UnitEvent) -> Result<bool, Refused> {
        let assigned = event.assigned();
        let UnitEvent { experiment: id, unit, deed, time, properties, .. } = event;
        let given = self.unit(&id, unit)?.last().map(|entry| (entry.arm, entry.step));
        let told = |what| Told { what, time, from: Via::Api };
        match deed {
            Deed::Exposure => {
                let assigned = self.place(&id, assigned, None, time)?;
                if !assigned.new {
                    self.tell(&id, unit, given, told(What::Exposure { first: false }));
                    self.act(&id, unit, time, "exposure", properties)?;
                }
                Ok(true)
            }
            Deed::Custom(name) => {
                let what = What::Custom { name: name.clone(), properties: properties.clone() };
                self.tell(&id, unit, given, told(what));
                self.act(&id, unit, time, &name, properties)?;
                Ok(true)
            }
            Deed::Conversion { goal, value } => {
                let book = self.book(&id)?;
                let (place, name) = goal_of(book, goal.as_deref());
                let mut record = self.unit(&id, unit)?;
                let step = record.last().map(|entry| entry.step);
                let known = step.is_some();
                if let Some(arm) = record.last().map(|entry| entry.arm) {
                    self.tell_judge(&id, &name, unit, arm, step);
                }
                let step = step.unwrap_or(Step(0));
                self.book_mut(&id)?.reach(&mut record, step, place, 1, value);
                if known {
                    self.put(&id, unit, record);
                }
                let (goal, properties_told) = (name.clone(), properties.clone());
                let what = What::Conversion { goal, events: 1, value, properties: properties_told };
                self.tell(&id, unit, given, told(what));
                self.act(&id, unit, time, &name, properties)?;
                Ok(known)
            }
        }
    }

    /// Keeps an action for funnels.
    pub(super) fn act(
        &mut self,
        id: &str,
        unit: UnitHash,
        time: Time,
        name: &str,
        properties: Option<serde_json::Map<String, serde_json::Value>>,
    ) -> Result<(), Refused> {
        let book = self.book_mut(id)?;
        book.record.actions += 1;
        let number = book.record.actions;
        let action = Action { name: name.to_owned(), properties };
        self.writes.push(Write::Action { experiment: id.to_owned(), unit, time, number, action });
        Ok(())
    }

    /// Counts what a filter saw. What it says of experiments that are not there is passed over.
    ///
    /// # Errors
    /// When the store fails.
    pub fn report(&mut self, report: &ExperimentReport) -> Result<(), StoreError> {
        if self.book(&report.id).is_err() {
            return Ok(());
        }
        let arms = report.arms.values();
        let reached = arms.clone().flat_map(|arm| arm.goals.values().flatten().map(|(unit, ..)| *unit));
        let units: Vec<UnitHash> = arms.flat_map(|arm| &arm.seen).copied().chain(reached).collect();
        self.look_up(&report.id, &units)?;
        for (name, arm) in &report.arms {
            let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
            let Some(place) = book.experiment.arms.iter().position(|known| known == name) else {
                book.record.loose.unknown += 1;
                continue;
            };
            // Who reached a goal was exposed, also when the report that lists the unit is still to come.
            let reached = arm.goals.values().flatten().map(|(unit, ..)| unit);
            for unit in arm.seen.iter().chain(reached) {
                let known = self.looked_up(&report.id, *unit).and_then(|record| record.of(report.step));
                if known.is_none_or(|entry| entry.arm != place) {
                    let mut record = self.unit(&report.id, *unit)?;
                    let first = record.of(report.step).is_none();
                    let now = self.now;
                    let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
                    if book.expose(&mut record, report.step, place, now) {
                        self.put(&report.id, *unit, record);
                        if first {
                            let what = What::Exposure { first };
                            let told = Told { what, time: now, from: Via::Filter };
                            self.tell(&report.id, *unit, Some((place, report.step)), told);
                        }
                    }
                }
            }
            for (goal, rows) in &arm.goals {
                self.reach(report, goal, rows)?;
            }
        }
        Ok(())
    }

    fn reach(
        &mut self,
        report: &ExperimentReport,
        goal: &str,
        rows: &[(UnitHash, u64, f64)],
    ) -> Result<(), StoreError> {
        let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
        let Some(place) = place_of(book, goal) else {
            book.record.loose.unknown += rows.len() as u64;
            return Ok(());
        };
        for (unit, events, sum) in rows {
            let mut record = self.unit(&report.id, *unit)?;
            let book = self.book_mut(&report.id).map_err(|refused| internal(&refused))?;
            book.reach(&mut record, report.step, place, *events, *sum);
            let given = record.of(report.step).map(|entry| (entry.arm, entry.step));
            self.put(&report.id, *unit, record);
            let what =
                What::Conversion { goal: goal.to_owned(), events: *events, value: *sum, properties: None };
            let told = Told { what, time: self.now, from: Via::Filter };
            self.tell(&report.id, *unit, given, told);
        }
        Ok(())
    }
}

/// A book that was there a moment ago is gone: cannot be, and is an error all the same.
fn internal(refused: &Refused) -> StoreError {
    StoreError::Record { table: "experiments", error: refused.to_string() }
}

fn place_of(book: &Book, goal: &str) -> Option<usize> {
    book.experiment.goals.iter().position(|(name, _)| name == goal)
}

/// Which goal is meant, the first without a name, and what it is called.
fn goal_of(book: &Book, goal: Option<&str>) -> (usize, String) {
    let place = goal.map_or(Some(0), |goal| place_of(book, goal)).unwrap_or(0);
    let name = book.experiment.goals.get(place).map_or_else(String::new, |(name, _)| name.clone());
    (place, name)
}
