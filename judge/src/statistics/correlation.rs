//! Do two series rise and fall together?

use super::ranks::ranks;
use super::tails::student_above;

/// Pearson's correlation, -1 to 1. None for fewer than two pairs, unequal lengths, or a series that does
/// not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 2 {
        return None;
    }
    let n = x.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then_some(r.clamp(-1.0, 1.0))
}

/// Spearman's rank correlation: Pearson's of the ranks, ties sharing the middle of theirs. None as above.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

/// The probability of a correlation at least so high among `pairs` independent pairs: Student's t with
/// two degrees of freedom less (scipy's `spearmanr` with `alternative="greater"`). None for fewer than
/// three pairs.
pub fn pearson_above(r: f64, pairs: usize) -> Option<f64> {
    let freedom = pairs.checked_sub(2).filter(|freedom| *freedom > 0)? as f64;
    Some(student_above(r * (freedom / ((1.0 + r) * (1.0 - r))).sqrt(), freedom))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_together_in_whatever_way_has_rank_correlation_one() {
        let x = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(spearman(&x, &[1.0, 10.0, 11.0, 1000.0]), Some(1.0));
        assert_eq!(spearman(&x, &[4.0, 3.0, 2.0, 1.0]), Some(-1.0));
    }

    #[test]
    fn a_series_that_does_not_vary_correlates_with_nothing() {
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(pearson(&[1.0, 2.0], &[1.0]), None);
        assert_eq!(pearson_above(1.0, 2), None);
        assert_eq!(pearson_above(1.0, 5), Some(0.0));
    }

    /// scipy 1.17.1: `spearmanr(x, y, alternative="greater")`.
    #[test]
    fn the_rank_correlation_and_its_tail_are_scipys() {
        let x: Vec<f64> = (1..=10).map(f64::from).collect();
        let y = [2.0, 1.0, 4.0, 3.0, 3.0, 7.0, 6.0, 9.0, 8.0, 8.0];
        let r = spearman(&x, &y).expect("both vary");
        let p = pearson_above(r, 10).expect("ten pairs");
        assert!((r - 0.896_358_126_979_083_1).abs() < 1e-12, "{r}");
        assert!((p / 0.000_222_344_331_482_324_42 - 1.0).abs() < 1e-9, "{p}");
    }
}
