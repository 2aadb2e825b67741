//! Other methods on the same traffic. They see only counts by version.

use super::REPORT;
use super::rollout::{Outcome, RolledBack};
use super::traffic::Traffic;
use super::world::World;
use crate::sample::Samples;
use crate::settings::Settings;
use crate::statistics::{Alternative, mann_whitney};
use serin_contract::{PerArm, Share};
use std::collections::BTreeMap;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// Failed checks that end a release, as in Flagger's own example for Istio.
const FAILED_CHECKS: u32 = 5;
/// Minutes that are compared, and the level: Kayenta's Mann-Whitney has a confidence of 98 %.
const MINUTES: usize = 10;
const LEVEL: f64 = 0.02;

/// Traffic, counted by the minute.
struct Minutes<'a> {
    world: &'a World,
    settings: &'a Settings,
    traffic: Traffic<'a>,
    elapsed: Duration,
    failed: u64,
}

/// Requests and errors of a minute.
#[derive(Default, Clone, Copy)]
struct Count {
    requests: u64,
    errors: u64,
}

impl Count {
    fn rate(self) -> Option<f64> {
        (self.requests > 0).then(|| 100.0 * self.errors as f64 / self.requests as f64)
    }
}

impl<'a> Minutes<'a> {
    fn new(world: &'a World, settings: &'a Settings, seed: u64) -> Self {
        Self { world, settings, traffic: Traffic::new(world, seed), elapsed: Duration::ZERO, failed: 0 }
    }

    fn next(&mut self, share: Share) -> PerArm<Count> {
        let mut counts = PerArm::<Count>::default();
        let until = self.elapsed + MINUTE;
        while self.elapsed < until {
            let edge = self.settings.limits.slow_request;
            let (hung, faulty) = (self.traffic.hanging(), self.world.fault_at(self.elapsed) > 0.0);
            let arms = self.traffic.report(self.elapsed, REPORT, share, edge);
            for (arm, report) in arms.iter() {
                let count = counts.get_mut(arm);
                count.requests += report.requests;
                count.errors += report.errors;
            }
            if faulty || self.world.fault.is_none() {
                self.failed += arms.canary.errors + self.traffic.hanging() - hung;
            }
            self.elapsed += REPORT;
        }
        counts
    }

    fn end(self, reason: Option<String>, succeeded: bool) -> Outcome {
        let rolled_back = reason.map(|reason| RolledBack { after: self.elapsed, rule: None, reason });
        Outcome {
            rolled_back,
            failed_requests: self.failed,
            succeeded,
            samples: Samples::default(),
            anomalies: BTreeMap::new(),
        }
    }
}

/// Once a minute: is the canary's error rate of that minute at most the limit? If so the weight grows, if
/// not the check has failed, and so many failed checks end the release. No traffic is a failed check.
pub(super) fn gate(world: &World, settings: &Settings, length: Duration, seed: u64) -> Outcome {
    let limit = settings.limits.max_error_rate;
    let mut minutes = Minutes::new(world, settings, seed);
    let (mut share, mut failed) = (settings.ramp.first(), 0);
    while minutes.elapsed < length {
        let rate = minutes.next(share).canary.rate();
        if rate.is_some_and(|rate| rate <= limit) {
            match settings.ramp.after(share) {
                Some(next) => share = next,
                None => return minutes.end(None, true),
            }
        } else {
            failed += 1;
        }
        if failed >= FAILED_CHECKS {
            return minutes.end(Some(format!("{failed} failed checks")), false);
        }
    }
    minutes.end(None, false)
}

/// The first weight for ten minutes, then one two-sided test of the error rates by minute.
pub(super) fn one_shot(world: &World, settings: &Settings, length: Duration, seed: u64) -> Outcome {
    let mut minutes = Minutes::new(world, settings, seed);
    let (mut canary, mut stable) = (Vec::new(), Vec::new());
    for _ in 0..MINUTES {
        if minutes.elapsed >= length {
            break;
        }
        let counts = minutes.next(settings.ramp.first());
        canary.extend(counts.canary.rate());
        stable.extend(counts.stable.rate());
    }
    let pairs = (canary.len() * stable.len()) as f64;
    let reason = match mann_whitney(&canary, &stable, Alternative::TwoSided) {
        Ok(found) if found.p < LEVEL && found.u > pairs / 2.0 => Some(format!("p = {:.2e}", found.p)),
        // Kayenta says "no data" and goes on.
        Ok(_) | Err(_) => None,
    };
    let succeeded = reason.is_none();
    minutes.end(reason, succeeded)
}
