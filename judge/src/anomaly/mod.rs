//! Anomalies: what a version does that its own past, the other version or other services did not.
//! They are shown and alerted on; they never decide by themselves.

mod shared;
mod version;
mod versions;

pub use shared::{Service, shared};

use crate::sample::{Sample, Samples};
use serde::{Deserialize, Serialize};
use serin_contract::Arm;

/// Samples before the current one that it is held against.
const HISTORY: usize = 10;
/// Fewer tell nothing: with the current one they make ten.
const LEAST_HISTORY: usize = 9;
/// Samples compared across versions and services.
pub const CORRELATION: usize = 20;

/// Something unusual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Anomaly {
    /// What kind.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// Whose; none where it is about several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub version: Option<Arm>,
    /// What was compared across versions or services.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metric: Option<String>,
    /// The value now: percent for rates and CPU, seconds for latency.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current: Option<f64>,
    /// What the past would have let expect, in the same unit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<f64>,
    /// How probable so much is by chance, where a test was made.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p_value: Option<f64>,
    /// Services that are concerned together, each with its version.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub services: Vec<String>,
    /// For a person on call.
    pub message: String,
}

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A version's error rate against its own past.
    ErrorRate,
    /// A version's p95 against its own past.
    Latency,
    /// A version's CPU against its own past.
    Cpu,
    /// The canary's error rates against stable's, by ranks.
    Correlation,
    /// Several services' error rates that rise together.
    SharedRise,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Look when there is time.
    Low,
    /// Look today.
    Medium,
    /// Look now.
    High,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::ErrorRate, Self::Latency, Self::Cpu, Self::Correlation, Self::SharedRise];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::ErrorRate => "error_rate",
            Self::Latency => "latency",
            Self::Cpu => "cpu",
            Self::Correlation => "correlation",
            Self::SharedRise => "shared_rise",
        }
    }
}

impl Anomaly {
    fn new(kind: Kind, severity: Severity, message: String) -> Self {
        Self {
            kind,
            severity,
            version: None,
            metric: None,
            current: None,
            expected: None,
            p_value: None,
            services: Vec::new(),
            message,
        }
    }

    fn of_version(mut self, arm: Arm, current: f64, expected: f64) -> Self {
        (self.version, self.current, self.expected) = (Some(arm), Some(current), Some(expected));
        self
    }
}

/// What is unusual about each version's last sample, and about the canary beside stable.
pub fn detect(samples: &Samples) -> Vec<Anomaly> {
    let of_version = |(arm, samples): (Arm, &Vec<Sample>)| version::detect(arm, samples);
    let mut found: Vec<Anomaly> = samples.iter().flat_map(of_version).collect();
    found.extend(versions::compare(samples));
    found
}

/// The last so many samples.
fn last(samples: &[Sample], count: usize) -> &[Sample] {
    &samples[samples.len().saturating_sub(count)..]
}

#[cfg(test)]
mod tests;
