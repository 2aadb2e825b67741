//! What the store knows of one unit of an experiment: the arm that each step gave it, and what it did.

use serde::{Deserialize, Serialize};
use serin_contract::Step;
use serin_judge::time::Time;

/// A unit, by its steps; nearly always one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unit(pub Vec<Entry>);

/// What a step gave it: short in JSON, for there are millions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub struct Entry {
    /// The step that assigned it.
    pub step: Step,
    /// The arm's place.
    pub arm: usize,
    /// When it was first exposed.
    pub time: Time,
    /// Goals that it reached: their place, how often, and the sum of values.
    pub goals: Vec<(usize, u64, f64)>,
}

type Row = (Step, usize, Time, Vec<(usize, u64, f64)>);

impl From<Row> for Entry {
    fn from((step, arm, time, goals): Row) -> Self {
        Self { step, arm, time, goals }
    }
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        (entry.step, entry.arm, entry.time, entry.goals)
    }
}

impl Unit {
    /// The arm that it was given last.
    pub fn last(&self) -> Option<&Entry> {
        self.0.last()
    }

    /// What a step gave it.
    pub fn of(&self, step: Step) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.step == step)
    }

    /// Whether it has reached a goal, in whichever step.
    pub fn has_reached(&self, goal: usize) -> bool {
        self.0.iter().any(|entry| entry.goals.iter().any(|(place, ..)| *place == goal))
    }

    /// The same, to change.
    pub fn of_mut(&mut self, step: Step) -> Option<&mut Entry> {
        self.0.iter_mut().find(|entry| entry.step == step)
    }
}

impl Entry {
    /// Counts a goal; answers what was there before.
    pub fn reach(&mut self, goal: usize, events: u64, value: f64) -> (u64, f64) {
        match self.goals.iter_mut().find(|(place, ..)| *place == goal) {
            Some((_, count, sum)) => {
                let before = (*count, *sum);
                *count += events;
                *sum += value;
                before
            }
            None => {
                self.goals.push((goal, events, value));
                (0, 0.0)
            }
        }
    }
}
