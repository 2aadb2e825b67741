//! Everything observed about one canary: reports go in, a summary comes out.

mod carried;
mod summary;

pub use carried::Carried;

use crate::evidence::Mixture;
use crate::goals::{GoalSummary, Goals};
use crate::histogram::{Histogram, Quantile};
use crate::sample_ratio::SampleRatio;
use crate::settings::Settings;
use crate::time::Time;
pub use crate::totals::{ArmTotals, Totals};
use crate::units::{Damaged, MAX, Units};
use crate::window::Window;
use serde::{Deserialize, Serialize};
use serin_contract::report::Instance;
use serin_contract::{Arm, CanaryReport, PerArm, Sample, Share, Step, Stratum, UnitHash};
use std::collections::BTreeMap;
use std::time::Duration;

/// A filter that is silent for so long no longer counts as reporting.
const SILENT: Duration = Duration::from_secs(30);
/// Stable requests in a stratum after which the slow edge is set.
const EDGE_REQUESTS: u64 = 200;

/// What was counted, and what it says. The sets of units are not part of its written form: see
/// [`Self::units_to_bytes`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observations {
    totals: Totals,
    window: Window,
    step: Step,
    stratum: Stratum,
    share: Share,
    stratum_started: Time,
    step_requests: PerArm<u64>,
    errors: Mixture,
    slow: Mixture,
    #[serde(default)]
    goals: Goals,
    erring: PerArm<u64>,
    slowed: PerArm<u64>,
    sample_ratio: SampleRatio,
    seen_sample: Sample,
    event_sample: Sample,
    edge: SlowEdge,
    last_stable_p95: Option<u64>,
    /// Filters that have requests in flight for too long, until they say that they have none. All others leave
    /// nothing here, however many there are.
    senders: BTreeMap<Instance, Sender>,
    #[serde(default)]
    pace: Option<Pace>,
    last_report: Option<Time>,
    #[serde(skip)]
    units: Units,
}

/// The edge beyond which a request is slow.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct SlowEdge {
    /// In microseconds; none before stable's latency was ever known.
    micros: Option<u64>,
    /// Whether it is set for the running stratum.
    frozen: bool,
    /// Stable's latencies in the running stratum, until it is.
    stable: Histogram,
}

/// How often filters report.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pace {
    /// The longest interval, and when a filter last had it.
    longest: Duration,
    heard: Time,
    /// That of the filter heard last.
    latest: Duration,
}

impl Pace {
    /// The longest interval of filters that still report.
    fn at(self, now: Time) -> Duration {
        if now.since(self.heard) < SILENT { self.longest } else { self.latest }
    }
}

/// What a filter said last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sender {
    last: Time,
    overdue: PerArm<u64>,
}

impl Observations {
    /// Nothing yet.
    pub fn new(now: Time) -> Self {
        Self {
            totals: Totals::default(),
            window: Window::default(),
            step: Step::default(),
            stratum: Stratum::default(),
            share: Share::NONE,
            stratum_started: now,
            step_requests: PerArm::default(),
            errors: Mixture::default(),
            slow: Mixture::default(),
            goals: Goals::default(),
            erring: PerArm::default(),
            slowed: PerArm::default(),
            sample_ratio: SampleRatio::default(),
            seen_sample: Sample::ALL,
            event_sample: Sample::ALL,
            edge: SlowEdge::default(),
            last_stable_p95: None,
            senders: BTreeMap::new(),
            pace: None,
            last_report: None,
            units: Units::default(),
        }
    }

    /// A new rollout: counting begins anew; who reports stays known.
    pub fn begin_rollout(&mut self, now: Time) {
        let senders = std::mem::take(&mut self.senders);
        let Self { pace, last_report, step, .. } = *self;
        *self = Self { senders, pace, last_report, step, ..Self::new(now) };
    }

    /// A new stratum, and maybe a new step, with its share.
    pub fn begin_stratum(&mut self, step: Step, stratum: Stratum, share: Share, now: Time) {
        if step != self.step {
            self.step_requests = PerArm::default();
            self.window.forget_routing();
        }
        if self.has_two_arms()
            && let Quantile::Micros(p95) = self.window.sum(now).arms.stable.latency.quantile(0.95, 0)
        {
            self.last_stable_p95 = Some(p95);
        }
        (self.step, self.stratum, self.share, self.stratum_started) = (step, stratum, share, now);
        if self.has_two_arms() {
            self.errors.begin_stratum(now);
            self.slow.begin_stratum(now);
        }
        self.goals.begin_stratum(self.has_two_arms(), now);
        self.sample_ratio.begin_stratum(share.fraction());
        self.erring = PerArm::default();
        self.slowed = PerArm::default();
        self.edge.frozen = false;
        self.edge.stable = Histogram::default();
        self.units = Units::default();
        (self.seen_sample, self.event_sample) = (Sample::ALL, Sample::ALL);
    }

    /// A person has seen to the arms' sizes: the question is asked anew.
    pub fn restart_sample_ratio(&mut self) {
        self.sample_ratio = SampleRatio::default();
        self.sample_ratio.begin_stratum(self.share.fraction());
        self.units.seen = Default::default();
    }

    fn has_two_arms(&self) -> bool {
        self.share > Share::NONE && self.share < Share::ALL
    }

    /// Counts what one report says about this canary; an empty slice says that its sender lives and
    /// nothing hangs. Entries of another stratum count in the totals and the window, never as evidence.
    pub fn report(
        &mut self,
        settings: &Settings,
        sender: Instance,
        interval: Duration,
        entries: &[CanaryReport],
        now: Time,
    ) {
        let mut overdue = PerArm::<u64>::default();
        for entry in entries {
            overdue.stable += entry.arms.stable.overdue;
            overdue.canary += entry.arms.canary.overdue;
        }
        if overdue == PerArm::default() {
            self.senders.remove(&sender);
        } else {
            self.senders.insert(sender, Sender { last: now, overdue });
        }
        self.hear(settings, interval, now);
        for entry in entries {
            self.count(settings, entry, now);
        }
    }

    /// A filter lives that says nothing about this canary, and of which [`Self::is_hanging`] has nothing to ask.
    pub fn hear(&mut self, settings: &Settings, interval: Duration, now: Time) {
        let silent = |time: Time| now.since(time) >= SILENT;
        self.senders.retain(|_, sender| !silent(sender.last));
        let known = self.pace.filter(|pace| interval < pace.longest && !silent(pace.heard));
        let (longest, heard) = known.map_or((interval, now), |pace| (pace.longest, pace.heard));
        self.pace = Some(Pace { longest, heard, latest: interval });
        self.last_report = Some(now);
        if self.has_two_arms() {
            self.errors.restart_if_due(now);
            self.slow.restart_if_due(now);
        }
        self.goals.follow(&settings.goals, self.has_two_arms(), now);
    }

    /// Whether any filter has requests in flight for too long: then every report matters, also one that says
    /// nothing about this canary.
    pub fn is_hanging(&self) -> bool {
        !self.senders.is_empty()
    }

    fn count(&mut self, settings: &Settings, entry: &CanaryReport, now: Time) {
        let in_step = entry.step == self.step;
        self.totals.add(entry);
        self.window.add(entry, in_step, now);
        if in_step {
            self.step_requests.stable += entry.arms.stable.requests;
            self.step_requests.canary += entry.arms.canary.requests;
        }
        if in_step && entry.stratum == self.stratum {
            self.count_units(entry);
            self.count_goals(entry);
            self.set_edge(settings, entry);
            self.bound_units();
        }
    }

    fn count_units(&mut self, entry: &CanaryReport) {
        let rho = self.share.fraction();
        let mut erred = PerArm::<u64>::default();
        let mut slowed = PerArm::<u64>::default();
        for (arm, report) in entry.arms.iter() {
            let (seen, events) = (self.seen_sample, self.event_sample);
            for unit in report.seen.iter().filter(|unit| seen.has(**unit)) {
                self.units.seen.insert(*unit, arm);
            }
            let new = |set: &mut crate::units::UnitSet, units: &[UnitHash]| {
                units.iter().filter(|unit| events.has(**unit) && set.insert(**unit, arm)).count() as u64
            };
            *erred.get_mut(arm) += new(&mut self.units.erred, &report.erred);
            *slowed.get_mut(arm) += new(&mut self.units.slow, &report.slow);
        }
        self.errors.observe(rho, erred.canary, erred.stable);
        self.slow.observe(rho, slowed.canary, slowed.stable);
        for arm in Arm::ALL {
            *self.erring.get_mut(arm) += erred.get(arm);
            *self.slowed.get_mut(arm) += slowed.get(arm);
        }
    }

    /// A unit counts once in a stratum for each goal, and in the arm in which it first appeared with it.
    fn count_goals(&mut self, entry: &CanaryReport) {
        let mut new: BTreeMap<&str, PerArm<u64>> = BTreeMap::new();
        for (arm, report) in entry.arms.iter() {
            for (goal, rows) in report.goals.iter().filter(|(goal, _)| self.goals.has(goal)) {
                let set = self.units.converted.entry(goal.clone()).or_default();
                let sample = self.event_sample;
                let units = rows.iter().filter(|(unit, ..)| sample.has(*unit) && set.insert(*unit, arm));
                *new.entry(goal).or_default().get_mut(arm) += units.count() as u64;
            }
        }
        for (goal, new) in new {
            self.goals.count(goal, self.share.fraction(), new);
        }
    }

    /// A unit that was seen under this step has reached a goal, which no filter saw.
    pub fn converted(&mut self, goal: &str, unit: UnitHash, arm: Arm, step: Step) {
        if step != self.step || !self.goals.has(goal) || !self.event_sample.has(unit) {
            return;
        }
        if self.units.converted.entry(goal.to_owned()).or_default().insert(unit, arm) {
            let mut new = PerArm::default();
            *new.get_mut(arm) = 1;
            self.goals.count(goal, self.share.fraction(), new);
        }
    }

    /// After enough stable requests the edge is set once for the stratum; until then, and with one arm
    /// only, the edge before it holds.
    fn set_edge(&mut self, settings: &Settings, entry: &CanaryReport) {
        if self.edge.frozen || !self.has_two_arms() {
            return;
        }
        for (index, count) in &entry.arms.stable.latency {
            self.edge.stable.add(*index, *count);
        }
        if self.edge.stable.count() < EDGE_REQUESTS {
            return;
        }
        if let Quantile::Micros(p95) = self.edge.stable.quantile(0.95, 0) {
            let factor = 1.0 + settings.limits.max_latency_increase / 100.0;
            self.edge.micros = Some(((p95 as f64 * factor).ceil() as u64).max(1));
            self.edge.frozen = true;
            self.edge.stable = Histogram::default();
        }
    }

    /// Halves the samples until the sets fit, and shows the sample ratio what was seen.
    fn bound_units(&mut self) {
        while self.units.seen.len() > MAX {
            self.seen_sample = self.seen_sample.halved();
            self.units.seen.thin(self.seen_sample);
        }
        while self.units.events() > MAX {
            self.event_sample = self.event_sample.halved();
            self.units.erred.thin(self.event_sample);
            self.units.slow.thin(self.event_sample);
            self.units.converted.values_mut().for_each(|units| units.thin(self.event_sample));
        }
        let seen = self.units.seen.count();
        self.sample_ratio.set(seen.canary, seen.stable);
    }

    /// The sums of the rollout.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// From when on a request is slow.
    pub fn slow_edge(&self, settings: &Settings) -> Duration {
        self.edge.micros.map_or(settings.limits.slow_request, Duration::from_micros)
    }

    /// Whether a unit was seen in the running stratum, with this arm.
    pub fn has_seen(&self, unit: UnitHash, arm: Arm) -> bool {
        self.units.seen.has(unit, arm)
    }

    /// How many units were seen in the running stratum and are in the sample.
    pub fn seen(&self) -> PerArm<u64> {
        self.units.seen.count()
    }

    /// Which units the filters should report as seen.
    pub fn seen_sample(&self) -> Sample {
        self.seen_sample
    }

    /// Which units the filters should report as erred or slow.
    pub fn event_sample(&self) -> Sample {
        self.event_sample
    }

    /// E of errors and of slowness.
    pub fn evidence(&self) -> (f64, f64) {
        (self.errors.e_value(), self.slow.e_value())
    }

    /// The goals, in the release's order.
    pub fn goals(&self, settings: &Settings) -> Vec<GoalSummary> {
        self.goals.summary(&settings.goals, self.share, settings.false_rollback_rate)
    }

    /// The stratum's units, packed.
    pub fn units_to_bytes(&self) -> Vec<u8> {
        self.units.to_bytes()
    }

    /// Takes over packed units.
    ///
    /// # Errors
    /// When they are damaged; then nothing changes.
    pub fn restore_units(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        self.units = Units::from_bytes(bytes)?;
        Ok(())
    }

    /// All but the sets of units, for the written form.
    #[must_use]
    pub fn clone_without_units(&self) -> Self {
        Self {
            totals: self.totals.clone(),
            window: self.window.clone(),
            errors: self.errors.clone(),
            slow: self.slow.clone(),
            goals: self.goals.clone(),
            sample_ratio: self.sample_ratio.clone(),
            edge: self.edge.clone(),
            senders: self.senders.clone(),
            units: Units::default(),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests;
