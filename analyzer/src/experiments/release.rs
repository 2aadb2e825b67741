//! The experiment of a release: `canary_<version>_<8 hex>`. Its arms are what the canary's own step decided, its
//! steps are the ramp's, and it ends with the rollout. Nobody else changes it.

use super::spec::{CONVERSION, Experiment, ExperimentSpec};

use crate::config::Canary;
use crate::kinds::{ArmSpec, GoalSpec, SegmentSpec, UnitSpec};
use serde::{Deserialize, Serialize};
use serin_contract::report::CanaryReport;
use serin_contract::unit::md5;
use serin_contract::{FieldError, Share, Step};
use serin_judge::experiment::Guardrail;
use serin_judge::experiment::release::StepRequests;
use serin_judge::goals::GoalSummary;
use serin_judge::ramp::{Phase, State};
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// How much of a version goes into an id, and how much into a name.
const ID_VERSION: usize = 48;
const NAME_VERSION: usize = 80;

/// What an experiment knows of the release that it belongs to.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Release {
    /// `<namespace>/<name>`.
    pub canary: String,
    /// Both versions' requests, step by step.
    pub requests: Vec<StepRequests>,
    /// The guardrails as the judge last saw them.
    pub guardrails: Vec<GoalSummary>,
}

impl Release {
    /// Adds what a filter reports of a step.
    pub fn add(&mut self, report: &CanaryReport) {
        let known = self.requests.iter().position(|step| step.step == report.step);
        let place = known.unwrap_or_else(|| {
            self.requests.push(StepRequests { step: report.step, arms: Default::default() });
            self.requests.len() - 1
        });
        if let Some(step) = self.requests.get_mut(place) {
            step.arms.stable.add(&report.arms.stable);
            step.arms.canary.add(&report.arms.canary);
        }
    }
}

impl Release {
    /// What the judge acts on stands in an experiment's place: one guardrail must not have two verdicts.
    pub fn judge(&self, guardrails: &mut [Guardrail]) {
        for shown in guardrails {
            let Some(known) = self.guardrails.iter().find(|known| known.name == shown.goal) else { continue };
            shown.e_value = known.evidence.unwrap_or(1.0);
            shown.threshold = known.threshold;
            shown.harmed = known.is_harmed();
        }
    }
}

/// The id of a rollout's experiment. The same on every replica: a Canary's status has whole seconds.
pub fn id(canary: &str, version: &str, started: Time) -> String {
    let seconds = (started.0 / 1000).to_string();
    let digest = md5(&[canary.as_bytes(), b"\0", version.as_bytes(), b"\0", seconds.as_bytes()]);
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let version: String =
        version.chars().take(ID_VERSION).map(|c| if allowed(c) { c } else { '-' }).collect();
    format!("canary_{version}_{:08x}", digest >> 96)
}

/// Whether a release has users to compare: from its first weight to its end.
pub fn is_under_way(phase: Phase) -> bool {
    match phase {
        Phase::Progressing | Phase::Paused | Phase::Promoting => true,
        Phase::Pending | Phase::Succeeded | Phase::Failed => false,
    }
}

/// The experiment of a release as it stands.
///
/// # Errors
/// When a canary's own limits are wider than an experiment's: none are, today.
pub fn experiment(canary: &Canary, state: &State) -> Result<Experiment, FieldError> {
    let arm = |name: &str, share: Share| ArmSpec {
        name: name.to_owned(),
        share: share.percent(),
        flags: BTreeMap::new(),
    };
    let short = |version: &str| version.chars().take(NAME_VERSION).collect::<String>();
    let (stable, version) = (short(&state.stable_version), short(&state.canary_version));
    let segment = canary
        .segment()
        .map(|segment| SegmentSpec { attributes: segment.attributes.clone(), rules: segment.rules.clone() });
    let spec = ExperimentSpec {
        name: Some(format!("Canary Deployment: {stable} vs {version}")),
        hypothesis: None,
        owner: None,
        arms: vec![arm("stable", state.weight.rest()), arm("canary", state.weight)],
        // The filters assign by the canary's own part of the plan, not by this.
        hosts: Vec::new(),
        path_prefix: None,
        methods: Vec::new(),
        units: canary.units().iter().cloned().map(UnitSpec::from).collect(),
        salt: Some(canary.effective_salt()),
        segment,
        goals: canary.goals.clone(),
        start: None,
        end: None,
        keep: None,
        within: None,
        minimum_effect: None,
    };
    let id = id(&canary.id.to_string(), &state.canary_version, state.rollout_started);
    Experiment::compile(&id, spec)
}

/// Whether a release that runs can have these goals instead.
///
/// # Errors
/// When one that is there goes, or has another place.
pub fn check_goals(from: &[GoalSpec], to: &[GoalSpec]) -> Result<(), FieldError> {
    let kept = from.iter().zip(to).all(|(old, new)| old.name == new.name);
    // Without any there is one that the API can be told of.
    let named = from.is_empty() && to.first().is_some_and(|goal| goal.name != CONVERSION);
    if !kept || named || to.len() < from.len() {
        let message = "may only be added, behind those that are there, while a rollout runs";
        return Err(FieldError::new("spec.goals", message));
    }
    Ok(())
}

/// The step and the experiment that a rollout should have now; none when it should have none.
pub fn wanted(canary: &Canary, state: &State) -> Option<(Step, Experiment)> {
    if !is_under_way(state.phase) {
        return None;
    }
    match experiment(canary, state) {
        Ok(experiment) => Some((state.step, experiment)),
        Err(error) => {
            tracing::error!(canary = %canary.id, %error, "the release has no experiment");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_word_whatever_the_version_and_the_same_within_a_second() {
        let of = |version: &str, started| id("default/shop", version, Time(started));
        let plain = of("v2", 1_700_000_000_123);
        assert!(plain.starts_with("canary_v2_") && plain.len() == "canary_v2_".len() + 8, "{plain}");
        assert_eq!(plain, of("v2", 1_700_000_000_000));
        assert_ne!(plain, of("v2", 1_700_000_001_000));
        assert_ne!(plain, id("default/cart", "v2", Time(1_700_000_000_123)));
        for version in ["registry/shop@sha256:ab", &"long".repeat(60), "v2 \u{e9}"] {
            let id = of(version, 0);
            serin_contract::plan::experiment::check_word("id", &id).expect("a word");
        }
    }
}
