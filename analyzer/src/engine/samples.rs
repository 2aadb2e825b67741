//! One sample for each analysis interval: what each version did since the sample before.

use super::rollout::{Rollout, SAMPLES};
use crate::report::Affected;
use crate::sources::ledger::{Extras, Ledger};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use serin_contract::PerArm;
use serin_judge::histogram::{Histogram, Quantile};
use serin_judge::observations::{ArmTotals, Observations};
use serin_judge::ramp::State;
use serin_judge::summary::{ArmSummary, Summary};
use serin_judge::time::Time;
use std::time::Duration;

/// For how long a sample's text is kept beside the store, for whoever looks once a second.
const RECENT: Duration = Duration::from_secs(60);

/// Remembers the totals of the last sample, so that the next one is their difference.
pub(super) struct Sampler {
    last: PerArm<Counted>,
    /// Units of the strata that are over.
    closed: PerArm<Affected>,
}

#[derive(Clone, Default)]
struct Counted {
    requests: u64,
    errors: u64,
    latency: Histogram,
}

#[derive(Serialize)]
struct VersionSample {
    requests: u64,
    errors: u64,
    /// In percent; none without requests.
    error_rate: Option<f64>,
    /// In percent: the confidence interval of the last minute's rate.
    error_rate_interval: Option<(f64, f64)>,
    /// In seconds; none where nothing was measured or the quantile is still in flight.
    latency_p50: Option<f64>,
    latency_p95: Option<f64>,
    latency_p99: Option<f64>,
    /// Latency bucket and count.
    latency: Vec<(u16, u64)>,
    #[serde(flatten)]
    extras: Extras,
}

impl Sampler {
    pub(super) fn new(observations: &Observations) -> Self {
        Self { last: observations.totals().arms.map(Counted::of), closed: PerArm::default() }
    }

    /// Goes on after a restart, where the last sample ends.
    pub(super) fn resume(&mut self, last: &Value, state: &State, summary: &Summary) {
        let Some(sum) = last.get("affected").and_then(|value| PerArm::deserialize(value).ok()) else {
            return;
        };
        self.closed = sum;
        if last.get("stratum").and_then(Value::as_u64) == Some(u64::from(state.stratum.0)) {
            for (arm, running) in running(summary).iter() {
                let closed = self.closed.get_mut(arm);
                closed.seen = (closed.seen - running.seen).max(0.0);
                closed.erred = closed.erred.saturating_sub(running.erred);
                closed.slow = closed.slow.saturating_sub(running.slow);
            }
        }
    }

    /// A stratum is over: its units are counted anew in the next.
    pub(super) fn close_stratum(&mut self, summary: &Summary) {
        self.closed = self.affected(summary);
    }

    /// The units of the rollout so far.
    pub(super) fn affected(&self, summary: &Summary) -> PerArm<Affected> {
        let mut sum = self.closed;
        for (arm, running) in running(summary).iter() {
            let sum = sum.get_mut(arm);
            sum.seen += running.seen;
            sum.erred += running.erred;
            sum.slow += running.slow;
        }
        sum
    }

    pub(super) fn take(
        &mut self,
        now: &Observations,
        summary: &Summary,
        ledger: &Ledger,
        state: &State,
        time: Time,
    ) -> Value {
        let current = now.totals().arms.map(Counted::of);
        let version = |arm| {
            let (current, last): (&Counted, &Counted) = (current.get(arm), self.last.get(arm));
            sample(current, last, summary.window.get(arm), ledger.extras(arm).clone())
        };
        let sample = json!({
            "timestamp": time,
            "step": state.step,
            "stratum": state.stratum,
            "weight": state.weight.percent(),
            "evidence": summary.evidence,
            "affected": self.affected(summary),
            "versions": {
                "stable": version(serin_contract::Arm::Stable),
                "canary": version(serin_contract::Arm::Canary),
            },
        });
        self.last = current;
        sample
    }
}

/// The units of the running stratum.
fn running(summary: &Summary) -> PerArm<Affected> {
    summary.window.map(|arm| Affected { seen: arm.units, erred: arm.erring_units, slow: arm.slow_units })
}

impl Rollout {
    /// Keeps a sample's text as long as it is recent; as a tree it would take ten times as much.
    pub(super) fn keep(&mut self, taken: Time, sample: &Value, now: Time) {
        // Samples are maps with string keys and finite numbers: there is nothing in them that JSON cannot say.
        if let Ok(text) = to_raw_value(sample) {
            self.recent.push_back((taken, text));
        }
        self.recent.retain(|(taken, _)| now.since(*taken) < RECENT);
        self.recent.drain(..self.recent.len().saturating_sub(SAMPLES));
    }

    /// The recent samples that were taken after a moment, oldest first.
    pub(super) fn samples_after(&self, after: Time) -> Vec<Value> {
        let newer = self.recent.iter().filter(|(taken, _)| *taken > after);
        newer.filter_map(|(_, text)| serde_json::from_str(text.get()).ok()).collect()
    }
}

impl Counted {
    fn of(totals: &ArmTotals) -> Self {
        Self { requests: totals.requests, errors: totals.errors, latency: totals.latency.clone() }
    }
}

fn sample(current: &Counted, last: &Counted, summary: &ArmSummary, extras: Extras) -> VersionSample {
    let requests = current.requests.saturating_sub(last.requests);
    let errors = current.errors.saturating_sub(last.errors);
    let latency = current.latency.since(&last.latency);
    let quantile = |q| match latency.quantile(q, 0) {
        Quantile::Micros(micros) => Some(micros as f64 / 1e6),
        Quantile::Unknown | Quantile::Overdue => None,
    };
    VersionSample {
        requests,
        errors,
        error_rate: (requests > 0).then(|| 100.0 * errors as f64 / requests as f64),
        error_rate_interval: summary.error_rate_interval,
        latency_p50: quantile(0.5),
        latency_p95: quantile(0.95),
        latency_p99: quantile(0.99),
        latency: latency.iter().collect(),
        extras,
    }
}
