//! Counters that begin anew, sources that go and come back, numbers that grow old.

use super::*;
use crate::sources::Template;

const ROUND: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Time {
    Time(seconds * 1000)
}

fn limit() -> Limit {
    Limit {
        name: "carts".into(),
        query: Template::parse("carts{v=\"{{version}}\"}").expect("known"),
        range: None,
        max: Some(5.0),
        min: None,
        max_increase: None,
        on_breach: OnBreach::Fail,
    }
}

fn application(requests: f64) -> Collected {
    let reading = || {
        let traffic =
            application::Traffic { requests_total: Some(requests), ..application::Traffic::default() };
        let system = application::System { cpu_percent: Some(f64::NAN), ..application::System::default() };
        Ok(application::Reading { traffic, system, notes: vec![] })
    };
    let answer = PerArm { stable: reading(), canary: reading() };
    Collected {
        time: at(0),
        application: Some(Asked { answer, took: Duration::from_millis(3) }),
        prometheus: None,
    }
}

fn prometheus(time: Time, answer: Result<f64, &str>) -> Collected {
    let answer = answer.map_err(str::to_owned).map(|value| Answers {
        limits: vec![PerArm { stable: Ok(1.0), canary: Ok(value) }],
        ..Answers::default()
    });
    Collected { time, application: None, prometheus: Some(Asked { answer, took: Duration::ZERO }) }
}

fn requests(ledger: &Ledger) -> Option<f64> {
    ledger.extras(Arm::Canary).sources["application"].requests
}

#[test]
fn a_counter_that_begins_anew_counts_from_zero_and_is_told() {
    let mut ledger = Ledger::default();
    let mut seen = Vec::new();
    for total in [100.0, 130.0, 7.0, 7.0] {
        ledger.take(application(total), &[], at(1));
        let notes = ledger.health().map(|health| health.notes.len()).sum::<usize>();
        seen.push((requests(&ledger), notes));
    }
    assert_eq!(seen, [(None, 0), (Some(30.0), 0), (Some(7.0), 2), (Some(0.0), 0)]);
    assert_eq!(ledger.extras(Arm::Stable).cpu_percent, None, "NaN is no number");
}

#[test]
fn a_source_turns_once_however_often_it_is_asked() {
    let mut ledger = Ledger::default();
    let limits = [limit()];
    let turns = |turned: Vec<Health>| turned.iter().map(|health| health.up).collect::<Vec<_>>();
    assert_eq!(turns(ledger.take(prometheus(at(1), Ok(1.0)), &limits, at(1))), [true]);
    assert_eq!(turns(ledger.take(prometheus(at(2), Err("refused")), &limits, at(2))), [false]);
    assert_eq!(turns(ledger.take(prometheus(at(3), Err("refused")), &limits, at(3))), [false; 0]);
    let health = ledger.health().next().expect("one").clone();
    assert_eq!((health.since, health.problem.as_deref()), (at(2), Some("refused")));
    assert_eq!(turns(ledger.take(prometheus(at(4), Ok(1.0)), &limits, at(4))), [true]);
}

#[test]
fn numbers_of_a_source_that_is_down_or_silent_are_not_known() {
    let mut ledger = Ledger::default();
    let limits = [limit()];
    let finding = |ledger: &Ledger, now| ledger.findings(&limits, ROUND, now).remove(0);
    assert!(matches!(finding(&ledger, at(1)), Finding::Unknown(told) if told.contains("not been asked")));
    ledger.take(prometheus(at(1), Ok(9.0)), &limits, at(1));
    assert!(matches!(finding(&ledger, at(30)), Finding::Broken(_)));
    assert!(matches!(finding(&ledger, at(50)), Finding::Unknown(told) if told.contains("49 s old")));
    ledger.take(prometheus(at(50), Err("cannot be reached")), &limits, at(50));
    assert!(matches!(finding(&ledger, at(50)), Finding::Unknown(told) if told.contains("cannot be reached")));
}

#[test]
fn another_rollout_knows_nothing_of_the_numbers_before() {
    let mut ledger = Ledger::default();
    let limits = [limit()];
    ledger.take(prometheus(at(1), Ok(9.0)), &limits, at(1));
    ledger.clear();
    assert!(matches!(ledger.findings(&limits, ROUND, at(2)).remove(0), Finding::Unknown(_)));
}
