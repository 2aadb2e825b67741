//! The results of an experiment, as people read them.

use super::analysis::{Analysis, Rate, analyse};
use super::comparison::{Question, holm, is_harmed};
use super::release::Metrics;
use super::{Comparison, Peak, Role, StepCounts, ratio};
use crate::statistics::wilson;
use serde::Serialize;
use serin_contract::Step;
use std::collections::BTreeMap;

/// Everything about an experiment's numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Results {
    /// Each arm's totals in the first goal, by name.
    pub variants: BTreeMap<String, Variant>,
    /// The reference's analysis of the first goal, where there are two arms with exposures. For one look
    /// at the end.
    pub analysis: Option<Analysis>,
    /// Every arm against control in every goal: what may be looked at daily.
    pub comparisons: Vec<Comparison>,
    /// Goals that must not be harmed.
    pub guardrails: Vec<Guardrail>,
    /// Whether the arms have the sizes that they should.
    pub sample_ratio: SampleRatioCheck,
    /// Each period of constant shares.
    pub steps: Vec<StepResults>,
    /// Of a release: what it did beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
}

/// A release's own numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Release {
    /// `<namespace>/<name>`.
    pub canary: String,
    /// Errors, latency and conversions of both versions.
    pub metrics: Metrics,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variant {
    /// Distinct units that were exposed.
    pub exposures: u64,
    /// Those that reached the first goal.
    pub conversions: u64,
    /// In percent of exposures.
    pub conversion_rate: f64,
    /// Wilson's interval of it at 95 %, in percent.
    pub wilson_interval: (f64, f64),
    /// Units that reached each goal.
    pub goals: BTreeMap<String, GoalTotals>,
}

/// One arm's totals in one goal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GoalTotals {
    /// Units that reached it.
    pub converted: u64,
    /// How often it was reached.
    pub events: u64,
    /// The sum of its values.
    pub sum: f64,
}

/// A goal that must not be harmed, in one arm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Guardrail {
    /// The goal.
    pub goal: String,
    /// The arm.
    pub arm: String,
    /// What would be harm.
    pub role: Role,
    /// The evidence for harm so far; valid however often one looks.
    pub e_value: f64,
    /// From when on it is acted upon.
    pub threshold: f64,
    /// Whether it is at its threshold.
    pub harmed: bool,
}

/// Whether exposures split as the shares say.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampleRatioCheck {
    /// The evidence that they do not.
    pub e_value: f64,
    /// Whether it is above 1,000: then something loses or moves users, and no other number counts.
    pub mismatch: bool,
}

/// One period of constant shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepResults {
    /// Its number.
    pub step: Step,
    /// Each arm's share in percent.
    pub shares: BTreeMap<String, f64>,
    /// Each arm's numbers in it.
    pub variants: BTreeMap<String, Variant>,
    /// The first goal's analysis of this step alone, where there are two arms.
    pub analysis: Option<Analysis>,
}

/// What an experiment is about, beside its counts.
pub struct Design<'a> {
    /// The arms' names, control first.
    pub arms: &'a [String],
    /// The goals with what they are for; the first is the one that the experiment is about.
    pub goals: &'a [(String, Role)],
    /// The smallest relative difference that matters, in percent.
    pub minimum_effect: f64,
}

/// Works out the results. `peaks` are by goal and then by arm, from the second arm on.
pub fn results(design: &Design<'_>, steps: &[StepCounts], peaks: &[Vec<Peak>]) -> Results {
    let peak = |goal: usize, arm: usize| {
        peaks.get(goal).and_then(|arms| arms.get(arm - 1)).copied().unwrap_or_default()
    };
    let mut comparisons = Vec::new();
    let mut guardrails = Vec::new();
    for (goal, (name, role)) in design.goals.iter().enumerate() {
        let mut family: Vec<Comparison> = (1..design.arms.len())
            .map(|arm| {
                let question = Question { steps, goal, arm };
                question.compare(name, &design.arms[arm], &peak(goal, arm), design.minimum_effect)
            })
            .collect();
        correct(&mut family);
        comparisons.append(&mut family);
        for (arm, arm_name) in design.arms.iter().enumerate().skip(1) {
            if let Some((e_value, harmed)) = is_harmed(*role, &peak(goal, arm)) {
                let (goal, arm) = (name.clone(), arm_name.clone());
                let threshold = 1.0 / super::ALPHA;
                guardrails.push(Guardrail { goal, arm, role: *role, e_value, threshold, harmed });
            }
        }
    }
    let e_value = ratio::e_value(steps, design.arms.len());
    Results {
        variants: variants(design, steps),
        analysis: two_arms(design, steps),
        comparisons,
        guardrails,
        sample_ratio: SampleRatioCheck { e_value, mismatch: e_value >= ratio::threshold() },
        steps: steps.iter().map(|step| step_results(design, step)).collect(),
        release: None,
    }
}

fn two_arms(design: &Design<'_>, steps: &[StepCounts]) -> Option<Analysis> {
    if design.arms.len() != 2 {
        return None;
    }
    analyse(&Question { steps, goal: 0, arm: 1 }.rates())
}

/// Holm over the arms of one goal.
fn correct(family: &mut [Comparison]) {
    let tested: Vec<usize> = (0..family.len()).filter(|place| family[*place].p_value.is_some()).collect();
    let fixed: Vec<f64> = tested.iter().filter_map(|place| family[*place].p_value).collect();
    for (place, p) in tested.into_iter().zip(holm(&fixed)) {
        family[place].p_value_holm = Some(p);
    }
    let valid: Vec<f64> = family.iter().map(|comparison| comparison.always_valid_p_value).collect();
    for (comparison, p) in family.iter_mut().zip(holm(&valid)) {
        comparison.always_valid_p_value_holm = p;
        comparison.significant_at_any_time = p <= super::ALPHA;
    }
}

fn step_results(design: &Design<'_>, step: &StepCounts) -> StepResults {
    let alone = std::slice::from_ref(step);
    let shares = design.arms.iter().zip(&step.shares).map(|(arm, share)| (arm.clone(), share.percent()));
    StepResults {
        step: step.step,
        shares: shares.collect(),
        variants: variants(design, alone),
        analysis: two_arms(design, alone),
    }
}

fn variants(design: &Design<'_>, steps: &[StepCounts]) -> BTreeMap<String, Variant> {
    let variant = |(arm, name): (usize, &String)| {
        let counts = || steps.iter().filter_map(move |step| step.arms.get(arm));
        let exposures: u64 = counts().map(|arm| arm.exposures).sum();
        let goal = |place: usize| {
            let none = GoalTotals { converted: 0, events: 0, sum: 0.0 };
            counts().filter_map(|arm| arm.goals.get(place)).fold(none, |total, goal| GoalTotals {
                converted: total.converted + goal.converted,
                events: total.events + goal.events,
                sum: total.sum + goal.sum,
            })
        };
        let conversions = goal(0).converted;
        let (low, high) = wilson(conversions.min(exposures), exposures, 0.95);
        let goals = design.goals.iter().enumerate().map(|(place, (name, _))| (name.clone(), goal(place)));
        let variant = Variant {
            exposures,
            conversions,
            conversion_rate: Rate { exposures, conversions }.percent(),
            wilson_interval: (low * 100.0, high * 100.0),
            goals: goals.collect(),
        };
        (name.clone(), variant)
    };
    design.arms.iter().enumerate().map(variant).collect()
}
