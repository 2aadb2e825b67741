//! Service level objectives, checked.

use crate::kinds::{AvailabilitySpec, ErrorRateSpec, LatencySpec, Seconds, SloSpec};
use serin_contract::FieldError;
use serin_judge::slo::{Objective, Slo};
use std::time::Duration;

/// Checks a canary's `slos`; without any the usual three.
pub(super) fn compile(raw: Option<Vec<SloSpec>>) -> Result<Vec<Slo>, FieldError> {
    let Some(raw) = raw else { return Ok(Slo::defaults()) };
    let mut slos: Vec<Slo> = Vec::with_capacity(raw.len());
    for (index, slo) in raw.into_iter().enumerate() {
        let known = slos.iter().any(|known| known.name == slo.name) || slos.len() >= 10;
        slos.push(compile_one(slo, known).map_err(|error| error.under(&format!("slos[{index}]")))?);
    }
    Ok(slos)
}

fn compile_one(raw: SloSpec, known: bool) -> Result<Slo, FieldError> {
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if known || raw.name.is_empty() || raw.name.len() > 63 || !raw.name.chars().all(letters) {
        let message = format!(
            "`{}` is there twice, the eleventh, or not of 1 to 63 letters, digits, `-` and `_`",
            raw.name
        );
        return Err(FieldError::new("name", message));
    }
    let window = raw.window.map_or(Duration::from_secs(300), |seconds| seconds.0);
    if !(Duration::from_secs(10)..=Duration::from_secs(86_400)).contains(&window) {
        return Err(FieldError::new("window", "is out of range: 10s to 1d"));
    }
    let max_burn = raw.max_burn.unwrap_or(14.4);
    if !(1.0..=10_000.0).contains(&max_burn) {
        return Err(FieldError::new("maxBurn", format!("{max_burn} is not allowed: 1 to 10000")));
    }
    let objective = match (raw.availability, raw.latency, raw.error_rate) {
        (Some(AvailabilitySpec { target }), None, None) => {
            Objective::Availability { target: percent("availability.target", target)? }
        }
        (None, Some(LatencySpec { target, threshold: Seconds(threshold) }), None) => {
            if threshold.is_zero() {
                return Err(FieldError::new("latency.threshold", "is zero: give a time such as 500ms"));
            }
            Objective::Latency {
                target: percent("latency.target", target)?,
                threshold: threshold.as_secs_f64(),
            }
        }
        (None, None, Some(ErrorRateSpec { threshold })) => {
            Objective::ErrorRate { threshold: percent("errorRate.threshold", threshold)? }
        }
        (_, _, _) => {
            let message = "or latency or errorRate: give exactly one of the three";
            return Err(FieldError::new("availability", message));
        }
    };
    Ok(Slo { name: raw.name, objective, window, max_burn, on_fast_burn: raw.on_fast_burn.into() })
}

/// Between nothing and everything: at both ends there is no error budget to speak of.
fn percent(field: &str, value: f64) -> Result<f64, FieldError> {
    if value > 0.0 && value < 100.0 {
        return Ok(value);
    }
    Err(FieldError::new(field, format!("{value} is not allowed: above 0 and below 100")))
}
