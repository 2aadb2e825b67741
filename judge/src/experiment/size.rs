//! How many units an experiment needs.

use super::ALPHA;
use crate::statistics::normal_quantile;
use serde::Serialize;

/// The probability with which a difference of the wanted size is to be found.
const POWER: f64 = 0.8;

/// What is needed to tell a difference by one look at the end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Size {
    /// The relative difference that is to be found, in percent.
    pub minimum_effect: f64,
    /// Units needed in each arm.
    pub per_arm: u64,
    /// Units still needed in the smaller arm.
    pub missing: u64,
}

/// Units for each arm, from control's rate and the smallest relative difference that matters (in percent),
/// at level 0.05 and power 0.8 (Fleiss, Levin and Paik 2003, 4.14 without correction). None while control's
/// rate is 0, or when the other rate would be no rate.
pub fn needed(rate: f64, minimum_effect: f64, smaller_arm: u64) -> Option<Size> {
    let other = rate * (1.0 + minimum_effect / 100.0);
    if rate <= 0.0 || rate >= 1.0 || other <= 0.0 || other >= 1.0 || minimum_effect == 0.0 {
        return None;
    }
    let z = normal_quantile(1.0 - ALPHA / 2.0) + normal_quantile(POWER);
    let spread = rate * (1.0 - rate) + other * (1.0 - other);
    let units = (z * z * spread / (other - rate).powi(2)).ceil();
    // Beyond any experiment; a rate can be as small as one unit of a million.
    let per_arm = units.min(1e15) as u64;
    Some(Size { minimum_effect, per_arm, missing: per_arm.saturating_sub(smaller_arm) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// python3: z = 1.959963984540054 + 0.8416212335729143; z*z*(0.1*0.9 + 0.11*0.89)/0.01**2 = 14748.05
    #[test]
    fn a_tenth_more_than_ten_percent_needs_fifteen_thousand_each() {
        let size = needed(0.1, 10.0, 5_000).expect("a size");
        assert_eq!((size.per_arm, size.missing), (14_749, 9_749));
        assert_eq!(needed(0.1, 10.0, 20_000).expect("a size").missing, 0);
    }

    #[test]
    fn what_cannot_be_planned_has_no_size() {
        assert_eq!(needed(0.0, 10.0, 5), None);
        assert_eq!(needed(1.0, 10.0, 5), None);
        assert_eq!(needed(0.95, 10.0, 5), None);
    }
}
