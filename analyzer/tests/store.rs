//! The embedded store: what was committed comes back, what was not does not.

use serin::store::{JournalEntry, Mark, Redb, RolloutReport, Snapshot, Store, StoreError, Write};
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, PerArm};
use serin_judge::observations::Observations;
use serin_judge::ramp::{Phase, State, Transition};
use serin_judge::time::Time;

const CANARY: &str = "default/shop";

fn entry(requests: u64) -> JournalEntry {
    let mut report = CanaryReport { name: CANARY.into(), ..CanaryReport::default() };
    report.arms.canary.requests = requests;
    JournalEntry { time: Time(1), instance: Instance(7), interval_ms: 500, entries: vec![report] }
}

fn snapshot(offset: u64) -> Write {
    let state = State::new("v1", "v2", Time(1));
    let snapshot = Snapshot { state, observations: Observations::new(Time(1)), offset };
    Write::Snapshot { canary: CANARY.into(), snapshot: Box::new(snapshot), units: vec![1, 2, 3] }
}

fn journal(offset: u64) -> Write {
    Write::Journal { canary: CANARY.into(), offset, entry: entry(offset) }
}

#[test]
fn a_canary_comes_back_with_the_journal_after_its_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    let store = Redb::open(&path).expect("opens");
    assert!(store.canary(CANARY).expect("reads").is_none());
    store.commit(&[snapshot(0), journal(1), journal(2)]).expect("commits");
    store.commit(&[snapshot(2), journal(3)]).expect("commits");
    drop(store);

    let stored = Redb::open(&path).expect("opens").canary(CANARY).expect("reads").expect("is there");
    assert_eq!(stored.snapshot.offset, 2);
    assert_eq!(stored.units, [1, 2, 3]);
    assert_eq!(stored.journal, [(3, entry(3))]);
}

#[test]
fn marks_are_kept_for_a_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Redb::open(&folder.path().join("serin.redb")).expect("opens");
    let mark = |sequence, time| Mark { sequence, time: Time(time), node: "gw".into() };
    let day = 24 * 3600 * 1000;
    store
        .commit(&[Write::Mark(Instance(1), mark(5, 0)), Write::Mark(Instance(2), mark(9, 60_000))])
        .expect("commits");
    let marks = store.marks(Time(day)).expect("reads");
    assert_eq!(marks.into_iter().collect::<Vec<_>>(), [(Instance(2), mark(9, 60_000))]);
    assert!(store.marks(Time(0)).expect("reads").len() == 1, "what was forgotten stays so");
}

#[test]
fn two_lines_of_history_in_one_millisecond_stay_two_and_the_last_report_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Redb::open(&folder.path().join("serin.redb")).expect("opens");
    let line = |reason: &str| Transition {
        time: Time(5),
        phase: Phase::Paused,
        weight: serin_contract::Share::NONE,
        step: serin_contract::Step(1),
        reason: reason.into(),
        by: None,
    };
    let report = |kind: &str, time| RolloutReport {
        kind: kind.into(),
        time: Time(time),
        started: Time(0),
        affected: PerArm::default(),
        canary: 1.into(),
    };
    store
        .commit(&[
            snapshot(0),
            Write::Transition(CANARY.into(), line("first")),
            Write::Transition(CANARY.into(), line("second")),
            Write::Report(CANARY.into(), report("rollback", 1)),
            Write::Report(CANARY.into(), report("success", 2)),
        ])
        .expect("commits");
    let stored = store.canary(CANARY).expect("reads").expect("is there");
    assert_eq!(stored.history, [line("first"), line("second")]);
    assert_eq!(store.report(CANARY).expect("reads").expect("is there").kind, "success");
}

#[test]
fn of_many_samples_every_nth_and_the_last_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Redb::open(&folder.path().join("serin.redb")).expect("opens");
    let samples: Vec<Write> =
        (0..100_u64).map(|time| Write::Sample(CANARY.into(), Time(time), time.into())).collect();
    store.commit(&samples).expect("commits");
    let (some, count) = store.samples_between(CANARY, Time(10), Time(60), 20).expect("reads");
    let some: Vec<u64> = some.iter().filter_map(serde_json::Value::as_u64).collect();
    assert_eq!((count, some.len()), (51, 18));
    assert_eq!((some.first(), some.get(1), some.last()), (Some(&10), Some(&13), Some(&60)));
    let last = store.last_samples(CANARY, Time(98), 100).expect("reads");
    assert_eq!(last, [98, 99]);
    assert_eq!(store.last_samples(CANARY, Time(0), 3).expect("reads"), [97, 98, 99]);
}

#[test]
fn a_store_is_held_by_one_program_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    let _held = Redb::open(&path).expect("opens");
    assert!(matches!(Redb::open(&path), Err(StoreError::Database(_))));
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("serin.redb");
    std::fs::write(&path, "not a store").expect("written");
    assert!(Redb::open(&path).is_err());
    assert_eq!(std::fs::read(&path).expect("read"), b"not a store", "and stays as it was");
}
