//! Synthetic users against the whole judge: faults are found in time, and their absence is no fault.
//! Every run is seeded, so a failure repeats itself. `scripts/bench statistics` makes the long runs.

use serin_contract::Share;
use serin_judge::settings::{Limits, Ramp, Settings};
use serin_judge::simulate::{Activity, Fault, Method, Outage, Outcome, Tally, World, run};
use serin_judge::verdict::Rule;
use std::time::Duration;

/// The fault begins after so long.
const FAULT: Duration = Duration::from_secs(20);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A tenth of the users, for the whole run.
fn at_ten_percent() -> Settings {
    let shares = [10.0, 100.0].map(|percent| Share::from_percent(percent).expect("a share"));
    Settings {
        ramp: Ramp::by_steps(shares.to_vec()).expect("a ramp"),
        promotion_interval: seconds(3600),
        ..Settings::default()
    }
}

fn outcomes(world: &World, seeds: std::ops::Range<u64>, length: Duration) -> Vec<Outcome> {
    seeds.map(|seed| run(world, &at_ten_percent(), Method::Evidence, length, seed)).collect()
}

/// The seconds from the fault until each seed's canary failed, fastest first, and the reasons.
fn time_to_fail(fault: Fault, seeds: u64, within: u64) -> (Vec<f64>, Vec<String>) {
    let world = World { fault: Some(fault), ..World::default() };
    let (mut times, mut reasons) = (Vec::new(), Vec::new());
    for outcome in outcomes(&world, 0..seeds, fault.at + seconds(within)) {
        // What fails before its fault is a false alarm, not a find.
        if let Some(found) = outcome.rolled_back.filter(|found| found.after > fault.at) {
            times.push((found.after - fault.at).as_secs_f64());
            reasons.push(found.reason);
        }
    }
    times.sort_by(f64::total_cmp);
    (times, reasons)
}

fn false_alarms(world: &World, seeds: u64, length: u64) -> Vec<String> {
    outcomes(world, 0..seeds, seconds(length))
        .into_iter()
        .filter_map(|outcome| Some(outcome.rolled_back?.reason))
        .collect()
}

#[test]
fn one_to_twenty_percent_errors_fail_within_fifteen_seconds() {
    let (times, _) = time_to_fail(Fault::errors(FAULT, 0.2), 20, 15);

    assert!(times.len() >= 19, "{times:?}");
}

#[test]
fn five_percent_against_one_percent_fails_within_a_minute() {
    let (times, _) = time_to_fail(Fault::errors(FAULT, 0.05), 20, 60);

    assert!(times.len() >= 18, "{times:?}");
}

#[test]
fn a_canary_as_good_as_stable_hardly_ever_fails_in_five_minutes() {
    let failed = false_alarms(&World::default(), 30, 300);

    assert!(failed.len() <= 3, "{failed:#?}");
}

#[test]
fn users_who_always_have_errors_do_not_fail_the_canary() {
    let failed = false_alarms(&World { chronic: 0.01, ..World::default() }, 30, 300);

    assert!(failed.len() <= 3, "{failed:#?}");
}

#[test]
fn tripled_latency_fails_with_latency_increased() {
    let (times, reasons) = time_to_fail(Fault { slower: 3.0, ..Fault::errors(FAULT, 0.01) }, 20, 60);

    assert!(times.len() >= 18, "{times:?}");
    for reason in reasons {
        assert!(reason.starts_with("latency increased: "), "{reason}");
    }
}

#[test]
fn a_canary_that_hangs_fails_before_its_requests_end() {
    for (at, words) in [(seconds(0), "the canary's p95 is not answered yet"), (FAULT, "in flight beyond")] {
        let (times, reasons) = time_to_fail(Fault { hangs: true, ..Fault::errors(at, 0.01) }, 5, 30);
        assert_eq!(times.len(), 5, "{times:?}");
        for reason in reasons {
            assert!(reason.starts_with("latency increased: ") && reason.contains(words), "{reason}");
            assert!(!reason.contains("; 0 requests"), "{reason}");
        }
    }
}

#[test]
fn a_shared_outage_breaks_the_absolute_limit_and_is_not_blamed_on_the_canary() {
    let outage = Outage { at: FAULT, until: seconds(60), errors: 0.3 };
    let world = World { outage: Some(outage), ..World::default() };
    let outcomes = outcomes(&world, 0..10, seconds(60));
    let rolled_back: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.rolled_back.as_ref()).collect();

    assert_eq!(rolled_back.len(), 10, "the limit protects as configured");
    let blameless =
        |reason: &str| reason.contains("stable is above the limit too and the evidence does not blame");
    let absolute = rolled_back.iter().filter(|found| found.rule == Some(Rule::ErrorRate));
    assert!(absolute.clone().count() >= 9, "{rolled_back:#?}");
    assert!(absolute.filter(|found| blameless(&found.reason)).count() >= 9, "{rolled_back:#?}");
}

/// Of 10 runs at a rate of 5 % more than 3 fail with a probability of 0.1 %.
#[test]
fn without_the_absolute_limit_a_shared_outage_ends_hardly_any_release() {
    let outage = Outage { at: seconds(90), until: seconds(150), errors: 0.3 };
    let world = World { outage: Some(outage), ..World::default() };
    let usual = Settings::default();
    let settings = Settings { limits: Limits { max_error_rate: 100.0, ..usual.limits.clone() }, ..usual };
    let outcomes: Vec<_> =
        (0..10).map(|seed| run(&world, &settings, Method::Evidence, seconds(1800), seed)).collect();
    let tally = Tally::of(&world, &outcomes);

    assert!(tally.false_rollbacks.count <= 3, "{tally:#?}");
    assert_eq!(tally.absolute_rollbacks.count, 0, "{tally:#?}");
}

/// Of 10 runs at a rate of 5 % more than 3 fail with a probability of 0.1 %.
#[test]
fn whole_ramps_of_a_good_canary_succeed_whatever_its_users_are_like() {
    for world in [
        World { activity: Activity::HeavyTailed, ..World::default() },
        World { chronic: 0.01, swing: 0.8, rate: 50.0, ..World::default() },
    ] {
        let outcomes: Vec<_> = (0..10)
            .map(|seed| run(&world, &Settings::default(), Method::Evidence, seconds(1800), seed))
            .collect();
        let tally = Tally::of(&world, &outcomes);
        assert!(tally.false_rollbacks.count <= 3, "{tally:#?}");
        assert_eq!(tally.false_rollbacks.count + tally.succeeded.count, 10, "{tally:#?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_rollout_and_another_seed_another() {
    let world = World { fault: Some(Fault::errors(FAULT, 0.2)), ..World::default() };
    for method in Method::ALL {
        let once = |seed| run(&world, &Settings::default(), method, seconds(60), seed);
        assert_eq!(once(3), once(3), "{}", method.name());
        assert_ne!(once(3), once(4), "{}", method.name());
    }
}

#[test]
fn the_other_methods_find_a_great_fault_too_but_later() {
    let world = World { fault: Some(Fault::errors(FAULT, 0.3)), ..World::default() };
    let after = |method| {
        let outcome = run(&world, &Settings::default(), method, seconds(1800), 1);
        outcome.rolled_back.unwrap_or_else(|| panic!("{} found nothing", method.name())).after
    };
    let evidence = after(Method::Evidence);
    assert!(evidence < FAULT + seconds(15), "{evidence:?}");
    for later in [Method::Gate, Method::OneShot] {
        assert!(after(later) >= seconds(300), "{}", later.name());
    }
}
