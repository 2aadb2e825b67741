//! The canary beside stable: are its error rates higher, by ranks? Rates, because the versions have unequal
//! traffic; in the one direction that matters.

use super::{Anomaly, CORRELATION, Kind, Severity, last};
use crate::sample::{Sample, Samples};
use crate::statistics::{Alternative, mann_whitney};

/// The level of the test. Made at each tick anew, it fires far more often: docs/statistics.md says how.
const LEVEL: f64 = 0.05;

pub(super) fn compare(samples: &Samples) -> Option<Anomaly> {
    let rates = |samples: &[Sample]| -> Option<Vec<f64>> {
        let rates: Vec<f64> = last(samples, CORRELATION).iter().filter_map(Sample::error_rate).collect();
        (rates.len() == CORRELATION).then_some(rates)
    };
    let (canary, stable) = (rates(&samples.canary)?, rates(&samples.stable)?);
    let found = mann_whitney(&canary, &stable, Alternative::Greater).ok()?;
    if found.p >= LEVEL {
        return None;
    }
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len() as f64;
    let message = format!(
        "the canary's error rates are higher than stable's over {CORRELATION} samples: {:.2} % against {:.2} % in \
         the mean (Mann-Whitney, p = {:.2e})",
        mean(&canary),
        mean(&stable),
        found.p
    );
    Some(Anomaly {
        metric: Some("errors".into()),
        p_value: Some(found.p),
        current: Some(mean(&canary)),
        expected: Some(mean(&stable)),
        ..Anomaly::new(Kind::Correlation, Severity::High, message)
    })
}
