//! Reports on their way: frozen, sent again, acknowledged, split; and plans on theirs.

mod support;

use proptest::prelude::*;
use serin_contract::Report;
use serin_contract::report::MAX_BYTES;
use serin_filter::agent::Agent;
use std::time::Duration;
use support::{Proxy, Request, STABLE_USER, configuration, plan};

fn started() -> (Proxy, Agent) {
    let proxy = Proxy::default();
    let agent = proxy.agent(&configuration(&plan(1, 1, "")));
    (proxy, agent)
}

fn requests(report: &Report) -> u64 {
    report.canaries.iter().map(|c| c.arms.stable.requests + c.arms.canary.requests).sum()
}

#[test]
fn a_report_is_sent_again_as_it_was_until_it_is_acknowledged() {
    let (proxy, mut agent) = started();
    Request::of(STABLE_USER).run(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 503, "");
    Request::of(STABLE_USER).run(&proxy, &agent);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 200, r#"{"acknowledged": 0, "plan": null}"#);
    proxy.tick(&mut agent);
    proxy.reply(&mut agent, 200, "<html>");
    proxy.tick(&mut agent);
    let posts = proxy.posts.borrow().clone();
    assert!(posts.iter().all(|post| *post == posts[0]) && posts.len() == 4);
    proxy.acknowledge(&mut agent);
    let next = proxy.report(&mut agent);
    assert_eq!((next.sequence, requests(&next)), (2, 1));
    let counters = proxy.counters.borrow();
    assert_eq!((counters["serin.reports.failed"], counters["serin.reports.acknowledged"]), (2, 2));
    assert_eq!(proxy.logs.borrow().iter().filter(|line| line.contains("analyzer_down")).count(), 2);
}

#[test]
fn while_a_call_is_under_way_no_other_is_made_until_patience_ends() {
    let (proxy, mut agent) = started();
    proxy.tick(&mut agent);
    for _ in 0..5 {
        proxy.tick(&mut agent);
    }
    assert_eq!(proxy.posts.borrow().len(), 1);
    proxy.tick(&mut agent);
    let posts = proxy.posts.borrow().clone();
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0], posts[1]);
}

#[test]
fn an_analyzer_that_cannot_be_reached_loses_nothing() {
    let (proxy, mut agent) = started();
    proxy.unreachable.set(true);
    for _ in 0..50 {
        Request::of(STABLE_USER).run(&proxy, &agent);
        proxy.tick(&mut agent);
    }
    proxy.unreachable.set(false);
    let sum: u64 = (0..2).map(|_| requests(&proxy.report(&mut agent))).sum();
    assert_eq!(sum, 50);
}

#[test]
fn a_plan_that_is_wrong_is_refused_but_its_reply_acknowledges() {
    let (proxy, mut agent) = started();
    for sequence in 1..4 {
        proxy.tick(&mut agent);
        assert_eq!(proxy.last().sequence, sequence);
        let reply = format!(r#"{{"acknowledged": {sequence}, "plan": {{"revision": 9, "canaries": [7]}}}}"#);
        proxy.reply(&mut agent, 200, &reply);
    }
    let refusals: Vec<_> =
        proxy.logs.borrow().iter().filter(|line| line.contains("plan_refused")).cloned().collect();
    assert!(matches!(&refusals[..], [line] if line.contains("field=canaries[0]")), "{refusals:?}");
    assert_eq!(proxy.counters.borrow()["serin.plans.refused"], 3);
    assert_eq!(proxy.report(&mut agent).plan_revision.0, 1);
    let request = Request::of(STABLE_USER);
    request.run(&proxy, &agent);
    assert_eq!(request.header("x-canary").as_deref(), Some("false"));
}

#[test]
fn the_plan_says_how_often_to_report_while_a_canary_is_live() {
    let proxy = Proxy::default();
    let mut agent = proxy.agent(r#"{"analyzer": {"cluster": "serin"}}"#);
    assert_eq!(proxy.tick_period.get(), Duration::from_millis(500));
    proxy.report(&mut agent);
    assert_eq!(proxy.tick_period.get(), Duration::from_secs(5));
    proxy.tick(&mut agent);
    assert_eq!(proxy.last().interval_ms, 5_000);
    let live = plan(1, 1, "").replace("\"report_interval_ms\": 500", "\"report_interval_ms\": 300");
    proxy.reply(&mut agent, 200, &format!(r#"{{"acknowledged": 2, "plan": {live}}}"#));
    assert_eq!(proxy.tick_period.get(), Duration::from_millis(300));
    proxy.tick(&mut agent);
    let over = r#"{"revision": 2, "report_interval_ms": 500, "canaries": []}"#;
    proxy.reply(&mut agent, 200, &format!(r#"{{"acknowledged": 3, "plan": {over}}}"#));
    assert_eq!(proxy.tick_period.get(), Duration::from_secs(5));
}

#[test]
fn a_configuration_that_is_wrong_is_refused_with_the_fields_path() {
    let proxy = Proxy::default();
    let mut agent = Agent::new(&proxy);
    assert!(!agent.configure(&proxy, br#"{"plan": {"revision": 1}}"#));
    let logs = proxy.logs.borrow();
    assert!(logs[0].starts_with("event=configuration_refused field=plan"), "{logs:?}");
}

#[test]
fn many_units_are_split_over_reports_that_fit() {
    let (proxy, mut agent) = started();
    for user in 0..40_000 {
        Request::of(&format!("u{user}")).status(500).run(&proxy, &agent);
    }
    proxy.tick(&mut agent);
    // The rest follows each acknowledgement at once, without waiting for ticks.
    while {
        let posts = proxy.posts.borrow().len();
        proxy.acknowledge(&mut agent);
        proxy.posts.borrow().len() > posts
    } {}
    let posts = proxy.posts.borrow();
    let reports: Vec<_> = posts.iter().map(|post| Report::from_json(post).expect("valid")).collect();
    assert!(posts.iter().all(|post| post.len() <= MAX_BYTES) && posts[0].len() > MAX_BYTES - 1_100);
    assert_eq!(reports.iter().map(requests).sum::<u64>(), 40_000);
    for list in ["erred", "seen"] {
        let mut units: Vec<_> = reports
            .iter()
            .flat_map(|report| &report.canaries)
            .flat_map(|c| [&c.arms.stable, &c.arms.canary])
            .flat_map(|arm| if list == "seen" { &arm.seen } else { &arm.erred })
            .collect();
        assert_eq!(units.len(), 40_000);
        units.sort();
        units.dedup();
        assert_eq!(units.len(), 40_000, "{list}");
    }
    // Failures come before what was merely seen.
    assert!(reports[0].canaries[0].arms.stable.seen.is_empty());
}

#[test]
fn too_many_strata_are_merged_without_losing_a_request() {
    let (proxy, mut agent) = started();
    Request::of(STABLE_USER).run(&proxy, &agent);
    proxy.tick(&mut agent);
    // An analyzer that sends plans but acknowledges nothing.
    for step in 2..200 {
        let reply = format!(r#"{{"acknowledged": 0, "plan": {}}}"#, plan(step.into(), step, ""));
        proxy.reply(&mut agent, 200, &reply);
        Request::of(STABLE_USER).status(500).run(&proxy, &agent);
        proxy.tick(&mut agent);
    }
    proxy.acknowledge(&mut agent);
    proxy.tick(&mut agent);
    let report = proxy.last();
    assert_eq!(requests(&report), 198);
    assert_eq!(report.canaries.len(), 65);
    let merged = &report.canaries[0].arms.stable;
    assert_eq!((merged.requests, merged.errors), (134, 134));
    assert_eq!(merged.responses, [("GET".to_owned(), 500, 134)]);
}

#[test]
fn a_vm_that_goes_down_in_order_sends_what_it_has() {
    let (proxy, mut agent) = started();
    Request::of(STABLE_USER).run(&proxy, &agent);
    proxy.tick(&mut agent);
    Request::of(STABLE_USER).run(&proxy, &agent);
    assert!(!agent.close(&proxy));
    proxy.acknowledge(&mut agent);
    assert!(!proxy.done.get());
    assert_eq!((proxy.last().sequence, requests(&proxy.last())), (2, 1));
    proxy.acknowledge(&mut agent);
    assert!(proxy.done.get());
}

#[test]
fn a_vm_with_nothing_to_send_goes_down_at_once() {
    let (proxy, mut agent) = started();
    assert!(agent.close(&proxy));
    assert!(proxy.posts.borrow().is_empty());
}

#[test]
fn a_vm_does_not_wait_for_an_analyzer_that_fails() {
    let (proxy, mut agent) = started();
    Request::of(STABLE_USER).run(&proxy, &agent);
    assert!(!agent.close(&proxy));
    proxy.reply(&mut agent, 503, "");
    assert!(proxy.done.get());
}

proptest! {
    #[test]
    fn whatever_is_lost_or_late_on_the_way_every_request_is_reported_once(
        script in prop::collection::vec((0..30u32, 0..4u8), 1..60)
    ) {
        let (proxy, mut agent) = started();
        let mut sent = 0u64;
        let mut committed = std::collections::BTreeMap::new();
        let mut step = 1;
        for (count, fate) in script {
            for user in 0..count {
                Request::of(&format!("u{user}")).run(&proxy, &agent);
            }
            sent += u64::from(count);
            proxy.unreachable.set(fate == 3);
            let before = proxy.posts.borrow().len();
            proxy.tick(&mut agent);
            if proxy.posts.borrow().len() == before {
                continue;
            }
            let report = proxy.last();
            match fate {
                // The report is lost, or only its reply is.
                0 => proxy.reply(&mut agent, 503, ""),
                1 => {
                    committed.insert(report.sequence, requests(&report));
                    proxy.reply(&mut agent, 504, "");
                }
                _ => {
                    committed.insert(report.sequence, requests(&report));
                    step += 1;
                    let body = format!(
                        r#"{{"acknowledged": {}, "plan": {}}}"#, report.sequence, plan(step.into(), step, "")
                    );
                    proxy.reply(&mut agent, 200, &body);
                }
            }
        }
        proxy.unreachable.set(false);
        for _ in 0..3 {
            let report = proxy.report(&mut agent);
            committed.insert(report.sequence, requests(&report));
        }
        prop_assert_eq!(committed.values().sum::<u64>(), sent);
    }
}
