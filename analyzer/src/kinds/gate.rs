//! A gate as it is written.

use super::Seconds;
use crate::gates::{OnFailure, When};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A web hook that is asked before, during or after a release.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GateSpec {
    /// For people and logs.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// When it is asked.
    pub when: When,
    /// Where it listens: http://HOST:PORT/PATH or https://HOST:PORT/PATH.
    #[schemars(length(max = 2048))]
    #[x_kube(
        validation = Rule::new("self.matches('^https?://[^/]')")
            .message("write http://HOST:PORT/PATH or https://HOST:PORT/PATH")
    )]
    pub url: String,
    /// How long one answer may take, 100ms to 10m; 10s without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<Seconds>,
    /// How often it is asked again before its silence or refusal counts.
    #[serde(default)]
    #[schemars(range(max = 10))]
    pub retries: u32,
    /// What its refusal means.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Handed on as it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}
