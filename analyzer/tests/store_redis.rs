//! The store in Redis: the promises that all stores make, and those that several analyzers need.

mod common;
#[path = "common/redis.rs"]
mod redis_server;
#[path = "common/suite.rs"]
mod suite;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use redis::IntoConnectionInfo;
use redis_server::{Cluster, Server};
use serin::experiments::events::Deed;
use serin::metrics::Metrics;
use serin::store::{
    EventCall, Intaken, Lock, Post, Redis, RedisSettings, Standing, Store, StoreError, Write,
};
use serin_contract::Report;
use serin_contract::report::Instance;
use serin_judge::time::Time;
use std::path::Path;
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
fn in_a_cluster_the_store_is_found_from_any_node_and_followed_when_its_slot_moves() {
    let cluster = Cluster::start();
    for (number, (what, case)) in suite::CASES.into_iter().enumerate() {
        println!("{what}");
        let prefix = format!("case-{number}");
        let (_, elsewhere) = cluster.nodes_of(&prefix);
        let store: Arc<dyn Store> = Arc::new(elsewhere.store(&prefix));
        case(&store);
    }

    let (home, other) = cluster.nodes_of("serin");
    let (leader, taker) = (other.store("serin"), home.store("serin"));
    let token = mine(leader.lock(&who("leader"), LIFE, None).expect("answers"));
    let call = |key: &str| EventCall { key: Some(key.to_owned()), events: vec![suite::conversion(1)] };
    let take = |number: u64| {
        taker.take(&[&suite::a_report(1, number, number)], Time(1))?;
        taker.take_events(&[call(&number.to_string())], Time(1))
    };
    leader.commit(&[suite::snapshot("default/shop", 1), Write::Cursor(1)]).expect("commits");
    take(1).expect("takes");
    for (round, way) in [(home, other), (other, home)].into_iter().enumerate() {
        let number = round as u64 + 2;
        cluster.migrate("serin", way, || {
            // Some keys are here and some there: no script can run, and nothing of it is written.
            let told = take(number).expect_err("is on its way").to_string();
            assert!(told.contains("store unavailable"), "{told}");
        });
        take(number).expect("takes");
        leader.commit(&[Write::Cursor(number)]).expect("commits");
        assert_eq!(mine(leader.lock(&who("leader"), LIFE, Some(&token)).expect("answers")), token);
        assert_eq!(taker.cursor().expect("reads"), number);
        assert!(taker.plan().expect("reads").is_none(), "also what is asked in a transaction");
    }
    assert_eq!(leader.inbox(0, 99).expect("reads").len(), 6, "each report and each call once");
    assert!(!taker.take_events(&[call("1")], Time(1)).expect("takes")[0].1, "known by its key as before");
    leader.unlock(&token).expect("answers");
    // What a backup reads is read from the node that has it.
    assert_eq!(lines(&other.store("serin")), lines(&home.store("serin")));
}

#[test]
fn over_tls_redis_is_reached_by_who_trusts_its_authority_and_knows_the_password() {
    let files = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = || {
        let key = KeyPair::generate().expect("a key");
        CertifiedIssuer::self_signed(params.clone(), key).expect("signed")
    };
    let (known, unknown) = (authority(), authority());
    let key = KeyPair::generate().expect("a key");
    let named = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let certificate = file("tls.crt", &named.signed_by(&key, &known).expect("signed").pem());
    let key = file("tls.key", &key.serialize_pem());
    let (known, unknown) = (file("known.crt", &known.pem()), file("unknown.crt", &unknown.pem()));
    let server = Server::start_tls(&certificate, &key, &known, &["--requirepass", "a-password-of-redis"]);

    let open = |authority: &Path, password: &str| {
        let shown = format!("rediss://127.0.0.1:{}", server.port);
        let settings = RedisSettings {
            info: shown.as_str().into_connection_info().expect("a URL"),
            shown,
            ca_file: Some(authority.to_owned()),
            password_file: Some(file("password", password)),
            ..server.settings("serin")
        };
        Redis::open(settings, Metrics::new().expect("metrics").store.clone())
    };
    let store = open(&known, "a-password-of-redis\n").expect("opens");
    store.commit(&[suite::snapshot("default/shop", 0)]).expect("commits");
    assert!(store.canary("default/shop").expect("reads").is_some());
    for (authority, password) in [(&known, "another"), (&unknown, "a-password-of-redis")] {
        let told = open(authority, password).map(drop).expect_err("refused").to_string();
        assert!(!told.contains("a-password-of-redis"), "{told}");
        println!("{told}");
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
                    let is_in = |taken: &Intaken| match taken {
                        Intaken::New => true,
                        Intaken::Known(highest) => *highest >= sequence,
                        Intaken::Refused => false,
                    };
                    assert!(taken.reports.iter().all(is_in));
                }
            });
        }
    });
    let store = server.store("serin");
    let inbox = store.inbox(0, 10_000).expect("reads");
    assert_eq!(inbox.len(), 250);
    for instance in 1..=5 {
        let of = |(_, post): &(u64, Post)| match post {
            Post::Report(report) => (report.instance == Instance(instance)).then_some(report.sequence),
            Post::Events(_) => None,
        };
        assert!(inbox.iter().filter_map(of).eq(1..=50));
    }
    assert_eq!(store.marks(Time(1)).expect("reads").len(), 5);
    let empty = suite::a_report(9, 1, 0);
    for _ in 0..2 {
        let taken = store.take(&[&empty], Time(1)).expect("takes");
        assert_eq!(taken.reports, [Intaken::New], "an empty report leaves no mark and is empty again");
    }
}

#[test]
fn one_sender_more_than_can_be_is_refused_at_every_analyzer_and_known_ones_go_on() {
    let server = Server::start(&[]);
    let [one, other] = [server.store("serin"), server.store("serin")].map(|store| store.with_senders(3));
    let take = |store: &Redis, instance, sequence| {
        store.take(&[&suite::a_report(instance, sequence, 1)], Time(1)).expect("takes").reports[0]
    };
    // In one call as well as one by one.
    let reports = [1, 2].map(|instance| suite::a_report(instance, 1, 1));
    let taken = one.take(&reports.iter().collect::<Vec<_>>(), Time(1)).expect("takes");
    assert_eq!(taken.reports, [Intaken::New, Intaken::New]);
    assert_eq!((take(&other, 3, 1), take(&other, 4, 1)), (Intaken::New, Intaken::Refused));
    let empty = suite::a_report(4, 1, 0);
    assert_eq!(one.take(&[&empty], Time(1)).expect("takes").reports, [Intaken::Refused]);
    assert_eq!((take(&one, 3, 1), take(&one, 3, 2)), (Intaken::Known(1), Intaken::New));
    assert_eq!(one.inbox(0, 9).expect("reads").len(), 4, "nothing of who was refused");
    // A day later there is room again.
    one.sweep(Time(24 * 3600 * 1000 + 1)).expect("sweeps");
    assert_eq!(take(&other, 4, 1), Intaken::New);
}

#[test]
fn a_call_with_events_that_comes_twice_also_to_two_analyzers_is_in_once_and_answered_as_before() {
    let server = Server::start(&[]);
    let call = |key: &str, events| EventCall { key: Some(key.to_owned()), events };
    let answers: Vec<(u64, bool)> = std::thread::scope(|scope| {
        let told: Vec<_> = (0..4)
            .map(|_| {
                let store = server.store("serin");
                let calls: Vec<EventCall> = (1..=20)
                    .map(|key| call(&key.to_string(), vec![suite::conversion(key), suite::conversion(key)]))
                    .collect();
                scope.spawn(move || {
                    let both = calls.chunks(7).map(|some| store.take_events(some, Time(9)).expect("takes"));
                    both.flatten().map(|(kept, new)| (kept.accepted, new)).collect::<Vec<_>>()
                })
            })
            .collect();
        told.into_iter().flat_map(|thread| thread.join().expect("ends")).collect()
    });
    assert!(answers.len() == 80 && answers.iter().all(|(accepted, _)| *accepted == 2));
    assert_eq!(answers.iter().filter(|(_, new)| *new).count(), 20, "each key is new once");
    let store = server.store("serin");
    assert_eq!(store.inbox(0, 1000).expect("reads").len(), 20);
    let kept = store.key("7").expect("reads").expect("is there");
    assert_eq!((kept.time, kept.accepted, kept.unexposed), (Time(9), 2, 2));
    assert!(server.ask::<u64>(&["PTTL", "{serin}:experiment-keys:7"]) > 47 * 3600 * 1000);
}

#[test]
fn an_answer_to_events_knows_whose_exposure_waits_to_be_counted() {
    let server = Server::start(&[]);
    let store = server.store("serin");
    store.commit(&[suite::unit_write("button", 1, 0)]).expect("commits");
    let unexposed = |events| {
        let call = EventCall { key: None, events };
        store.take_events(&[call], Time(9)).expect("takes")[0].0.unexposed
    };
    // 1 is counted as exposed, 2 is exposed by the call itself, 3 only after its conversion.
    let shown = |unit| suite::event(unit, Deed::Exposure);
    let events = vec![suite::conversion(1), shown(2), suite::conversion(2), suite::conversion(3), shown(3)];
    assert_eq!(unexposed(events), 1);
    assert_eq!(unexposed(vec![suite::conversion(2), suite::conversion(3), suite::conversion(4)]), 1);
    assert_eq!(store.inbox(0, 9).expect("reads").len(), 2, "what is nobody's waits too");
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
    let events = EventCall { key: Some("a key".into()), events: vec![suite::conversion(1)] };
    for error in [
        store.commit(&[Write::Cursor(2), suite::snapshot("default/shop", 1)]).expect_err("is full"),
        store.take(&[&report], Time(1)).expect_err("is full"),
        store.take_events(std::slice::from_ref(&events), Time(1)).expect_err("is full"),
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
    assert!(store.key("a key").expect("reads").is_none(), "the call that was refused is new");
    assert!(store.take_events(&[events], Time(1)).expect("takes")[0].1);
}

#[test]
fn a_redis_of_the_version_before_is_brought_up_to_date_and_one_of_a_newer_is_refused() {
    let server = Server::start(&[]);
    let Write::Snapshot { snapshot, .. } = suite::snapshot("default/shop", 3) else { unreachable!() };
    let mut snapshot = serde_json::to_value(snapshot).expect("JSON");
    snapshot.as_object_mut().expect("an object").remove("cursor");
    let _: u64 = server.ask(&["HSET", "{old}:snapshots", "default/shop", &snapshot.to_string()]);
    for format in ["1", "2"] {
        let _: String = server.ask(&["SET", "{old}:format", format]);
        let stored = server.store("old").canary("default/shop").expect("reads").expect("is there");
        assert_eq!((stored.snapshot.offset, stored.snapshot.cursor), (3, 0));
        assert_eq!(server.ask::<u64>(&["GET", "{old}:format"]), 3);
    }

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
            Write::Audit(Box::new(suite::audit_line(5, "one"))),
            Write::Audit(Box::new(suite::audit_line(5, "another"))),
            Write::Cursor(5 << 22),
            Write::Inbox(6 << 22, Post::Events(vec![suite::conversion(5)])),
            Write::Inbox(7 << 22, Post::Report(Box::new(suite::a_report(1, 10, 3)))),
        ])
        .expect("commits");
    let written = lines(&first);
    assert_eq!(written.len(), 16);
    assert_eq!(written[0], r#"{"serin_store":3}"#);
    let redis = server.store("serin");
    let text = written.join("\n");
    assert_eq!(import(&redis, &mut text.as_bytes(), false).expect("imports"), 15);
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
