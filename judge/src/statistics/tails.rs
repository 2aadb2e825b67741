//! Upper tails, computed as tails: `1 - cdf` has no digits left where they matter.

use statrs::distribution::{ContinuousCDF, Normal};
use statrs::function::beta::beta_reg;
use statrs::function::erf::erfc;
use statrs::function::gamma::gamma_ur;

/// The probability that a standard normal is above `z`.
pub fn normal_above(z: f64) -> f64 {
    0.5 * erfc(z / std::f64::consts::SQRT_2)
}

/// The standard normal's quantile: `normal_quantile(0.975)` is 1.96.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// The probability that a chi-square with `freedom` degrees of freedom is above `x`.
pub fn chi_square_above(x: f64, freedom: f64) -> f64 {
    if x <= 0.0 { 1.0 } else { gamma_ur(freedom / 2.0, x / 2.0) }
}

/// The probability that Student's t with `freedom` degrees of freedom is above `t`.
pub fn student_above(t: f64, freedom: f64) -> f64 {
    if !t.is_finite() {
        return if t > 0.0 { 0.0 } else { 1.0 };
    }
    // P(|T| > t) = I_x(freedom/2, 1/2) at x = freedom / (freedom + t^2).
    let both = beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    if t >= 0.0 { both / 2.0 } else { 1.0 - both / 2.0 }
}

#[cfg(test)]
mod tests {
    //! Expected numbers: scipy 1.17.1 (`norm.sf`, `chi2.sf`, `t.sf`, `norm.ppf`).

    use super::*;

    #[test]
    fn far_tails_keep_their_digits() {
        for (found, expected) in [
            (normal_above(10.0), 7.61985302416047e-24),
            (normal_above(-1.0), 0.8413447460685429),
            (chi_square_above(100.0, 1.0), 1.5239706048320995e-23),
            (chi_square_above(3.0, 2.0), 0.22313016014842982),
            (student_above(30.0, 18.0), 4.008484483565528e-17),
            (student_above(-1.5, 4.0), 0.896),
            (normal_quantile(0.975), 1.959963984540054),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} {expected}");
        }
    }
}
