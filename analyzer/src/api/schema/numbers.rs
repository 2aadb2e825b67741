//! The judge's numbers about a release.

use super::PerArm;
use utoipa::ToSchema;

/// The numbers that the judge looks at.
#[derive(ToSchema)]
pub struct Summary {
    /// The last minute, by arm.
    pub window: PerArm<SummaryOfArm>,
    /// Requests in the running step, by arm.
    pub step_requests: PerArm<u64>,
    /// Whether traffic goes where it is sent: the running step's part of the last minute.
    pub routing: Routing,
    /// The evidence against the canary.
    pub evidence: Evidence,
    /// The goals, in the spec's order.
    pub goals: Vec<GoalNumbers>,
    /// E of the sample ratio; a mismatch from 1000 on.
    pub sample_ratio: f64,
    /// Stable's p95 in seconds when it last had traffic beside the canary's.
    pub last_stable_p95: Option<f64>,
    /// From when on a request is slow, in seconds.
    pub slow_edge: f64,
    /// When a filter last reported, in milliseconds since 1970.
    pub last_report: Option<u64>,
    /// The longest interval at which a filter reports, in seconds.
    pub report_interval: f64,
}

/// One arm's last minute, and its units of the running stratum.
#[derive(ToSchema)]
pub struct SummaryOfArm {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// In percent; null without requests.
    pub error_rate: Option<f64>,
    /// In percent, lower and upper bound; holds at all times at once. Null without requests.
    pub error_rate_interval: Option<Vec<f64>>,
    /// In seconds; null where it is not known.
    pub latency_p50: Option<f64>,
    /// In seconds; null where it is not known.
    pub latency_p95: Option<f64>,
    /// In seconds; null where it is not known.
    pub latency_p99: Option<f64>,
    /// Requests that are in flight beyond the slow edge now.
    pub overdue: u64,
    /// Distinct units of the stratum, scaled up where sampled.
    pub units: f64,
    /// Units that erred in the stratum.
    pub erring_units: u64,
    /// Units that were slow in the stratum.
    pub slow_units: u64,
}

/// A goal in the running stratum.
#[derive(ToSchema)]
pub struct GoalNumbers {
    /// Its name.
    #[schema(example = "purchase")]
    pub name: String,
    /// What fails the release, `more` or `less`; null for a goal that is only counted.
    pub guardrail: Option<String>,
    /// Users who reached it in this stratum.
    pub converted: PerArm<u64>,
    /// E of a guardrail's harm.
    pub evidence: Option<f64>,
    /// A fail from here on.
    pub threshold: f64,
    /// How many times as often canary users reach it as stable ones, in odds: lower and upper bound. Null
    /// with one arm.
    pub odds_ratio: Option<Vec<f64>>,
}

/// Whether traffic goes where it is sent.
#[derive(ToSchema)]
pub struct Routing {
    /// Assigned requests.
    pub assigned: u64,
    /// Those that the other version served.
    pub misrouted: u64,
    /// Requests without a unit, by the version that served them.
    pub unassigned: PerArm<u64>,
}

/// The evidence against the canary.
#[derive(ToSchema)]
pub struct Evidence {
    /// E of errors.
    pub errors: f64,
    /// E of slowness.
    pub slow: f64,
    /// A fail from here on: 1 / falseRollbackRate.
    pub threshold: f64,
    /// How many times as often canary units err as stable units: lower and upper bound.
    pub odds_ratio: Option<Vec<f64>>,
}

/// Everything counted in a rollout.
#[derive(ToSchema)]
pub struct Totals {
    /// Assigned requests of the version that serves today.
    pub stable: TotalsOfArm,
    /// Assigned requests of the version under test.
    pub canary: TotalsOfArm,
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
#[derive(ToSchema)]
pub struct TotalsOfArm {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Method, status (0: the client went away before one) and count.
    pub responses: Vec<(String, u16, u64)>,
    /// Latency bucket and count.
    pub latency: Vec<(u16, u64)>,
}

/// Requests and how many of them failed.
#[derive(ToSchema)]
pub struct Tally {
    /// How many.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
}
