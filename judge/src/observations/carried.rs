//! What a takeover brings along where the counts themselves are gone: the evidence of strata that stopped,
//! and the edges. A stranger's numbers are few enough for a Canary's status.

use super::{Observations, SlowEdge};
use crate::evidence::{self, Harm, Mixture};
use crate::goals::{CarriedGoal, Goals};
use crate::sample_ratio::{self, SampleRatio};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The evidence's few numbers. The strata that they come from have stopped: the next one starts afresh, and
/// E never falls below what they add to it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Carried {
    /// Errors.
    pub errors: evidence::Stopped,
    /// Slowness.
    pub slow: evidence::Stopped,
    /// Guardrails, by the goal's name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub goals: BTreeMap<String, CarriedGoal>,
    /// The arms' sizes.
    pub sample_ratio: sample_ratio::Stopped,
    /// From when on a request is slow, in microseconds.
    pub slow_edge_us: Option<u64>,
    /// Stable's last p95 beside a canary, in microseconds.
    pub stable_p95_us: Option<u64>,
}

impl Observations {
    /// The numbers that another analyzer can go on from.
    pub fn carried(&self) -> Carried {
        Carried {
            errors: self.errors.stopped(),
            slow: self.slow.stopped(),
            goals: self.goals.carried(),
            sample_ratio: self.sample_ratio.stopped(),
            slow_edge_us: self.edge.micros,
            stable_p95_us: self.last_stable_p95,
        }
    }

    /// Goes on from another's numbers. Everything counted begins anew: who takes over begins a stratum too,
    /// and nothing that the other had acknowledged counts again.
    pub fn carry_on(carried: &Carried, now: Time) -> Self {
        Self {
            errors: Mixture::carry_on(Harm::More, carried.errors),
            slow: Mixture::carry_on(Harm::More, carried.slow),
            goals: Goals::carry_on(&carried.goals),
            sample_ratio: SampleRatio::carry_on(carried.sample_ratio),
            edge: SlowEdge { micros: carried.slow_edge_us, ..SlowEdge::default() },
            last_stable_p95: carried.stable_p95_us,
            ..Self::new(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serin_contract::{Share, Step, Stratum};

    #[test]
    fn a_takeover_keeps_e_and_every_later_unit_counts_as_if_nobody_had_changed() {
        let share = Share::from_percent(10.0).expect("a share");
        let mut one = Observations::new(Time(0));
        one.begin_stratum(Step(1), Stratum(1), share, Time(0));
        one.errors.observe(0.1, 6, 3);
        one.sample_ratio.set(40, 300);
        let text = serde_json::to_string(&one.carried()).expect("numbers");
        let mut other = Observations::carry_on(&serde_json::from_str(&text).expect("numbers"), Time(5000));
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9 * a.abs().max(1.0), "{a} is not {b}");
        close(one.evidence().0, other.evidence().0);
        for observations in [&mut one, &mut other] {
            observations.begin_stratum(Step(1), Stratum(2), share, Time(5000));
            observations.errors.observe(0.1, 2, 1);
        }
        close(one.evidence().0, other.evidence().0);
        close(one.sample_ratio.e_value(), other.sample_ratio.e_value());
    }

    #[test]
    fn a_rollout_without_a_stratum_carries_nothing() {
        assert_eq!(Observations::new(Time(0)).carried(), Carried::default());
    }
}
