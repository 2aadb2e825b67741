//! A version against its own past. The past excludes the current sample: among ten values that include
//! it, nothing is ever three deviations away (at most 9 / sqrt(10) = 2.85).

use super::{Anomaly, HISTORY, Kind, LEAST_HISTORY, Severity, last};
use crate::sample::{Sample, latencies, latency_percentile};
use serin_contract::Arm;
use statrs::function::beta::beta_reg;

/// Deviations beyond which an error rate is unusual, and what a normal's tail leaves beyond them.
const DEVIATIONS: f64 = 3.0;
const TAIL: f64 = 0.001_35;
/// How many times the past's p95 is unusual, and the latencies that the past must have.
const SLOWER: f64 = 1.5;
const LEAST_LATENCIES: f64 = 10.0;
/// CPU in percent that is unusual when it is also so many times the past's mean of enough values.
const BUSY: f64 = 80.0;
const BUSIER: f64 = 1.3;
const LEAST_CPU: usize = 3;

pub(super) fn detect(arm: Arm, samples: &[Sample]) -> Vec<Anomaly> {
    let Some((current, past)) = samples.split_last() else { return Vec::new() };
    if past.len() < LEAST_HISTORY {
        return Vec::new();
    }
    let past = last(past, HISTORY);
    [error_rate(arm, current, past), latency(arm, current, past), cpu(arm, current, past)]
        .into_iter()
        .flatten()
        .collect()
}

/// More than three deviations from the past's mean. The deviation is at least the binomial one, so that a
/// constant past still has one; and as few errors are no normal, the exact tail must be as thin as three
/// deviations' too.
fn error_rate(arm: Arm, current: &Sample, past: &[Sample]) -> Option<Anomaly> {
    let rate = current.error_rate()?;
    let rates: Vec<f64> = past.iter().filter_map(Sample::error_rate).collect();
    if rates.len() < LEAST_HISTORY {
        return None;
    }
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let spread = rates.iter().map(|rate| (rate - mean).powi(2)).sum::<f64>() / (rates.len() - 1) as f64;
    let requests: u64 = past.iter().map(|sample| sample.requests).sum();
    let errors: u64 = past.iter().map(|sample| sample.errors).sum();
    // Half an error more (Krichevsky and Trofimov), so that a past without errors still has a deviation.
    let p = (errors as f64 + 0.5) / (requests as f64 + 1.0);
    let n = current.requests as f64;
    let binomial = 100.0 * (p * (1.0 - p) / n).sqrt();
    let above = rate > mean;
    let unusual = (rate - mean).abs() > DEVIATIONS * spread.sqrt().max(binomial);
    if !unusual || tail(current.errors, current.requests, p, above) >= TAIL {
        return None;
    }
    let (severity, word) = if above { (Severity::High, "above") } else { (Severity::Medium, "below") };
    let message = format!("{}'s error rate is {rate:.2} %, {word} the {mean:.2} % of before", arm.name());
    Some(Anomaly::new(Kind::ErrorRate, severity, message).of_version(arm, rate, mean))
}

/// P(X >= errors) or P(X <= errors) of a binomial, as a regularised beta function.
pub(super) fn tail(errors: u64, requests: u64, p: f64, above: bool) -> f64 {
    let (k, n) = (errors as f64, requests as f64);
    match above {
        true if errors == 0 => 1.0,
        true => beta_reg(k, n - k + 1.0, p),
        false if errors == requests => 1.0,
        false => beta_reg(n - k, k + 1.0, 1.0 - p),
    }
}

fn latency(arm: Arm, current: &Sample, past: &[Sample]) -> Option<Anomaly> {
    if latencies(past) <= LEAST_LATENCIES {
        return None;
    }
    let (now, before) = (latency_percentile([current], 95.0)?, latency_percentile(past, 95.0)?);
    if now <= SLOWER * before {
        return None;
    }
    let message = format!("{}'s p95 is {:.0} ms after {:.0} ms before", arm.name(), 1e3 * now, 1e3 * before);
    Some(Anomaly::new(Kind::Latency, Severity::Medium, message).of_version(arm, now, before))
}

fn cpu(arm: Arm, current: &Sample, past: &[Sample]) -> Option<Anomaly> {
    let now = current.cpu_percent?;
    let before: Vec<f64> =
        past.iter().filter_map(|sample| sample.cpu_percent).filter(|cpu| *cpu > 0.0).collect();
    if before.len() < LEAST_CPU {
        return None;
    }
    let mean = before.iter().sum::<f64>() / before.len() as f64;
    if now <= BUSY || now <= BUSIER * mean {
        return None;
    }
    let message = format!("{}'s CPU is at {now:.0} % after {mean:.0} % before", arm.name());
    Some(Anomaly::new(Kind::Cpu, Severity::Low, message).of_version(arm, now, mean))
}
