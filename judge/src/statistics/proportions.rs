//! Two proportions against each other, and the interval of one.

use super::tails::{chi_square_above, normal_quantile};

/// The result of a chi-square test with one degree of freedom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChiSquare {
    /// The statistic, with Yates' correction.
    pub statistic: f64,
    /// The probability of at least that much under "both are alike".
    pub p: f64,
}

/// A table with a row or column of zeros says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row or column sums to zero: there is nothing to compare")]
pub struct EmptyMargin;

/// Pearson's chi-square of a 2 x 2 table with Yates' correction, as scipy's `chi2_contingency`: each
/// observed count moves half a unit towards its expected one, but never past it.
///
/// # Errors
/// When a row or column sums to zero.
pub fn chi_square(table: [[u64; 2]; 2]) -> Result<ChiSquare, EmptyMargin> {
    let observed = table.map(|row| row.map(|count| count as f64));
    let rows = observed.map(|[left, right]| left + right);
    let columns = [observed[0][0] + observed[1][0], observed[0][1] + observed[1][1]];
    let total = rows[0] + rows[1];
    if rows.contains(&0.0) || columns.contains(&0.0) {
        return Err(EmptyMargin);
    }
    let mut statistic = 0.0;
    for (row, sum) in observed.iter().zip(rows) {
        for (count, column) in row.iter().zip(columns) {
            let expected = sum * column / total;
            let apart = (expected - count).abs();
            statistic += (apart - apart.min(0.5)).powi(2) / expected;
        }
    }
    Ok(ChiSquare { statistic, p: chi_square_above(statistic, 1.0) })
}

/// Wald's interval of a proportion at a level such as 0.95, cut off at 0 and 1. Without trials (0, 0), as
/// the reference has it.
pub fn wald(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 0.0);
    }
    let n = trials as f64;
    let rate = successes as f64 / n;
    let margin = normal_quantile(f64::midpoint(1.0, confidence)) * (rate * (1.0 - rate) / n).sqrt();
    ((rate - margin).max(0.0), (rate + margin).min(1.0))
}

/// Wilson's score interval of a proportion at a level such as 0.95; without trials it is (0, 1). It stays
/// honest where few or no successes leave Wald's without width (Wilson 1927).
pub fn wilson(successes: u64, trials: u64, confidence: f64) -> (f64, f64) {
    if trials == 0 {
        return (0.0, 1.0);
    }
    let (k, n) = (successes as f64, trials as f64);
    let z = normal_quantile(f64::midpoint(1.0, confidence));
    let z2 = z * z;
    let center = (k + z2 / 2.0) / (n + z2);
    let half = z * (k * (n - k) / n + z2 / 4.0).sqrt() / (n + z2);
    // At the ends the formula gives 0 and 1 but for rounding.
    let low = if successes == 0 { 0.0 } else { (center - half).max(0.0) };
    let high = if successes == trials { 1.0 } else { (center + half).min(1.0) };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_equal_rates_has_nothing_to_say() {
        let same = chi_square([[10, 90], [20, 180]]).expect("full margins");
        assert!(same.statistic == 0.0 && same.p == 1.0);
        assert_eq!(chi_square([[0, 10], [0, 20]]), Err(EmptyMargin));
    }

    #[test]
    fn without_trials_nothing_is_known() {
        assert_eq!(wald(0, 0, 0.95), (0.0, 0.0));
        assert_eq!(wilson(0, 0, 0.95), (0.0, 1.0));
        assert_eq!(wilson(5, 5, 0.95).1, 1.0);
    }
}
