//! The numbers that the rules look at, and that people are shown.

use crate::goals::GoalSummary;
use crate::histogram::Quantile;
use crate::time::Time;
use crate::window::Routing;
use serde::Serialize;
use serin_contract::PerArm;
use std::time::Duration;

/// A canary at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The last minute, by arm.
    pub window: PerArm<ArmSummary>,
    /// Requests in the running step, by arm.
    pub step_requests: PerArm<u64>,
    /// Whether traffic goes where it is sent: the running step's part of the last minute.
    pub routing: Routing,
    /// The evidence against the canary.
    pub evidence: EvidenceSummary,
    /// The goals, in the release's order.
    pub goals: Vec<GoalSummary>,
    /// E of the sample ratio; a mismatch from 1000 on.
    pub sample_ratio: f64,
    /// Stable's p95 when it last had traffic beside the canary's; for shares of 100 %.
    pub last_stable_p95: Quantile,
    /// From when on a request is slow, in seconds.
    #[serde(serialize_with = "seconds")]
    pub slow_edge: Duration,
    /// When a filter last reported.
    pub last_report: Option<Time>,
    /// The longest interval at which a filter reports, in seconds.
    #[serde(serialize_with = "seconds")]
    pub report_interval: Duration,
}

fn seconds<S: serde::Serializer>(length: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(length.as_secs_f64())
}

/// One arm's last minute, and its units of the running stratum.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmSummary {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// In percent; none without requests.
    pub error_rate: Option<f64>,
    /// In percent: holds at all times at once. None without requests.
    pub error_rate_interval: Option<(f64, f64)>,
    /// In seconds.
    pub latency_p50: Quantile,
    /// In seconds.
    pub latency_p95: Quantile,
    /// In seconds.
    pub latency_p99: Quantile,
    /// Requests that are in flight beyond the slow edge now.
    pub overdue: u64,
    /// Distinct units of the stratum, scaled up where sampled.
    pub units: f64,
    /// Units that erred in the stratum.
    pub erring_units: u64,
    /// Units that were slow in the stratum.
    pub slow_units: u64,
}

/// The evidence against the canary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EvidenceSummary {
    /// E of errors.
    pub errors: f64,
    /// E of slowness.
    pub slow: f64,
    /// A fail from here on: 1 / falseRollbackRate.
    pub threshold: f64,
    /// How many times as often canary units err as stable units, in this stratum.
    pub odds_ratio: Option<(f64, f64)>,
}
