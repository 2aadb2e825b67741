//! Do the arms have the sizes they should? If not, something between user and filter loses or moves
//! users, and no comparison means anything.

use crate::confidence::log_mixture;
use crate::evidence::log_add;
use serde::{Deserialize, Serialize};

/// A mismatch is called at this level.
pub const ALPHA: f64 = 0.001;

/// E of "the seen units split as the share says". Within a stratum it is the mixture of
/// [`crate::confidence`] at p = rho; the k-th stratum of a rollout weighs 1/(k (k + 1)).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SampleRatio {
    strata: u64,
    /// The log of the sum over finished strata.
    finished: Option<f64>,
    rho: f64,
    canary: u64,
    stable: u64,
    /// Whether all strata have finished.
    #[serde(default)]
    idle: bool,
}

/// Strata that have all finished.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stopped {
    /// How many of this rollout.
    pub strata: u64,
    /// The natural logarithm of their weighted sum; none before the first.
    pub log_sum: Option<f64>,
}

impl SampleRatio {
    /// The strata as if the running one ended now.
    pub fn stopped(&self) -> Stopped {
        Stopped {
            strata: self.strata,
            log_sum: self.finished.into_iter().chain(self.running()).reduce(log_add),
        }
    }

    /// Goes on from finished strata.
    pub fn carry_on(stopped: Stopped) -> Self {
        Self { strata: stopped.strata, finished: stopped.log_sum, idle: true, ..Self::default() }
    }

    /// A new stratum; earlier ones keep their value.
    pub fn begin_stratum(&mut self, rho: f64) {
        if let Some(part) = self.running() {
            self.finished = Some(self.finished.map_or(part, |sum| log_add(sum, part)));
        }
        self.strata += 1;
        (self.rho, self.canary, self.stable, self.idle) = (rho, 0, 0, false);
    }

    /// The units seen so far in this stratum.
    pub fn set(&mut self, canary: u64, stable: u64) {
        (self.canary, self.stable) = (canary, stable);
    }

    fn running(&self) -> Option<f64> {
        if self.strata == 0 || self.idle {
            return None;
        }
        let k = self.strata as f64;
        let two_arms = self.rho > 0.0 && self.rho < 1.0;
        let log_m = if two_arms {
            let (canary, stable) = (self.canary as f64, self.stable as f64);
            log_mixture(10.0 * self.rho, 10.0 * (1.0 - self.rho), canary, stable, self.rho)
        } else {
            0.0
        };
        Some(log_m - (k * (k + 1.0)).ln())
    }

    /// E; a mismatch from 1/[`ALPHA`] on. At most e^690.
    pub fn e_value(&self) -> f64 {
        let to_come = -((self.strata + 1) as f64).ln();
        let log = [self.finished, self.running()].into_iter().flatten().fold(to_come, log_add);
        log.min(690.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_split_as_the_share_are_no_mismatch_and_lost_ones_are() {
        let mut ratio = SampleRatio::default();
        ratio.begin_stratum(0.1);
        ratio.set(100, 900);
        assert!(ratio.e_value() < 1.0, "{}", ratio.e_value());
        ratio.set(40, 900);
        assert!(ratio.e_value() > 1.0 / ALPHA, "{}", ratio.e_value());
        ratio.begin_stratum(0.5);
        assert!(ratio.e_value() > 1.0 / ALPHA, "a finished stratum keeps its value");
    }

    #[test]
    fn a_stratum_with_one_arm_counts_as_one() {
        let mut ratio = SampleRatio::default();
        for _ in 0..5 {
            ratio.begin_stratum(1.0);
            ratio.set(500, 0);
        }
        assert!((ratio.e_value() - 1.0).abs() < 1e-12);
    }
}
