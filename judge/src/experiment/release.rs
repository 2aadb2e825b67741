//! A release's own metrics beside its conversions: errors and latency of both versions in each step, and over
//! all steps.
//!
//! Over the steps of a ramp nothing is pooled: the canary's share grows with time, and so whatever else changes
//! with time would look like the canary's doing (Simpson's paradox). The totals are directly standardised: each
//! step in which both versions have something counts for both of them with the same weight, what both have in
//! it together.

use super::StepCounts;
use crate::histogram::Histogram;
use serde::{Deserialize, Serialize};
use serin_contract::latency::{lower_bound, upper_bound};
use serin_contract::report::ArmReport;
use serin_contract::{PerArm, Step};
use std::collections::BTreeMap;

/// Requests of one version in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Requests {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took.
    pub latency: Histogram,
}

impl Requests {
    /// Adds what a filter reports of this version.
    pub fn add(&mut self, report: &ArmReport) {
        self.requests += report.requests;
        self.errors += report.errors;
        report.latency.iter().for_each(|(index, count)| self.latency.add(*index, *count));
    }
}

/// Both versions' requests in one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRequests {
    /// Its number.
    pub step: Step,
    /// Stable's and the canary's.
    pub arms: PerArm<Requests>,
}

/// A release's metrics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metrics {
    /// Over all steps, standardised.
    pub total: PerArm<Measured>,
    /// In each step.
    pub steps: Vec<StepMetrics>,
}

/// One step's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepMetrics {
    /// Its number.
    pub step: Step,
    /// Stable's.
    pub stable: Measured,
    /// The canary's.
    pub canary: Measured,
}

/// What one version does.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Measured {
    /// Requests that ended.
    pub requests: u64,
    /// In percent of them; none without requests.
    pub error_rate: Option<f64>,
    /// In seconds; none without any that has a latency.
    pub latency_p50: Option<f64>,
    /// In seconds.
    pub latency_p95: Option<f64>,
    /// In seconds.
    pub latency_p99: Option<f64>,
    /// By the goal's name: users who reached it, in percent of those who were exposed.
    pub conversion: BTreeMap<String, Option<f64>>,
}

/// Works them out: of the requests, and of the units of an experiment whose first arm is stable and whose second
/// is the canary, with these goals.
pub fn metrics(requests: &[StepRequests], units: &[StepCounts], goals: &[&str]) -> Metrics {
    let steps: Vec<StepMetrics> = units
        .iter()
        .map(|step| {
            let of_requests = requests.iter().filter(|found| found.step == step.step);
            let measured = |place: usize, arm: fn(&StepRequests) -> &Requests| {
                let requests: Vec<(&Requests, f64)> =
                    of_requests.clone().map(|found| (arm(found), 1.0)).collect();
                let counts: Vec<(&StepCounts, f64)> = vec![(step, 1.0)];
                measure(&requests, &counts, place, goals)
            };
            StepMetrics {
                step: step.step,
                stable: measured(0, |step| &step.arms.stable),
                canary: measured(1, |step| &step.arms.canary),
            }
        })
        .collect();
    let both = |step: &&StepRequests| step.arms.stable.requests > 0 && step.arms.canary.requests > 0;
    let total = |place: usize, arm: fn(&StepRequests) -> &Requests| {
        let weighted = requests.iter().filter(both).map(|step| {
            let all = (step.arms.stable.requests + step.arms.canary.requests) as f64;
            (arm(step), all / arm(step).requests as f64)
        });
        let exposures = |step: &StepCounts, place: usize| step.arms.get(place).map_or(0, |arm| arm.exposures);
        let compared = units.iter().filter(|step| exposures(step, 0) > 0 && exposures(step, 1) > 0);
        let counts = compared.map(|step| {
            let all = (exposures(step, 0) + exposures(step, 1)) as f64;
            (step, all / exposures(step, place) as f64)
        });
        let sums = measure(&weighted.collect::<Vec<_>>(), &counts.collect::<Vec<_>>(), place, goals);
        Measured { requests: requests.iter().map(|step| arm(step).requests).sum(), ..sums }
    };
    Metrics {
        total: PerArm {
            stable: total(0, |step| &step.arms.stable),
            canary: total(1, |step| &step.arms.canary),
        },
        steps,
    }
}

/// One version's numbers over steps, each with the weight of one request and of one user in it.
fn measure(
    requests: &[(&Requests, f64)],
    units: &[(&StepCounts, f64)],
    place: usize,
    goals: &[&str],
) -> Measured {
    let sum = |pick: fn(&Requests) -> u64| -> f64 {
        requests.iter().map(|(requests, weight)| pick(requests) as f64 * weight).sum()
    };
    let (all, errors) = (sum(|requests| requests.requests), sum(|requests| requests.errors));
    let mut latency: BTreeMap<u16, f64> = BTreeMap::new();
    for (requests, weight) in requests {
        for (index, count) in requests.latency.iter() {
            *latency.entry(index).or_default() += count as f64 * weight;
        }
    }
    let conversion = goals.iter().enumerate().map(|(goal, name)| {
        let arms = || units.iter().filter_map(|(step, weight)| Some((step.arms.get(place)?, weight)));
        let exposed: f64 = arms().map(|(arm, weight)| arm.exposures as f64 * weight).sum();
        let converted: f64 = arms()
            .map(|(arm, weight)| arm.goals.get(goal).map_or(0, |goal| goal.converted) as f64 * weight)
            .sum();
        ((*name).to_owned(), (exposed > 0.0).then(|| 100.0 * converted / exposed))
    });
    Measured {
        requests: requests.iter().map(|(requests, _)| requests.requests).sum(),
        error_rate: (all > 0.0).then(|| 100.0 * errors / all),
        latency_p50: quantile(&latency, 0.5),
        latency_p95: quantile(&latency, 0.95),
        latency_p99: quantile(&latency, 0.99),
        conversion: conversion.collect(),
    }
}

/// In seconds: the middle of the bucket in which at least the part `q` of the weights lies.
fn quantile(latency: &BTreeMap<u16, f64>, q: f64) -> Option<f64> {
    let total: f64 = latency.values().sum();
    let mut below = 0.0;
    for (index, weight) in latency {
        below += weight;
        // A hair of rounding must not push the last one out.
        if below >= q * total - 1e-9 * total {
            return Some((lower_bound(*index) as f64 + upper_bound(*index) as f64) / 2e6);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::GoalCounts;
    use serin_contract::Share;
    use serin_contract::latency::index;

    fn requests(step: u32, stable: [u64; 3], canary: [u64; 3]) -> StepRequests {
        // Requests, errors, and how long each took in milliseconds.
        let arm = |[requests, errors, ms]: [u64; 3]| Requests {
            requests,
            errors,
            latency: vec![(index(1000 * ms), requests)].into(),
        };
        StepRequests { step: Step(step), arms: PerArm { stable: arm(stable), canary: arm(canary) } }
    }

    fn units(step: u32, stable: [u64; 2], canary: [u64; 2]) -> StepCounts {
        let half = Share::from_percent(50.0).expect("a share");
        let mut counts = StepCounts::new(Step(step), vec![half, half], 1);
        for (arm, [exposures, converted]) in counts.arms.iter_mut().zip([stable, canary]) {
            arm.exposures = exposures;
            arm.goals = vec![GoalCounts { converted, events: converted, ..GoalCounts::default() }];
        }
        counts
    }

    /// A quiet step of 1 % errors, 10 ms and 10 % conversions, then a bad one of 10 %, 100 ms and 30 %, in which
    /// nearly everybody is in the canary: both versions are alike in each step, and pooled they would not be.
    #[test]
    fn what_changes_with_time_is_not_the_canarys_doing() {
        let ramp = [
            requests(1, [9_000, 90, 10], [1_000, 10, 10]),
            requests(2, [1_000, 100, 100], [9_000, 900, 100]),
        ];
        let counts = [units(1, [900, 90], [100, 10]), units(2, [100, 30], [900, 270])];
        let found = metrics(&ramp, &counts, &["purchase"]);
        let (stable, canary) = (&found.total.stable, &found.total.canary);
        for total in [stable, canary] {
            assert!((total.error_rate.expect("a rate") - 5.5).abs() < 1e-9, "{total:?}");
            assert!((total.conversion["purchase"].expect("a rate") - 20.0).abs() < 1e-9, "{total:?}");
        }
        assert_eq!((stable.latency_p50, stable.latency_p95), (canary.latency_p50, canary.latency_p95));
        assert_eq!((stable.requests, canary.requests), (10_000, 10_000));
        let second = &found.steps[1];
        assert!((second.canary.error_rate.expect("a rate") - 10.0).abs() < 1e-9);
        assert!((second.stable.latency_p95.expect("known") - 0.1).abs() < 0.004, "{second:?}");
    }

    #[test]
    fn where_one_version_has_nothing_there_is_no_number_and_no_nan() {
        let none = metrics(&[], &[units(1, [0, 0], [0, 0])], &["purchase"]);
        assert_eq!(
            none.total.canary,
            Measured { conversion: [("purchase".to_owned(), None)].into(), ..Measured::default() }
        );
        // At 100 % there is nothing to compare with: the step is shown, and is not in the total.
        let lone = [requests(1, [90, 9, 10], [10, 1, 10]), requests(2, [0, 0, 0], [500, 500, 10])];
        let found = metrics(&lone, &[units(1, [9, 0], [1, 0]), units(2, [0, 0], [50, 50])], &["purchase"]);
        assert!((found.total.canary.error_rate.expect("a rate") - 10.0).abs() < 1e-9);
        assert_eq!(found.total.canary.conversion["purchase"], Some(0.0));
        assert_eq!(found.steps[1].stable.error_rate, None);
        assert_eq!(found.steps[1].canary.conversion["purchase"], Some(100.0));
    }
}
