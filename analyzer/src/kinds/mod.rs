//! The Kubernetes kinds. Their specs are also what stands in the stand-alone configuration: one definition,
//! parsed here, compiled in [`crate::config`]. What the schema can say, the API server refuses; what it
//! cannot, the compilation does.

#![expect(unreachable_pub, reason = "the copies of the types that KubeSchema makes within its functions")]

mod canary;
mod definition;
mod experiment;
mod experiment_status;
mod gate;
mod goal;
mod pace;
mod router;
mod seconds;
mod slo;
mod sources;
mod status;
mod who;

pub use canary::{Canary, CanarySpec};
pub use definition::{definitions, yaml};
pub use experiment::{ArmSpec, Experiment, ExperimentSpec, KeepSpec, SegmentSpec};
pub use experiment_status::{ArmStatus, ExperimentCondition, ExperimentPhase, ExperimentStatus};
pub use gate::GateSpec;
pub use goal::{GoalSpec, GuardrailSpec, ResponseSpec};
pub use pace::{DecisionsSpec, LimitsSpec, RampSpec};
pub use router::{
    DeploymentsSpec, EnvoyRoutesSpec, HeaderRoutesSpec, PromotionSpec, RouterSpec, VirtualServiceSpec,
};
pub use seconds::Seconds;
pub use slo::{AvailabilitySpec, ErrorRateSpec, LatencySpec, SloSpec};
pub use sources::{
    ApplicationSpec, MetricSpec, OnBreachSpec, PrometheusSpec, QueriesSpec, RangeSpec, SourcesSpec,
};
pub use status::{
    CanaryStatus, ConditionKind, EvidenceStatus, GoalStatus, HistoryEntry, MixtureStatus, PhaseStatus,
    VerdictStatus,
};
pub use who::{ExcludeSpec, IssuedCookieSpec, ManualKeys, ManualSpec, UnitSpec};

/// The group of all kinds.
pub const GROUP: &str = "serin.dev";
/// An annotation on a Canary that was rolled back without the analyzer: when and why, as
/// `2026-01-31T12:00:00Z reason`.
pub const ROLLED_BACK_DIRECTLY: &str = "serin.dev/rolled-back-directly";
/// An annotation on an Experiment: `true` while changes of shares may move users of the filters.
pub const ACCEPT_MOVES: &str = "serin.dev/accept-moves";

#[cfg(test)]
mod tests;
