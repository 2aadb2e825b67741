//! Where numbers beside the filters' reports come from, and their limits, as they are written.

use super::Seconds;
use crate::sources::Reduce;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_judge::rules::OnBreach;
use std::path::PathBuf;

/// Where numbers beside the filters' reports come from.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct SourcesSpec {
    /// The versions' own pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationSpec>,
    /// What Prometheus is asked about the versions.
    pub prometheus: PrometheusSpec,
}

/// The pages on which each version speaks of itself: `/metrics` and `/system/metrics`, both JSON.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ApplicationSpec {
    /// The stable version's address, as http://HOST:PORT.
    #[schemars(length(min = 1, max = 2048))]
    pub stable: String,
    /// The canary version's address, as http://HOST:PORT.
    #[schemars(length(min = 1, max = 2048))]
    pub canary: String,
    /// How long both pages of a version may take; 100ms to 1m, 5s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<Seconds>,
}

/// What Prometheus is asked about the versions.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PrometheusSpec {
    /// The address of the canary's own Prometheus, as http://HOST:PORT; the program's without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub url: Option<String>,
    /// How long all queries of one round may take, beside `url`; 100ms to 1m, 5s without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Seconds>,
    /// A file with the token that it asks for, beside `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The window of rates, `{{interval}}` in queries; 1s to 1d.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "60s"))]
    pub interval: Option<Seconds>,
    /// Queries in the default ones' place.
    pub queries: QueriesSpec,
}

/// Queries in the default ones' place; an empty text switches one off.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct QueriesSpec {
    /// Requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub request_rate: Option<String>,
    /// Failed requests a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub error_rate: Option<String>,
    /// The 95th percentile of latencies, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub latency_p95: Option<String>,
    /// Percent of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub cpu_percent: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub memory_bytes: Option<String>,
    /// Connections open to the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub active_connections: Option<String>,
}

/// A Prometheus query with limits: at least one of `max`, `min` and `maxIncrease`.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MetricSpec {
    /// For people, labels and logs: letters, digits, `-` and `_`.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// PromQL that gives one number, with places such as `{{version}}`.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// Over a stretch of time in a moment's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeSpec>,
    /// The canary's value may be so much at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// The canary's value must be so much at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// By how many percent the canary's value may be above stable's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max_increase: Option<f64>,
    /// What a breach means.
    #[serde(default = "OnBreachSpec::hold")]
    pub on_breach: OnBreachSpec,
}

/// A query over a stretch of time, and what one number its points make.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RangeSpec {
    /// How far back; 1s to 7d.
    pub length: Seconds,
    /// The distance of points; 15s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Seconds>,
    /// What one number the points make.
    #[serde(default)]
    pub reduce: Reduce,
}

/// What a breach means.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnBreachSpec {
    /// The release is rolled back.
    Fail,
    /// The weight stays.
    Hold,
    /// It is shown and told, nothing more.
    Warn,
}

impl OnBreachSpec {
    pub(super) fn hold() -> Self {
        Self::Hold
    }

    pub(super) fn warn() -> Self {
        Self::Warn
    }
}

impl From<OnBreachSpec> for OnBreach {
    fn from(spec: OnBreachSpec) -> Self {
        match spec {
            OnBreachSpec::Fail => Self::Fail,
            OnBreachSpec::Hold => Self::Hold,
            OnBreachSpec::Warn => Self::Warn,
        }
    }
}
