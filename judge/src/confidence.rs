//! Confidence sequences: intervals that hold at all times at once, so that one may look whenever one
//! likes. All come from one mixture: with k successes and m failures, a Beta(a, b) mixture against p has
//! `M(p) = B(a + k, b + m) / B(a, b) / (p^k (1 - p)^m)`, a test martingale under p, and the sequence is
//! `{p : M(p) < 1/alpha}` (Lindon and Malek, arXiv 2011.03567).

use statrs::function::beta::ln_beta;

/// ln M(p). Counts may be fractional: scaled ones are.
pub fn log_mixture(a: f64, b: f64, successes: f64, failures: f64, p: f64) -> f64 {
    log_beta_ratio(a, b, successes, failures) - log_likelihood(successes, failures, p)
}

/// The part of ln M(p) that no p changes, and that takes nearly all of its time.
fn log_beta_ratio(a: f64, b: f64, successes: f64, failures: f64) -> f64 {
    ln_beta(a + successes, b + failures) - ln_beta(a, b)
}

fn log_likelihood(successes: f64, failures: f64, p: f64) -> f64 {
    // 0 ln 0 is 0 here: no success says nothing against p = 0.
    let x_log_y = |x: f64, y: f64| if x == 0.0 { 0.0 } else { x * y.ln() };
    x_log_y(successes, p) + x_log_y(failures, 1.0 - p)
}

/// The interval of a probability: all p with M(p) below 1/alpha.
pub fn interval(a: f64, b: f64, successes: f64, failures: f64, alpha: f64) -> (f64, f64) {
    if successes + failures <= 0.0 {
        return (0.0, 1.0);
    }
    let bound = log_beta_ratio(a, b, successes, failures) + alpha.ln();
    let outside = |p: f64| log_likelihood(successes, failures, p) <= bound;
    // M is smallest, and at most 1, at the observed rate, and grows on both sides of it.
    let rate = successes / (successes + failures);
    let low = if successes > 0.0 { edge(0.0, rate, outside) } else { 0.0 };
    let high = if failures > 0.0 { edge(1.0, rate, outside) } else { 1.0 };
    (low, high)
}

/// Where `outside` changes between a point outside and one inside.
fn edge(mut out: f64, mut within: f64, outside: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..60 {
        let middle = f64::midpoint(out, within);
        if outside(middle) {
            out = middle;
        } else {
            within = middle;
        }
    }
    out
}

/// The interval of an absolute rate, from `errors` of `trials`: Beta(1/2, 1/2).
pub fn rate(errors: f64, trials: f64, alpha: f64) -> (f64, f64) {
    interval(0.5, 0.5, errors, (trials - errors).max(0.0), alpha)
}

/// The interval of how many times as often canary units err as stable ones, in odds: from the first-erring
/// units of a stratum with canary share rho. None where one arm is empty.
pub fn odds_ratio(rho: f64, canary: f64, stable: f64, alpha: f64) -> Option<(f64, f64)> {
    if !(rho > 0.0 && rho < 1.0) {
        return None;
    }
    let (low, high) = interval(10.0 * rho, 10.0 * (1.0 - rho), canary, stable, alpha);
    let odds = |p: f64| p * (1.0 - rho) / ((1.0 - p) * rho);
    // Nothing in stable: no number of times is too many. A finite stand-in keeps JSON whole.
    Some((odds(low), odds(high).min(1e9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_the_rate_and_its_ends_lie_on_the_bound() {
        for (errors, trials) in [(1.0, 20.0), (4.0, 20.0), (50.0, 1000.0), (3.3, 47.2)] {
            let (low, high) = rate(errors, trials, 0.05);
            assert!(low < errors / trials && errors / trials < high);
            for end in [low, high] {
                let log = log_mixture(0.5, 0.5, errors, trials - errors, end);
                assert!((log - 20f64.ln()).abs() < 1e-6, "{log}");
            }
        }
    }

    #[test]
    fn extremes_are_sensible() {
        assert_eq!(rate(0.0, 0.0, 0.05), (0.0, 1.0));
        let (low, high) = rate(0.0, 100.0, 0.05);
        assert!(low == 0.0 && high > 0.0 && high < 0.15, "{high}");
        let (low, high) = rate(100.0, 100.0, 0.05);
        assert!(high == 1.0 && low > 0.85, "{low}");
        assert_eq!(odds_ratio(1.0, 5.0, 0.0, 0.05), None);
        assert!(odds_ratio(0.1, 5.0, 0.0, 0.05).is_some_and(|(low, high)| low > 1.0 && high.is_finite()));
    }

    #[test]
    fn equal_odds_are_in_the_interval_when_errors_fall_as_users_do() {
        let (low, high) = odds_ratio(0.1, 10.0, 90.0, 0.05).expect("two arms");
        assert!(low < 1.0 && 1.0 < high, "{low} {high}");
    }

    /// The mixture integrates the likelihood over Beta(1/2, 1/2): for one success in one trial
    /// B(3/2, 1/2) / B(1/2, 1/2) = 1/2, so M(p) = 1 / (2 p).
    #[test]
    fn one_success_in_one_trial_is_one_over_two_p() {
        for p in [0.1, 0.25, 0.9] {
            assert!((log_mixture(0.5, 0.5, 1.0, 0.0, p).exp() - 0.5 / p).abs() < 1e-12);
        }
    }
}
