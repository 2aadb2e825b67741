//! The analyzer's answers, as far as the tests read them.

use serde::Deserialize;
use std::collections::BTreeMap;

/// A canary, as `GET /v1/canaries/{namespace}/{name}` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Status {
    /// Where its release stands.
    pub phase: Phase,
    /// The canary's weight, in percent.
    pub weight: f64,
    /// Counts up with every change of the weight.
    pub step: u64,
    /// Counts up with every step, and every ten minutes of one.
    pub stratum: u64,
    /// The version that serves.
    #[serde(rename = "stableVersion")]
    pub stable_version: String,
    /// The version under test.
    #[serde(rename = "canaryVersion")]
    pub canary_version: String,
    /// What the judge said last.
    pub verdict: Option<Verdict>,
    /// The numbers that the judge looks at.
    pub summary: serde_json::Value,
    /// What was counted in this rollout.
    pub totals: Totals,
    /// What happened, oldest first.
    #[serde(default)]
    pub history: Vec<Transition>,
}

/// See the design's ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Phase {
    /// No traffic yet.
    Pending,
    /// The weight grows.
    Progressing,
    /// The weight stays until a person says so.
    Paused,
    /// The stable version is being replaced.
    Promoting,
    /// Done.
    Succeeded,
    /// Rolled back.
    Failed,
}

/// The judge's answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verdict {
    /// Continue, hold, pause or fail.
    pub outcome: String,
    /// Which rule said so.
    pub rule: String,
    /// In words.
    pub reason: String,
}

/// Requests of one rollout, by how they were assigned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Totals {
    /// Assigned to stable.
    pub stable: Tally,
    /// Assigned to the canary.
    pub canary: Tally,
    /// The client chose.
    pub forced: Arms,
    /// Nobody to assign; by the version that served.
    pub unassigned: Arms,
    /// Probes and bots.
    #[serde(default)]
    pub excluded: u64,
    /// Outside of the segment.
    #[serde(default)]
    pub ineligible: u64,
    /// Served by the other version than assigned.
    #[serde(default)]
    pub misrouted: u64,
    /// Served by neither.
    #[serde(default)]
    pub elsewhere: u64,
    /// Served by no cluster.
    #[serde(default)]
    pub unserved: u64,
}

/// One value for each version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Arms {
    /// The stable one's.
    pub stable: Tally,
    /// The canary's.
    pub canary: Tally,
}

/// Requests and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// How many.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
}

impl Totals {
    /// Every request that the filters counted, each once.
    pub fn all(&self) -> u64 {
        let Self {
            stable,
            canary,
            forced,
            unassigned,
            excluded,
            ineligible,
            misrouted: _,
            elsewhere,
            unserved,
        } = self;
        let arms = [stable, canary, &forced.stable, &forced.canary, &unassigned.stable, &unassigned.canary];
        arms.iter().map(|tally| tally.requests).sum::<u64>() + excluded + ineligible + elsewhere + unserved
    }

    /// Errors of either version among the assigned requests.
    pub fn errors(&self) -> u64 {
        self.stable.errors + self.canary.errors
    }
}

/// One change.
#[derive(Debug, Clone, Deserialize)]
pub struct Transition {
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
    /// The person, if one did it.
    pub by: Option<String>,
}

/// A filter, as `GET /v1/filters` shows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Filter {
    /// Which VM.
    pub instance: String,
    /// Of which proxy.
    pub node: String,
    /// Whether it has not got the current plan yet.
    pub pending: bool,
    /// Everything else that is shown.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}
