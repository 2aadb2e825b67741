//! One sample for each analysis interval: what each version did since the sample before.

use serde::Serialize;
use serde_json::{Value, json};
use serin_contract::PerArm;
use serin_judge::histogram::{Histogram, Quantile};
use serin_judge::observations::{ArmTotals, Observations};
use serin_judge::ramp::State;
use serin_judge::summary::Summary;
use serin_judge::time::Time;

/// Remembers the totals of the last sample, so that the next one is their difference.
pub(super) struct Sampler {
    last: PerArm<Counted>,
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
}

impl Sampler {
    pub(super) fn new(observations: &Observations) -> Self {
        Self { last: observations.totals().arms.map(Counted::of) }
    }

    pub(super) fn take(&mut self, now: &Observations, summary: &Summary, state: &State, time: Time) -> Value {
        let current = now.totals().arms.map(Counted::of);
        let version = |arm| {
            let (current, last): (&Counted, &Counted) = (current.get(arm), self.last.get(arm));
            sample(current, last, summary.window.get(arm).error_rate_interval)
        };
        let sample = json!({
            "timestamp": time,
            "step": state.step,
            "weight": state.weight.percent(),
            "evidence": summary.evidence,
            "versions": {
                "stable": version(serin_contract::Arm::Stable),
                "canary": version(serin_contract::Arm::Canary),
            },
        });
        self.last = current;
        sample
    }
}

impl Counted {
    fn of(totals: &ArmTotals) -> Self {
        Self { requests: totals.requests, errors: totals.errors, latency: totals.latency.clone() }
    }
}

fn sample(current: &Counted, last: &Counted, error_rate_interval: Option<(f64, f64)>) -> VersionSample {
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
        error_rate_interval,
        latency_p50: quantile(0.5),
        latency_p95: quantile(0.95),
        latency_p99: quantile(0.99),
        latency: latency.iter().collect(),
    }
}
