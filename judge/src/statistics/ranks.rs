//! Ranks, and the Mann-Whitney U test on them, as scipy's `mannwhitneyu` computes it (method "auto").

use super::tails::normal_above;

/// Up to this size of the smaller sample, and without ties, the p-value is exact.
const EXACT: usize = 8;

/// What the test asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alternative {
    /// Whether the first sample tends to be greater.
    Greater,
    /// Whether the first sample tends to be less.
    Less,
    /// Whether they differ.
    TwoSided,
}

/// The test's answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MannWhitney {
    /// U of the first sample: in how many pairs it is the greater, ties counting half.
    pub u: f64,
    /// The probability of at least that under "both are alike".
    pub p: f64,
}

/// A sample is empty, or holds what is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("each sample needs at least one value, and each value must be a number")]
pub struct NoRanks;

/// The values' ranks from 1 on, in their order; equal values share the middle of their ranks.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    ties(values, |members, rank| members.iter().for_each(|index| ranks[*index] = rank));
    ranks
}

/// Calls for each group of equal values, smallest first, with their places and the middle of their ranks.
fn ties(values: &[f64], mut each: impl FnMut(&[usize], f64)) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut before = 0;
    // `==`, so that 0 and -0 are the same.
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        each(group, before as f64 + f64::midpoint(1.0, group.len() as f64));
        before += group.len();
    }
}

/// Compares two samples by ranks: exactly where the smaller one has at most 8 values and no two values
/// are equal, otherwise by the normal approximation with corrections for ties and continuity.
///
/// # Errors
/// When a sample is empty or holds NaN.
pub fn mann_whitney(x: &[f64], y: &[f64], alternative: Alternative) -> Result<MannWhitney, NoRanks> {
    let all: Vec<f64> = x.iter().chain(y).copied().collect();
    if x.is_empty() || y.is_empty() || all.iter().any(|value| value.is_nan()) {
        return Err(NoRanks);
    }
    let (n1, n2) = (x.len() as f64, y.len() as f64);
    let (mut rank_sum, mut tie_term, mut tied) = (0.0, 0.0, false);
    ties(&all, |group, rank| {
        rank_sum += rank * group.iter().filter(|index| **index < x.len()).count() as f64;
        let size = group.len() as f64;
        // In floating point: the cube of many ties overflows an integer.
        tie_term += size * (size * size - 1.0);
        tied |= group.len() > 1;
    });
    let u = rank_sum - n1 * (n1 + 1.0) / 2.0;
    let other = n1 * n2 - u;
    let (extreme, sides) = match alternative {
        Alternative::Greater => (u, 1.0),
        Alternative::Less => (other, 1.0),
        Alternative::TwoSided => (u.max(other), 2.0),
    };
    let above = if x.len().min(y.len()) <= EXACT && !tied {
        exact_above(extreme as usize, x.len(), y.len())
    } else {
        let n = n1 + n2;
        let deviation = (n1 * n2 / 12.0 * ((n + 1.0) - tie_term / (n * (n - 1.0)))).max(0.0).sqrt();
        // All values equal: no deviation, z is minus infinity, and nothing is unlikely.
        normal_above((extreme - n1 * n2 / 2.0 - 0.5) / deviation)
    };
    Ok(MannWhitney { u, p: (sides * above).clamp(0.0, 1.0) })
}

/// P(U >= u), by counting in how many ways `n1` of the ranks sum up to each U. Sums only, so that no
/// digits are lost.
fn exact_above(u: usize, n1: usize, n2: usize) -> f64 {
    let (small, large) = (n1.min(n2), n1.max(n2));
    let most = small * large;
    // ways[k][s]: subsets of k of the places seen so far whose U is s. The place p as the k-th smallest
    // member is above p - k values of the other sample.
    let mut ways = vec![vec![0.0f64; most + 1]; small + 1];
    ways[0][0] = 1.0;
    for place in 0..small + large {
        for k in (1..=small.min(place + 1)).rev() {
            let above = place + 1 - k;
            if above > large {
                continue;
            }
            let (fewer, more) = ways.split_at_mut(k);
            for (sum, count) in more[0].iter_mut().enumerate().skip(above) {
                *count += fewer[k - 1][sum - above];
            }
        }
    }
    let total: f64 = ways[small].iter().sum();
    ways[small].iter().skip(u).sum::<f64>() / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_middle_of_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 0.0, -0.0]), [4.5, 3.0, 4.5, 1.5, 1.5]);
    }

    #[test]
    fn three_million_ties_do_not_overflow() {
        let mut many = vec![0.0; 3_000_000];
        many.push(1.0);
        let found = mann_whitney(&many, &[0.0; 1000], Alternative::TwoSided).expect("ranks");
        assert!(found.p > 0.9 && found.p < 1.0, "{}", found.p);
    }

    #[test]
    fn all_equal_is_no_difference_and_nothing_is_an_error() {
        let same = mann_whitney(&[1.0; 20], &[1.0; 20], Alternative::Greater).expect("ranks");
        assert_eq!(same.p, 1.0);
        assert_eq!(mann_whitney(&[], &[1.0], Alternative::Less), Err(NoRanks));
        assert_eq!(mann_whitney(&[f64::NAN], &[1.0], Alternative::Less), Err(NoRanks));
    }

    /// Of the 6 ways to pick 2 of 4 ranks one has the greatest sum.
    #[test]
    fn two_of_four_are_the_greatest_in_one_of_six_ways() {
        let found = mann_whitney(&[3.0, 4.0], &[1.0, 2.0], Alternative::Greater).expect("ranks");
        assert!(found.u == 4.0 && (found.p - 1.0 / 6.0).abs() < 1e-15, "{}", found.p);
    }
}
