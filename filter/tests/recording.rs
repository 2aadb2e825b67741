//! What requests come to in a report: each counts once, each unit once per stratum.

mod support;

use serin_contract::latency::index;
use support::{CANARY_USER, Proxy, Request, STABLE_USER, configuration, plan};

#[test]
fn a_busy_user_who_errs_counts_once() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    for _ in 0..10 {
        Request::of(CANARY_USER).by(Some("shop-canary")).status(503).run(&proxy, &agent);
    }
    let first = proxy.report(&mut agent).canaries.remove(0).arms.canary;
    assert_eq!((first.requests, first.errors), (10, 10));
    assert_eq!(first.responses, [("GET".to_owned(), 503, 10)]);
    assert_eq!(first.latency, [(index(20_000), 10)]);
    assert_eq!((first.seen.len(), first.erred.len(), first.slow.len()), (1, 1, 0));
    // python3 -c "import hashlib; print(hashlib.md5(b'user2').hexdigest()[:16])"
    assert_eq!(first.erred[0].to_string(), "7e58d63b60197ceb");
    Request::of(CANARY_USER).by(Some("shop-canary")).status(503).run(&proxy, &agent);
    let second = proxy.report(&mut agent).canaries.remove(0).arms.canary;
    assert_eq!((second.requests, second.seen.len(), second.erred.len()), (1, 0, 0));
}

#[test]
fn a_new_stratum_sees_its_users_anew() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    Request::of(STABLE_USER).run(&proxy, &agent);
    proxy.report(&mut agent);
    proxy.tick(&mut agent);
    let reply = format!(r#"{{"acknowledged": 2, "plan": {}}}"#, plan(2, 2, ""));
    proxy.reply(&mut agent, 200, &reply);
    Request::of(STABLE_USER).run(&proxy, &agent);
    let report = proxy.report(&mut agent);
    assert_eq!(report.plan_revision.0, 2);
    assert_eq!((report.canaries[0].stratum.0, report.canaries[0].arms.stable.seen.len()), (2, 1));
}

#[test]
fn what_began_in_a_step_counts_in_it_when_it_ends_later() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    let late = Request::of(CANARY_USER).by(Some("shop-canary")).status(500);
    let stream = late.begin(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 200, &format!(r#"{{"acknowledged": 1, "plan": {}}}"#, plan(2, 2, "")));
    Request::of(STABLE_USER).run(&proxy, &agent);
    late.end(stream, 600);
    let report = proxy.report(&mut agent);
    let steps: Vec<_> =
        report.canaries.iter().map(|c| (c.step.0, c.arms.stable.requests, c.arms.canary.errors)).collect();
    assert_eq!(steps, [(1, 0, 1), (2, 1, 0)]);
    assert!(proxy.report(&mut agent).canaries.is_empty());
}

#[test]
fn the_cluster_tells_who_served() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    Request::of(CANARY_USER).by(Some("shop-stable")).status(500).run(&proxy, &agent);
    Request::of(CANARY_USER).by(Some("other")).status(500).run(&proxy, &agent);
    Request::of(CANARY_USER).by(None).status(500).run(&proxy, &agent);
    let entry = proxy.report(&mut agent).canaries.remove(0);
    assert_eq!((entry.misrouted, entry.elsewhere, entry.unserved), (1, 1, 1));
    assert_eq!((entry.arms.canary.requests, entry.arms.canary.errors), (1, 1));
    assert_eq!((entry.arms.canary.erred.len(), entry.arms.stable.requests), (1, 0));
}

#[test]
fn a_client_that_leaves_is_no_error() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    Request::of(STABLE_USER).abandoned().run(&proxy, &agent);
    let early = proxy.report(&mut agent).canaries.remove(0).arms.stable;
    assert_eq!((early.requests, early.errors, early.slow.len(), early.latency.len()), (1, 0, 0, 0));
    assert_eq!(early.responses, [("GET".to_owned(), 0, 1)]);
    let request = Request::of(STABLE_USER).abandoned();
    request.end(request.begin(&proxy, &agent), 1_001);
    let late = proxy.report(&mut agent).canaries.remove(0).arms.stable;
    assert_eq!((late.errors, late.slow.len(), late.latency.len()), (0, 1, 1));
}

#[test]
fn a_version_that_hangs_is_seen_before_its_requests_end() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    let request = Request::of(CANARY_USER).by(Some("shop-canary")).status(504);
    let hanging: Vec<_> = (0..3).map(|_| request.clone().begin(&proxy, &agent)).collect();
    assert_eq!(proxy.report(&mut agent).canaries[0].arms.canary.seen.len(), 1);
    assert!(proxy.report(&mut agent).canaries.is_empty());
    let overdue = proxy.report(&mut agent).canaries.remove(0).arms.canary;
    assert_eq!((overdue.overdue, overdue.slow.len(), overdue.requests), (3, 1, 0));
    let still = proxy.report(&mut agent).canaries.remove(0).arms.canary;
    assert_eq!((still.overdue, still.slow.len()), (3, 0));
    for stream in hanging {
        request.end(stream, 0);
    }
    let ended = proxy.report(&mut agent).canaries.remove(0).arms.canary;
    assert_eq!((ended.overdue, ended.requests, ended.errors, ended.slow.len()), (0, 3, 3, 0));
    assert!(proxy.report(&mut agent).canaries.is_empty());
}

#[test]
fn an_event_stream_that_was_answered_is_not_overdue() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    let mut request = Request::of(STABLE_USER);
    request.response.push(("content-type", "text/event-stream".to_owned()));
    let mut stream = request.begin(&proxy, &agent);
    stream.answered(&request, request.response.len());
    for _ in 0..5 {
        proxy.report(&mut agent);
    }
    assert!(proxy.report(&mut agent).canaries.is_empty());
    request.end(stream, 3_000);
    let ended = proxy.report(&mut agent).canaries.remove(0).arms.stable;
    assert_eq!((ended.requests, ended.latency.len(), ended.slow.len()), (1, 0, 0));
}

#[test]
fn a_request_that_vanishes_is_not_watched_for_ever() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    drop(Request::of(STABLE_USER).begin(&proxy, &agent));
    proxy.report(&mut agent);
    for _ in 0..4 {
        assert!(proxy.report(&mut agent).canaries.is_empty());
    }
}

#[test]
fn grpc_fails_by_its_trailer_or_by_its_header() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, "")));
    let mut call = Request::new(&[("x-user-id", STABLE_USER), (":method", "POST")]);
    call.response.push(("content-type", "application/grpc".to_owned()));
    call.clone().run(&proxy, &agent);
    call.trailers = vec![("grpc-status", "14".to_owned())];
    call.clone().run(&proxy, &agent);
    call.trailers = vec![];
    call.response.push(("grpc-status", "5".to_owned()));
    call.clone().run(&proxy, &agent);
    let tally = proxy.report(&mut agent).canaries.remove(0).arms.stable;
    assert_eq!((tally.requests, tally.errors), (3, 1));
    assert_eq!(tally.responses, [("POST".to_owned(), 200, 3)]);
}

#[test]
fn samples_thin_out_units_and_never_requests() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, r#", "seen_sample": 4611686018427387904"#)));
    for user in 0..1_000 {
        Request::of(&format!("u{user}")).status(500).run(&proxy, &agent);
    }
    let entry = proxy.report(&mut agent).canaries.remove(0);
    let arms = [&entry.arms.stable, &entry.arms.canary];
    assert_eq!(arms.map(|arm| arm.requests).iter().sum::<u64>(), 1_000);
    assert_eq!(arms.map(|arm| arm.erred.len()).iter().sum::<usize>(), 1_000);
    let seen: usize = arms.map(|arm| arm.seen.len()).iter().sum();
    assert!((200..300).contains(&seen), "a quarter of 1,000, not {seen}");
}

#[test]
fn envoy_gets_the_counts_of_each_version_at_each_tick() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&format!(r#"{{"plan": {}}}"#, plan(1, 1, "")));
    Request::of(STABLE_USER).run(&proxy, &agent);
    Request::of(CANARY_USER).by(Some("shop-canary")).status(500).run(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.tick(&mut agent);
    let counters = proxy.counters.borrow();
    assert_eq!(counters["serin.default_shop.stable.requests"], 1);
    assert_eq!(counters["serin.default_shop.stable.errors"], 0);
    assert_eq!(counters["serin.default_shop.canary.errors"], 1);
    assert!(proxy.posts.borrow().is_empty());
}
