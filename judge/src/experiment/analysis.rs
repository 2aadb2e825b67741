//! The reference's analysis of two arms, for one look at the end: chi-square with Yates' correction as
//! scipy's `chi2_contingency`, Wald intervals, lift, a recommendation.

use super::ALPHA;
use crate::statistics::{chi_square, chi_square_above, wald};
use serde::Serialize;

/// Exposed and converted units of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rate {
    /// Exposed units.
    pub exposures: u64,
    /// Converted units; at most [`Self::exposures`].
    pub conversions: u64,
}

impl Rate {
    /// Conversions in percent of exposures; 0 without exposures.
    pub fn percent(self) -> f64 {
        if self.exposures == 0 { 0.0 } else { self.conversions as f64 / self.exposures as f64 * 100.0 }
    }

    fn row(self) -> [u64; 2] {
        [self.conversions, self.exposures.saturating_sub(self.conversions)]
    }
}

/// How a p-value came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// One step: chi-square with Yates' correction.
    ChiSquare,
    /// Several steps, kept apart: Cochran, Mantel and Haenszel.
    MantelHaenszel,
}

/// The analysis, with the reference's names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Analysis {
    /// Of the test; none when nobody, or everybody, converted: then there is nothing to test.
    pub p_value: Option<f64>,
    /// Whether it is below 0.05.
    pub significant: bool,
    /// The treatment's rate against control's, in percent of control's; 0 when control's is 0.
    pub lift: f64,
    /// Of the two intervals, in percent.
    pub confidence_level: u8,
    /// Wald's interval of control's rate, in percent.
    pub control_ci: (f64, f64),
    /// Wald's interval of the treatment's rate, in percent.
    pub treatment_ci: (f64, f64),
    /// What to do.
    pub recommendation: String,
    /// Which test.
    pub test: Test,
}

/// Analyses control against treatment, step by step; none before each has an exposure.
pub fn analyse(strata: &[(Rate, Rate)]) -> Option<Analysis> {
    let used: Vec<(Rate, Rate)> =
        strata.iter().copied().filter(|pair| pair.0.exposures + pair.1.exposures > 0).collect();
    let sum = |pick: fn(&(Rate, Rate)) -> Rate| {
        used.iter().map(pick).fold(Rate::default(), |sum, rate| Rate {
            exposures: sum.exposures + rate.exposures,
            conversions: sum.conversions + rate.conversions,
        })
    };
    let (control, treatment) = (sum(|pair| pair.0), sum(|pair| pair.1));
    if control.exposures == 0 || treatment.exposures == 0 {
        return None;
    }
    let (test, p_value, multiple) = match used.as_slice() {
        [(control, treatment)] => {
            let p = chi_square([control.row(), treatment.row()]).ok().map(|test| test.p);
            let multiple = (control.conversions > 0).then(|| treatment.percent() / control.percent());
            (Test::ChiSquare, p, multiple)
        }
        several => (Test::MantelHaenszel, mantel_haenszel(several), risk_ratio(several)),
    };
    let lift = multiple.map_or(0.0, |multiple| (multiple - 1.0) * 100.0);
    Some(Analysis {
        p_value,
        significant: p_value.is_some_and(|p| p < ALPHA),
        lift,
        confidence_level: 95,
        control_ci: interval(control),
        treatment_ci: interval(treatment),
        recommendation: recommendation(p_value, lift),
        test,
    })
}

/// The p-value of any strata: chi-square for one, Mantel-Haenszel for several.
pub fn p_value(strata: &[(Rate, Rate)]) -> Option<f64> {
    analyse(strata)?.p_value
}

/// In percent, rounded to two decimals.
fn interval(rate: Rate) -> (f64, f64) {
    let (low, high) = wald(rate.conversions, rate.exposures, 0.95);
    let rounded = |part: f64| (part * 1e4).round() / 1e2;
    (rounded(low), rounded(high))
}

/// Cochran-Mantel-Haenszel with continuity correction (Mantel and Haenszel 1959); none when no stratum
/// has anything to say.
fn mantel_haenszel(strata: &[(Rate, Rate)]) -> Option<f64> {
    let (mut apart, mut variance) = (0.0, 0.0);
    for (control, treatment) in strata {
        let (n1, n0) = (treatment.exposures as f64, control.exposures as f64);
        let (n, converted) = (n1 + n0, (treatment.conversions + control.conversions) as f64);
        if n < 2.0 {
            continue;
        }
        apart += treatment.conversions as f64 - n1 * converted / n;
        variance += n1 * n0 * converted * (n - converted) / (n * n * (n - 1.0));
    }
    if variance <= 0.0 {
        return None;
    }
    let apart = (apart.abs() - 0.5).max(0.0);
    Some(chi_square_above(apart * apart / variance, 1.0))
}

/// The Mantel-Haenszel risk ratio; none when control has no conversions.
fn risk_ratio(strata: &[(Rate, Rate)]) -> Option<f64> {
    let (mut above, mut below) = (0.0, 0.0);
    for (control, treatment) in strata {
        let (n1, n0) = (treatment.exposures as f64, control.exposures as f64);
        above += treatment.conversions as f64 * n0 / (n1 + n0);
        below += control.conversions as f64 * n1 / (n1 + n0);
    }
    (below > 0.0).then(|| above / below)
}

fn recommendation(p_value: Option<f64>, lift: f64) -> String {
    match p_value {
        None => "Nothing to compare yet: nobody, or everybody, has converted. Continue the test.".into(),
        Some(p) if p >= ALPHA => {
            "No significant difference found: continue the test, or end the experiment.".into()
        }
        Some(_) if lift > 0.0 => {
            format!("The treatment is a significant improvement (+{lift:.1}%): consider rolling it out.")
        }
        Some(_) => format!("The treatment is a significant degradation ({lift:.1}%): do not roll it out."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(conversions: u64, exposures: u64) -> Rate {
        Rate { exposures, conversions }
    }

    /// Python: chi = n (|ad - bc| - n/2)^2 / (product of the margins), p = math.erfc(sqrt(chi / 2)); and the
    /// reference's formulas.
    #[test]
    fn two_arms_get_the_references_analysis() {
        let found = analyse(&[(rate(100, 1000), rate(130, 1000))]).expect("both arms");
        assert!((found.p_value.expect("a p") - 0.042_087_971_767_175_83).abs() < 1e-12, "{found:?}");
        assert!(found.significant && (found.lift - 30.0).abs() < 1e-9);
        assert_eq!((found.control_ci, found.treatment_ci), ((8.14, 11.86), (10.92, 15.08)));
        assert!(found.recommendation.contains("improvement (+30.0%)"));
        assert_eq!(found.test, Test::ChiSquare);
    }

    #[test]
    fn empty_and_full_arms_are_answers_without_nan() {
        assert_eq!(analyse(&[(rate(0, 0), rate(5, 10))]), None);
        assert_eq!(analyse(&[]), None);
        for pair in [(rate(0, 10), rate(0, 10)), (rate(10, 10), rate(10, 10)), (rate(0, 10), rate(10, 10))] {
            let found = analyse(&[pair]).expect("both arms");
            assert!(found.lift.is_finite() && found.p_value.is_none_or(f64::is_finite), "{found:?}");
        }
        let all = analyse(&[(rate(0, 10), rate(0, 10))]).expect("both arms");
        assert_eq!((all.p_value, all.significant, all.control_ci), (None, false, (0.0, 0.0)));
    }

    /// Rates of 10 % and 30 % in two steps with opposite sizes: pooled, the arms look different; kept
    /// apart, they are alike (Simpson's paradox).
    #[test]
    fn steps_are_never_pooled() {
        let strata = [(rate(90, 900), rate(10, 100)), (rate(30, 100), rate(270, 900))];
        let found = analyse(&strata).expect("both arms");
        assert_eq!(found.test, Test::MantelHaenszel);
        assert!(!found.significant && found.lift.abs() < 1e-9, "{found:?}");
        let pooled = analyse(&[(rate(120, 1000), rate(280, 1000))]).expect("both arms");
        assert!(pooled.significant);
    }

    #[test]
    fn a_difference_in_every_step_is_found() {
        let strata = [(rate(90, 900), rate(30, 100)), (rate(10, 100), rate(270, 900))];
        let found = analyse(&strata).expect("both arms");
        assert!(found.significant && (found.lift - 200.0).abs() < 1e-9, "{found:?}");
    }
}
