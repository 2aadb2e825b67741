//! The report on a rollout.

use super::{Canary, PerArm, Sample};
use utoipa::ToSchema;

/// What a rollout was: the one that runs, or the last that ended.
#[derive(ToSchema)]
pub struct RolloutReport {
    /// `rollback`, `success`, or `running` where the end is still to come.
    #[schema(example = "rollback")]
    pub kind: String,
    /// When it ended, or now; in milliseconds since 1970.
    pub time: u64,
    /// When it began, in milliseconds since 1970.
    pub started: u64,
    /// Who was in it.
    pub affected: PerArm<Affected>,
    /// What was decided and why, with all numbers.
    pub canary: Canary,
    /// How many samples were taken.
    pub samples_taken: u64,
    /// At most 500 of them, oldest first, without the latency buckets.
    pub samples: Vec<Sample>,
}

/// Units of one arm. Each counts once a stratum.
#[derive(ToSchema)]
pub struct Affected {
    /// Those that were seen, scaled up where sampled.
    pub seen: f64,
    /// Those of them that got an error.
    pub erred: u64,
    /// Those of them that waited for too long.
    pub slow: u64,
}

/// How a report is written.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum ReportFormat {
    /// For programs.
    Json,
    /// For issues and chats.
    Markdown,
    /// One page with plots.
    Html,
}
