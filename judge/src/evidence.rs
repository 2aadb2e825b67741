//! The restarted odds mixture: among units who erred, is the canary over-represented?
//!
//! Under "the version makes no difference" a unit that errs for the first time in a stratum is in the
//! canary with probability rho = the canary's share. For odds w the likelihood ratio of one such unit is
//! `w / (1 + rho (w - 1))` in the canary and `1 / (1 + rho (w - 1))` in stable: a test martingale, mixed
//! over w. Fresh ones start over time with weights 1/(k (k + 1)), which sum to 1, so that a fault that
//! comes late is seen as fast as an early one. E stays below 1/alpha with probability 1 - alpha however
//! often one looks (Ville's inequality). Ideas: Ramdas, Grunwald, Vovk, Shafer, arXiv 2210.01948
//! (e-processes); Shin, Ramdas, Rinaldo, arXiv 2203.03532 (e-detectors).
//!
//! The same asks of users who reach a goal whether the canary is under-represented: with 1/w for w.

use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The odds that are mixed, equally.
const ODDS: [f64; 4] = [1.5, 2.5, 5.0, 15.0];
/// A fresh process starts when the last start is so old.
const RESTART: Duration = Duration::from_secs(10);

/// What would be harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Harm {
    /// The canary's units do it more often than their share.
    #[default]
    More,
    /// Less often.
    Less,
}

impl Harm {
    fn is_more(&self) -> bool {
        *self == Self::More
    }

    /// The odds that are mixed.
    fn odds(self) -> [f64; 4] {
        match self {
            Self::More => ODDS,
            Self::Less => ODDS.map(f64::recip),
        }
    }
}

/// E in constant memory, all of it in logarithms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mixture {
    /// What it is evidence of.
    #[serde(default, skip_serializing_if = "Harm::is_more")]
    harm: Harm,
    /// How many processes have started in this rollout.
    starts: u64,
    /// The log of the sum over finished strata; none before the first has finished.
    finished: Option<f64>,
    /// One for each of the odds; empty before the first stratum.
    lanes: Vec<Lane>,
    last_start: Time,
}

/// One w in the running stratum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Lane {
    /// The log likelihood ratio since the stratum began.
    s: f64,
    /// The log of the sum over starts of exp(-s at the start) / (k (k + 1)).
    log_a: f64,
}

/// A mixture whose processes have all stopped.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stopped {
    /// How many processes have started in this rollout.
    pub starts: u64,
    /// The natural logarithm of their weighted sum; none before the first.
    pub log_sum: Option<f64>,
}

impl Mixture {
    /// Evidence of this harm, without a stratum yet.
    pub fn of(harm: Harm) -> Self {
        Self { harm, ..Self::default() }
    }

    /// What it is evidence of.
    pub fn harm(&self) -> Harm {
        self.harm
    }

    /// The mixture as it would be if its stratum ended now.
    pub fn stopped(&self) -> Stopped {
        Stopped {
            starts: self.starts,
            log_sum: self.finished.into_iter().chain(self.running()).reduce(log_add),
        }
    }

    /// Goes on from stopped processes; the next stratum starts fresh ones.
    pub fn carry_on(harm: Harm, stopped: Stopped) -> Self {
        Self { starts: stopped.starts, finished: stopped.log_sum, ..Self::of(harm) }
    }

    /// A new stratum: processes of earlier ones stop and keep their value.
    pub fn begin_stratum(&mut self, now: Time) {
        if let Some(part) = self.running() {
            self.finished = Some(self.finished.map_or(part, |sum| log_add(sum, part)));
            self.lanes.clear();
        }
        self.start(now);
    }

    /// Whether a stratum runs.
    pub fn has_stratum(&self) -> bool {
        !self.lanes.is_empty()
    }

    /// Starts a fresh process if the last start is ten seconds old. To be called before units are
    /// counted, and after the first stratum has begun.
    pub fn restart_if_due(&mut self, now: Time) {
        self.restart_if_older(RESTART, now);
    }

    /// The same for a last start that is so old.
    pub fn restart_if_older(&mut self, age: Duration, now: Time) {
        if !self.lanes.is_empty() && now.since(self.last_start) >= age {
            self.start(now);
        }
    }

    fn start(&mut self, now: Time) {
        self.starts += 1;
        self.last_start = now;
        let k = self.starts as f64;
        let log_weight = -(k * (k + 1.0)).ln();
        if self.lanes.is_empty() {
            self.lanes = vec![Lane { s: 0.0, log_a: log_weight }; ODDS.len()];
            return;
        }
        for lane in &mut self.lanes {
            lane.log_a = log_add(lane.log_a, log_weight - lane.s);
        }
    }

    /// Counts units that erred for the first time in this stratum. With nobody or everybody in the
    /// canary there is nothing to compare, and nothing is learnt.
    pub fn observe(&mut self, rho: f64, canary: u64, stable: u64) {
        if !(rho > 0.0 && rho < 1.0) {
            return;
        }
        for (lane, w) in self.lanes.iter_mut().zip(self.harm.odds()) {
            let norm = (rho * (w - 1.0)).ln_1p();
            lane.s += canary as f64 * (w.ln() - norm) - stable as f64 * norm;
        }
    }

    /// The log of the running stratum's sum.
    fn running(&self) -> Option<f64> {
        let logs = self.lanes.iter().map(|lane| lane.s + lane.log_a);
        Some(logs.reduce(log_add)? - (ODDS.len() as f64).ln())
    }

    /// The natural logarithm of E.
    pub fn log_e(&self) -> f64 {
        // Processes that are still to come count as 1.
        let to_come = -((self.starts + 1) as f64).ln();
        [self.finished, self.running()].into_iter().flatten().fold(to_come, log_add)
    }

    /// E; at most e^690, so that it is always a finite number.
    pub fn e_value(&self) -> f64 {
        self.log_e().min(690.0).exp()
    }
}

/// ln(e^a + e^b) without overflow.
pub(crate) fn log_add(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    high + (low - high).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    //! Against shared traces of our evidence simulation (tests/vectors/evidence.json).

    use super::*;

    #[derive(Deserialize)]
    struct Vectors {
        traces: Vec<Trace>,
    }

    #[derive(Deserialize)]
    struct Trace {
        name: String,
        ticks: Vec<Tick>,
    }

    #[derive(Deserialize)]
    struct Tick {
        t: u64,
        step: u64,
        rho: f64,
        canary: u64,
        stable: u64,
        #[serde(rename = "E")]
        e: f64,
    }

    #[test]
    fn e_is_that_of_the_simulation_after_every_tick() {
        let vectors: Vectors =
            serde_json::from_str(include_str!("../tests/vectors/evidence.json")).expect("the vectors parse");
        let mut ticks = 0;
        for trace in &vectors.traces {
            let mut mixture = Mixture::default();
            let mut step = None;
            for tick in &trace.ticks {
                let now = Time(tick.t * 1000);
                if step == Some(tick.step) {
                    mixture.restart_if_due(now);
                } else {
                    mixture.begin_stratum(now);
                    step = Some(tick.step);
                }
                mixture.observe(tick.rho, tick.canary, tick.stable);
                let e = mixture.log_e().exp();
                let off = (e - tick.e).abs() / tick.e;
                assert!(off < 1e-9, "{} at {}: {e} is not {}", trace.name, tick.t, tick.e);
                ticks += 1;
            }
        }
        assert!(ticks > 100, "the vectors hold {ticks} ticks");
    }

    #[test]
    fn a_flood_of_errors_does_not_overflow() {
        let mut mixture = Mixture::default();
        mixture.begin_stratum(Time(0));
        mixture.observe(0.1, 1_000_000, 0);
        assert!(mixture.log_e() > 1e6 && mixture.e_value().is_finite());
    }

    #[test]
    fn without_two_arms_nothing_is_learnt() {
        let mut mixture = Mixture::default();
        mixture.begin_stratum(Time(0));
        let before = mixture.e_value();
        mixture.observe(1.0, 50, 0);
        mixture.observe(0.0, 0, 50);
        assert!((mixture.e_value() - before).abs() < 1e-15 && (before - 1.0).abs() < 1e-12);
    }
}
