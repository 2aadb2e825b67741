//! The counts as the numbers that the rules look at.

use super::{Observations, SILENT};
use crate::confidence;
use crate::histogram::Quantile;
use crate::settings::Settings;
use crate::summary::{ArmSummary, EvidenceSummary, Summary};
use crate::time::Time;
use crate::window::{LENGTH, WindowCounts};
use serin_contract::{Arm, PerArm};
use std::time::Duration;

impl Observations {
    /// The numbers as they stand.
    pub fn summary(&self, settings: &Settings, now: Time) -> Summary {
        let window = self.window.sum(now);
        let alpha = settings.false_rollback_rate;
        let live = || self.senders.values().filter(|sender| now.since(sender.last) < SILENT);
        let seen = self.units.seen.count();
        let arm = |arm: Arm| {
            let overdue = live().map(|sender| *sender.overdue.get(arm)).sum();
            let units = *seen.get(arm) as f64 / self.seen_sample.fraction();
            let age = now.since(self.stratum_started).as_secs_f64();
            // One unit's requests are alike, so the units of the last minute are the trials.
            let trials = units * (LENGTH.as_secs_f64() / age.max(1.0)).min(1.0);
            arm_summary(&window, arm, overdue, units, trials, alpha, (self.erring, self.slowed))
        };
        Summary {
            window: PerArm { stable: arm(Arm::Stable), canary: arm(Arm::Canary) },
            step_requests: self.step_requests,
            routing: window.routing,
            evidence: EvidenceSummary {
                errors: self.errors.e_value(),
                slow: self.slow.e_value(),
                threshold: 1.0 / alpha,
                odds_ratio: confidence::odds_ratio(
                    self.share.fraction(),
                    self.erring.canary as f64,
                    self.erring.stable as f64,
                    alpha,
                ),
            },
            goals: self.goals(settings),
            sample_ratio: self.sample_ratio.e_value(),
            last_stable_p95: self.last_stable_p95.map_or(Quantile::Unknown, Quantile::Micros),
            slow_edge: self.slow_edge(settings),
            last_report: self.last_report,
            report_interval: self.pace.map_or(Duration::ZERO, |pace| pace.at(now)),
        }
    }
}

fn arm_summary(
    window: &WindowCounts,
    arm: Arm,
    overdue: u64,
    units: f64,
    trials: f64,
    alpha: f64,
    (erring, slowed): (PerArm<u64>, PerArm<u64>),
) -> ArmSummary {
    let counts = window.arms.get(arm);
    let requests = counts.requests as f64;
    let rate = (counts.requests > 0).then(|| counts.errors as f64 / requests);
    let quantile = |q| counts.latency.quantile(q, overdue);
    ArmSummary {
        requests: counts.requests,
        errors: counts.errors,
        error_rate: rate.map(|rate| 100.0 * rate),
        error_rate_interval: rate.map(|rate| {
            let trials = trials.min(requests);
            let (low, high) = confidence::rate(rate * trials, trials, alpha);
            (100.0 * low, 100.0 * high)
        }),
        latency_p50: quantile(0.5),
        latency_p95: quantile(0.95),
        latency_p99: quantile(0.99),
        overdue,
        units,
        erring_units: *erring.get(arm),
        slow_units: *slowed.get(arm),
    }
}
