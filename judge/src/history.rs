//! A recorded history under the rules: what would the judge have said at its end? A recording knows
//! requests, not users, so here each request counts as a user of its own.

use crate::confidence;
use crate::evidence::Mixture;
use crate::histogram::Quantile;
use crate::rules::{Facts, Position, judge};
use crate::sample::{Sample, Samples, latencies, latencies_below, latency_percentile};
use crate::settings::Settings;
use crate::slo::{self, Slo};
use crate::summary::{ArmSummary, EvidenceSummary, Summary};
use crate::time::Time;
use crate::verdict::Verdict;
use crate::window::{LENGTH, Routing};
use serin_contract::{PerArm, Share};

/// Stable's latencies from which the slow edge is taken.
const EDGE_LATENCIES: f64 = 200.0;

/// Judges a history at the time of its last sample. `samples` are oldest first; the last of one version
/// belongs with the last of the other, and so on backwards.
pub fn verdict(settings: &Settings, slos: &[Slo], samples: &Samples) -> (Verdict, Summary) {
    let now = end(samples);
    let alpha = settings.false_rollback_rate;
    let summary = summary(settings, samples);
    let findings = slos.iter().filter_map(|slo| slo::finding(slo, samples, alpha, now)).collect();
    let facts = Facts { findings, ..Facts::default() };
    let first = samples.canary.first().map_or(now, |sample| sample.time);
    // A recording is judged as a whole: nothing in it is too fresh to count.
    let at = Position {
        weight: share(samples),
        step_started: Time(first.0.saturating_sub(settings.warmup.as_millis() as u64)),
    };
    (judge(settings, at, &summary, &facts, now), summary)
}

/// The time of the last sample.
pub fn end(samples: &Samples) -> Time {
    samples
        .iter()
        .filter_map(|(_, samples)| samples.last())
        .map(|sample| sample.time)
        .max()
        .unwrap_or_default()
}

/// The canary's share of all requests; everything where stable has none.
fn share(samples: &Samples) -> Share {
    let [stable, canary] = [&samples.stable, &samples.canary].map(|samples| requests(samples) as f64);
    let points = if stable + canary > 0.0 { 10_000.0 * canary / (stable + canary) } else { 0.0 };
    Share::from_basis_points(points.round() as u16).unwrap_or_default()
}

fn requests(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| sample.requests).sum()
}

/// The history's numbers as the rules take them: the last minute, and the evidence of all of it.
pub fn summary(settings: &Settings, samples: &Samples) -> Summary {
    let (now, alpha) = (end(samples), settings.false_rollback_rate);
    let slow = Slowness::of(settings, samples);
    let arm = |samples: &Vec<Sample>, slow: f64| {
        let last: Vec<&Sample> = samples.iter().filter(|sample| now.since(sample.time) < LENGTH).collect();
        arm_summary(
            &last,
            requests(samples),
            samples.iter().map(|sample| sample.errors).sum(),
            slow as u64,
            alpha,
        )
    };
    let (errors, slowness) = evidence(samples, &slow);
    Summary {
        window: PerArm {
            stable: arm(&samples.stable, slow.sums.stable),
            canary: arm(&samples.canary, slow.sums.canary),
        },
        step_requests: samples.map(|samples| requests(samples)),
        routing: Routing::default(),
        evidence: EvidenceSummary {
            errors: errors.e_value(),
            slow: slowness.e_value(),
            threshold: 1.0 / alpha,
            odds_ratio: odds_ratio(samples, alpha),
        },
        goals: Vec::new(),
        // A recording does not know its users.
        sample_ratio: 1.0,
        last_stable_p95: Quantile::Unknown,
        slow_edge: slow.edge.map_or(settings.limits.slow_request, std::time::Duration::from_secs_f64),
        last_report: samples.iter().any(|(_, samples)| !samples.is_empty()).then_some(now),
        report_interval: settings.analysis_interval,
    }
}

fn arm_summary(last: &[&Sample], units: u64, erring: u64, slow: u64, alpha: f64) -> ArmSummary {
    let requests: u64 = last.iter().map(|sample| sample.requests).sum();
    let errors: u64 = last.iter().map(|sample| sample.errors).sum();
    let (k, n) = (errors as f64, requests as f64);
    let quantile = |percent| {
        let seconds = latency_percentile(last.iter().copied(), percent);
        seconds.map_or(Quantile::Unknown, |seconds| Quantile::Micros((1e6 * seconds).round() as u64))
    };
    let interval = || {
        let (low, high) = confidence::rate(k, n, alpha);
        (100.0 * low, 100.0 * high)
    };
    ArmSummary {
        requests,
        errors,
        error_rate: (requests > 0).then(|| 100.0 * k / n),
        error_rate_interval: (requests > 0).then(interval),
        latency_p50: quantile(50.0),
        latency_p95: quantile(95.0),
        latency_p99: quantile(99.0),
        overdue: 0,
        units: units as f64,
        erring_units: erring,
        slow_units: slow,
    }
}

/// Latencies beyond the edge, which is stable's p95 and what may come on top, taken once from the first
/// latencies, as [`crate::observations`] does. The samples that it was taken from do not count.
struct Slowness {
    edge: Option<f64>,
    /// For each sample: how many were beyond the edge, and how many there were.
    samples: PerArm<Vec<(f64, f64)>>,
    sums: PerArm<f64>,
}

impl Slowness {
    fn of(settings: &Settings, samples: &Samples) -> Self {
        let stable = &samples.stable;
        let enough = (1..=stable.len()).find(|count| latencies(&stable[..*count]) >= EDGE_LATENCIES);
        let factor = 1.0 + settings.limits.max_latency_increase / 100.0;
        let edge = enough.and_then(|count| Some(factor * latency_percentile(&stable[..count], 95.0)?));
        let left = stable.len() - enough.unwrap_or(stable.len());
        let counted = samples.map(|samples| {
            let skip = samples.len().saturating_sub(left);
            let beyond = |(place, sample): (usize, &Sample)| match edge.filter(|_| place >= skip) {
                Some(edge) => {
                    // At the edge itself is not beyond it.
                    let (below, all) = latencies_below([sample], edge.next_up());
                    (all - below, all)
                }
                None => (0.0, 0.0),
            };
            samples.iter().enumerate().map(beyond).collect::<Vec<_>>()
        });
        let sums = counted.map(|counts| counts.iter().map(|(slow, _)| slow).sum());
        Self { edge, samples: counted, sums }
    }
}

/// Under "the version makes no difference" a failed request is the canary's with the probability of any
/// request of its sample.
fn evidence(samples: &Samples, slow: &Slowness) -> (Mixture, Mixture) {
    let (mut errors, mut slowness) = (Mixture::default(), Mixture::default());
    let count = samples.stable.len().min(samples.canary.len());
    let from = |length: usize| length - count;
    let (stable, canary) =
        (&samples.stable[from(samples.stable.len())..], &samples.canary[from(samples.canary.len())..]);
    let slow_stable = &slow.samples.stable[from(slow.samples.stable.len())..];
    let slow_canary = &slow.samples.canary[from(slow.samples.canary.len())..];
    for (place, (stable, canary)) in stable.iter().zip(canary).enumerate() {
        let now = stable.time.max(canary.time);
        for mixture in [&mut errors, &mut slowness] {
            if place == 0 { mixture.begin_stratum(now) } else { mixture.restart_if_due(now) }
        }
        let rho = canary.requests as f64 / (stable.requests + canary.requests).max(1) as f64;
        errors.observe(rho, canary.errors, stable.errors);
        let ((slow_s, all_s), (slow_c, all_c)) = (slow_stable[place], slow_canary[place]);
        let rho = if all_s + all_c > 0.0 { all_c / (all_s + all_c) } else { 0.0 };
        slowness.observe(rho, slow_c.round() as u64, slow_s.round() as u64);
    }
    (errors, slowness)
}

fn odds_ratio(samples: &Samples, alpha: f64) -> Option<(f64, f64)> {
    let errors = samples.map(|samples| samples.iter().map(|sample| sample.errors).sum::<u64>() as f64);
    confidence::odds_ratio(share(samples).fraction(), errors.canary, errors.stable, alpha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Latency;
    use crate::settings::Decisions;
    use crate::verdict::{Outcome, Rule};

    fn history(count: u64, requests: u64, errors: u64, p95: f64) -> Vec<Sample> {
        let latency = Latency::Quantiles { p50: Some(p95 / 3.0), p95: Some(p95), p99: Some(2.0 * p95) };
        (0..count)
            .map(|number| Sample {
                time: Time(number * 10_000),
                requests,
                errors,
                latency: latency.clone(),
                ..Sample::default()
            })
            .collect()
    }

    fn judged(settings: &Settings, stable: Vec<Sample>, canary: Vec<Sample>) -> Verdict {
        verdict(settings, &[], &Samples { stable, canary }).0
    }

    #[test]
    fn a_slow_canary_fails_with_evidence_and_by_thresholds() {
        for decisions in [Decisions::Evidence, Decisions::Point] {
            let settings = Settings { decisions, ..Settings::default() };
            let found = judged(&settings, history(5, 1000, 10, 0.2), history(5, 100, 1, 0.4));
            assert_eq!((found.outcome, found.rule), (Outcome::Fail, Rule::Latency), "{}", found.reason);
        }
    }

    #[test]
    fn a_hundredth_against_three_hundredths_is_evidence_though_no_limit_is_broken() {
        let found = judged(&Settings::default(), history(20, 1000, 10, 0.3), history(20, 100, 3, 0.3));
        assert_eq!((found.outcome, found.rule), (Outcome::Fail, Rule::ErrorEvidence), "{}", found.reason);
    }

    #[test]
    fn a_recording_of_nothing_holds_and_one_of_few_requests_too() {
        let nothing = judged(&Settings::default(), Vec::new(), Vec::new());
        assert_eq!((nothing.outcome, nothing.rule), (Outcome::Hold, Rule::Data));
        let few = judged(&Settings::default(), history(1, 100, 0, 0.1), history(1, 3, 0, 0.1));
        assert_eq!(
            (few.outcome, few.rule, few.reason.as_str()),
            (Outcome::Hold, Rule::RequestCount, "3 of 10 requests")
        );
    }

    #[test]
    fn recordings_of_unequal_length_meet_at_their_ends() {
        let found = judged(&Settings::default(), history(30, 1000, 10, 0.3), history(7, 100, 1, 0.3));
        assert_eq!(found.outcome, Outcome::Continue, "{}", found.reason);
        let alone = judged(&Settings::default(), Vec::new(), history(7, 100, 1, 0.3));
        assert!(alone.reason.contains("no comparison possible"), "{}", alone.reason);
    }
}
