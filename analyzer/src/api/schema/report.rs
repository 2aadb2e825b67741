//! What filters send, and the answer.

use super::{PerArm, Tally};
use utoipa::ToSchema;

/// What a filter saw since its last acknowledged report. At most 256 kB.
#[derive(ToSchema)]
pub struct Report {
    /// Which VM of which proxy: 16 hexadecimal digits.
    #[schema(example = "00000000000000ab", pattern = "^[0-9a-f]{16}$")]
    pub instance: String,
    /// Counts up by one with each report of the instance, from 1.
    #[schema(minimum = 1)]
    pub sequence: u64,
    /// The plan that the filter follows; 0 for none.
    pub plan_revision: u64,
    /// The proxy's node id.
    #[schema(max_length = 512)]
    pub node: String,
    /// How often this filter reports.
    #[schema(minimum = 100, maximum = 60000)]
    pub interval_ms: u64,
    /// One entry for each canary and stratum that something happened in.
    pub canaries: Option<Vec<CanaryReport>>,
    /// One entry for each experiment and step that something happened in: `id`, `step`, and `arms` by name
    /// with `seen` units and `goals` by name as rows of unit, count and sum of values.
    pub experiments: Option<Vec<serde_json::Value>>,
}

/// What happened in one canary under one step and stratum. What is left out counts as nothing.
#[derive(ToSchema)]
pub struct CanaryReport {
    /// `<namespace>/<name>`.
    #[schema(example = "default/shop")]
    pub name: String,
    /// The step under which the requests were assigned.
    pub step: u64,
    /// The stratum under which the requests were assigned.
    pub stratum: u64,
    /// Assigned requests, by arm.
    pub arms: Option<PerArm<ArmReport>>,
    /// Requests whose client chose the version.
    pub forced: Option<PerArm<Tally>>,
    /// Requests without a unit, by the version that served them.
    pub unassigned: Option<PerArm<Tally>>,
    /// Requests of probes and bots.
    pub excluded: Option<u64>,
    /// Requests outside the segment.
    pub ineligible: Option<u64>,
    /// Assigned requests that the other version served.
    pub misrouted: Option<u64>,
    /// Requests that a cluster of neither version served.
    pub elsewhere: Option<u64>,
    /// Requests that no cluster served.
    pub unserved: Option<u64>,
}

/// What the assigned requests of one arm came to. What is left out counts as nothing.
#[derive(ToSchema)]
pub struct ArmReport {
    /// Requests that ended.
    pub requests: Option<u64>,
    /// How many of them failed.
    pub errors: Option<u64>,
    /// Method, status (0: the client went away before one) and count.
    pub responses: Option<Vec<(String, u16, u64)>>,
    /// Latency bucket and count.
    pub latency: Option<Vec<(u16, u64)>>,
    /// Requests that are now in flight beyond the slow edge: a level, not a delta.
    pub overdue: Option<u64>,
    /// Units first seen by this VM in this stratum, as 16 hexadecimal digits each.
    pub seen: Option<Vec<String>>,
    /// Units that first erred.
    pub erred: Option<Vec<String>>,
    /// Units that were first slow.
    pub slow: Option<Vec<String>>,
    /// By the goal's name, rows of a unit, how often it reached it, and the sum of its values.
    pub goals: Option<serde_json::Value>,
}

/// The analyzer's answer to a report.
#[derive(ToSchema)]
pub struct Reply {
    /// The highest sequence number of this instance that the store has committed.
    pub acknowledged: u64,
    /// A new plan, when the filter's is not the current one. Between filter and analyzer of one version.
    pub plan: Option<serde_json::Value>,
}
