//! What the store has of the past.

use super::Problem;
use std::collections::BTreeMap;
use utoipa::{IntoResponses, ToSchema};

/// A rollout in a list. Times in milliseconds since 1970.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Rollout {
    /// When it began: `report?rollout=` takes it.
    pub started: u64,
    /// When it ended; null while it runs.
    pub ended: Option<u64>,
    /// `running`, `rollback` or `success`.
    #[schema(example = "rollback")]
    pub kind: String,
    /// The version that served then.
    pub stable_version: String,
    /// The version under test.
    pub canary_version: String,
    /// The weight at its end, or now, in percent.
    pub weight: f64,
    /// Why it ended, or what the judge thinks.
    pub reason: String,
}

/// How an experiment went.
#[derive(ToSchema)]
pub struct Series {
    /// Oldest first.
    pub points: Vec<Point>,
}

/// An experiment's numbers at a moment.
#[derive(ToSchema)]
pub struct Point {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The step then.
    pub step: u64,
    /// By arm.
    pub arms: BTreeMap<String, PointOfArm>,
    /// Each arm from the second on against the first, for each goal.
    pub comparisons: Vec<PointOfComparison>,
}

/// An arm at a moment.
#[derive(ToSchema)]
pub struct PointOfArm {
    /// Units that saw it.
    pub exposures: u64,
    /// By goal: units that converted.
    pub converted: BTreeMap<String, u64>,
}

/// A comparison at a moment.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct PointOfComparison {
    /// The goal.
    pub goal: String,
    /// The arm.
    pub arm: String,
    /// Holds at all times at once.
    pub always_valid_p_value: f64,
    /// In percent; null where the first arm has no conversion.
    pub lift: Option<f64>,
}

/// How reading of the past can fail.
#[derive(IntoResponses)]
pub enum PastErrors {
    /// The query cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// No valid token of a viewer or operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such thing
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// So many are not given at once
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// The analyzer is stopping, or its store fails: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
