//! How a release grows and what it may not do, as it is written.

use super::Seconds;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_judge::settings::{Limits, Settings};

/// How the canary's share grows: by equal increments, or by the steps that are given. Shares are in percent
/// with at most two decimals.
#[derive(KubeSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.steps) || !(has(self.initialWeight) || has(self.increment) || has(self.maxWeight))"
    )
    .message("steps cannot stand beside initialWeight, increment or maxWeight: give one or the other"),
    validation = Rule::new(
        "(has(self.initialWeight) ? self.initialWeight : 5.0) <= (has(self.maxWeight) ? self.maxWeight : 100.0)"
    )
    .message("initialWeight (5 if not given) must not be above maxWeight (100 if not given)")
)]
pub struct RampSpec {
    /// The first share; 5 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100.0), extend("minimum" = 0.0, "exclusiveMinimum" = true))]
    pub initial_weight: Option<f64>,
    /// How much each step adds; 20 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100.0), extend("minimum" = 0.0, "exclusiveMinimum" = true))]
    pub increment: Option<f64>,
    /// The last share; 100 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100.0), extend("minimum" = 0.0, "exclusiveMinimum" = true))]
    pub max_weight: Option<f64>,
    /// All shares, growing; in place of the three above.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100), inner(range(min = 0.0, max = 100.0)))]
    #[x_kube(
        validation = Rule::new(
            "self.isSorted() && self.all(step, step > 0.0 && self.indexOf(step) == self.lastIndexOf(step))"
        )
        .message("each step must be above the one before, the first above 0")
    )]
    pub steps: Option<Vec<f64>>,
    /// How long a share must hold before the next; 1s to 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Seconds(Settings::default().promotion_interval)))]
    pub promotion_interval: Option<Seconds>,
    /// How often all rules are judged and a sample is taken; 1s to 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Seconds(Settings::default().analysis_interval)))]
    pub analysis_interval: Option<Seconds>,
    /// How long after a step begins the plain thresholds wait, with `decisions: point`; 0s to 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Seconds(Settings::default().warmup)))]
    pub warmup: Option<Seconds>,
    /// A step that lasts longer fails the release; 1s to 30d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Seconds(Settings::default().progress_deadline)))]
    pub progress_deadline: Option<Seconds>,
}

/// What the canary may not do.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct LimitsSpec {
    /// In percent of its requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0), extend("default" = Limits::default().max_error_rate))]
    pub max_error_rate: Option<f64>,
    /// How much its p95 may be above stable's, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100_000.0), extend("default" = Limits::default().max_latency_increase))]
    pub max_latency_increase: Option<f64>,
    /// Requests of the canary in a step before its weight grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("default" = Limits::default().min_request_count))]
    pub min_request_count: Option<u64>,
    /// Percentage points between the error rates below which evidence is not acted upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0), extend("default" = Limits::default().min_error_increase))]
    pub min_error_increase: Option<f64>,
    /// When a request is slow as long as stable's latency is unknown; 1ms to 1h.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Seconds(Limits::default().slow_request)))]
    pub slow_request: Option<Seconds>,
}

/// Whether a fail asks for evidence.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DecisionsSpec {
    /// A limit must be broken beyond what chance explains.
    #[default]
    Evidence,
    /// A limit must be broken, that is all.
    Point,
}
