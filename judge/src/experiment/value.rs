//! Means of values: a confidence sequence of the difference, from the normal mixture (Robbins 1970), in
//! its asymptotic form (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476): valid at all
//! times at once from the first look on, as the central limit theorem is, for large numbers.

use super::GoalCounts;

/// Units in each arm from which on the normal law is trusted.
pub const LEAST_UNITS: u64 = 100;
/// The number of units at which the interval is tightest. A choice, made before the data.
const TIGHTEST_AT: f64 = 10_000.0;

/// The mean of one arm's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// Units, exposed ones without a value included.
    pub units: u64,
    /// The mean value of a unit.
    pub mean: f64,
    /// The variance of a unit's value.
    pub variance: f64,
}

impl Mean {
    /// From sums; none without units.
    pub fn of(exposures: u64, goal: &GoalCounts) -> Option<Self> {
        if exposures == 0 {
            return None;
        }
        let units = exposures as f64;
        let mean = goal.sum / units;
        let variance = if exposures < 2 { 0.0 } else { (goal.squares - units * mean * mean) / (units - 1.0) };
        // Rounding may leave a hair below zero.
        Some(Self { units: exposures, mean, variance: variance.max(0.0) })
    }
}

/// The difference treatment - control of two means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The difference.
    pub difference: f64,
    /// Its confidence sequence.
    pub interval: (f64, f64),
    /// ln E of "no difference".
    pub log_e: f64,
}

/// Compares means over strata, weighted by the units of both arms in them; none before
/// [`LEAST_UNITS`] are in each arm, or when nothing varies.
pub fn difference(strata: &[(Mean, Mean)], alpha: f64) -> Option<Difference> {
    let total = |pick: fn(&(Mean, Mean)) -> u64| strata.iter().map(pick).sum::<u64>();
    let (control, treatment) = (total(|pair| pair.0.units), total(|pair| pair.1.units));
    if control < LEAST_UNITS || treatment < LEAST_UNITS {
        return None;
    }
    let units = (control + treatment) as f64;
    let (mut difference, mut square) = (0.0, 0.0);
    for (control, treatment) in strata {
        let weight = (control.units + treatment.units) as f64 / units;
        difference += weight * (treatment.mean - control.mean);
        let error = control.variance / control.units as f64 + treatment.variance / treatment.units as f64;
        square += weight * weight * error;
    }
    if square <= 0.0 || !square.is_finite() || !difference.is_finite() {
        return None;
    }
    // rho^2 that makes the bound tightest at one moment: (-2 ln alpha + ln(-2 ln alpha) + 1) / t.
    let log = -2.0 * alpha.ln();
    let t_rho = units * (log + log.ln() + 1.0) / TIGHTEST_AT;
    let half = (square * 2.0 * (t_rho + 1.0) / t_rho * ((t_rho + 1.0).sqrt() / alpha).ln()).sqrt();
    let log_e = difference * difference / square * t_rho / (2.0 * (1.0 + t_rho)) - (1.0 + t_rho).ln() / 2.0;
    Some(Difference { difference, interval: (difference - half, difference + half), log_e })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(units: u64, mean: f64, variance: f64) -> Mean {
        Mean { units, mean, variance }
    }

    #[test]
    fn the_interval_ends_where_e_reaches_one_over_alpha() {
        for (shift, units) in [(0.0, 200), (1.5, 1_000), (-0.3, 50_000)] {
            let strata = [(mean(units, 10.0, 4.0), mean(units, 10.0 + shift, 9.0))];
            let found = difference(&strata, 0.05).expect("enough");
            let (low, high) = found.interval;
            // Moved by the distance to an end, the difference lies on the bound.
            let moved = [(mean(units, 10.0, 4.0), mean(units, 10.0 + shift - low, 9.0))];
            let log_e = difference(&moved, 0.05).expect("enough").log_e;
            assert!((log_e - 20_f64.ln()).abs() < 1e-9, "{log_e}");
            assert!(low < found.difference && found.difference < high);
        }
    }

    #[test]
    fn too_few_units_or_values_without_variance_are_no_answer() {
        assert_eq!(difference(&[(mean(99, 1.0, 1.0), mean(500, 2.0, 1.0))], 0.05), None);
        assert_eq!(difference(&[(mean(500, 1.0, 0.0), mean(500, 1.0, 0.0))], 0.05), None);
        assert_eq!(difference(&[], 0.05), None);
        assert_eq!(Mean::of(0, &GoalCounts::default()), None);
    }

    #[test]
    fn the_variance_of_units_comes_from_their_sums() {
        let mut goal = GoalCounts::default();
        // Units with 1, 2 + 3 and 0: mean 2, variance ((1 - 2)^2 + (5 - 2)^2 + (0 - 2)^2) / 2 = 7.
        goal.add((0, 0.0), 1, 1.0);
        goal.add((0, 0.0), 1, 2.0);
        goal.add((1, 2.0), 1, 3.0);
        let mean = Mean::of(3, &goal).expect("units");
        assert_eq!((goal.converted, goal.events), (2, 3));
        assert!((mean.mean - 2.0).abs() < 1e-12 && (mean.variance - 7.0).abs() < 1e-12, "{mean:?}");
    }
}
