//! What people want to know of a release beside its numbers.

use super::PerArm;
use utoipa::ToSchema;

/// What was asked for. Shares and limits in percent, times in seconds.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Settings {
    /// The weights, one after another.
    #[schema(example = json!([5.0, 25.0, 50.0, 100.0]))]
    pub ramp: Vec<f64>,
    /// How long a weight must hold before the next.
    pub promotion_interval: f64,
    /// How often all rules are judged and a sample is taken.
    pub analysis_interval: f64,
    /// A step that lasts longer fails the release.
    pub progress_deadline: f64,
    /// Of the canary's requests.
    pub max_error_rate: f64,
    /// How much its p95 may be above stable's.
    pub max_latency_increase: f64,
    /// Requests of the canary in a step before its weight grows.
    pub min_request_count: u64,
    /// Percentage points between the error rates below which evidence is not acted upon.
    pub min_error_increase: f64,
    /// How often a canary that is no worse may be rolled back, 0 to 1.
    pub false_rollback_rate: f64,
    /// `evidence` or `point`.
    pub decisions: String,
    /// `manual` or `copy`.
    pub promotion: String,
    /// Straight to the last weight, without analysis.
    pub skip_analysis: bool,
}

/// What the rules look at next, and what may come of it. Times in milliseconds since 1970.
#[derive(ToSchema)]
pub struct Next {
    /// The next analysis tick.
    pub tick: u64,
    /// `raise` or `finish`: what happens if nothing is held against it; null where the ramp stands.
    pub what: Option<String>,
    /// The weight that it would bring, in percent.
    pub weight: Option<f64>,
    /// The first tick at which it may happen.
    pub earliest: Option<u64>,
}

/// Who is in the release.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Traffic {
    /// Assigned requests that ended within the last minute.
    pub requests_per_minute: PerArm<u64>,
    /// The canary's part of the last minute's requests, assigned or not, in percent; null without requests.
    pub served_share: Option<f64>,
    /// Distinct users of the stratum, scaled up where sampled.
    pub users: PerArm<u64>,
    /// Since when they are counted, in milliseconds since 1970.
    pub users_since: u64,
    /// At most so many users of the canary in the last minute; just so many as long as the stratum is younger.
    pub canary_users_last_minute: u64,
}

/// What the confidence sequences say. Null where there is nothing to compare.
#[derive(ToSchema)]
pub struct Words {
    /// Of users who got an error.
    #[schema(example = "canary users err 0.6 to 2.1 times as often as stable users")]
    pub errors: Option<String>,
    /// Of users who waited for too long.
    pub latency: Option<String>,
}

/// An SLO as it was asked for.
#[derive(ToSchema)]
pub struct Slo {
    /// Its name.
    pub name: String,
    /// `availability`, `latency` or `errorRate`.
    pub objective: String,
    /// In percent: at least so many requests for the first two, at most for the third.
    pub target: f64,
    /// In seconds, for latency; null for the others.
    pub threshold: Option<f64>,
}

/// An alert that is so now.
#[derive(ToSchema)]
pub struct Alert {
    /// As in Alertmanager's `alertname`.
    #[schema(example = "SerinSourceDown")]
    pub kind: String,
    /// What tells it from others of its kind: a source, a version, a phase.
    pub subject: String,
    /// `critical`, `warning` or `info`.
    pub severity: String,
    /// What happened, in a sentence.
    pub text: String,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
}
