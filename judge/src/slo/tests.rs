//! Scores against the reference's formulas, worked out by hand; budget and burn.

use super::*;
use crate::rules::Finding;
use crate::sample::{Latency, Samples};
use serin_contract::PerArm;

const NOW: Time = Time(1_000_000);

fn samples(requests: u64, errors: u64, seconds: &[f64]) -> Vec<Sample> {
    let latency = Latency::Seconds(seconds.to_vec());
    // Every ten seconds for five minutes, the last one now.
    let ago = |number: u64| Time(NOW.0 - (29 - number) * 10_000);
    (0..30)
        .map(|number| Sample {
            time: ago(number),
            requests,
            errors,
            latency: latency.clone(),
            ..Sample::default()
        })
        .collect()
}

fn standing(name: &str, samples: &[Sample]) -> Standing {
    let slos = Slo::defaults();
    let slo = slos.iter().find(|slo| slo.name == name).expect("one of the defaults");
    slo.standing(samples, NOW).expect("something to judge by")
}

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-9
}

/// The reference's example: 5 of 1000 fail, of the latencies 0.1 to 0.5 s four fifths are below 0.5 s.
#[test]
fn the_references_example_scores_as_its_formulas_say() {
    let samples = samples(1000, 5, &[0.1, 0.2, 0.3, 0.4, 0.5].repeat(200));
    assert!(close(standing("availability", &samples).score, 99.5 / 99.9 * 100.0));
    assert!(close(standing("latency_p95", &samples).score, 80.0 / 95.0 * 100.0));
    assert_eq!(standing("error_rate", &samples).score, 100.0);
}

#[test]
fn an_error_rate_beyond_its_limit_loses_ten_points_a_percent_down_to_zero() {
    assert!(close(standing("error_rate", &samples(1000, 35, &[])).score, 75.0));
    assert_eq!(standing("error_rate", &samples(1000, 900, &[])).score, 0.0);
}

#[test]
fn the_budget_is_spent_by_errors_and_can_be_overdrawn() {
    let left = |errors| standing("error_rate", &samples(1000, errors, &[])).budget_left;
    assert!(close(left(0), 100.0) && close(left(5), 50.0) && close(left(30), -200.0));
    let burn = standing("error_rate", &samples(1000, 30, &[])).burn;
    assert!(close(burn.long, 3.0) && close(burn.short, 3.0), "{burn:?}");
}

#[test]
fn samples_older_than_the_window_do_not_count_in_the_score() {
    let mut old = samples(1000, 1000, &[]);
    old.iter_mut().for_each(|sample| sample.time = Time(NOW.0 - 300_000));
    old.extend(samples(1000, 0, &[]));
    assert_eq!(standing("availability", &old).score, 100.0);
    assert!(standing("availability", &old).budget_left < 0.0, "the budget remembers");
    assert_eq!(Slo::defaults()[0].standing(&old[..30], NOW), None);
}

fn burning(stable: &[Sample], canary: &[Sample]) -> Option<Finding> {
    let mut slo = Slo::defaults().remove(2);
    slo.on_fast_burn = OnBreach::Fail;
    finding(&slo, &Samples { stable: stable.to_vec(), canary: canary.to_vec() }, 0.05, NOW)
}

#[test]
fn a_canary_that_burns_alone_is_found_and_a_shared_fire_is_not_its_fault() {
    let (good, bad) = (samples(1000, 5, &[]), samples(100, 30, &[]));
    let found = burning(&good, &bad).expect("a finding");
    assert_eq!(found.breach, OnBreach::Fail);
    assert!(
        found.reason.starts_with("SLO error_rate: the canary burns its error budget 30.0 times"),
        "{}",
        found.reason
    );
    assert_eq!(burning(&bad, &bad), None);
    assert_eq!(burning(&good, &good), None);
}

#[test]
fn a_fire_that_is_out_and_one_that_chance_explains_are_no_findings() {
    let good = samples(1000, 5, &[]);
    let mut out = samples(100, 30, &[]);
    out.iter_mut().rev().take(5).for_each(|sample| sample.errors = 0);
    assert_eq!(burning(&good, &out), None, "nothing burns in the short window");
    let few = Sample { time: NOW, requests: 2, errors: 1, ..Sample::default() };
    assert_eq!(burning(&good, &[few]), None, "one error of two requests");
}

#[test]
fn one_sample_older_than_the_short_window_still_counts_as_lately() {
    let late =
        |requests, errors| vec![Sample { time: Time(NOW.0 - 60_000), requests, errors, ..Sample::default() }];
    let arms = PerArm { stable: late(1000, 5), canary: late(1000, 300) };
    assert!(burning(&arms.stable, &arms.canary).is_some());
}
