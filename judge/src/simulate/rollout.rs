//! A rollout by the judge: reports into [`Observations`], the rules after each, the ramp at each tick.

use super::REPORT;
use super::traffic::Traffic;
use super::world::World;
use crate::anomaly::{self, CORRELATION, Kind, Service};
use crate::observations::Observations;
use crate::ramp::{self, Action, Facts, Phase, State};
use crate::sample::{Latency, Sample, Samples};
use crate::settings::Settings;
use crate::time::Time;
use crate::totals::ArmTotals;
use crate::verdict::Rule;
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, PerArm, Share};
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples that are kept.
const SAMPLES: usize = 100;
/// The canary's and stable's CPU while nothing is wrong: percent, and its deviation.
const CPU: (f64, f64) = (60.0, 10.0);
/// When the simulated clock begins: long enough after 1970.
const START: Time = Time(1_700_000_000_000);

/// How one rollout ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// When and why it was rolled back, if it was.
    pub rolled_back: Option<RolledBack>,
    /// Requests of the canary that failed or were never answered, since the fault began, until the end.
    pub failed_requests: u64,
    /// Whether it reached its end.
    pub succeeded: bool,
    /// The last hundred samples.
    pub samples: Samples,
    /// How often each kind of anomaly was looked for and found.
    pub anomalies: BTreeMap<Kind, Looks>,
}

/// A rollback.
#[derive(Debug, Clone, PartialEq)]
pub struct RolledBack {
    /// After the first weight.
    pub after: Duration,
    /// The judge's rule; none where another method decided.
    pub rule: Option<Rule>,
    /// In words.
    pub reason: String,
}

/// How often something was looked for and found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looks {
    /// Looked for.
    pub looks: u64,
    /// Found.
    pub found: u64,
}

struct Rollout<'a> {
    world: &'a World,
    settings: Settings,
    traffic: Traffic<'a>,
    observations: Observations,
    state: State,
    now: Time,
    last: PerArm<ArmTotals>,
    failed_before_fault: Option<u64>,
    samples: Samples,
    anomalies: BTreeMap<Kind, Looks>,
}

pub(super) fn run(world: &World, settings: Settings, length: Duration, seed: u64) -> Outcome {
    let mut rollout = Rollout::begin(world, settings, seed);
    while rollout.elapsed() < length && rollout.state.phase == Phase::Progressing {
        rollout.report();
        let interval = rollout.settings.analysis_interval.as_millis().max(1);
        if rollout.elapsed().as_millis().is_multiple_of(interval) {
            rollout.tick();
        }
    }
    rollout.end()
}

impl<'a> Rollout<'a> {
    /// A filter reports, and the first tick writes the first weight.
    fn begin(world: &'a World, settings: Settings, seed: u64) -> Self {
        let mut rollout = Self {
            world,
            settings,
            traffic: Traffic::new(world, seed),
            observations: Observations::new(START),
            state: State::new("v1", "v2", START),
            now: START,
            last: PerArm::default(),
            failed_before_fault: None,
            samples: Samples::default(),
            anomalies: BTreeMap::new(),
        };
        rollout.observations.report(&rollout.settings, Instance(1), REPORT, &[], START);
        rollout.decide_at_tick();
        rollout
    }

    fn elapsed(&self) -> Duration {
        self.now.since(START)
    }

    /// Half a second of requests, reported and judged.
    fn report(&mut self) {
        let edge = self.observations.slow_edge(&self.settings);
        if self.world.fault_at(self.elapsed()) > 0.0 && self.failed_before_fault.is_none() {
            self.failed_before_fault = Some(self.failed());
        }
        let arms = self.traffic.report(self.elapsed(), REPORT, self.state.weight, edge);
        self.now = self.now.plus(REPORT);
        let (step, stratum) = (self.state.step, self.state.stratum);
        let entry = CanaryReport { step, stratum, arms, ..CanaryReport::default() };
        self.observations.report(&self.settings, Instance(1), REPORT, &[entry], self.now);
        let summary = self.observations.summary(&self.settings, self.now);
        let decided = ramp::on_report(&self.settings, &self.state, &summary, &Facts::default(), self.now);
        self.follow(decided);
    }

    fn tick(&mut self) {
        self.sample();
        self.decide_at_tick();
    }

    fn decide_at_tick(&mut self) {
        let summary = self.observations.summary(&self.settings, self.now);
        let decided = ramp::on_tick(&self.settings, &self.state, &summary, &Facts::default(), self.now);
        self.follow(decided);
    }

    /// As the analyzer does: here the router takes each weight at once.
    fn follow(&mut self, (state, actions): (State, Vec<Action>)) {
        self.state = state;
        for action in actions {
            match action {
                Action::RaiseWeight(share) => {
                    let raised = ramp::weight_raised(&self.settings, &self.state, share, self.now);
                    self.follow(raised);
                }
                Action::BeginRollout => self.observations.begin_rollout(self.now),
                Action::BeginStratum => {
                    let State { step, stratum, weight, .. } = self.state;
                    self.observations.begin_stratum(step, stratum, weight, self.now);
                    self.traffic.begin_stratum();
                }
                Action::RestartSampleRatio => self.observations.restart_sample_ratio(),
                Action::ConfirmPromotion
                | Action::LowerWeight(_)
                | Action::Record(_)
                | Action::WriteReport(_) => {}
            }
        }
    }

    /// What each version did since the last sample, and what is unusual about it.
    fn sample(&mut self) {
        let arms = self.observations.totals().arms.clone();
        for (arm, current) in arms.iter() {
            let last = self.last.get(arm);
            let samples = self.samples.get_mut(arm);
            samples.push(Sample {
                time: self.now,
                requests: current.requests - last.requests,
                errors: current.errors - last.errors,
                latency: Latency::Buckets((&current.latency.since(&last.latency)).into()),
                cpu_percent: Some((CPU.0 + CPU.1 * self.traffic.random.normal()).clamp(0.0, 100.0)),
                ..Sample::default()
            });
            samples.drain(..samples.len().saturating_sub(SAMPLES));
        }
        self.last = arms;
        if self.state.weight > Share::NONE && self.state.weight < Share::ALL {
            let found = anomaly::detect(&self.samples);
            for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::SharedRise) {
                let looks = self.anomalies.entry(kind).or_default();
                looks.looks += 1;
                looks.found += u64::from(found.iter().any(|anomaly| anomaly.kind == kind));
            }
        }
    }

    fn failed(&self) -> u64 {
        self.observations.totals().arms.canary.errors + self.traffic.hanging()
    }

    fn end(self) -> Outcome {
        let rolled_back = (self.state.phase == Phase::Failed).then(|| RolledBack {
            after: self.elapsed(),
            rule: Some(self.state.verdict.rule),
            reason: self.state.verdict.reason.clone(),
        });
        Outcome {
            rolled_back,
            failed_requests: self.failed() - self.failed_before_fault.unwrap_or_default(),
            succeeded: self.state.phase == Phase::Succeeded,
            samples: self.samples,
            anomalies: self.anomalies,
        }
    }
}

/// How often two services that have nothing to do with each other seem to rise together, looked at after
/// each sample.
pub fn shared_rises(one: &Samples, other: &Samples) -> Looks {
    let most = one.stable.len().min(other.stable.len());
    let mut looks = Looks::default();
    for end in CORRELATION..=most {
        let until = |samples: &Samples| samples.map(|samples| samples[..end.min(samples.len())].to_vec());
        let (one, other) = (until(one), until(other));
        let services = [Service { name: "one", samples: &one }, Service { name: "other", samples: &other }];
        looks.looks += 1;
        looks.found += u64::from(!anomaly::shared(&services).is_empty());
    }
    looks
}
