//! An Experiment's status: where it stands and what its numbers say, for people and other programs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where an experiment stands and what its numbers say.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ExperimentStatus {
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<ExperimentPhase>,
    /// The period of constant shares; counts up over the Experiment's whole life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Distinct users in all arms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposures: Option<u64>,
    /// The arm that is better in the first goal, valid however often one looks; nothing while no
    /// difference can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub winner: Option<String>,
    /// What to make of it, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<String>,
    /// Each arm's totals, control first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub arms: Vec<ArmStatus>,
    /// What holds and what does not, with a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// When it was first followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Time>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Time>,
    /// The replica that wrote this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Where an experiment stands; see `crate::experiments::Status`.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExperimentPhase {
    /// Its start is yet to come.
    Scheduled,
    /// It assigns.
    Running,
    /// It is over; what it counted stays.
    Ended,
}

/// One arm's totals over all steps, in the first goal.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArmStatus {
    /// Its name.
    pub name: String,
    /// Its share now, in percent.
    pub share: f64,
    /// Distinct users.
    pub exposures: u64,
    /// Those of them that reached the first goal.
    pub conversions: u64,
    /// How much likelier they convert than control's users, in percent; nothing for control, or before
    /// both have conversions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lift_percent: Option<f64>,
    /// The always-valid p-value of that, corrected for the number of arms; nothing for control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub always_valid_p_value: Option<f64>,
}

/// The types of an Experiment's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentCondition {
    /// The spec as it stands is followed.
    Ready,
    /// Users are assigned.
    Running,
    /// The arms have the sizes that their shares promise.
    SampleRatioFits,
    /// No guardrail is harmed.
    GuardrailsKept,
}

impl ExperimentCondition {
    /// As it stands in the condition's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::SampleRatioFits => "SampleRatioFits",
            Self::GuardrailsKept => "GuardrailsKept",
        }
    }
}
