//! Service level objectives as they are written.

use super::{OnBreachSpec, Seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A service level objective: one of `availability`, `latency` and `errorRate`.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SloSpec {
    /// For people and labels: letters, digits, `-` and `_`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// So much of all requests succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<AvailabilitySpec>,
    /// So much of all requests is fast enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencySpec>,
    /// No more of all requests fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<ErrorRateSpec>,
    /// How far back samples count; 10s to 1d, 5m without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "300s"))]
    pub window: Option<Seconds>,
    /// How many times faster than allowed the error budget may burn; 1 to 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1.0, max = 10000.0), extend("default" = 14.4))]
    pub max_burn: Option<f64>,
    /// What it means when the canary alone burns it faster.
    #[serde(default = "OnBreachSpec::warn")]
    pub on_fast_burn: OnBreachSpec,
}

/// So much of all requests succeeds.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvailabilitySpec {
    /// In percent, above 0 and below 100.
    pub target: f64,
}

/// So much of all requests is fast enough.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatencySpec {
    /// In percent, above 0 and below 100.
    pub target: f64,
    /// What is fast enough, such as 500ms.
    pub threshold: Seconds,
}

/// No more of all requests fails.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRateSpec {
    /// In percent, above 0 and below 100.
    pub threshold: f64,
}
