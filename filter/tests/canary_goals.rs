//! A canary's own goals: counted by the arm that the canary's step decided, and by nothing else.

mod support;

use serin_contract::report::MAX_BYTES;
use serin_contract::{Arm, AssignedUnit, UnitHash};
use support::{CANARY_USER, Proxy, Request, STABLE_USER, configuration, plan};

const GOALS: &str = r#", "goals": [{"name": "purchase", "response": {"methods": ["POST"], "path_prefix": "/buy"}},
    {"name": "signup"}], "exclude": {"path_prefixes": ["/buy/probe"]},
    "segment": {"attributes": {"age": {"header": "x-age"}}, "rules": {"age": {"$gte": 18}}}"#;

fn hash(user: &str) -> UnitHash {
    AssignedUnit::of("", user.as_bytes()).expect("a unit").hash
}

/// A purchase; `more` are further headers.
fn purchase(more: &[(&str, &str)]) -> Request {
    let mut headers = vec![(":method", "POST"), (":path", "/buy/7"), ("x-age", "30")];
    headers.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    headers.extend(more);
    Request::new(&headers)
}

#[test]
fn a_goal_counts_for_the_arm_that_the_canary_decided_and_only_for_users_whom_it_assigned() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 3, GOALS)));
    let run = |request: Request| request.run(&proxy, &agent);
    let user = |name| ("x-user-id", name);
    run(purchase(&[user(STABLE_USER)]));
    run(purchase(&[user(STABLE_USER)]));
    run(purchase(&[user(CANARY_USER)]).by(Some("shop-canary")));
    // Served by the other version: a defect of the route, not of who was assigned.
    let mut said = purchase(&[user(CANARY_USER)]).status(404);
    said.response.extend(["signup=2", "other", "signup=0.5"].map(|goal| ("x-serin-goal", goal.to_owned())));
    run(said);
    // None of these is a goal of an arm: chosen by hand, excluded, outside of the segment, without a user,
    // failed, answered by nobody's cluster.
    run(purchase(&[user(STABLE_USER), ("x-canary", "true")]));
    run(purchase(&[user(STABLE_USER), (":path", "/buy/probe")]));
    run(purchase(&[user(STABLE_USER), ("x-age", "3")]));
    run(purchase(&[]));
    run(purchase(&[user(STABLE_USER)]).status(500));
    run(purchase(&[user(STABLE_USER)]).by(None));
    let report = proxy.report(&mut agent);
    assert!(report.experiments.is_empty(), "its book is the canary's own");
    let [entry] = &report.canaries[..] else { panic!("one stratum") };
    assert_eq!((entry.step.0, entry.stratum.0), (3, 3));
    let goals = |arm: Arm| &entry.arms.get(arm).goals;
    assert_eq!(goals(Arm::Stable)["purchase"], [(hash(STABLE_USER), 2, 0.0)]);
    assert_eq!(goals(Arm::Canary)["purchase"], [(hash(CANARY_USER), 1, 0.0)]);
    assert_eq!(goals(Arm::Canary)["signup"], [(hash(CANARY_USER), 2, 2.5)]);
    assert_eq!(goals(Arm::Stable).get("signup"), None);
    assert!(proxy.report(&mut agent).canaries.is_empty(), "nothing twice");
}

#[test]
fn goals_that_do_not_fit_into_a_report_wait_and_none_is_lost() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, r#", "goals": [{"name": "signup"}]"#)));
    for user in 0..20_000 {
        let mut request = Request::of(&format!("u{user}"));
        request.response.push(("x-serin-goal", "signup=0.25".to_owned()));
        request.run(&proxy, &agent);
    }
    let (mut seen, mut goals) = (0, 0);
    for _ in 0..20 {
        let report = proxy.report(&mut agent);
        assert!(proxy.posts.borrow().last().expect("posted").len() <= MAX_BYTES);
        for (_, arm) in report.canaries.iter().flat_map(|entry| entry.arms.iter()) {
            seen += arm.seen.len();
            goals += arm.goals.get("signup").map_or(0, Vec::len);
        }
    }
    assert_eq!((seen, goals), (20_000, 20_000));
}

#[test]
fn a_goal_of_a_request_that_began_under_the_step_before_is_reported_under_that_step() {
    let goals = r#", "goals": [{"name": "signup"}]"#;
    let proxy = Proxy::default();
    let mut agent = proxy.agent(&configuration(&plan(1, 1, goals)));
    let mut late = Request::of(STABLE_USER);
    let stream = late.begin(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 200, &format!(r#"{{"acknowledged": 1, "plan": {}}}"#, plan(2, 2, goals)));
    late.response.push(("x-serin-goal", "signup".to_owned()));
    late.end(stream, 30);
    let report = proxy.report(&mut agent);
    let told = report.canaries.iter().find(|entry| !entry.arms.stable.goals.is_empty()).expect("a goal");
    assert_eq!((told.step.0, told.arms.stable.goals["signup"].len()), (1, 1));
}
