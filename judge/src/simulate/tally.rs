//! Many runs, added up.

use super::rollout::{Looks, Outcome, shared_rises};
use super::world::World;
use crate::anomaly::Kind;
use crate::statistics::{percentile, wilson};
use crate::verdict::Rule;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of many runs of one world under one method.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tally {
    /// How many.
    pub runs: u64,
    /// Rolled back though nothing was wrong with the canary then: without a fault, or before it.
    pub false_rollbacks: Rate,
    /// Of these, by rule 4: the absolute limit, which protects users from whatever breaks it, an outage of
    /// both versions too.
    pub absolute_rollbacks: Rate,
    /// Of these, by everything else: what was held against the canary.
    pub blamed_rollbacks: Rate,
    /// Rolled back after the fault began; none without one.
    pub found: Option<Rate>,
    /// Seconds from the fault to the rollback, of those found.
    pub seconds: Option<Quantiles>,
    /// The canary's failed and unanswered requests from the fault to the rollback, of those found.
    pub failed_requests: Option<Quantiles>,
    /// Runs that reached their end.
    pub succeeded: Rate,
    /// How often anomalies were found, of the looks after each sample.
    pub anomalies: BTreeMap<&'static str, Rate>,
}

/// So many of so many, with Wilson's interval of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How many.
    pub count: u64,
    /// Of how many.
    pub of: u64,
    /// In percent.
    pub percent: f64,
    /// In percent.
    pub interval: (f64, f64),
}

/// The middle and the slow end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half are at most this.
    pub median: f64,
    /// Nine of ten are at most this.
    pub p90: f64,
}

impl Rate {
    /// So many of so many.
    pub fn of(count: u64, of: u64) -> Self {
        let (low, high) = wilson(count, of, 0.95);
        let percent = if of == 0 { 0.0 } else { 100.0 * count as f64 / of as f64 };
        Self { count, of, percent, interval: (100.0 * low, 100.0 * high) }
    }
}

impl Quantiles {
    fn of(values: &[f64]) -> Option<Self> {
        Some(Self { median: percentile(values, 50.0)?, p90: percentile(values, 90.0)? })
    }
}

impl Tally {
    /// Adds up the outcomes of a world. Neighbours stand for unrelated services.
    pub fn of(world: &World, outcomes: &[Outcome]) -> Self {
        let runs = outcomes.len() as u64;
        let fault = world.fault.map(|fault| fault.at);
        let (mut wrong, mut absolute, mut succeeded) = (0, 0, 0);
        let (mut seconds, mut failed) = (Vec::new(), Vec::new());
        for outcome in outcomes {
            succeeded += u64::from(outcome.succeeded);
            let Some(rolled_back) = &outcome.rolled_back else { continue };
            match fault.and_then(|at| rolled_back.after.checked_sub(at)) {
                Some(after) if !after.is_zero() => {
                    seconds.push(after.as_secs_f64());
                    failed.push(outcome.failed_requests as f64);
                }
                Some(_) | None => {
                    wrong += 1;
                    absolute += u64::from(rolled_back.rule == Some(Rule::ErrorRate));
                }
            }
        }
        Self {
            runs,
            false_rollbacks: Rate::of(wrong, runs),
            absolute_rollbacks: Rate::of(absolute, runs),
            blamed_rollbacks: Rate::of(wrong - absolute, runs),
            found: fault.map(|_| Rate::of(seconds.len() as u64, runs)),
            seconds: Quantiles::of(&seconds),
            failed_requests: Quantiles::of(&failed),
            succeeded: Rate::of(succeeded, runs),
            anomalies: anomalies(outcomes),
        }
    }
}

fn anomalies(outcomes: &[Outcome]) -> BTreeMap<&'static str, Rate> {
    let mut sums: BTreeMap<Kind, Looks> = BTreeMap::new();
    let mut add = |kind: Kind, more: Looks| {
        let sum = sums.entry(kind).or_default();
        sum.looks += more.looks;
        sum.found += more.found;
    };
    for outcome in outcomes {
        outcome.anomalies.iter().for_each(|(kind, looks)| add(*kind, *looks));
    }
    for pair in outcomes.chunks_exact(2) {
        add(Kind::SharedRise, shared_rises(&pair[0].samples, &pair[1].samples));
    }
    sums.into_iter()
        .filter(|(_, looks)| looks.looks > 0)
        .map(|(kind, looks)| (kind.name(), Rate::of(looks.found, looks.looks)))
        .collect()
}
