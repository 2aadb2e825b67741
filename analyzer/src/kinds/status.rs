//! A Canary's status: what a release is doing, for people, for other programs, and for the replica that goes
//! on when this one ends.

use super::GuardrailSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serin_judge::ramp::Phase;

/// What a release is doing.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CanaryStatus {
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<PhaseStatus>,
    /// The canary's share in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub weight: Option<f64>,
    /// The share in percent that the router gets next, written before the router has it: whoever goes on from here
    /// knows by it that such a weight was this release's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub next_weight: Option<f64>,
    /// Counts up over the Canary's whole life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The period within which a unit counts once; counts up over the Canary's whole life.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stratum: Option<u64>,
    /// The stable version that phase, weight and evidence are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_version: Option<String>,
    /// The canary version that phase, weight and evidence are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_version: Option<String>,
    /// What the judge thinks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictStatus>,
    /// What holds and what does not, with a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The evidence's few numbers, with which another replica goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceStatus>,
    /// When this rollout began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_started: Option<Time>,
    /// When this step began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_started: Option<Time>,
    /// Who promoted it, where that was a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_by: Option<String>,
    /// What stable was before it got the canary's pods; a spec that still says so is old news.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promoted_from: Option<String>,
    /// The replica that wrote this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// What happened, oldest first, at most 20 lines.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub history: Vec<HistoryEntry>,
    /// The generation of the spec that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Where a release is; see `serin_judge::ramp::Phase`.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhaseStatus {
    /// Waiting for filters, Deployments and its first weight.
    Pending,
    /// Its weight grows.
    Progressing,
    /// Its weight stays until somebody resumes it.
    Paused,
    /// Stable takes over the canary's version.
    Promoting,
    /// The canary has everything, or has become stable.
    Succeeded,
    /// Rolled back: the canary has nothing.
    Failed,
}

impl From<Phase> for PhaseStatus {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Progressing => Self::Progressing,
            Phase::Paused => Self::Paused,
            Phase::Promoting => Self::Promoting,
            Phase::Succeeded => Self::Succeeded,
            Phase::Failed => Self::Failed,
        }
    }
}

impl From<PhaseStatus> for Phase {
    fn from(phase: PhaseStatus) -> Self {
        match phase {
            PhaseStatus::Pending => Self::Pending,
            PhaseStatus::Progressing => Self::Progressing,
            PhaseStatus::Paused => Self::Paused,
            PhaseStatus::Promoting => Self::Promoting,
            PhaseStatus::Succeeded => Self::Succeeded,
            PhaseStatus::Failed => Self::Failed,
        }
    }
}

/// What the judge says, and why.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictStatus {
    /// `continue`, `hold`, `pause` or `fail`.
    pub outcome: String,
    /// Which rule said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// For a person on call.
    pub reason: String,
}

/// The types of a Canary's conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionKind {
    /// The spec is understood, and everything that it names is there.
    Ready,
    /// A rollout runs.
    Progressing,
    /// The VirtualService has the weight and the header routes.
    RoutesReady,
    /// Both Deployments have the replicas that the share needs.
    DeploymentsReady,
    /// Filters report.
    ReportsFlowing,
    /// The further sources of numbers answer.
    SourcesUp,
}

impl ConditionKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Ready,
        Self::Progressing,
        Self::RoutesReady,
        Self::DeploymentsReady,
        Self::ReportsFlowing,
        Self::SourcesUp,
    ];

    /// As it stands in the condition's `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::RoutesReady => "RoutesReady",
            Self::DeploymentsReady => "DeploymentsReady",
            Self::ReportsFlowing => "ReportsFlowing",
            Self::SourcesUp => "SourcesUp",
        }
    }
}

/// The evidence of a rollout so far.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EvidenceStatus {
    /// That the canary's users err more.
    pub errors: MixtureStatus,
    /// That the canary's users wait more.
    pub slow: MixtureStatus,
    /// That the canary's users reach a guarded goal less often, or more, whichever is harm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub goals: Vec<GoalStatus>,
    /// That the arms have not the sizes they should have.
    pub sample_ratio: MixtureStatus,
    /// From when on a request is slow, in microseconds; nothing before stable's latency was known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_edge_us: Option<u64>,
    /// Stable's 95th percentile when it last had users beside the canary's, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable_p95_us: Option<u64>,
}

/// One evidence in a rollout.
#[derive(JsonSchema, Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MixtureStatus {
    /// Its value for people: 1 is none, 1/falseRollbackRate is enough.
    pub value: f64,
    /// How many processes have started.
    pub starts: u64,
    /// The natural logarithm of their weighted sum; nothing before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_sum: Option<f64>,
}

/// The evidence of a guarded goal.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoalStatus {
    /// The goal.
    pub name: String,
    /// What is harm.
    pub harm: GuardrailSpec,
    /// Its numbers.
    #[serde(default)]
    pub evidence: MixtureStatus,
}

/// One line of a release's history.
#[derive(JsonSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When.
    pub time: Time,
    /// The phase from then on.
    pub phase: PhaseStatus,
    /// The weight from then on, in percent.
    pub weight: f64,
    /// The step from then on.
    pub step: u64,
    /// Why.
    pub reason: String,
    /// The person who did it; nothing when the rules did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}
