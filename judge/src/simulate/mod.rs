//! Whole rollouts on synthetic traffic, through the judge itself: its observations, evidence, rules and
//! ramp. Beside it stand other methods on the same traffic. Everything follows from a seed.

mod random;
mod rivals;
mod rollout;
pub mod scenarios;
mod tally;
mod traffic;
mod world;

pub use rollout::{Looks, Outcome, RolledBack, shared_rises};
pub use tally::{Quantiles, Rate, Tally};
pub use world::{Activity, Fault, Outage, World};

use crate::settings::{Decisions, Settings};
use std::time::Duration;

/// Filters report this often while a canary is live.
pub const REPORT: Duration = Duration::from_millis(500);

/// Who decides about the rollback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Serin's rules with evidence.
    Evidence,
    /// Serin's rules with `decisions: point`: the reference's thresholds at each report.
    Point,
    /// A fixed success rate, looked at once a minute, with a limit of failed checks: Flagger's way.
    Gate,
    /// One Mann-Whitney test of the error rates by minute at the end: Kayenta's way.
    OneShot,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Evidence, Self::Point, Self::Gate, Self::OneShot];

    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Point => "point",
            Self::Gate => "gate",
            Self::OneShot => "one-shot",
        }
    }
}

/// One rollout from its first weight to its end, or for so long.
pub fn run(world: &World, settings: &Settings, method: Method, length: Duration, seed: u64) -> Outcome {
    let decisions = |decisions| Settings { decisions, ..settings.clone() };
    match method {
        Method::Evidence => rollout::run(world, decisions(Decisions::Evidence), length, seed),
        Method::Point => rollout::run(world, decisions(Decisions::Point), length, seed),
        Method::Gate => rivals::gate(world, settings, length, seed),
        Method::OneShot => rivals::one_shot(world, settings, length, seed),
    }
}
