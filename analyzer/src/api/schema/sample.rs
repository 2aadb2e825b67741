//! One sample for each analysis interval.

use super::Evidence;
use utoipa::ToSchema;

/// What each version did since the sample before.
#[derive(ToSchema)]
pub struct Sample {
    /// In milliseconds since 1970.
    pub timestamp: u64,
    /// The step then.
    pub step: u64,
    /// The canary's part then, in percent.
    pub weight: f64,
    /// The evidence then.
    pub evidence: Evidence,
    /// The versions.
    pub versions: Versions,
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
    /// Latency bucket and count.
    pub latency: Vec<(u16, u64)>,
}
