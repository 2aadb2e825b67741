//! Everything counted in a rollout, whatever became of it as evidence.

use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};
use serin_contract::report::ArmReport;
use serin_contract::{CanaryReport, PerArm, Tally};

/// Kinds of response kept apart, for each arm; further ones count under [`OTHER`].
const MAX_RESPONSES: usize = 512;
/// The method of kinds that no longer fit.
const OTHER: &str = "OTHER";

/// The sums of a rollout.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// Assigned requests, by arm.
    #[serde(flatten)]
    pub arms: PerArm<ArmTotals>,
    /// Requests whose client chose.
    pub forced: PerArm<Tally>,
    /// Requests without a unit, by the version that served them.
    pub unassigned: PerArm<Tally>,
    /// Requests of probes and bots.
    pub excluded: u64,
    /// Requests outside the segment.
    pub ineligible: u64,
    /// Assigned requests that the other version served.
    pub misrouted: u64,
    /// Requests that a cluster of neither version served.
    pub elsewhere: u64,
    /// Requests that no cluster served.
    pub unserved: u64,
}

/// The sums of one arm.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ArmTotals {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Method, status and count.
    pub responses: Vec<(String, u16, u64)>,
    /// How long they took.
    pub latency: Histogram,
}

impl Totals {
    /// Adds a report's entry.
    pub fn add(&mut self, entry: &CanaryReport) {
        for (arm, report) in entry.arms.iter() {
            self.arms.get_mut(arm).add(report);
        }
        for (sums, more) in [(&mut self.forced, &entry.forced), (&mut self.unassigned, &entry.unassigned)] {
            for (arm, tally) in more.iter() {
                let sum = sums.get_mut(arm);
                sum.requests += tally.requests;
                sum.errors += tally.errors;
            }
        }
        self.excluded += entry.excluded;
        self.ineligible += entry.ineligible;
        self.misrouted += entry.misrouted;
        self.elsewhere += entry.elsewhere;
        self.unserved += entry.unserved;
    }
}

impl ArmTotals {
    fn add(&mut self, report: &ArmReport) {
        self.requests += report.requests;
        self.errors += report.errors;
        report.latency.iter().for_each(|(index, count)| self.latency.add(*index, *count));
        for (method, status, count) in &report.responses {
            self.respond(method, *status, *count);
        }
    }

    fn respond(&mut self, method: &str, status: u16, count: u64) {
        let place = |rows: &[(String, u16, u64)], method: &str, status| {
            rows.iter().position(|row| row.0 == method && row.1 == status)
        };
        let found = place(&self.responses, method, status);
        let (method, status) = match found {
            None if self.responses.len() >= MAX_RESPONSES => (OTHER, 0),
            Some(_) | None => (method, status),
        };
        match found.or_else(|| place(&self.responses, method, status)) {
            Some(row) => self.responses[row].2 += count,
            None => self.responses.push((method.to_owned(), status, count)),
        }
    }
}
