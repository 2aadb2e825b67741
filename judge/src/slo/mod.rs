//! Service level objectives: scores as the reference has them, the error budget, and how fast it burns.

mod burn;

pub use burn::{Burn, finding};

use crate::rules::OnBreach;
use crate::sample::{Sample, latencies_below};
use crate::time::Time;
use serde::Serialize;
use std::time::Duration;

/// An objective and the time over which it is looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Slo {
    /// For people and labels.
    pub name: String,
    /// What should be so.
    pub objective: Objective,
    /// How far back samples count.
    pub window: Duration,
    /// How many times faster than the objective allows the budget may burn.
    pub max_burn: f64,
    /// What a fast burn by the canary alone does.
    pub on_fast_burn: OnBreach,
}

/// What should be so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Objective {
    /// At least `target` percent of the requests succeed.
    Availability {
        /// In percent, below 100.
        target: f64,
    },
    /// At least `target` percent of the requests take less than `threshold` seconds.
    Latency {
        /// In percent, below 100.
        target: f64,
        /// In seconds.
        threshold: f64,
    },
    /// At most `threshold` percent of the requests fail.
    ErrorRate {
        /// In percent, above 0.
        threshold: f64,
    },
}

/// How one version does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Standing {
    /// 0 to 100.
    pub score: f64,
    /// What is left of the error budget of all samples, in percent: 100 when nothing went wrong, 0 when as
    /// much did as the objective allows, less when more did.
    pub budget_left: f64,
    /// How fast the budget burns.
    pub burn: Burn,
}

/// Of how many requests how many were not as they should be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Events {
    bad: f64,
    all: f64,
}

impl Slo {
    /// The reference's three: availability 99.9 %, 95 % of the requests below 0.5 s, error rate at most
    /// 1 %; over 5 minutes, with a warning when one burns 14.4 times too fast.
    pub fn defaults() -> Vec<Self> {
        let slo = |name: &str, objective| Self {
            name: name.into(),
            objective,
            window: Duration::from_secs(300),
            max_burn: 14.4,
            on_fast_burn: OnBreach::Warn,
        };
        vec![
            slo("availability", Objective::Availability { target: 99.9 }),
            slo("latency_p95", Objective::Latency { target: 95.0, threshold: 0.5 }),
            slo("error_rate", Objective::ErrorRate { threshold: 1.0 }),
        ]
    }

    /// How a version stands; none where the window holds nothing to judge by.
    pub fn standing(&self, samples: &[Sample], now: Time) -> Option<Standing> {
        let window = self.events(samples, self.window, now);
        if window.all <= 0.0 {
            return None;
        }
        let ever = self.events(samples, Duration::MAX, now);
        Some(Standing {
            score: self.score(window),
            budget_left: 100.0 * (1.0 - ever.bad / (ever.all * self.allowed())),
            burn: self.burn(samples, now),
        })
    }

    fn score(&self, events: Events) -> f64 {
        let bad = 100.0 * events.bad / events.all;
        match self.objective {
            Objective::Availability { target } | Objective::Latency { target, .. } => {
                ((100.0 - bad) / target * 100.0).min(100.0)
            }
            Objective::ErrorRate { threshold } if bad <= threshold => 100.0,
            Objective::ErrorRate { threshold } => (100.0 - (bad - threshold) * 10.0).max(0.0),
        }
    }

    /// The part of requests that may be bad.
    fn allowed(&self) -> f64 {
        match self.objective {
            Objective::Availability { target } | Objective::Latency { target, .. } => 1.0 - target / 100.0,
            Objective::ErrorRate { threshold } => threshold / 100.0,
        }
    }

    fn events(&self, samples: &[Sample], window: Duration, now: Time) -> Events {
        let within = samples.iter().filter(|sample| now.since(sample.time) < window);
        match self.objective {
            Objective::Latency { threshold, .. } => {
                let (below, all) = latencies_below(within, threshold);
                Events { bad: all - below, all }
            }
            Objective::Availability { .. } | Objective::ErrorRate { .. } => {
                within.fold(Events::default(), |sum, sample| Events {
                    bad: sum.bad + sample.errors as f64,
                    all: sum.all + sample.requests as f64,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests;
