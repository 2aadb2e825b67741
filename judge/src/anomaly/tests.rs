//! What fires, and what must not.

use super::*;
use crate::sample::Latency;
use crate::time::Time;
use serin_contract::PerArm;

fn sample(number: u64, requests: u64, errors: u64) -> Sample {
    Sample { time: Time(number * 10_000), requests, errors, ..Sample::default() }
}

fn steady(count: u64, requests: u64, errors: u64) -> Vec<Sample> {
    (0..count).map(|number| sample(number, requests, errors)).collect()
}

fn kinds(found: &[Anomaly]) -> Vec<(Kind, Severity)> {
    found.iter().map(|anomaly| (anomaly.kind, anomaly.severity)).collect()
}

fn canary(samples: Vec<Sample>) -> Vec<Anomaly> {
    detect(&Samples { stable: Vec::new(), canary: samples })
}

/// The reference's example: twenty samples of 1 % errors, then one of 10 %, slow and busy.
#[test]
fn a_spike_after_a_constant_past_is_found_in_errors_latency_and_cpu() {
    let mut samples = steady(20, 1000, 10);
    for sample in &mut samples {
        (sample.latency, sample.cpu_percent) = (Latency::Seconds(vec![0.1, 0.2, 0.3]), Some(40.0));
    }
    samples.push(Sample {
        latency: Latency::Seconds(vec![0.5, 0.6, 0.7]),
        cpu_percent: Some(90.0),
        ..sample(20, 1000, 100)
    });
    let found = canary(samples);
    let expected =
        [(Kind::ErrorRate, Severity::High), (Kind::Latency, Severity::Medium), (Kind::Cpu, Severity::Low)];
    assert_eq!(kinds(&found), expected);
    assert_eq!(
        (found[0].current, found[0].expected, found[0].version),
        (Some(10.0), Some(1.0), Some(Arm::Canary))
    );
}

#[test]
fn a_rate_that_falls_is_medium() {
    let mut samples = steady(10, 1000, 100);
    samples.push(sample(10, 1000, 10));
    assert_eq!(kinds(&canary(samples)), [(Kind::ErrorRate, Severity::Medium)]);
}

#[test]
fn one_error_after_none_is_chance_and_many_are_not() {
    let judge = |errors| {
        let mut samples = steady(10, 100, 0);
        samples.push(sample(10, 100, errors));
        canary(samples).len()
    };
    assert_eq!((judge(1), judge(10)), (0, 1));
}

#[test]
fn fewer_than_ten_samples_and_samples_without_requests_say_nothing() {
    let mut few = steady(8, 1000, 10);
    few.push(sample(8, 1000, 900));
    assert_eq!(canary(few), []);
    let mut idle = steady(10, 0, 0);
    idle.push(sample(10, 5, 5));
    assert_eq!(canary(idle), []);
}

#[test]
fn binomial_tails_are_sums_of_the_binomial() {
    // 1 - 0.9^3, 3 x 0.1^2 x 0.9 + 0.1^3, and 0.9^3.
    for (found, expected) in [
        (version::tail(1, 3, 0.1, true), 0.271),
        (version::tail(2, 3, 0.1, true), 0.028),
        (version::tail(0, 3, 0.1, false), 0.729),
        (version::tail(0, 3, 0.1, true), 1.0),
        (version::tail(3, 3, 0.1, false), 1.0),
    ] {
        assert!((found - expected).abs() < 1e-12, "{found} {expected}");
    }
}

/// The reference's example: stable at about 1 %, the canary from 2 % up by a point a sample.
#[test]
fn a_canary_whose_errors_rise_differs_from_stable_though_it_has_fewer_of_them() {
    let stable = (0..20).map(|i| sample(i, 1000, 8 + i % 5)).collect();
    let rising = (0..20).map(|i| sample(i, 100, 2 + i)).collect();
    let found = detect(&PerArm { stable, canary: rising });
    let correlation = found.iter().find(|anomaly| anomaly.kind == Kind::Correlation).expect("one");
    assert_eq!((correlation.severity, correlation.metric.as_deref()), (Severity::High, Some("errors")));
    assert!(correlation.p_value.is_some_and(|p| p < 1e-6));
}

#[test]
fn a_better_canary_is_no_correlation_anomaly() {
    let stable = (0..20).map(|i| sample(i, 1000, 30 + i % 5)).collect();
    let better = (0..20).map(|i| sample(i, 100, i % 2)).collect();
    assert_eq!(detect(&PerArm { stable, canary: better }), []);
}

/// Errors of a thousand requests: quiet, then an outage that comes and goes.
fn outage(shape: [u64; 8]) -> Vec<Sample> {
    let quiet = (0..12).map(|i| sample(i, 1000, 8 + i % 5));
    quiet.chain((12..).zip(shape).map(|(i, errors)| sample(i, 1000, errors))).collect()
}

const RISE: [u64; 8] = [10, 20, 60, 90, 150, 210, 260, 300];

#[test]
fn services_that_rise_together_are_named_and_the_quiet_one_is_not() {
    let quiet = (0..20).map(|i| sample(i, 1000, 8 + i % 5)).collect::<Vec<_>>();
    let shop = Samples { stable: outage(RISE), canary: outage(RISE.map(|errors| errors + 3)) };
    let cart = Samples { stable: outage(RISE.map(|errors| 2 * errors)), canary: Vec::new() };
    let search = Samples { stable: quiet.clone(), canary: quiet };
    let services = [("default/shop", &shop), ("default/cart", &cart), ("default/search", &search)]
        .map(|(name, samples)| Service { name, samples });
    let found = shared(&services);
    assert_eq!(kinds(&found), [(Kind::SharedRise, Severity::High)]);
    let names = ["default/cart (stable)", "default/shop (canary)", "default/shop (stable)"];
    assert_eq!(found[0].services, names);
    assert!(found[0].message.contains("before blaming a release"), "{}", found[0].message);
}

#[test]
fn both_versions_of_one_service_alone_are_no_shared_rise() {
    let shop = Samples { stable: outage(RISE), canary: outage(RISE) };
    assert_eq!(shared(&[Service { name: "default/shop", samples: &shop }]), []);
    assert_eq!(shared(&[]), []);
}

#[test]
fn samples_that_never_meet_in_time_do_not_correlate() {
    let shop = Samples { stable: outage(RISE), canary: Vec::new() };
    let mut later = outage(RISE);
    later.iter_mut().for_each(|sample| sample.time = Time(sample.time.0 + 10_000_000));
    let cart = Samples { stable: later, canary: Vec::new() };
    let services = [("a/shop", &shop), ("a/cart", &cart)].map(|(name, samples)| Service { name, samples });
    assert_eq!(shared(&services), []);
}

#[test]
fn anomalies_are_written_with_the_references_names() {
    let mut samples = steady(10, 1000, 10);
    samples.push(sample(10, 1000, 100));
    let text = serde_json::to_value(canary(samples)).expect("JSON");
    assert_eq!(text[0]["type"], "error_rate");
    assert_eq!((&text[0]["severity"], &text[0]["version"]), (&"high".into(), &"canary".into()));
    assert!(text[0].get("p_value").is_none());
}
