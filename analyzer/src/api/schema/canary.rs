//! A release as readers see it.

use super::{Alert, Anomaly, Next, PerArm, Settings, Slo, Standing, Summary, Totals, Traffic, Words};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A release.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Canary {
    /// Its namespace.
    #[schema(example = "default")]
    pub namespace: String,
    /// Its name.
    #[schema(example = "shop")]
    pub name: String,
    /// Where it is.
    pub phase: Phase,
    /// The canary's part in percent.
    #[schema(example = 25.0)]
    pub weight: f64,
    /// The weight of the next step in percent; null when there is none.
    pub next_weight: Option<f64>,
    /// Counts up over the canary's whole life.
    pub step: u64,
    /// The period within which a unit counts once; counts up over the canary's whole life.
    pub stratum: u64,
    /// The version that serves today.
    pub stable_version: String,
    /// The version under test.
    pub canary_version: String,
    /// The id of the rollout's experiment; null before its first weight.
    #[schema(example = "canary_v2_1f0c9a3b")]
    pub experiment: Option<String>,
    /// What the judge thinks.
    pub verdict: Verdict,
    /// What the router has.
    pub router: Router,
    /// The numbers that the judge looks at.
    pub summary: Summary,
    /// How each source of numbers is.
    pub sources: Vec<SourceHealth>,
    /// The user's own limits, and where each stands.
    pub metrics: Vec<MetricLimit>,
    /// Everything counted in this rollout.
    pub totals: Totals,
    /// What happened, oldest first, at most 100 lines.
    pub history: Vec<History>,
    /// What was asked for.
    pub settings: Settings,
    /// When the rollout began, in milliseconds since 1970.
    pub rollout_started: u64,
    /// When the step began, in milliseconds since 1970.
    pub step_started: u64,
    /// When the stratum began, in milliseconds since 1970.
    pub stratum_started: u64,
    /// What the rules look at next, and what may come of it.
    pub next: Next,
    /// Who is in it.
    pub traffic: Traffic,
    /// What the confidence sequences say, for people.
    pub words: Words,
    /// The SLOs as they were asked for.
    pub slos: Vec<Slo>,
    /// How each SLO stands, by version and name; as of the last sample.
    pub slo: PerArm<BTreeMap<String, Standing>>,
    /// What was unusual in the last sample.
    pub anomalies: Vec<Anomaly>,
    /// The alerts that are so now.
    pub alerts: Vec<Alert>,
    /// When this was true, in milliseconds since 1970.
    pub time: u64,
}

/// Where a release is.
#[derive(ToSchema)]
pub enum Phase {
    /// Waiting for filters and for its first weight.
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

/// What the judge says, and why.
#[derive(ToSchema)]
pub struct Verdict {
    /// What should happen.
    pub outcome: Outcome,
    /// Which rule said so.
    #[schema(example = "data")]
    pub rule: String,
    /// For a person on call.
    #[schema(example = "All metrics within acceptable thresholds")]
    pub reason: String,
}

/// What should happen.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub enum Outcome {
    /// The weight may grow.
    Continue,
    /// The weight stays, for now.
    Hold,
    /// The weight stays until a person has looked.
    Pause,
    /// Roll back.
    Fail,
}

/// The weight as it stands in the router.
#[derive(ToSchema)]
pub struct Router {
    /// In percent; null until it was first written or confirmed.
    pub weight: Option<f64>,
    /// Why the last write failed.
    pub error: Option<String>,
}

/// One line of a release's history.
#[derive(ToSchema)]
pub struct History {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The phase from then on.
    pub phase: Phase,
    /// The weight from then on, in percent.
    pub weight: f64,
    /// The step from then on.
    pub step: u64,
    /// Why.
    pub reason: String,
    /// The person who did it; null when the rules did.
    pub by: Option<String>,
}

/// How a source of numbers is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SourceHealth {
    /// `filters`, `application` or `prometheus`.
    #[schema(example = "prometheus")]
    pub source: String,
    /// Whether it answered when it was last asked.
    pub up: bool,
    /// Since when that has been so, in milliseconds since 1970.
    pub since: u64,
    /// Why it is down.
    pub problem: Option<String>,
    /// What was not as expected, without being a failure.
    pub notes: Vec<String>,
    /// How long the last round took, in seconds.
    pub seconds: f64,
}

/// A limit on a metric, and where it stands.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct MetricLimit {
    /// Its name.
    #[schema(example = "carts")]
    pub name: String,
    /// Stable's number, where one is asked for and known.
    pub stable: Option<f64>,
    /// The canary's number, where it is known.
    pub canary: Option<f64>,
    /// `kept`, `broken` or `unknown`.
    #[schema(example = "kept")]
    pub state: String,
    /// Why it is broken or unknown.
    pub reason: Option<String>,
    /// What a breach means: `Fail`, `Hold` or `Warn`.
    #[schema(example = "Hold")]
    pub on_breach: String,
}
