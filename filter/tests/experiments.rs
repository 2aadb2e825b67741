//! Experiments on requests: arms, flags, kept arms, goals, and what reports say of them.

mod support;

use serin_contract::AssignedUnit;
use serin_contract::report::{ExperimentReport, MAX_BYTES};
use serin_filter::agent::Agent;
use support::{CANARY_USER, Proxy, Request, STABLE_USER, configuration, plan};

/// A plan of the canary at `default/shop` with experiments beside it.
fn with(revision: u64, experiments: &str) -> String {
    let plan = plan(revision, 1, "");
    let end = plan.rfind('}').expect("an object");
    format!("{}, \"experiments\": [{experiments}]}}", &plan[..end])
}

/// An experiment with an empty salt; `more` are further fields.
fn experiment(id: &str, step: u32, control: u16, more: &str) -> String {
    let treatment = 10_000 - control;
    format!(
        r#"{{"id": "{id}", "step": {step}, "hosts": ["shop.example"], "salt": "",
        "units": [{{"header": "x-user-id"}}], "arms": [{{"name": "control", "share": {control}}},
        {{"name": "treatment", "share": {treatment}, "flags": {{"button": "green", "size": "2"}}}}]{more}}}"#
    )
}

const GOALS: &str = r#", "goals": [{"name": "purchase", "response": {"methods": ["POST"],
    "path_prefix": "/checkout", "status": [200, 299]}}, {"name": "signup"}]"#;

fn started(experiments: &str) -> (Proxy, Agent) {
    let proxy = Proxy::default();
    let agent = proxy.agent(&configuration(&with(1, experiments)));
    (proxy, agent)
}

fn reported(proxy: &Proxy, agent: &mut Agent) -> Vec<ExperimentReport> {
    proxy.report(agent).experiments
}

#[test]
fn every_matching_experiment_sets_its_arm_and_flags_and_counts_an_exposure_once() {
    let both = [experiment("a", 1, 5000, ""), experiment("b", 1, 1000, "")].join(",");
    let (proxy, mut agent) = started(&both);
    for _ in 0..3 {
        // Bucket 3245: the upper arm of b alone.
        let request = Request::of(STABLE_USER);
        request.run(&proxy, &agent);
        assert_eq!(request.header("x-serin-experiments").as_deref(), Some("a=control;b=treatment"));
        assert_eq!(request.header("x-serin-flags").as_deref(), Some("button=green;size=2"));
        assert_eq!(request.header("x-canary").as_deref(), Some("false"));
    }
    let reports = reported(&proxy, &mut agent);
    assert_eq!(reports.len(), 2);
    let hash = AssignedUnit::of("", STABLE_USER.as_bytes()).expect("a unit").hash;
    assert_eq!(reports[0].arms["control"].seen, [hash]);
    assert_eq!((reports[1].id.as_str(), &reports[1].arms["treatment"].seen), ("b", &vec![hash]));
    assert!(reported(&proxy, &mut agent).is_empty());
}

#[test]
fn who_has_no_unit_is_elsewhere_or_outside_of_the_segment_has_no_arm() {
    let segment = r#", "path_prefix": "/cart", "methods": ["GET"], "segment": {
        "attributes": {"age": {"query": "age"}}, "rules": {"age": {"$gte": 18}}}"#;
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, segment));
    let arm = |headers: &[(&str, &str)]| {
        let request = Request::new(headers);
        request.run(&proxy, &agent);
        request.header("x-serin-experiments")
    };
    let user = ("x-user-id", STABLE_USER);
    assert_eq!(arm(&[user, (":path", "/cart?age=18")]).as_deref(), Some("a=control"));
    assert_eq!(arm(&[user, (":path", "/cart?age=17")]), None);
    assert_eq!(arm(&[user, (":path", "/cart?age=old")]), None);
    assert_eq!(arm(&[user, (":path", "/?age=18")]), None);
    assert_eq!(arm(&[user, (":path", "/cart?age=18"), (":method", "POST")]), None);
    assert_eq!(arm(&[user, (":path", "/cart?age=18"), (":authority", "other.example")]), None);
    assert_eq!(arm(&[(":path", "/cart?age=18")]), None);
    assert_eq!(reported(&proxy, &mut agent)[0].arms["control"].seen.len(), 1);
}

#[test]
fn a_client_cannot_choose_its_arm_and_an_inner_filter_keeps_the_outer_ones() {
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, ""));
    let sent = [("x-user-id", STABLE_USER), ("x-serin-experiments", "a=treatment"), ("x-serin-flags", "x=1")];
    let request = Request::new(&sent);
    request.run(&proxy, &agent);
    assert_eq!(request.header("x-serin-experiments").as_deref(), Some("a=control"));
    assert_eq!(request.header("x-serin-flags"), None);
    assert_eq!(reported(&proxy, &mut agent).len(), 1);

    let inner = Proxy::default();
    let mut agent = inner.agent(&support::sidecar(&with(1, &experiment("a", 1, 5000, ""))));
    let request = Request::new(&sent);
    request.run(&inner, &agent);
    assert_eq!(request.header("x-serin-experiments").as_deref(), Some("a=treatment"));
    assert!(request.removed.borrow().is_empty(), "the outer filter has to see the goals");
    assert!(reported(&inner, &mut agent).is_empty());
}

#[test]
fn an_experiment_within_the_canary_is_for_its_assigned_users_alone() {
    let within = r#", "within": {"canary": "default/shop", "arm": "canary"}"#;
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, within));
    let arm = |headers: &[(&str, &str)]| {
        let request = Request::new(headers);
        request.run(&proxy, &agent);
        request.header("x-serin-experiments")
    };
    assert_eq!(arm(&[("x-user-id", CANARY_USER)]).as_deref(), Some("a=treatment"));
    assert_eq!(arm(&[("x-user-id", STABLE_USER)]), None);
    // Chosen by hand: never evidence, in no arm.
    assert_eq!(arm(&[("x-user-id", STABLE_USER), ("x-canary", "true")]), None);
    assert_eq!(reported(&proxy, &mut agent)[0].arms.len(), 1);
}

#[test]
fn a_kept_arm_stays_when_shares_change_and_counts_in_the_step_that_assigned_it() {
    let keep = r#", "keep": {"cookie": "arm"}"#;
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, keep));
    let first = Request::of(STABLE_USER);
    first.run(&proxy, &agent);
    let set = first.added.borrow()[0].clone();
    assert_eq!(set.0, "set-cookie");
    assert!(
        set.1.starts_with("arm=1.control.") && set.1.contains("; Max-Age=2592000; Path=/; HttpOnly"),
        "{set:?}"
    );
    let cookie = set.1.split(';').next().expect("a pair").to_owned();
    proxy.report(&mut agent);
    // Now nearly everybody belongs to the treatment.
    proxy.tick(&mut agent);
    let reply = format!(r#"{{"acknowledged": 2, "plan": {}}}"#, with(2, &experiment("a", 2, 100, keep)));
    proxy.reply(&mut agent, 200, &reply);
    let arm = |headers: &[(&str, &str)]| {
        let request = Request::new(headers);
        request.run(&proxy, &agent);
        (request.header("x-serin-experiments").expect("an arm"), request.added.borrow().len())
    };
    assert_eq!(arm(&[("x-user-id", STABLE_USER), ("cookie", &cookie)]), ("a=control".into(), 0));
    assert_eq!(arm(&[("x-user-id", STABLE_USER)]), ("a=treatment".into(), 1));
    // Somebody else at the same browser is assigned anew, and so is who writes the cookie by hand.
    assert_eq!(arm(&[("x-user-id", "user9"), ("cookie", &cookie)]), ("a=treatment".into(), 1));
    let forged = cookie.replace("control", "treatment");
    assert_eq!(arm(&[("x-user-id", STABLE_USER), ("cookie", &forged)]), ("a=treatment".into(), 1));
    // Known since the first report, the user of step 1 is not listed again.
    let reports = reported(&proxy, &mut agent);
    let steps: Vec<_> =
        reports.iter().map(|report| (report.step.0, report.arms["treatment"].seen.len())).collect();
    assert_eq!(steps, [(2, 2)]);
}

#[test]
fn goals_come_from_answers_and_from_what_the_service_says() {
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, GOALS));
    let buy = |status: u16, said: Option<&str>| {
        let user = [("x-user-id", STABLE_USER), (":method", "POST"), (":path", "/checkout/7")];
        let mut request = Request::new(&user).status(status);
        request.response.extend(said.map(|said| ("x-serin-goal", said.to_owned())));
        request.run(&proxy, &agent);
        assert_eq!(*request.removed.borrow(), vec!["x-serin-goal"; usize::from(said.is_some())]);
    };
    buy(201, None);
    buy(500, None);
    // Named with its value it is one purchase, not two.
    buy(200, Some("purchase=12.50, signup"));
    buy(500, Some("signup"));
    buy(500, Some("unknown=3, signup=x, \u{fffd}"));
    let reports = reported(&proxy, &mut agent);
    let goals = &reports[0].arms["control"].goals;
    let hash = AssignedUnit::of("", STABLE_USER.as_bytes()).expect("a unit").hash;
    assert_eq!(goals["purchase"], [(hash, 2, 12.5)]);
    assert_eq!(goals["signup"], [(hash, 2, 0.0)]);
    assert!(reported(&proxy, &mut agent).is_empty());
}

#[test]
fn what_does_not_fit_into_a_report_waits_and_nothing_is_lost() {
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, GOALS));
    for user in 0..20_000 {
        let mut request = Request::of(&format!("u{user}"));
        request.response.push(("x-serin-goal", "signup=0.25".to_owned()));
        request.run(&proxy, &agent);
    }
    let (mut seen, mut goals) = (0, 0);
    for _ in 0..20 {
        let report = proxy.report(&mut agent);
        assert!(proxy.posts.borrow().last().expect("posted").len() <= MAX_BYTES);
        for arm in report.experiments.iter().flat_map(|entry| entry.arms.values()) {
            seen += arm.seen.len();
            goals += arm.goals.get("signup").map_or(0, Vec::len);
        }
    }
    assert_eq!((seen, goals), (20_000, 20_000));
}

#[test]
fn an_experiment_that_ends_leaves_the_path_and_still_reports_what_it_has() {
    let (proxy, mut agent) = started(&experiment("a", 1, 5000, GOALS));
    let late = Request::of(STABLE_USER);
    let stream = late.begin(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 200, &format!(r#"{{"acknowledged": 1, "plan": {}}}"#, plan(2, 1, "")));
    let mut answered = late.clone();
    answered.response.push(("x-serin-goal", "signup".to_owned()));
    answered.end(stream, 30);
    let request = Request::of(STABLE_USER);
    request.run(&proxy, &agent);
    assert_eq!(request.header("x-serin-experiments"), None);
    let reports = reported(&proxy, &mut agent);
    assert_eq!(reports[0].arms["control"].goals["signup"].len(), 1);
}
