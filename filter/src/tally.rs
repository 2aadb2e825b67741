//! What one arm's requests came to since they were last put into a report.

use crate::outcome::Method;
use serin_contract::latency::{MAX_INDEX, index};
use serin_contract::report::{ArmReport, MAX_RESPONSES};
use serin_contract::{Tally, UnitHash};
use std::collections::BTreeMap;

/// One assigned request that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Its method.
    pub method: Method,
    /// Its status, 0 for none.
    pub status: u16,
    /// Whether it failed.
    pub failed: bool,
    /// Its latency in microseconds, if it has one.
    pub latency_us: Option<u64>,
}

/// Counts of one arm, and its units that are still to be listed.
#[derive(Debug, Default)]
pub struct ArmTally {
    count: Tally,
    responses: Vec<(Method, u16, u64)>,
    latency: Histogram,
    /// How many requests are overdue now: set anew at each tick, no delta.
    pub overdue: u64,
    /// Units to list as seen, oldest first; likewise the next two.
    pub seen: Vec<UnitHash>,
    /// Units to list as erred.
    pub erred: Vec<UnitHash>,
    /// Units to list as slow.
    pub slow: Vec<UnitHash>,
    /// Goals to report: by place and unit how often, and the sum of values.
    pub goals: BTreeMap<(usize, UnitHash), (u64, f64)>,
}

impl ArmTally {
    /// Counts one request.
    pub fn count(&mut self, ended: Ended) {
        count(&mut self.count, ended.failed);
        self.respond(ended.method, ended.status, 1);
        if let Some(micros) = ended.latency_us {
            self.latency.add(index(micros), 1);
        }
    }

    fn respond(&mut self, method: Method, status: u16, by: u64) {
        // Few kinds of answers are common: looking through them beats hashing.
        if let Some(row) = self.responses.iter_mut().find(|row| row.0 == method && row.1 == status) {
            row.2 += by;
        } else if self.responses.len() < MAX_RESPONSES {
            self.responses.push((method, status, by));
        }
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.count.requests == 0 && self.overdue == 0 && self.units() == 0
    }

    /// How many units wait to be listed, those with a goal for each.
    pub fn units(&self) -> usize {
        self.seen.len() + self.erred.len() + self.slow.len() + self.goals.len()
    }

    /// The counts as in a report, without units.
    pub fn report(&self) -> ArmReport {
        ArmReport {
            requests: self.count.requests,
            errors: self.count.errors,
            responses: self
                .responses
                .iter()
                .map(|(m, status, n)| (m.name().to_owned(), *status, *n))
                .collect(),
            latency: self.latency.rows(),
            overdue: self.overdue,
            ..ArmReport::default()
        }
    }

    /// Begins the counts anew, after [`Self::report`]; units and level stay.
    pub fn restart(&mut self) {
        self.count = Tally::default();
        self.responses.clear();
        self.latency.counts = Vec::new();
    }

    /// Drops the units that wait to be listed.
    pub fn drop_units(&mut self) {
        self.seen = Vec::new();
        self.erred = Vec::new();
        self.slow = Vec::new();
        self.goals = BTreeMap::new();
    }

    /// Adds another tally's counts, which then begin anew; its unlisted units are dropped.
    pub fn absorb(&mut self, other: &mut Self) {
        self.count.requests += other.count.requests;
        self.count.errors += other.count.errors;
        for (method, status, by) in other.responses.drain(..) {
            self.respond(method, status, by);
        }
        for (index, by) in other.latency.rows() {
            self.latency.add(index, by);
        }
        *other = Self { overdue: other.overdue, ..Self::default() };
    }
}

/// Counts one request in a tally.
pub fn count(tally: &mut Tally, failed: bool) {
    tally.requests += 1;
    tally.errors += u64::from(failed);
}

/// Counts by latency bucket. As a plain array: 8 kB while anything is in it, nothing otherwise.
#[derive(Debug, Default)]
struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    fn add(&mut self, index: u16, by: u64) {
        if self.counts.is_empty() {
            self.counts.resize(usize::from(MAX_INDEX) + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(usize::from(index)) {
            *count += by;
        }
    }

    fn rows(&self) -> Vec<(u16, u64)> {
        (0..)
            .zip(&self.counts)
            .filter(|(_, count)| **count > 0)
            .map(|(index, count)| (index, *count))
            .collect()
    }
}
