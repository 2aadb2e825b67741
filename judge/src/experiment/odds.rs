//! Evidence that stays valid however often one looks: the odds mixture of [`crate::evidence`] in both
//! directions, on units that convert.
//!
//! Under "the arms make no difference" a unit that converts for the first time in a step is in the
//! treatment with probability rho = the treatment's part of both arms' shares, whatever the units are
//! like. For odds w the likelihood ratio of one such unit is `w / (1 + rho (w - 1))` in the treatment and
//! `1 / (1 + rho (w - 1))` in control; over steps the ratios multiply, each with its step's rho. The
//! mixture over w and 1/w is a test martingale (Ville's inequality). There are no restarts as in a
//! release: an arm differs from its first user on, or not at all. The odds are finer than a release's,
//! for a lift of a tenth matters here.
//!
//! w is the treatment's conversion rate as a multiple of control's. Asking the same of any other multiple
//! theta, with w theta as the alternatives, gives the confidence sequence `{theta : E(theta) < 1/alpha}`,
//! which excludes 1 exactly when the p-value of the moment is below alpha (duality; the construction of
//! Lindon and Malek, arXiv 2011.03567, with another mixture).

/// The multiples that are mixed, equally, each with its inverse.
const ODDS: [f64; 7] = [1.05, 1.1, 1.2, 1.5, 2.5, 5.0, 15.0];
/// The smallest and the largest multiple that an interval can end at.
const RANGE: (f64, f64) = (1e-4, 1e4);

/// The converted units of two arms in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stratum {
    /// The treatment's part of both shares.
    pub rho: f64,
    /// Converted units of control.
    pub control: u64,
    /// Converted units of the treatment.
    pub treatment: u64,
}

/// Which alternatives are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The treatment's units convert more often, or less often.
    Both,
    /// More often.
    More,
    /// Less often.
    Less,
}

/// The log likelihood of a multiple.
fn log_likelihood(strata: &[Stratum], multiple: f64) -> f64 {
    let comparable = strata.iter().filter(|stratum| stratum.rho > 0.0 && stratum.rho < 1.0);
    comparable
        .map(|Stratum { rho, control, treatment }| {
            let norm = (rho * (multiple - 1.0)).ln_1p();
            *treatment as f64 * (multiple.ln() - norm) - *control as f64 * norm
        })
        .sum()
}

/// ln E of "the treatment's rate is not `theta` times control's".
pub fn log_e(strata: &[Stratum], theta: f64, direction: Direction) -> f64 {
    let null = log_likelihood(strata, theta);
    let ratio = |multiple: f64| log_likelihood(strata, multiple * theta) - null;
    let logs: Vec<f64> = match direction {
        Direction::More => ODDS.iter().map(|w| ratio(*w)).collect(),
        Direction::Less => ODDS.iter().map(|w| ratio(1.0 / w)).collect(),
        Direction::Both => ODDS.iter().flat_map(|w| [ratio(*w), ratio(1.0 / w)]).collect(),
    };
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mean = logs.iter().map(|log| (log - highest).exp()).sum::<f64>() / logs.len() as f64;
    highest + mean.ln()
}

/// The confidence sequence of the multiple: lower and upper end, none where nothing bounds it. Nothing at
/// all before the first conversion that can be compared.
pub fn interval(strata: &[Stratum], alpha: f64) -> Option<(Option<f64>, Option<f64>)> {
    let best = best(strata)?;
    let bound = -alpha.ln();
    let outside = |log: f64| log_e(strata, log.exp(), Direction::Both) >= bound;
    let end = |limit: f64| outside(limit).then(|| edge(limit, best, outside).exp());
    Some((end(RANGE.0.ln()), end(RANGE.1.ln())))
}

/// The log of the most likely multiple, within [`RANGE`]; none without a conversion to compare.
fn best(strata: &[Stratum]) -> Option<f64> {
    let known =
        |stratum: &Stratum| stratum.rho > 0.0 && stratum.rho < 1.0 && stratum.control + stratum.treatment > 0;
    if !strata.iter().any(known) {
        return None;
    }
    // The likelihood is concave in the log: its slope falls from positive to negative.
    let slope = |log: f64| -> f64 {
        let known = strata.iter().filter(|stratum| known(stratum));
        known
            .map(|Stratum { rho, control, treatment }| {
                let odds = log.exp() * rho / (1.0 - rho);
                *treatment as f64 - (control + treatment) as f64 * odds / (1.0 + odds)
            })
            .sum()
    };
    let (mut low, mut high) = (RANGE.0.ln(), RANGE.1.ln());
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high))
}

/// Where `outside` changes between a point outside and one inside.
fn edge(mut out: f64, mut within: f64, outside: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..50 {
        let middle = f64::midpoint(out, within);
        if outside(middle) { out = middle } else { within = middle }
    }
    out
}

/// The most likely multiple; none without conversions in control and treatment alike.
pub fn estimate(strata: &[Stratum]) -> Option<f64> {
    let both = |pick: fn(&Stratum) -> u64| {
        strata.iter().filter(|stratum| stratum.rho > 0.0 && stratum.rho < 1.0).map(pick).sum::<u64>() > 0
    };
    (both(|stratum| stratum.control) && both(|stratum| stratum.treatment))
        .then(|| best(strata).map(f64::exp))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(control: u64, treatment: u64) -> [Stratum; 1] {
        [Stratum { rho: 0.5, control, treatment }]
    }

    #[test]
    fn without_conversions_nothing_is_known() {
        assert!(log_e(&[], 1.0, Direction::Both).abs() < 1e-12);
        assert!(log_e(&halves(0, 0), 1.0, Direction::Both).abs() < 1e-12);
        assert_eq!(interval(&halves(0, 0), 0.05), None);
        assert_eq!(interval(&[Stratum { rho: 1.0, control: 0, treatment: 9 }], 0.05), None);
    }

    /// One conversion in the treatment of halves: E is the mean over w of 2w/(1+w) and 2/(1+w), which is 1.
    #[test]
    fn one_conversion_at_halves_says_nothing_of_the_direction() {
        assert!(log_e(&halves(0, 1), 1.0, Direction::Both).abs() < 1e-12);
        assert!(log_e(&halves(0, 1), 1.0, Direction::More) > 0.0);
        assert!(log_e(&halves(0, 1), 1.0, Direction::Less) < 0.0);
    }

    #[test]
    fn the_interval_excludes_one_exactly_when_the_p_value_is_below_alpha() {
        for treatment in 100..200 {
            let strata = halves(100, treatment);
            let (low, high) = interval(&strata, 0.05).expect("conversions");
            let below = low.is_some_and(|low| low > 1.0) || high.is_some_and(|high| high < 1.0);
            let significant = log_e(&strata, 1.0, Direction::Both) >= 20_f64.ln();
            assert_eq!(below, significant, "{treatment}: {low:?} {high:?}");
        }
    }

    #[test]
    fn an_arm_without_conversions_has_one_open_end() {
        let (low, high) = interval(&halves(50, 0), 0.05).expect("conversions");
        assert!(low.is_none() && high.is_some_and(|high| high < 1.0), "{low:?} {high:?}");
        let (low, high) = interval(&halves(0, 50), 0.05).expect("conversions");
        assert!(high.is_none() && low.is_some_and(|low| low > 1.0), "{low:?} {high:?}");
    }

    #[test]
    fn unequal_shares_are_allowed_for() {
        let strata = [Stratum { rho: 0.1, control: 900, treatment: 100 }];
        assert!((estimate(&strata).expect("both") - 1.0).abs() < 1e-6);
        assert!(log_e(&strata, 1.0, Direction::Both) < 0.0);
    }
}
