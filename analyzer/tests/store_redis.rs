//! The store in Redis: the promises that all stores make, and those that several analyzers need.

mod common;
#[path = "common/redis.rs"]
mod redis_server;
#[path = "common/suite.rs"]
mod suite;

use redis_server::Server;
use serin::metrics::Metrics;
use serin::store::{Lock, Redis, Standing, Store, StoreError, Write};
use serin_contract::Report;
use serin_contract::report::Instance;
use serin_judge::time::Time;
use std::sync::Arc;
use std::time::Duration;

const LIFE: Duration = Duration::from_secs(60);

fn who(name: &str) -> Lock {
    Lock { name: name.into(), address: format!("http://{name}:8080") }
}

fn mine(standing: Standing) -> String {
    match standing {
        Standing::Mine(token) => token,
        other @ (Standing::Other(_) | Standing::Lost(_)) => panic!("{other:?}"),
    }
}

#[test]
fn redis_keeps_every_promise_of_a_store() {
    let server = Server::start(&[]);
    for (number, (what, case)) in suite::CASES.into_iter().enumerate() {
        println!("{what}");
        let store: Arc<dyn Store> = Arc::new(server.store(&format!("case-{number}")));
        case(&store);
    }
}

#[test]
fn a_line_of_history_that_is_written_again_stays_one() {
    let server = Server::start(&[]);
    let store = server.store("serin");
    let writes =
        [suite::snapshot("default/shop", 0), Write::Transition("default/shop".into(), suite::line("once"))];
    // As after a commit that was there although no answer came.
    store.commit(&writes).expect("commits");
    store.commit(&writes).expect("commits");
    assert_eq!(store.canary("default/shop").expect("reads").expect("is there").history.len(), 1);
}

#[test]
fn reports_that_several_analyzers_take_at_once_are_in_once_and_each_in_its_senders_order() {
    let server = Server::start(&[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let store = server.store("serin");
            // Every analyzer is sent every report, as when filters do not get an answer in time.
            scope.spawn(move || {
                for sequence in 1..=50 {
                    let reports: Vec<Report> =
                        (1..=5).map(|instance| suite::a_report(instance, sequence, sequence)).collect();
                    let taken = store.take(&reports.iter().collect::<Vec<_>>(), Time(1)).expect("takes");
                    assert!(taken.reports.iter().all(|(acknowledged, _)| *acknowledged >= sequence));
                }
            });
        }
    });
    let store = server.store("serin");
    let inbox = store.inbox(0, 10_000).expect("reads");
    assert_eq!(inbox.len(), 250);
    for instance in 1..=5 {
        let own = inbox.iter().filter(|(_, report)| report.instance == Instance(instance));
        assert!(own.map(|(_, report)| report.sequence).eq(1..=50));
    }
    assert_eq!(store.marks(Time(1)).expect("reads").len(), 5);
    let empty = suite::a_report(9, 1, 0);
    for _ in 0..2 {
        let taken = store.take(&[&empty], Time(1)).expect("takes");
        assert_eq!(taken.reports, [(1, true)], "an empty report leaves no mark and is empty again");
    }
}

#[test]
fn one_leads_and_whoever_led_before_writes_nothing_any_more() {
    let server = Server::start(&[]);
    let (first, second) = (server.store("serin"), server.store("serin"));
    let token = mine(first.lock(&who("first"), LIFE, None).expect("answers"));
    assert_eq!(second.lock(&who("second"), LIFE, None).expect("answers"), Standing::Other(who("first")));
    assert_eq!(mine(first.lock(&who("first"), LIFE, Some(&token)).expect("answers")), token, "renewed");
    first.commit(&[Write::Cursor(1)]).expect("commits");

    // The lock runs out, and nobody else takes it: the term goes on.
    let _: u64 = server.ask(&["DEL", "{serin}:lock"]);
    first.commit(&[Write::Cursor(2)]).expect("nobody has led in between");
    assert_eq!(mine(first.lock(&who("first"), LIFE, Some(&token)).expect("answers")), token);

    // It runs out again, and another takes it.
    let _: u64 = server.ask(&["DEL", "{serin}:lock"]);
    let other = mine(second.lock(&who("second"), LIFE, None).expect("answers"));
    assert_ne!(other, token);
    assert!(matches!(first.commit(&[Write::Cursor(3)]), Err(StoreError::Fenced)));
    assert_eq!(
        first.lock(&who("first"), LIFE, Some(&token)).expect("answers"),
        Standing::Lost(Some(who("second")))
    );
    second.commit(&[Write::Cursor(4)]).expect("commits");
    first.unlock(&token).expect("answers");
    assert_eq!(second.cursor().expect("reads"), 4);

    // Given back, it is free; but who has led cannot lead again as if nothing had been.
    second.unlock(&other).expect("answers");
    assert_eq!(first.lock(&who("first"), LIFE, Some(&token)).expect("answers"), Standing::Lost(None));
    // Whom a Lease elects takes it at once.
    mine(server.store("serin").lock(&who("third"), LIFE, None).expect("answers"));
    let elected = server.store("serin");
    mine(elected.seize(&who("elected")).expect("answers"));
    elected.commit(&[Write::Cursor(5)]).expect("commits");
    // While somebody leads, nobody writes from aside.
    assert!(matches!(server.store("serin").commit(&[Write::Cursor(6)]), Err(StoreError::Held)));
}

#[test]
fn a_commit_without_an_answer_is_there_or_never_will_be() {
    let server = Server::start(&[]);
    let store = server.store("serin");
    store.commit(&[Write::Cursor(1)]).expect("commits");
    // The commit that comes late: what it knows of the number of commits is old by then.
    let late = server.store("serin");
    late.commit(&[Write::Cursor(2)]).expect("commits");
    store.settle().expect("settles");
    assert!(late.commit(&[Write::Cursor(3)]).is_err(), "it had its chance");
    assert_eq!(store.cursor().expect("reads"), 2);
    store.commit(&[Write::Cursor(4)]).expect("commits");
    // It asks for the number after a refusal, and then may write: there is no other term.
    late.commit(&[Write::Cursor(5)]).expect("commits");
}

#[test]
fn a_redis_that_is_full_takes_nothing_at_all_and_says_so() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]);
    let store = server.store("serin");
    store.commit(&[Write::Cursor(1)]).expect("commits");
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let report = suite::a_report(1, 1, 1);
    for error in [
        store.commit(&[Write::Cursor(2), suite::snapshot("default/shop", 1)]).expect_err("is full"),
        store.take(&[&report], Time(1)).expect_err("is full"),
    ] {
        assert!(error.to_string().contains("store unavailable: Redis is full"), "{error}");
    }
    assert_eq!((store.cursor().expect("reads"), store.inbox(0, 9).expect("reads").len()), (1, 0));
    assert!(
        store.canary("default/shop").expect("reads").is_none()
            && store.marks(Time(1)).expect("reads").is_empty()
    );
    let _: String = server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    store.commit(&[Write::Cursor(2)]).expect("commits");
    store.take(&[&report], Time(1)).expect("takes");
}

#[test]
fn a_redis_of_the_version_before_is_brought_up_to_date_and_one_of_a_newer_is_refused() {
    let server = Server::start(&[]);
    let Write::Snapshot { snapshot, .. } = suite::snapshot("default/shop", 3) else { unreachable!() };
    let mut snapshot = serde_json::to_value(snapshot).expect("JSON");
    snapshot.as_object_mut().expect("an object").remove("cursor");
    let _: u64 = server.ask(&["HSET", "{old}:snapshots", "default/shop", &snapshot.to_string()]);
    let _: String = server.ask(&["SET", "{old}:format", "1"]);
    let stored = server.store("old").canary("default/shop").expect("reads").expect("is there");
    assert_eq!((stored.snapshot.offset, stored.snapshot.cursor), (3, 0));
    assert_eq!(server.ask::<u64>(&["GET", "{old}:format"]), 2);

    let _: String = server.ask(&["SET", "{new}:format", "99"]);
    let opened = Redis::open(server.settings("new"), Metrics::new().expect("metrics").store.clone());
    let error = opened.err().expect("is refused").to_string();
    assert!(error.contains("format 99") && error.contains("use the version that wrote it"), "{error}");
}

fn lines(store: &dyn Store) -> Vec<String> {
    let mut out = Vec::new();
    serin::store::exchange::export(store, &mut out).expect("exports");
    let mut lines: Vec<String> = String::from_utf8(out).expect("text").lines().map(str::to_owned).collect();
    // The order of a hash in Redis is its own.
    lines[1..].sort();
    lines
}

#[test]
fn a_store_goes_to_redis_and_back_and_is_the_same() {
    use serin::store::Redb;
    use serin::store::exchange::{ExchangeError, import};
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().expect("a folder");
    let first = Redb::open(&folder.path().join("first.redb")).expect("opens");
    let now = serin::engine::now();
    let journal =
        serde_json::json!({"time": 1, "instance": "00000000000000aa", "interval_ms": 500, "entries": []});
    first
        .commit(&[
            suite::snapshot("default/shop", 2),
            Write::Journal {
                canary: "default/shop".into(),
                offset: 3,
                entry: serde_json::from_value(journal).expect("an entry"),
            },
            Write::Transition("default/shop".into(), suite::line("one")),
            Write::Transition("default/shop".into(), suite::line("another")),
            Write::Sample("default/shop".into(), Time(7), serde_json::json!({"step": 1, "rate": 0.1})),
            Write::Experiment(Box::new(suite::record("button", None))),
            suite::unit_write("button", 5, 1),
            suite::action(5, 8, 1, "view"),
            Write::Mark(Instance(1), serin::store::Mark { sequence: 9, time: now, node: "gw".into() }),
            Write::Key("a key".into(), serin::store::KeptAnswer { time: now, accepted: 2, unexposed: 0 }),
            Write::Cursor(5 << 22),
            Write::Inbox(6 << 22, Box::new(suite::a_report(1, 10, 3))),
        ])
        .expect("commits");
    let written = lines(&first);
    assert_eq!(written.len(), 13);
    assert_eq!(written[0], r#"{"serin_store":2}"#);
    let redis = server.store("serin");
    let text = written.join("\n");
    assert_eq!(import(&redis, &mut text.as_bytes(), false).expect("imports"), 12);
    assert_eq!(lines(&redis), written);
    assert!(matches!(import(&redis, &mut text.as_bytes(), false), Err(ExchangeError::Occupied)));
    import(&redis, &mut text.as_bytes(), true).expect("imports again");
    let second = Redb::open(&folder.path().join("second.redb")).expect("opens");
    let mut out = Vec::new();
    serin::store::exchange::export(&redis, &mut out).expect("exports");
    import(&second, &mut out.as_slice(), false).expect("imports");
    assert_eq!(lines(&second), written);

    let third = Redb::open(&folder.path().join("third.redb")).expect("opens");
    for (text, told) in [
        ("", "line 1: is missing"),
        ("{\"serin_store\":9}", "format 9"),
        ("{\"serin_store\":2}\n{\"table\":\"nonsense\"}", "line 2: unknown variant `nonsense`"),
    ] {
        let error = import(&third, &mut text.as_bytes(), false).expect_err(text).to_string();
        assert!(error.contains(told), "{error}");
    }
    // While an analyzer leads nothing holds still.
    mine(redis.lock(&who("leader"), LIFE, None).expect("answers"));
    assert!(serin::store::exchange::export(&redis, &mut Vec::new()).is_err());
}
