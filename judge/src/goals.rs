//! Users who reach goals: how many of each version's, and for a guardrail whether the canary's are fewer, or
//! more, than its share of the users explains.
//!
//! The question is asked of converting users, as [`crate::evidence`] asks it of erring ones. A user converts
//! later than it came, maybe several strata later; that does not matter, because only who converts is looked
//! at, and when. Under "the version makes no difference to who converts" the version of a user that converts
//! for the first time in a stratum is the canary with probability rho, the share at that moment: the hash that
//! decided it knows nothing of the user. A canary whose users have not had the time to convert cannot look
//! worse for it: who is new in both arms alike has not.

use crate::confidence;
use crate::evidence::{Harm, Mixture, Stopped};
use crate::time::Time;
use serde::{Deserialize, Serialize};
use serin_contract::{Arm, PerArm, Share};
use std::collections::BTreeMap;
use std::time::Duration;

/// A fresh process starts when the last start is so old. Conversions are rarer than requests, and each start
/// has to be paid for.
const RESTART: Duration = Duration::from_secs(60);

/// A goal of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Its name.
    pub name: String,
    /// What fails the release; none for a goal that is only counted.
    pub guardrail: Option<Harm>,
}

/// What is known of all goals, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Goals(BTreeMap<String, Known>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    /// Units that reached it in the running stratum.
    converted: PerArm<u64>,
    /// Of a guardrail.
    evidence: Option<Mixture>,
}

/// A guardrail's evidence whose processes have all stopped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CarriedGoal {
    /// What it is evidence of.
    pub harm: Harm,
    /// Its numbers.
    pub stopped: Stopped,
}

/// A goal at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GoalSummary {
    /// Its name.
    pub name: String,
    /// What fails the release; none for a goal that is only counted.
    pub guardrail: Option<Harm>,
    /// Users who reached it in this stratum.
    pub converted: PerArm<u64>,
    /// E of a guardrail's harm.
    pub evidence: Option<f64>,
    /// A fail from here on: the number of guardrails / falseRollbackRate, so that all of them together err
    /// no more often than one alone.
    pub threshold: f64,
    /// How many times as often canary users reach it as stable ones, in odds, in this stratum.
    pub odds_ratio: Option<(f64, f64)>,
}

impl GoalSummary {
    /// Whether the evidence is at its threshold.
    pub fn is_harmed(&self) -> bool {
        self.evidence.is_some_and(|evidence| evidence >= self.threshold)
    }
}

impl Goals {
    /// Before a report is counted: takes up what the release asks about now, and starts fresh processes where
    /// they are due.
    pub(crate) fn follow(&mut self, goals: &[Goal], two_arms: bool, now: Time) {
        self.0.retain(|name, _| goals.iter().any(|goal| goal.name == *name));
        for goal in goals {
            let known = self.0.entry(goal.name.clone()).or_insert_with(Known::none);
            if known.evidence.as_ref().map(Mixture::harm) != goal.guardrail {
                known.evidence = goal.guardrail.map(Mixture::of);
            }
            let Some(evidence) = known.evidence.as_mut().filter(|_| two_arms) else { continue };
            if evidence.has_stratum() {
                evidence.restart_if_older(RESTART, now);
            } else {
                evidence.begin_stratum(now);
            }
        }
    }

    pub(crate) fn begin_stratum(&mut self, two_arms: bool, now: Time) {
        for known in self.0.values_mut() {
            known.converted = PerArm::default();
            if let Some(evidence) = known.evidence.as_mut().filter(|_| two_arms) {
                evidence.begin_stratum(now);
            }
        }
    }

    /// Whether the release asks about this goal.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Counts units that reached a goal for the first time in this stratum.
    pub(crate) fn count(&mut self, name: &str, rho: f64, new: PerArm<u64>) {
        let Some(known) = self.0.get_mut(name) else { return };
        for arm in Arm::ALL {
            *known.converted.get_mut(arm) += new.get(arm);
        }
        if let Some(evidence) = &mut known.evidence {
            evidence.observe(rho, new.canary, new.stable);
        }
    }

    /// The goals that the release asks about, in its order.
    pub(crate) fn summary(&self, goals: &[Goal], share: Share, alpha: f64) -> Vec<GoalSummary> {
        let guardrails = goals.iter().filter(|goal| goal.guardrail.is_some()).count().max(1);
        let one = |goal: &Goal| {
            let known = self.0.get(&goal.name);
            let converted = known.map(|known| known.converted).unwrap_or_default();
            let (canary, stable) = (converted.canary as f64, converted.stable as f64);
            let evidence = known.and_then(|known| known.evidence.as_ref());
            GoalSummary {
                name: goal.name.clone(),
                guardrail: goal.guardrail,
                converted,
                evidence: goal.guardrail.map(|_| evidence.map_or(1.0, Mixture::e_value)),
                threshold: guardrails as f64 / alpha,
                odds_ratio: confidence::odds_ratio(share.fraction(), canary, stable, alpha),
            }
        };
        goals.iter().map(one).collect()
    }

    /// The evidence as it would be if the stratum ended now.
    pub(crate) fn carried(&self) -> BTreeMap<String, CarriedGoal> {
        let carried = |(name, known): (&String, &Known)| {
            let evidence = known.evidence.as_ref()?;
            Some((name.clone(), CarriedGoal { harm: evidence.harm(), stopped: evidence.stopped() }))
        };
        self.0.iter().filter_map(carried).collect()
    }

    /// Goes on from another's evidence.
    pub(crate) fn carry_on(carried: &BTreeMap<String, CarriedGoal>) -> Self {
        let known = |(name, goal): (&String, &CarriedGoal)| {
            let evidence = Some(Mixture::carry_on(goal.harm, goal.stopped));
            (name.clone(), Known { evidence, ..Known::none() })
        };
        Self(carried.iter().map(known).collect())
    }
}

impl Known {
    fn none() -> Self {
        Self { converted: PerArm::default(), evidence: None }
    }
}
