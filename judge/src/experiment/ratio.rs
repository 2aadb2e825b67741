//! Do the arms have the sizes that their shares promise?

use super::StepCounts;
use crate::confidence::log_mixture;
use crate::sample_ratio::ALPHA;

/// E of "exposures split as the shares say", the mean over the arms against control; over steps they
/// multiply. A mismatch from [`threshold`] on.
pub(super) fn e_value(steps: &[StepCounts], arms: usize) -> f64 {
    if arms < 2 {
        return 1.0;
    }
    let log_e = |arm: usize| -> f64 {
        let parts = steps.iter().map(|step| {
            let rho = step.rho(arm);
            let seen = |place: usize| step.arms.get(place).map_or(0.0, |arm| arm.exposures as f64);
            if rho > 0.0 && rho < 1.0 {
                log_mixture(10.0 * rho, 10.0 * (1.0 - rho), seen(arm), seen(0), rho)
            } else {
                0.0
            }
        });
        parts.sum::<f64>().min(690.0)
    };
    (1..arms).map(|arm| log_e(arm).exp()).sum::<f64>() / (arms - 1) as f64
}

pub(super) fn threshold() -> f64 {
    1.0 / ALPHA
}
