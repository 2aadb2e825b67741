//! One sample for each analysis interval.

use super::{Affected, Evidence, PerArm};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What each version did since the sample before.
#[derive(ToSchema)]
pub struct Sample {
    /// In milliseconds since 1970.
    pub timestamp: u64,
    /// The step then.
    pub step: u64,
    /// The stratum then.
    pub stratum: u64,
    /// The canary's part then, in percent.
    pub weight: f64,
    /// The evidence then.
    pub evidence: Evidence,
    /// The units of the rollout until then.
    pub affected: PerArm<Affected>,
    /// The versions.
    pub versions: Versions,
    /// How each SLO stood, by version and name.
    pub slo: PerArm<BTreeMap<String, Standing>>,
    /// What was unusual.
    pub anomalies: Vec<Anomaly>,
}

/// How a version stood with an SLO.
#[derive(ToSchema)]
pub struct Standing {
    /// 0 to 100.
    pub score: f64,
    /// What is left of the error budget, in percent.
    pub budget_left: f64,
    /// How many times faster than allowed it burns.
    pub burn: Burn,
}

/// How many times faster than allowed an error budget burns.
#[derive(ToSchema)]
pub struct Burn {
    /// Over the SLO's window.
    pub long: f64,
    /// Over a twelfth of it, at least over the last sample.
    pub short: f64,
}

/// Something unusual. What does not belong to its kind is left out.
#[derive(ToSchema)]
pub struct Anomaly {
    /// `error_rate`, `latency`, `cpu`, `correlation` or `shared_rise`.
    #[schema(example = "error_rate")]
    pub r#type: String,
    /// `low`, `medium` or `high`.
    #[schema(example = "high")]
    pub severity: String,
    /// `stable` or `canary`.
    #[schema(required = false, nullable = false)]
    pub version: Option<String>,
    /// What was compared.
    #[schema(required = false, nullable = false)]
    pub metric: Option<String>,
    /// Percent for rates and CPU, seconds for latency.
    #[schema(required = false, nullable = false)]
    pub current: Option<f64>,
    /// What the past would have let expect.
    #[schema(required = false, nullable = false)]
    pub expected: Option<f64>,
    /// How probable so much is by chance.
    #[schema(required = false, nullable = false)]
    pub p_value: Option<f64>,
    /// Services that are concerned together.
    #[schema(required = false, nullable = false)]
    pub services: Option<Vec<String>>,
    /// For a person on call.
    pub message: String,
}

/// The versions of a sample.
#[derive(ToSchema)]
pub struct Versions {
    /// The version that serves today.
    pub stable: SampleOfVersion,
    /// The version under test.
    pub canary: SampleOfVersion,
}

/// One version in a sample.
#[derive(ToSchema)]
pub struct SampleOfVersion {
    /// Requests that ended.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// In percent; null without requests.
    pub error_rate: Option<f64>,
    /// In percent, lower and upper bound, of the last minute's rate.
    pub error_rate_interval: Option<Vec<f64>>,
    /// In seconds; null where it is not known.
    pub latency_p50: Option<f64>,
    /// In seconds; null where it is not known.
    pub latency_p95: Option<f64>,
    /// In seconds; null where it is not known.
    pub latency_p99: Option<f64>,
    /// Latency bucket and count; not there in reports.
    #[schema(required = false, nullable = false)]
    pub latency: Option<Vec<(u16, u64)>>,
    /// Percent of a core; null where no source says.
    pub cpu_percent: Option<f64>,
    /// Null where no source says.
    pub memory_bytes: Option<f64>,
    /// Connections open to the version; null where no source says.
    pub active_connections: Option<f64>,
    /// The application's own values.
    pub custom: BTreeMap<String, f64>,
    /// The traffic as further sources saw it: `application`, `prometheus`.
    pub sources: BTreeMap<String, TrafficOfSource>,
}

/// Traffic as a further source saw it; null where it does not know.
#[derive(ToSchema)]
pub struct TrafficOfSource {
    /// Since the round before.
    pub requests: Option<f64>,
    /// Since the round before.
    pub errors: Option<f64>,
    /// A second.
    pub request_rate: Option<f64>,
    /// A second.
    pub error_rate: Option<f64>,
    /// In seconds.
    pub latency_p95: Option<f64>,
}
