//! One arm against control in one goal.

use super::analysis::{Rate, p_value};
use super::odds;
use super::value::{Difference, Mean, difference};
use super::{ALPHA, GoalCounts, Peak, Role, Size, StepCounts, needed, strata};
use serde::Serialize;

/// A treatment against control.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The goal.
    pub goal: String,
    /// The arm that is compared with control.
    pub arm: String,
    /// The fixed test's p-value, for one look at the end; none when there is nothing to test.
    pub p_value: Option<f64>,
    /// The same after Holm's correction for all arms of this goal.
    pub p_value_holm: Option<f64>,
    /// Valid however often one looks; the lowest so far.
    pub always_valid_p_value: f64,
    /// The same after Holm's correction.
    pub always_valid_p_value_holm: f64,
    /// Whether the corrected always-valid p-value is below 0.05.
    pub significant_at_any_time: bool,
    /// The conversion rate against control's by its likelihood, in percent of control's; none before both
    /// arms have conversions.
    pub lift: Option<f64>,
    /// The confidence sequence of the lift at 95 %: valid at all times at once. An end that nothing bounds
    /// yet is none.
    pub lift_interval: (Option<f64>, Option<f64>),
    /// The goal's values, where there are any.
    pub value: Option<ValueComparison>,
    /// Units that a fixed test would need.
    pub sample_size: Option<Size>,
}

/// Mean values of exposed units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValueComparison {
    /// Control's mean value of an exposed unit, over all steps.
    pub control_mean: f64,
    /// The treatment's.
    pub treatment_mean: f64,
    /// The difference, step by step; none before each arm has a hundred units, or when nothing varies.
    pub difference: Option<f64>,
    /// Its confidence sequence at 95 %.
    pub interval: Option<(f64, f64)>,
    /// Valid however often one looks, at this moment.
    pub always_valid_p_value: Option<f64>,
}

/// What is compared.
pub(super) struct Question<'a> {
    pub(super) steps: &'a [StepCounts],
    pub(super) goal: usize,
    pub(super) arm: usize,
}

impl Question<'_> {
    fn counts(step: &StepCounts, arm: usize, goal: usize) -> (u64, GoalCounts) {
        let arm = step.arms.get(arm);
        let counts = arm.and_then(|arm| arm.goals.get(goal)).copied().unwrap_or_default();
        (arm.map_or(0, |arm| arm.exposures), counts)
    }

    /// Rates of control and treatment in each step.
    pub(super) fn rates(&self) -> Vec<(Rate, Rate)> {
        let rate = |step: &StepCounts, arm: usize| {
            let (exposures, goal) = Self::counts(step, arm, self.goal);
            Rate { exposures, conversions: goal.converted.min(exposures) }
        };
        self.steps.iter().map(|step| (rate(step, 0), rate(step, self.arm))).collect()
    }

    pub(super) fn compare(&self, goal: &str, arm: &str, peak: &Peak, minimum_effect: f64) -> Comparison {
        let strata = strata(self.steps, self.goal, self.arm);
        let percent = |multiple: f64| (multiple - 1.0) * 100.0;
        let (low, high) = odds::interval(&strata, ALPHA).unwrap_or((None, None));
        // The peak is kept by who counts; the counts themselves may be newer by a look.
        let mut peak = *peak;
        peak.look(&strata);
        Comparison {
            goal: goal.to_owned(),
            arm: arm.to_owned(),
            p_value: p_value(&self.rates()),
            p_value_holm: None,
            always_valid_p_value: peak.p_value(),
            always_valid_p_value_holm: 1.0,
            significant_at_any_time: false,
            lift: odds::estimate(&strata).map(percent),
            lift_interval: (low.map(percent), high.map(percent)),
            value: self.value(),
            sample_size: self.size(minimum_effect),
        }
    }

    fn size(&self, minimum_effect: f64) -> Option<Size> {
        let sum = |pick: fn(&(Rate, Rate)) -> u64| self.rates().iter().map(pick).sum::<u64>();
        let (control, treatment) = (sum(|pair| pair.0.exposures), sum(|pair| pair.1.exposures));
        if control == 0 {
            return None;
        }
        let rate = sum(|pair| pair.0.conversions) as f64 / control as f64;
        needed(rate, minimum_effect, control.min(treatment))
    }

    fn value(&self) -> Option<ValueComparison> {
        let counts = |arm: usize| self.steps.iter().map(move |step| Self::counts(step, arm, self.goal));
        if counts(0).chain(counts(self.arm)).all(|(_, goal)| goal.squares == 0.0) {
            return None;
        }
        let mean = |arm: usize| {
            let (units, sum) =
                counts(arm).fold((0, 0.0), |(n, sum), (units, goal)| (n + units, sum + goal.sum));
            if units == 0 { 0.0 } else { sum / units as f64 }
        };
        let pairs = counts(0).zip(counts(self.arm));
        let means: Vec<(Mean, Mean)> =
            pairs.filter_map(|(c, t)| Some((Mean::of(c.0, &c.1)?, Mean::of(t.0, &t.1)?))).collect();
        let found: Option<Difference> = difference(&means, ALPHA);
        Some(ValueComparison {
            control_mean: mean(0),
            treatment_mean: mean(self.arm),
            difference: found.map(|found| found.difference),
            interval: found.map(|found| found.interval),
            always_valid_p_value: found.map(|found| (-found.log_e).exp().min(1.0)),
        })
    }
}

/// Holm's step-down correction: the i-th smallest of m p-values times m - i + 1, never falling (Holm
/// 1979). Valid for any p-values, always-valid ones included.
pub(super) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        highest = highest.max(p_values[place] * (p_values.len() - rank) as f64).min(1.0);
        corrected[place] = highest;
    }
    corrected
}

/// Whether a guardrail's evidence is at its threshold.
pub(super) fn is_harmed(role: Role, peak: &Peak) -> Option<(f64, bool)> {
    let log_e = peak.log_e(role.harm()?);
    Some((log_e.min(690.0).exp(), log_e >= -ALPHA.ln()))
}

#[cfg(test)]
mod tests {
    use super::holm;

    /// R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02.
    #[test]
    fn holm_is_that_of_r() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.into_iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
