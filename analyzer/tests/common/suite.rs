//! What every store promises: each case gets a store that is empty.
#![allow(dead_code, reason = "each test program uses a part of it")]

use serin::experiments::events::Deed;
use serin::experiments::{Entry, Experiment, ExperimentSpec, Record, Source, Unit, UnitEvent};
use serin::store::{
    AUDIT_LINES, Action, AuditLine, JournalEntry, KeptAnswer, Mark, Outcome, Post, RolloutReport, Snapshot,
    Store, Walk, Write,
};
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, PerArm, Report, Revision, Share, Step, UnitHash};
use serin_judge::observations::Observations;
use serin_judge::ramp::{Phase, State, Transition};
use serin_judge::time::Time;
use std::sync::Arc;

const CANARY: &str = "default/shop";
const DAY: u64 = 24 * 3600 * 1000;

/// A case, and what it shows.
pub(crate) type Case = (&'static str, fn(&Arc<dyn Store>));

pub(crate) const CASES: [Case; 11] = [
    ("a canary comes back with the journal after its snapshot", canary),
    ("marks are kept for a day", marks),
    ("two lines of history in one millisecond stay two, and one written twice stays one", history),
    ("the last report is found", report),
    ("of many samples every nth and the last are read", samples),
    ("units come back in the order that was asked", units),
    ("a walk shows each unit's actions in order, however many there are", walk),
    ("an answer to an idempotency key is remembered", key),
    ("the inbox is read after a place, and cut", inbox),
    ("of the audit the last ten thousand lines are kept, and read page by page", audit),
    ("what writers beside each other commit is all there", writers),
];

fn entry(requests: u64) -> JournalEntry {
    let mut report = CanaryReport { name: CANARY.into(), ..CanaryReport::default() };
    report.arms.canary.requests = requests;
    JournalEntry { time: Time(1), instance: Instance(7), interval_ms: 500, entries: [report].into() }
}

pub(crate) fn snapshot(canary: &str, offset: u64) -> Write {
    let state = State::new("v1", "v2", Time(1));
    let snapshot = Snapshot { state, observations: Observations::new(Time(1)), offset, cursor: 0 };
    Write::Snapshot { canary: canary.into(), snapshot: Box::new(snapshot), units: vec![1, 0, 255] }
}

fn journal(offset: u64) -> Write {
    Write::Journal { canary: CANARY.into(), offset, entry: entry(offset) }
}

fn canary(store: &Arc<dyn Store>) {
    assert!(store.canary(CANARY).expect("reads").is_none());
    store.commit(&[snapshot(CANARY, 0), journal(1), journal(2)]).expect("commits");
    store.commit(&[snapshot(CANARY, 2), journal(3)]).expect("commits");
    let stored = store.canary(CANARY).expect("reads").expect("is there");
    assert_eq!(stored.snapshot.offset, 2);
    assert_eq!(stored.units, [1, 0, 255]);
    assert_eq!(stored.journal, [(3, entry(3))]);
}

fn mark(sequence: u64, time: u64) -> Mark {
    Mark { sequence, time: Time(time), node: "gw".into() }
}

fn marks(store: &Arc<dyn Store>) {
    store
        .commit(&[Write::Mark(Instance(1), mark(5, 0)), Write::Mark(Instance(2), mark(9, 60_000))])
        .expect("commits");
    assert_eq!(store.marks(Time(DAY - 1)).expect("reads").len(), 2);
    let marks = store.marks(Time(DAY)).expect("reads");
    assert_eq!(marks.into_iter().collect::<Vec<_>>(), [(Instance(2), mark(9, 60_000))]);
    store.sweep(Time(DAY)).expect("sweeps");
    assert_eq!(store.marks(Time(0)).expect("reads").len(), 1, "what was forgotten stays so");
}

pub(crate) fn line(reason: &str) -> Transition {
    Transition {
        time: Time(5),
        phase: Phase::Paused,
        weight: Share::NONE,
        step: Step(1),
        reason: reason.into(),
        by: None,
    }
}

fn history(store: &Arc<dyn Store>) {
    let write = |reason: &str| Write::Transition(CANARY.into(), line(reason));
    store.commit(&[snapshot(CANARY, 0), write("second to none"), write("another")]).expect("commits");
    let stored = store.canary(CANARY).expect("reads").expect("is there");
    assert_eq!(stored.history, [line("second to none"), line("another")]);
}

fn report(store: &Arc<dyn Store>) {
    let report = |kind: &str, time| RolloutReport {
        kind: kind.into(),
        time: Time(time),
        started: Time(0),
        affected: PerArm::default(),
        canary: 1.into(),
    };
    assert!(store.report(CANARY).expect("reads").is_none());
    let write = |kind: &str, time| Write::Report(CANARY.into(), report(kind, time));
    store.commit(&[write("rollback", 1), write("success", 2)]).expect("commits");
    assert_eq!(store.report(CANARY).expect("reads").expect("is there").kind, "success");
}

fn samples(store: &Arc<dyn Store>) {
    let samples: Vec<Write> =
        (0..100_u64).map(|time| Write::Sample(CANARY.into(), Time(time), time.into())).collect();
    store.commit(&samples).expect("commits");
    let (some, count) = store.samples_between(CANARY, Time(10), Time(60), 20).expect("reads");
    let some: Vec<u64> = some.iter().filter_map(serde_json::Value::as_u64).collect();
    assert_eq!((count, some.len()), (51, 18));
    assert_eq!((some.first(), some.get(1), some.last()), (Some(&10), Some(&13), Some(&60)));
    assert_eq!(store.last_samples(CANARY, Time(98), 100).expect("reads"), [98, 99]);
    assert_eq!(store.last_samples(CANARY, Time(0), 3).expect("reads"), [97, 98, 99]);
    assert_eq!(store.samples_between("default/other", Time(0), Time(9), 5).expect("reads"), (vec![], 0));
}

pub(crate) fn unit(arm: usize) -> Unit {
    Unit(vec![Entry { step: Step(1), arm, time: Time(3), goals: vec![(0, 2, 9.5)] }])
}

pub(crate) fn unit_write(experiment: &str, hash: u64, arm: usize) -> Write {
    Write::Unit { experiment: experiment.into(), unit: UnitHash(hash), record: unit(arm) }
}

fn units(store: &Arc<dyn Store>) {
    store.commit(&[unit_write("button", 1, 0), unit_write("button", u64::MAX, 1)]).expect("commits");
    let asked = [UnitHash(u64::MAX), UnitHash(2), UnitHash(1)];
    let found = store.units("button", &asked).expect("reads");
    assert_eq!(found, [unit(1), Unit::default(), unit(0)]);
    assert_eq!(store.units("other", &asked[..1]).expect("reads"), [Unit::default()]);
}

pub(crate) fn action(unit: u64, time: u64, number: u64, name: &str) -> Write {
    Write::Action {
        experiment: "button".into(),
        unit: UnitHash(unit),
        time: Time(time),
        number,
        action: Action { name: name.into(), properties: None },
    }
}

fn walk(store: &Arc<dyn Store>) {
    let many = (0..2500).map(|number| action(7, 10 + number, number, "view"));
    let mut writes: Vec<Write> = many.collect();
    writes.extend([action(3, 5, 1, "buy"), action(3, 2, 9, "view"), action(u64::MAX, 0, 0, "view")]);
    writes.push(unit_write("button", 7, 1));
    store.commit(&writes).expect("commits");
    let mut walks: Vec<Walk> = Vec::new();
    store.walk("button", &mut |walk| walks.push(walk)).expect("reads");
    let arms: Vec<_> = walks.iter().map(|walk| (walk.arm, walk.actions.len())).collect();
    assert_eq!(arms, [(None, 2), (Some(1), 2500), (None, 1)]);
    assert_eq!(walks[0].actions, [(Time(2), "view".to_owned()), (Time(5), "buy".to_owned())]);
    assert!(walks[1].actions.is_sorted());
}

fn key(store: &Arc<dyn Store>) {
    let answer = KeptAnswer { time: serin::engine::now(), accepted: 3, unexposed: 1 };
    assert_eq!(store.key("a key/of:any kind").expect("reads"), None);
    store.commit(&[Write::Key("a key/of:any kind".into(), answer.clone())]).expect("commits");
    assert_eq!(store.key("a key/of:any kind").expect("reads"), Some(answer));
}

pub(crate) fn a_report(instance: u64, sequence: u64, requests: u64) -> Report {
    let mut entry = CanaryReport { name: CANARY.into(), ..CanaryReport::default() };
    entry.arms.canary.requests = requests;
    Report {
        instance: Instance(instance),
        sequence,
        plan_revision: Revision(1),
        node: "gateway".into(),
        interval_ms: 500,
        canaries: if requests == 0 { Vec::new() } else { vec![entry] },
        experiments: Vec::new(),
    }
}

pub(crate) fn event(unit: u64, deed: Deed) -> UnitEvent {
    let unit = UnitHash(unit);
    UnitEvent { experiment: "button".into(), unit, bucket: 77, deed, time: Time(3), properties: None }
}

pub(crate) fn conversion(unit: u64) -> UnitEvent {
    event(unit, Deed::Conversion { goal: None, value: 2.5 })
}

fn inbox(store: &Arc<dyn Store>) {
    let place = |millis: u64| millis << 22;
    let report = |sequence| Post::Report(Box::new(a_report(1, sequence, 4)));
    let events =
        || Post::Events(vec![event(5, Deed::Exposure), event(5, Deed::Custom("view".into())), conversion(5)]);
    let write = |millis, post| Write::Inbox(place(millis), post);
    let writes =
        [write(1000, report(1)), write(1001, report(2)), write(1002, events()), write(1003, report(3))];
    store.commit(&writes).expect("commits");
    store.commit(&[Write::Cursor(place(1000))]).expect("commits");
    assert_eq!(store.cursor().expect("reads"), place(1000));
    let two = store.inbox(place(1000), 2).expect("reads");
    assert_eq!(two, [(place(1001), report(2)), (place(1002), events())]);
    assert_eq!(serin::store::time_of(two[0].0), Time(1001));
    store.commit(&[Write::Trim(place(1002))]).expect("commits");
    assert_eq!(store.inbox(0, 10).expect("reads").len(), 1);
}

pub(crate) fn audit_line(time: u64, reason: &str) -> AuditLine {
    AuditLine {
        time: Time(time),
        deed: "rollback".into(),
        canary: Some(CANARY.into()),
        experiment: None,
        by: "kim".into(),
        role: "operator".into(),
        reason: Some(reason.into()),
        peer: "127.0.0.1:7".into(),
        outcome: Outcome::Done,
        detail: "Failed at 0 %".into(),
    }
}

fn audit(store: &Arc<dyn Store>) {
    let write = |time, reason: &str| Write::Audit(Box::new(audit_line(time, reason)));
    assert_eq!(store.audit(u64::MAX, 9).expect("reads"), []);
    store
        .commit(&[write(5, "one"), write(5, "another"), write(5, "one"), write(9, "last")])
        .expect("commits");
    let last = store.audit(u64::MAX, 2).expect("reads");
    assert_eq!(
        last,
        [(9, audit_line(9, "last")), (6, audit_line(5, "another"))],
        "two of one moment stay two"
    );
    assert_eq!(
        store.audit(6, 9).expect("reads"),
        [(5, audit_line(5, "one"))],
        "what is written twice stays one"
    );

    let many: Vec<Write> = (100..100 + AUDIT_LINES as u64).map(|time| write(time, "again")).collect();
    many.chunks(2_000).for_each(|some| store.commit(some).expect("commits"));
    let all = store.audit(u64::MAX, 2 * AUDIT_LINES).expect("reads");
    assert_eq!((all.len(), all.last().map(|(number, _)| *number)), (AUDIT_LINES, Some(100)));
}

pub(crate) fn record(id: &str, ended: Option<Time>) -> Record {
    let spec =
        serde_json::json!({"arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}]});
    let spec: ExperimentSpec = serde_json::from_value(spec).expect("a specification");
    let experiment = Experiment::compile(id, spec).expect("compiles");
    let mut record = serin::experiments::Book::open(experiment, Source::Api, Time(1)).record;
    record.ended = ended;
    record
}

fn writers(store: &Arc<dyn Store>) {
    std::thread::scope(|scope| {
        for writer in 0..4_u64 {
            scope.spawn(move || {
                for round in 0..25 {
                    let number = writer * 1000 + round;
                    let writes = [
                        Write::Mark(Instance(number), mark(round, 1)),
                        unit_write("button", number, 0),
                        action(number, 1, number, "view"),
                        Write::Experiment(Box::new(record(&format!("of-{writer}"), None))),
                    ];
                    store.commit(&writes).expect("commits");
                }
            });
        }
    });
    assert_eq!(store.marks(Time(2)).expect("reads").len(), 100);
    let mut walks = 0;
    store.walk("button", &mut |walk| walks += usize::from(walk.arm == Some(0))).expect("reads");
    assert_eq!(walks, 100);
    let ids: Vec<String> =
        store.experiments(Time(2)).expect("reads").into_iter().map(|record| record.id).collect();
    assert_eq!(ids, ["of-0", "of-1", "of-2", "of-3"]);
    // A month and more after its end an experiment's units go; its sums stay.
    store.commit(&[Write::Experiment(Box::new(record("button", Some(Time(1)))))]).expect("commits");
    store.sweep(Time(31 * DAY)).expect("sweeps");
    assert_eq!(store.units("button", &[UnitHash(1)]).expect("reads"), [Unit::default()]);
    store.walk("button", &mut |walk| panic!("{walk:?} is still there")).expect("reads");
    assert_eq!(store.experiments(Time(31 * DAY)).expect("reads").len(), 5);
}
