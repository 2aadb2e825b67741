//! What counts, what does not, and what survives being written down.

use super::*;
use crate::summary::Summary;
use proptest::prelude::*;
use serin_contract::Tally;
use serin_contract::latency::index;
use serin_contract::report::ArmReport;

const REPORT: Duration = Duration::from_millis(500);
const START: Time = Time(1_000_000);

fn half() -> Share {
    Share::from_percent(50.0).expect("a share")
}

/// Step 3, stratum 5, half of the users.
fn observed() -> Observations {
    let mut observations = Observations::new(START);
    observations.begin_stratum(Step(3), Stratum(5), half(), START);
    observations
}

fn entry(stable: ArmReport, canary: ArmReport) -> CanaryReport {
    CanaryReport {
        step: Step(3),
        stratum: Stratum(5),
        arms: PerArm { stable, canary },
        ..CanaryReport::default()
    }
}

fn canary(arm: ArmReport) -> CanaryReport {
    entry(ArmReport::default(), arm)
}

fn units(numbers: std::ops::Range<u64>) -> Vec<UnitHash> {
    numbers.map(UnitHash).collect()
}

/// Requests of these users, all of which failed.
fn failed(requests: u64, users: std::ops::Range<u64>) -> ArmReport {
    let seen = units(users);
    ArmReport { requests, errors: requests, erred: seen.clone(), seen, ..ArmReport::default() }
}

fn timed(requests: u64, micros: u64) -> ArmReport {
    ArmReport { requests, latency: vec![(index(micros), requests)], ..ArmReport::default() }
}

fn hear(observations: &mut Observations, sender: u64, entries: &[CanaryReport], now: Time) {
    observations.report(&Settings::default(), Instance(sender), REPORT, entries, now);
}

fn summary(observations: &Observations, now: Time) -> Summary {
    observations.summary(&Settings::default(), now)
}

fn edge_micros(observations: &Observations) -> u128 {
    observations.slow_edge(&Settings::default()).as_micros()
}

#[test]
fn a_busy_user_who_errs_counts_once() {
    let mut busy = observed();
    let mut calm = observed();
    hear(&mut calm, 1, &[canary(failed(1, 7..8))], START);
    hear(&mut busy, 1, &[canary(failed(500, 7..8))], START);
    // A filter says it once; but even one that repeats itself changes nothing.
    hear(&mut busy, 1, &[canary(failed(500, 7..8))], START);
    let (calm, busy) = (summary(&calm, START), summary(&busy, START));
    assert_eq!((busy.window.canary.requests, busy.window.canary.errors), (1000, 1000));
    assert_eq!(busy.window.canary.erring_units, 1);
    assert_eq!(busy.evidence, calm.evidence);
}

#[test]
fn the_same_user_on_two_vms_counts_once() {
    let mut one = observed();
    let mut two = observed();
    hear(&mut one, 1, &[canary(failed(2, 7..9))], START);
    hear(&mut two, 1, &[canary(failed(1, 7..9))], START);
    hear(&mut two, 2, &[canary(failed(1, 7..9))], START);
    let (one, two) = (summary(&one, START), summary(&two, START));
    assert_eq!(two.window.canary, one.window.canary);
    assert_eq!(two.evidence, one.evidence);
    assert_eq!(two.window.canary.units, 2.0);
}

#[test]
fn a_user_who_appears_in_both_arms_stays_in_the_first() {
    let mut observations = observed();
    hear(&mut observations, 1, &[canary(failed(1, 7..8))], START);
    hear(&mut observations, 2, &[entry(failed(1, 7..8), ArmReport::default())], START);
    let window = summary(&observations, START).window;
    assert_eq!((window.canary.erring_units, window.stable.erring_units), (1, 0));
    assert_eq!((window.canary.units, window.stable.units), (1.0, 0.0));
}

#[test]
fn a_user_who_is_slow_and_errs_counts_once_for_each_question() {
    let mut observations = observed();
    hear(&mut observations, 1, &[canary(ArmReport { slow: units(7..8), ..failed(1, 7..8) })], START);
    let seen = summary(&observations, START);
    assert_eq!((seen.window.canary.erring_units, seen.window.canary.slow_units), (1, 1));
    assert!(seen.evidence.errors > 1.0 && (seen.evidence.errors - seen.evidence.slow).abs() < 1e-12);
}

#[test]
fn reports_of_an_earlier_step_or_stratum_count_in_the_totals_and_never_as_evidence() {
    for (step, stratum) in [(2, 5), (3, 4), (2, 4)] {
        let mut observations = observed();
        hear(&mut observations, 1, &[], START);
        let before = summary(&observations, START);
        let late = ArmReport { latency: vec![(index(900), 300)], slow: units(0..300), ..failed(300, 0..300) };
        let late = CanaryReport {
            step: Step(step),
            stratum: Stratum(stratum),
            misrouted: 40,
            ..entry(late.clone(), late)
        };
        hear(&mut observations, 1, &[late], START);
        let after = summary(&observations, START);
        assert_eq!(observations.totals().arms.canary.errors, 300);
        assert_eq!(observations.totals().misrouted, 40);
        assert_eq!(after.window.canary.errors, 300);
        assert_eq!(after.evidence, before.evidence);
        assert_eq!((after.window.canary.units, after.window.canary.erring_units), (0.0, 0));
        assert_eq!((after.sample_ratio, after.slow_edge), (before.sample_ratio, before.slow_edge));
        let in_step = step == 3;
        assert_eq!(after.step_requests.canary, if in_step { 300 } else { 0 });
        assert_eq!(after.routing.misrouted, if in_step { 40 } else { 0 });
    }
}

#[test]
fn a_new_stratum_counts_everybody_again_and_keeps_the_evidence() {
    let mut observations = observed();
    hear(&mut observations, 1, &[canary(failed(3, 0..3))], START);
    let before = summary(&observations, START);
    observations.begin_stratum(Step(3), Stratum(6), half(), START);
    let between = summary(&observations, START);
    assert_eq!((between.window.canary.units, between.window.canary.erring_units), (0.0, 0));
    assert_eq!(between.step_requests, before.step_requests, "it is the same step");
    let mut again = canary(failed(3, 0..3));
    again.stratum = Stratum(6);
    hear(&mut observations, 1, &[again], START);
    let after = summary(&observations, START);
    assert_eq!(after.window.canary.erring_units, 3);
    assert!(after.evidence.errors > before.evidence.errors);
}

#[test]
fn a_new_rollout_forgets_what_was_counted_and_knows_who_reports() {
    let mut observations = observed();
    hear(&mut observations, 1, &[entry(timed(300, 100), failed(30, 0..30))], START);
    observations.begin_rollout(START);
    let seen = summary(&observations, START);
    assert_eq!(observations.totals(), &Totals::default());
    assert_eq!((seen.window.canary.requests, seen.evidence.errors), (0, 1.0));
    assert_eq!((seen.last_report, seen.report_interval), (Some(START), REPORT));
    assert_eq!(edge_micros(&observations), 15_000_000);
}

fn hanging(overdue: u64) -> CanaryReport {
    canary(ArmReport { overdue, ..ArmReport::default() })
}

fn overdue(observations: &Observations, now: Time) -> u64 {
    summary(observations, now).window.canary.overdue
}

#[test]
fn overdue_is_a_level_that_each_report_of_a_filter_replaces() {
    let mut observations = observed();
    hear(&mut observations, 1, &[hanging(5)], START);
    hear(&mut observations, 2, &[hanging(2)], START);
    assert_eq!(overdue(&observations, START), 7);
    hear(&mut observations, 1, &[hanging(3)], START);
    assert_eq!(overdue(&observations, START), 5);
    let mut late = hanging(1);
    late.stratum = Stratum(4);
    hear(&mut observations, 1, &[late, hanging(3)], START);
    assert_eq!(overdue(&observations, START), 6, "requests of an earlier stratum hang too");
}

#[test]
fn a_report_without_an_entry_says_that_nothing_hangs() {
    let mut observations = observed();
    hear(&mut observations, 1, &[hanging(5)], START);
    hear(&mut observations, 1, &[], START.plus(REPORT));
    assert_eq!(overdue(&observations, START.plus(REPORT)), 0);
    assert_eq!(summary(&observations, START).last_report, Some(START.plus(REPORT)));
}

#[test]
fn filters_of_which_nothing_hangs_take_no_memory() {
    let mut observations = observed();
    (1..=5_000).for_each(|sender| {
        hear(&mut observations, sender, &[entry(failed(1, 0..1), hanging(0).arms.canary)], START);
    });
    assert!(!observations.is_hanging() && observations.senders.is_empty());
    hear(&mut observations, 7, &[hanging(1)], START);
    assert!(observations.is_hanging());
}

#[test]
fn a_filter_that_is_silent_for_thirty_seconds_no_longer_counts() {
    let mut observations = observed();
    let slow = Duration::from_secs(5);
    observations.report(&Settings::default(), Instance(1), slow, &[hanging(5)], START);
    let later = Time(START.0 + 29_999);
    hear(&mut observations, 2, &[hanging(1)], later);
    assert_eq!((overdue(&observations, later), summary(&observations, later).report_interval), (6, slow));
    let later = Time(START.0 + 30_000);
    assert_eq!((overdue(&observations, later), summary(&observations, later).report_interval), (1, REPORT));
    hear(&mut observations, 2, &[hanging(1)], later);
    assert_eq!(observations.senders.len(), 1, "it is forgotten, too");
}

#[test]
fn the_slow_edge_is_set_after_two_hundred_stable_requests_and_then_stays() {
    let mut observations = observed();
    hear(&mut observations, 1, &[entry(timed(199, 100_000), timed(900, 1))], START);
    assert_eq!(edge_micros(&observations), 15_000_000, "the limit, while stable's latency is unknown");
    hear(&mut observations, 1, &[entry(timed(1, 100_000), ArmReport::default())], START);
    let edge = edge_micros(&observations);
    assert!((145_000..=155_000).contains(&edge), "1.5 x 100 ms within a bucket: {edge}");
    hear(&mut observations, 1, &[entry(timed(9_000, 900_000), ArmReport::default())], START);
    assert_eq!(edge_micros(&observations), edge);
}

#[test]
fn the_slow_edge_is_kept_into_the_next_stratum_until_it_is_known_anew() {
    let mut observations = observed();
    hear(&mut observations, 1, &[entry(timed(200, 100_000), ArmReport::default())], START);
    let edge = edge_micros(&observations);
    observations.begin_stratum(Step(4), Stratum(6), Share::ALL, START);
    let next = |stratum, requests| CanaryReport {
        step: Step(4),
        stratum: Stratum(stratum),
        ..entry(timed(requests, 200_000), ArmReport::default())
    };
    hear(&mut observations, 1, &[next(6, 500)], START);
    assert_eq!(edge_micros(&observations), edge, "with one arm nothing is set");
    observations.begin_stratum(Step(4), Stratum(7), half(), START);
    hear(&mut observations, 1, &[next(7, 199)], START);
    assert_eq!(edge_micros(&observations), edge, "199 are too few");
    hear(&mut observations, 1, &[next(7, 1)], START);
    assert!((290_000..=310_000).contains(&edge_micros(&observations)), "{}", edge_micros(&observations));
}

#[test]
fn stables_p95_is_remembered_for_the_time_when_it_has_no_traffic() {
    let mut observations = observed();
    hear(&mut observations, 1, &[entry(timed(10, 100_000), ArmReport::default())], START);
    assert_eq!(summary(&observations, START).last_stable_p95, Quantile::Unknown);
    observations.begin_stratum(Step(4), Stratum(6), Share::ALL, START);
    let p95 = summary(&observations, START).last_stable_p95;
    assert!(matches!(p95, Quantile::Micros(97_000..=103_000)), "{p95}");
    observations.begin_stratum(Step(4), Stratum(7), Share::ALL, Time(START.0 + 600_000));
    assert_eq!(summary(&observations, START).last_stable_p95, p95);
}

#[test]
fn sets_of_users_stay_bounded_and_their_number_is_still_known() {
    let mut observations = observed();
    for batch in 0..20 {
        let users = |arm: u64| {
            let first = (2 * batch + arm) * 5_000;
            units(first..first + 5_000)
        };
        let report = |arm| ArmReport { requests: 5_000, seen: users(arm), ..ArmReport::default() };
        hear(&mut observations, 1, &[entry(report(0), report(1))], START);
        assert!(observations.units.seen.len() <= MAX);
    }
    assert_eq!(observations.seen_sample(), Sample::ALL.halved().halved());
    assert_eq!(observations.event_sample(), Sample::ALL, "events have a sample of their own");
    let seen = summary(&observations, START);
    for estimate in [seen.window.stable.units, seen.window.canary.units] {
        assert!((estimate / 100_000.0 - 1.0).abs() < 0.03, "{estimate} of 100000");
    }
    assert!(seen.sample_ratio < 1.0, "sampling does not look like a mismatch: {}", seen.sample_ratio);
    observations.begin_stratum(Step(3), Stratum(6), half(), START);
    assert_eq!(observations.seen_sample(), Sample::ALL, "a new stratum begins with everybody");
}

#[test]
fn sets_of_erring_users_stay_bounded_and_those_outside_the_sample_no_longer_count() {
    let mut observations = observed();
    hear(&mut observations, 1, &[canary(failed(70_000, 0..70_000))], START);
    let sample = observations.event_sample();
    assert_eq!(sample, Sample::ALL.halved());
    assert!(observations.units.erred.len() <= MAX);
    let before = summary(&observations, START).window.canary.erring_units;
    hear(&mut observations, 1, &[canary(failed(1_000, 70_000..71_000))], START);
    let counted = summary(&observations, START).window.canary.erring_units - before;
    assert_eq!(counted, units(70_000..71_000).into_iter().filter(|unit| sample.has(*unit)).count() as u64);
}

#[test]
fn asking_about_the_sizes_anew_forgets_the_mismatch() {
    let mut observations = observed();
    let seen = ArmReport { requests: 100, seen: units(0..100), ..ArmReport::default() };
    hear(&mut observations, 1, &[canary(seen)], START);
    assert!(summary(&observations, START).sample_ratio > 1000.0);
    observations.restart_sample_ratio();
    assert!(summary(&observations, START).sample_ratio <= 1.0);
}

/// A rollout with a bit of everything, in its second stratum.
fn eventful() -> Observations {
    let mut observations = observed();
    let responses = vec![("GET".to_owned(), 503, 7)];
    let stable = ArmReport { latency: vec![(200, 150), (214, 150)], ..failed(400, 0..150) };
    let canary = ArmReport { slow: units(300..333), overdue: 3, responses, ..failed(170, 300..450) };
    hear(&mut observations, 1, &[entry(stable.clone(), canary.clone())], START);
    observations.begin_stratum(Step(3), Stratum(6), half(), START.plus(Duration::from_secs(20)));
    let mut next = entry(stable, canary);
    next.stratum = Stratum(6);
    next.unassigned.stable = Tally { requests: 30, errors: 1 };
    hear(&mut observations, 0xfedc_ba98_7654_3210, &[next], START.plus(Duration::from_secs(21)));
    observations
}

fn written_and_read(observations: &Observations) -> Observations {
    let text = serde_json::to_string(&observations.clone_without_units()).expect("it can be written");
    let mut read: Observations = serde_json::from_str(&text).expect("it can be read");
    read.restore_units(&observations.units_to_bytes()).expect("the units are whole");
    read
}

/// JSON's decimal numbers may end in another last bit.
#[track_caller]
fn same(mut left: Summary, right: &Summary) {
    let close = |a: &mut f64, b: f64| {
        assert!((*a - b).abs() <= 1e-12 * b.abs(), "{a} is not {b}");
        *a = b;
    };
    close(&mut left.evidence.errors, right.evidence.errors);
    close(&mut left.evidence.slow, right.evidence.slow);
    close(&mut left.sample_ratio, right.sample_ratio);
    assert_eq!(&left, right);
}

#[test]
fn what_was_written_and_read_goes_on_as_if_nothing_had_been() {
    let mut kept = eventful();
    let mut read = written_and_read(&kept);
    let now = START.plus(Duration::from_secs(22));
    same(summary(&read, now), &summary(&kept, now));
    assert_eq!((read.units.clone(), read.totals()), (kept.units.clone(), kept.totals()));

    let mut again = canary(ArmReport { slow: units(320..340), ..failed(50, 440..470) });
    again.stratum = Stratum(6);
    let later = START.plus(Duration::from_secs(35));
    for observations in [&mut kept, &mut read] {
        hear(observations, 2, std::slice::from_ref(&again), later);
    }
    same(summary(&read, later), &summary(&kept, later));
    assert_eq!(summary(&read, later).window.canary.erring_units, 170, "known users are still known");
    for observations in [&mut kept, &mut read] {
        observations.begin_stratum(Step(4), Stratum(7), half(), later);
    }
    same(summary(&read, later), &summary(&kept, later));
}

#[test]
fn the_written_form_leaves_the_users_out() {
    let mut without = eventful();
    without.units = Units::default();
    assert_eq!(eventful().clone_without_units(), without);
    assert_eq!(
        serde_json::to_string(&without).expect("it can be written"),
        serde_json::to_string(&eventful()).expect("it can be written")
    );
}

#[test]
fn damaged_units_are_refused_and_change_nothing() {
    let mut observations = eventful();
    let whole = observations.units_to_bytes();
    let mut strange_arm = whole.clone();
    strange_arm[16] = 2;
    let huge = [&u64::MAX.to_le_bytes()[..], &whole[8..]].concat();
    let longer = [&whole[..], &[0]].concat();
    for bytes in [&whole[..whole.len() - 1], &whole[..4], &[], &strange_arm, &huge, &longer] {
        assert_eq!(observations.restore_units(bytes), Err(Damaged));
    }
    assert_eq!(observations, eventful());
    assert_eq!(observations.restore_units(&whole), Ok(()));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = observed().restore_units(&bytes);
    }

    #[test]
    fn a_damaged_byte_or_a_cut_never_panics(place in 0usize..4000, byte: u8, cut in 0usize..4000) {
        let mut bytes = eventful().units_to_bytes();
        let length = bytes.len();
        bytes[place % length] = byte;
        bytes.truncate(length - cut % length);
        let _ = observed().restore_units(&bytes);
    }

    #[test]
    fn units_survive_being_packed(
        seen in prop::collection::hash_map(any::<u64>(), any::<bool>(), 0..50),
        erred in prop::collection::hash_map(any::<u64>(), any::<bool>(), 0..50),
    ) {
        let mut units = Units::default();
        for (set, rows) in [(&mut units.seen, seen), (&mut units.erred, erred)] {
            for (unit, canary) in rows {
                set.insert(UnitHash(unit), if canary { Arm::Canary } else { Arm::Stable });
            }
        }
        prop_assert_eq!(Units::from_bytes(&units.to_bytes()), Ok(units));
    }
}
