//! One test for each rule, and for their order.

use super::*;
use crate::observations::Observations;
use serin_contract::latency::index;
use serin_contract::report::{ArmReport, Instance};
use serin_contract::{CanaryReport, PerArm, Step, Stratum, Tally, UnitHash};

const MS: u64 = 1000;
const REPORT: Duration = Duration::from_millis(500);

/// A canary at a share, and a filter that reports on it.
struct Scene {
    settings: Settings,
    observations: Observations,
    at: Position,
    now: Time,
    step: u32,
    units: u64,
}

/// Requests of one latency, each by a user of its own; errors come first.
fn traffic(requests: u64, errors: u64, micros: u64) -> ArmReport {
    ArmReport { requests, errors, latency: vec![(index(micros), requests)], ..ArmReport::default() }
}

impl Scene {
    fn at(percent: f64) -> Self {
        let now = Time(1_000_000);
        let at = Position { weight: Share::NONE, step_started: now };
        let observations = Observations::new(now);
        let mut scene = Self { settings: Settings::default(), observations, at, now, step: 0, units: 0 };
        scene.step_to(percent);
        scene
    }

    fn point(percent: f64) -> Self {
        let mut scene = Self::at(percent);
        scene.settings.decisions = Decisions::Point;
        scene
    }

    fn step_to(&mut self, percent: f64) {
        let weight = Share::from_percent(percent).expect("a share");
        self.step += 1;
        self.at = Position { weight, step_started: self.now };
        self.observations.begin_stratum(Step(self.step), Stratum(self.step), weight, self.now);
    }

    /// Names the users of an arm as a filter would: each is new.
    fn name_users(&mut self, arm: &mut ArmReport) {
        let edge = self.observations.slow_edge(&self.settings).as_micros() as u64;
        arm.seen = (self.units..self.units + arm.requests).map(UnitHash).collect();
        arm.erred = arm.seen[..arm.errors as usize].to_vec();
        let slow = arm.latency.first().is_some_and(|(bucket, _)| *bucket > index(edge));
        arm.slow = if slow { arm.seen.clone() } else { Vec::new() };
        self.units += arm.requests;
    }

    fn entry(&mut self, mut stable: ArmReport, mut canary: ArmReport) -> CanaryReport {
        self.name_users(&mut stable);
        self.name_users(&mut canary);
        let (step, stratum) = (Step(self.step), Stratum(self.step));
        CanaryReport { step, stratum, arms: PerArm { stable, canary }, ..CanaryReport::default() }
    }

    fn send(&mut self, entry: CanaryReport) {
        self.now = self.now.plus(REPORT);
        self.observations.report(&self.settings, Instance(1), REPORT, &[entry], self.now);
    }

    fn report(&mut self, stable: ArmReport, canary: ArmReport) {
        let entry = self.entry(stable, canary);
        self.send(entry);
    }

    fn summary(&self) -> Summary {
        self.observations.summary(&self.settings, self.now)
    }

    fn judge_summary(&self, summary: &Summary) -> Verdict {
        judge(&self.settings, self.at, summary, &Facts::default(), self.now)
    }

    fn judge(&self) -> Verdict {
        self.judge_summary(&self.summary())
    }

    /// A canary as good as stable, at 10 %.
    fn healthy() -> Self {
        let mut scene = Self::at(10.0);
        (0..5).for_each(|_| scene.report(traffic(900, 9, 100 * MS), traffic(100, 1, 100 * MS)));
        scene
    }

    /// A canary that fails the absolute limit, at 10 %.
    fn broken() -> Self {
        let mut scene = Self::at(10.0);
        (0..5).for_each(|_| scene.report(traffic(900, 9, 100 * MS), traffic(100, 30, 100 * MS)));
        scene
    }
}

#[track_caller]
fn expect(verdict: &Verdict, outcome: Outcome, rule: Rule, words: &str) {
    assert_eq!((verdict.outcome, verdict.rule), (outcome, rule), "{}", verdict.reason);
    assert!(verdict.reason.contains(words), "{} does not say {words:?}", verdict.reason);
}

#[test]
fn a_canary_as_good_as_stable_goes_on() {
    let verdict = Scene::healthy().judge();
    expect(&verdict, Outcome::Continue, Rule::Continue, "All metrics within acceptable thresholds");
    assert!(!verdict.reason.contains("comparison"));
}

#[test]
fn a_harmed_goal_fails_behind_errors_and_before_every_hold_with_any_decisions() {
    let harmed = |summary: &mut Summary, weight: Share| {
        summary.goals = vec![crate::goals::GoalSummary {
            name: "purchase".to_owned(),
            guardrail: Some(Harm::Less),
            converted: PerArm { stable: 90, canary: 1 },
            evidence: Some(20.5),
            threshold: 20.0,
            odds_ratio: confidence::odds_ratio(weight.fraction(), 1.0, 90.0, 0.05),
        }];
    };
    let mut scene = Scene::healthy();
    let mut summary = scene.summary();
    harmed(&mut summary, scene.at.weight);
    let words = "Goal: 1 canary and 90 stable users reached purchase at a canary share of 10 %";
    expect(&scene.judge_summary(&summary), Outcome::Fail, Rule::Goal, words);
    // Nobody reports any more, and too few requests came: what is known to be bad does not wait.
    summary.last_report = None;
    summary.step_requests.canary = 0;
    expect(&scene.judge_summary(&summary), Outcome::Fail, Rule::Goal, "fewer than the share explains");
    scene.settings.decisions = Decisions::Point;
    expect(&scene.judge_summary(&summary), Outcome::Fail, Rule::Goal, "E = 2.050e1 against 20");
    // Below its threshold, or with everybody in the canary, it fails nobody.
    summary.goals[0].threshold = 40.0;
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Hold);
    summary.goals[0].threshold = 20.0;
    let everybody = Position { weight: Share::ALL, ..scene.at };
    let verdict = judge(&scene.settings, everybody, &summary, &Facts::default(), scene.now);
    assert_eq!(verdict.outcome, Outcome::Hold);
    // Errors say more of the cause.
    let broken = Scene::broken();
    let mut summary = broken.summary();
    harmed(&mut summary, broken.at.weight);
    expect(&broken.judge_summary(&summary), Outcome::Fail, Rule::ErrorRate, "error rate too high");
}

#[test]
fn without_any_report_the_weight_holds() {
    expect(&Scene::at(10.0).judge(), Outcome::Hold, Rule::Data, "no filter has reported yet");
}

#[test]
fn silence_of_more_than_five_seconds_holds() {
    let mut scene = Scene::healthy();
    scene.now = scene.now.plus(Duration::from_secs(5));
    assert_eq!(scene.judge().outcome, Outcome::Continue, "5 s are still allowed");
    scene.now = scene.now.plus(Duration::from_millis(1));
    expect(&scene.judge(), Outcome::Hold, Rule::Data, "the last report came 5 s ago");
}

#[test]
fn a_filter_that_reports_seldom_may_be_silent_for_three_of_its_intervals() {
    let scene = Scene::healthy();
    let mut summary = scene.summary();
    summary.report_interval = Duration::from_secs(4);
    let judge = |silence| {
        let now = scene.now.plus(Duration::from_secs(silence));
        judge(&scene.settings, scene.at, &summary, &Facts::default(), now).outcome
    };
    assert_eq!((judge(12), judge(13)), (Outcome::Continue, Outcome::Hold));
}

#[test]
fn a_router_that_refuses_the_weight_holds() {
    let scene = Scene::healthy();
    let facts = Facts { router_error: Some("conflict".into()), ..Facts::default() };
    let verdict = judge(&scene.settings, scene.at, &scene.summary(), &facts, scene.now);
    expect(&verdict, Outcome::Hold, Rule::Data, "the router refused the weight: conflict");
}

#[test]
fn a_sample_ratio_mismatch_pauses() {
    let mut scene = Scene::at(10.0);
    scene.report(traffic(900, 9, 100 * MS), traffic(40, 0, 100 * MS));
    expect(&scene.judge(), Outcome::Pause, Rule::SampleRatio, "40 canary and 900 stable users were seen");
}

#[test]
fn misrouted_requests_hold() {
    let mut scene = Scene::healthy();
    let mut entry = scene.entry(traffic(900, 9, 100 * MS), traffic(100, 1, 100 * MS));
    entry.misrouted = 61;
    scene.send(entry);
    expect(&scene.judge(), Outcome::Hold, Rule::Routing, "61 of 6000 assigned requests");
}

#[test]
fn one_percent_of_misrouted_requests_or_two_strays_are_no_alarm() {
    let mut scene = Scene::healthy();
    let mut entry = scene.entry(traffic(900, 9, 100 * MS), traffic(100, 1, 100 * MS));
    entry.misrouted = 60;
    scene.send(entry);
    assert_eq!(scene.judge().outcome, Outcome::Continue);

    let mut scene = Scene::at(50.0);
    let mut entry = scene.entry(traffic(20, 0, 100 * MS), traffic(20, 0, 100 * MS));
    entry.misrouted = 2;
    scene.send(entry);
    assert_eq!(scene.judge().outcome, Outcome::Continue);
}

#[test]
fn misrouting_under_the_step_before_says_nothing_about_this_one() {
    let mut scene = Scene::at(5.0);
    let mut entry = scene.entry(traffic(950, 0, 100 * MS), traffic(50, 0, 100 * MS));
    entry.misrouted = 50;
    scene.send(entry.clone());
    assert_eq!(scene.judge().rule, Rule::Routing);
    scene.step_to(10.0);
    scene.report(traffic(900, 0, 100 * MS), traffic(100, 0, 100 * MS));
    scene.send(entry);
    assert_eq!(scene.judge().outcome, Outcome::Continue, "neither earlier nor late reports count");
}

/// Judged after so many requests without a user, by who served them.
fn served(mut scene: Scene, stable: u64, canary: u64) -> Verdict {
    let mut entry = scene.entry(traffic(9, 0, 100 * MS), traffic(1, 0, 100 * MS));
    let tally = |requests| Tally { requests, errors: 0 };
    entry.unassigned = PerArm { stable: tally(stable), canary: tally(canary) };
    scene.send(entry);
    scene.judge()
}

#[test]
fn requests_that_were_under_way_when_a_weight_arrived_are_no_alarm() {
    let everything = || {
        let mut scene = Scene::at(100.0);
        scene.report(traffic(0, 0, 100 * MS), traffic(300, 0, 100 * MS));
        scene
    };
    let few = served(everything(), 5, 4_995);
    assert_ne!(few.rule, Rule::Routing, "{few:?}");
    expect(
        &served(everything(), 500, 4_500),
        Outcome::Hold,
        Rule::Routing,
        "90.0 % went to the canary where 100",
    );
}

#[test]
fn the_served_share_of_anonymous_traffic_must_fit_the_weight() {
    let served = |stable, canary| served(Scene::healthy(), stable, canary);
    expect(&served(200, 0), Outcome::Hold, Rule::Routing, "0.0 % went to the canary where 10");
    expect(&served(150, 50), Outcome::Hold, Rule::Routing, "25.0 % went to the canary where 10");
    assert_eq!(served(180, 20).outcome, Outcome::Continue);
    assert_eq!(served(20, 0).outcome, Outcome::Continue, "twenty requests can all miss a tenth");
}

/// Five reports of 10 of 100 against 10 of 1000, the reference's test of a rollback.
#[test]
fn ten_percent_against_one_percent_fails_with_error_rate_too_high() {
    let mut scene = Scene::at(9.09);
    (0..5).for_each(|_| scene.report(traffic(1000, 10, 300 * MS), traffic(100, 10, 300 * MS)));
    let verdict = scene.judge();
    expect(&verdict, Outcome::Fail, Rule::ErrorRate, "error rate too high: 10.00 %");
    assert!(
        verdict.reason.contains("the limit is 5 %; stable is at 1.00 %; the evidence is against"),
        "{}",
        verdict.reason
    );
}

#[test]
fn the_many_failed_requests_of_a_few_users_are_no_certain_error_rate() {
    let errors_of = |users: usize| {
        let mut scene = Scene::at(10.0);
        let mut entry = scene.entry(traffic(900, 9, 100 * MS), traffic(100, 40, 100 * MS));
        entry.arms.canary.seen.truncate(users);
        entry.arms.canary.erred.truncate(users);
        scene.send(entry);
        scene.judge()
    };
    assert_eq!(errors_of(100).rule, Rule::ErrorRate);
    assert_ne!(errors_of(3).rule, Rule::ErrorRate, "three users are three trials");
}

/// Stable's p95 is 200 ms and the canary's 400 ms, the reference's test of latency.
#[test]
fn doubled_latency_fails_with_latency_increased() {
    let mut scene = Scene::at(9.09);
    (0..5).for_each(|_| scene.report(traffic(1000, 10, 200 * MS), traffic(100, 1, 400 * MS)));
    expect(&scene.judge(), Outcome::Fail, Rule::Latency, "latency increased: the canary's p95 is 40");
}

#[test]
fn a_latency_within_its_limit_goes_on() {
    let mut scene = Scene::at(10.0);
    (0..5).for_each(|_| scene.report(traffic(900, 9, 200 * MS), traffic(100, 1, 280 * MS)));
    assert_eq!(scene.judge().outcome, Outcome::Continue);
}

#[test]
fn a_higher_p95_alone_is_no_evidence_nor_is_evidence_without_a_higher_p95() {
    let scene = Scene::healthy();
    let mut summary = scene.summary();
    summary.window.canary.latency_p95 = Quantile::Micros(900 * MS);
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
    summary.evidence.slow = 20.0;
    assert_eq!(scene.judge_summary(&summary).rule, Rule::Latency, "both together fail");
    summary.window.canary.latency_p95 = Quantile::Micros(140 * MS);
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
}

#[test]
fn a_canary_whose_p95_is_not_answered_yet_fails() {
    let mut scene = Scene::healthy();
    let mut entry = scene.entry(traffic(900, 9, 100 * MS), traffic(100, 1, 100 * MS));
    let canary = &mut entry.arms.canary;
    canary.overdue = 60;
    canary.slow = canary.seen[..60].to_vec();
    scene.send(entry);
    let verdict = scene.judge();
    expect(&verdict, Outcome::Fail, Rule::Latency, "the canary's p95 is not answered yet");
    assert!(verdict.reason.contains("60 requests of the canary are in flight"), "{}", verdict.reason);
}

#[test]
fn where_stable_hangs_too_nothing_is_held_against_the_canary() {
    let scene = Scene::healthy();
    let mut summary = scene.summary();
    summary.evidence.slow = 1e9;
    summary.window.canary.latency_p95 = Quantile::Overdue;
    for base in [Quantile::Overdue, Quantile::Unknown] {
        summary.window.stable.latency_p95 = base;
        assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
    }
}

#[test]
fn errors_below_the_absolute_limit_fail_the_statistical_test() {
    let mut scene = Scene::at(10.0);
    (0..5).for_each(|_| scene.report(traffic(900, 4, 100 * MS), traffic(100, 4, 100 * MS)));
    let verdict = scene.judge();
    expect(&verdict, Outcome::Fail, Rule::ErrorEvidence, "Statistical test: 20 canary and 20 stable users");
    assert!(verdict.reason.contains("4.00 % against 0.44 %"), "{}", verdict.reason);
}

#[test]
fn evidence_of_a_difference_too_small_to_matter_is_not_acted_upon() {
    let scene = Scene::healthy();
    let mut summary = scene.summary();
    summary.evidence.errors = 1e6;
    (summary.window.canary.error_rate, summary.window.stable.error_rate) = (Some(1.09), Some(1.0));
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
    summary.window.canary.error_rate = Some(1.11);
    assert_eq!(scene.judge_summary(&summary).rule, Rule::ErrorEvidence);
    summary.evidence.errors = 19.9;
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
}

#[test]
fn three_of_ten_requests_hold() {
    let mut scene = Scene::at(10.0);
    scene.report(traffic(27, 0, 100 * MS), traffic(3, 0, 100 * MS));
    let verdict = scene.judge();
    expect(&verdict, Outcome::Hold, Rule::RequestCount, "3 of 10 requests");
    assert_eq!(verdict.reason, "3 of 10 requests");
}

#[test]
fn requests_of_the_step_before_do_not_count_toward_the_minimum() {
    let mut scene = Scene::healthy();
    scene.step_to(25.0);
    scene.report(traffic(3, 0, 100 * MS), traffic(1, 0, 100 * MS));
    expect(&scene.judge(), Outcome::Hold, Rule::RequestCount, "1 of 10 requests");
}

#[test]
fn a_fail_wins_over_missing_data() {
    let mut scene = Scene::broken();
    scene.now = scene.now.plus(Duration::from_secs(20));
    assert_eq!(scene.judge().outcome, Outcome::Fail);
    let facts = Facts { router_error: Some("conflict".into()), ..Facts::default() };
    let verdict = judge(&scene.settings, scene.at, &scene.summary(), &facts, scene.now);
    assert_eq!(verdict.outcome, Outcome::Fail);
}

#[test]
fn a_fail_wins_over_a_mismatch_and_over_misrouting() {
    let mut scene = Scene::broken();
    let mut entry = scene.entry(traffic(900, 9, 100 * MS), traffic(10, 3, 100 * MS));
    entry.misrouted = 800;
    scene.send(entry);
    let mut summary = scene.summary();
    summary.sample_ratio = 1e6;
    expect(&scene.judge_summary(&summary), Outcome::Fail, Rule::ErrorRate, "error rate too high");
}

#[test]
fn among_fails_the_absolute_limit_speaks_first_then_latency() {
    let scene = Scene::broken();
    let mut summary = scene.summary();
    summary.window.canary.latency_p95 = Quantile::Overdue;
    (summary.evidence.slow, summary.evidence.errors) = (1e6, 1e6);
    assert_eq!(scene.judge_summary(&summary).rule, Rule::ErrorRate);
    summary.window.canary.error_rate_interval = Some((4.9, 40.0));
    assert_eq!(scene.judge_summary(&summary).rule, Rule::Latency);
    summary.window.canary.latency_p95 = Quantile::Micros(100 * MS);
    assert_eq!(scene.judge_summary(&summary).rule, Rule::ErrorEvidence);
}

#[test]
fn the_others_are_asked_in_order_data_ratio_routing_count() {
    let scene = Scene::healthy();
    let mut summary = scene.summary();
    summary.last_report = None;
    summary.sample_ratio = 1000.0;
    summary.routing.misrouted = summary.routing.assigned;
    summary.step_requests.canary = 9;
    assert_eq!(scene.judge_summary(&summary).rule, Rule::Data);
    summary.last_report = Some(scene.now);
    assert_eq!(scene.judge_summary(&summary).rule, Rule::SampleRatio);
    summary.sample_ratio = 999.9;
    assert_eq!(scene.judge_summary(&summary).rule, Rule::Routing);
    summary.routing.misrouted = 0;
    assert_eq!(scene.judge_summary(&summary).rule, Rule::RequestCount);
    summary.step_requests.canary = 10;
    assert_eq!(scene.judge_summary(&summary).rule, Rule::Continue);
}

/// A canary that has everybody after 85 % without a fault.
fn alone() -> Scene {
    let mut scene = Scene::at(85.0);
    scene.report(traffic(150, 1, 100 * MS), traffic(850, 8, 100 * MS));
    scene.step_to(100.0);
    scene.now = scene.now.plus(Duration::from_secs(70));
    scene
}

#[test]
fn at_full_share_no_comparison_is_possible_but_the_absolute_limit_holds() {
    let mut scene = alone();
    scene.report(ArmReport::default(), traffic(500, 20, 100 * MS));
    expect(&scene.judge(), Outcome::Continue, Rule::Continue, "no comparison possible");
    scene.report(ArmReport::default(), traffic(500, 100, 100 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::ErrorRate, "stable is at no requests");
}

#[test]
fn at_full_share_errors_of_the_steps_before_are_no_statistical_test() {
    let mut scene = alone();
    scene.report(ArmReport::default(), traffic(500, 20, 100 * MS));
    let mut summary = scene.summary();
    summary.evidence.errors = 1e9;
    assert_eq!(scene.judge_summary(&summary).outcome, Outcome::Continue);
}

#[test]
fn at_full_share_latency_is_held_against_stables_last() {
    let mut scene = alone();
    scene.report(ArmReport::default(), traffic(199, 0, 300 * MS));
    assert_eq!(scene.judge().outcome, Outcome::Continue, "199 requests are too few to judge alone");
    scene.report(ArmReport::default(), traffic(1, 0, 300 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::Latency, "latency increased");
}

#[test]
fn at_full_share_a_canary_that_hangs_fails_without_a_minimum() {
    let mut scene = alone();
    let mut entry = scene.entry(ArmReport::default(), traffic(20, 0, 100 * MS));
    entry.arms.canary.overdue = 5;
    scene.send(entry);
    expect(&scene.judge(), Outcome::Fail, Rule::Latency, "not answered yet");
}

#[test]
fn without_any_latency_of_stable_the_full_share_is_not_judged_by_latency() {
    let mut scene = Scene::at(100.0);
    scene.report(ArmReport::default(), traffic(500, 0, 3_000 * MS));
    expect(&scene.judge(), Outcome::Continue, Rule::Continue, "no comparison possible");
}

#[test]
fn point_mode_asks_for_no_evidence_and_waits_for_the_minimum() {
    let mut scene = Scene::point(10.0);
    scene.now = scene.now.plus(Duration::from_secs(10));
    scene.report(traffic(81, 0, 100 * MS), traffic(9, 9, 900 * MS));
    expect(&scene.judge(), Outcome::Hold, Rule::RequestCount, "9 of 10 requests");
    scene.report(traffic(9, 0, 100 * MS), traffic(1, 0, 100 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::ErrorRate, "error rate too high: 90.00 %");
}

#[test]
fn point_mode_fails_on_one_report_of_the_references_example() {
    let mut scene = Scene::point(9.09);
    scene.now = scene.now.plus(Duration::from_secs(10));
    scene.report(traffic(1000, 10, 300 * MS), traffic(100, 10, 300 * MS));
    assert_eq!(scene.judge().rule, Rule::ErrorRate);
    scene.settings.decisions = Decisions::Evidence;
    assert_ne!(scene.judge().rule, Rule::ErrorRate, "10 of 100 are not certainly above 5 %");
}

#[test]
fn point_mode_does_not_look_at_errors_before_the_warmup_is_over_but_at_latency() {
    let mut scene = Scene::point(10.0);
    scene.report(traffic(180, 0, 100 * MS), traffic(20, 20, 100 * MS));
    assert_eq!(scene.judge().outcome, Outcome::Continue, "0.5 s into the step");
    scene.now = scene.at.step_started.plus(Duration::from_secs(10));
    scene.report(traffic(9, 0, 100 * MS), traffic(1, 0, 100 * MS));
    assert_eq!(scene.judge().rule, Rule::ErrorRate);

    let mut scene = Scene::point(10.0);
    scene.report(traffic(180, 0, 100 * MS), traffic(20, 0, 200 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::Latency, "latency increased");
}

#[test]
fn point_mode_at_full_share_compares_with_stables_last_latency() {
    let mut scene = alone();
    scene.settings.decisions = Decisions::Point;
    scene.report(ArmReport::default(), traffic(20, 0, 300 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::Latency, "latency increased");
}

fn finding(breach: OnBreach, reason: &str) -> Finding {
    Finding { breach, reason: reason.into() }
}

#[test]
fn a_metric_fails_holds_or_warns_as_it_is_configured() {
    let scene = Scene::healthy();
    let judge = |findings: &[Finding]| {
        let facts = Facts { findings: findings.to_vec(), ..Facts::default() };
        judge(&scene.settings, scene.at, &scene.summary(), &facts, scene.now)
    };
    let (warn, hold) = (finding(OnBreach::Warn, "queue is long"), finding(OnBreach::Hold, "no Prometheus"));
    let fail = finding(OnBreach::Fail, "saturation is 0.9, at most 0.8 is allowed");

    expect(
        &judge(std::slice::from_ref(&warn)),
        Outcome::Continue,
        Rule::Continue,
        "thresholds; but: queue is long",
    );
    expect(&judge(&[warn.clone(), hold.clone()]), Outcome::Hold, Rule::Metric, "no Prometheus");
    expect(&judge(&[warn, hold, fail]), Outcome::Fail, Rule::Metric, "saturation is 0.9");
}

#[test]
fn a_metric_does_not_speak_before_the_reports_do() {
    let scene = Scene::healthy();
    let findings = vec![finding(OnBreach::Fail, "saturation")];
    let facts = Facts { findings, router_error: Some("conflict".into()), ..Facts::default() };
    let verdict = judge(&scene.settings, scene.at, &scene.summary(), &facts, scene.now);
    expect(&verdict, Outcome::Hold, Rule::Data, "the router refused");
}

#[test]
fn a_shared_outage_breaks_the_limit_and_the_reason_says_that_stable_is_as_bad() {
    let mut scene = Scene::at(10.0);
    scene.report(traffic(1800, 540, 100 * MS), traffic(200, 60, 100 * MS));
    let verdict = scene.judge();
    expect(&verdict, Outcome::Fail, Rule::ErrorRate, "stable is above the limit too");
    assert!(verdict.reason.contains("the evidence does not blame the canary"), "{}", verdict.reason);
}

#[test]
fn a_canary_alone_above_the_limit_is_blamed_by_the_evidence() {
    let mut scene = Scene::at(10.0);
    scene.report(traffic(1800, 18, 100 * MS), traffic(200, 60, 100 * MS));
    expect(&scene.judge(), Outcome::Fail, Rule::ErrorRate, "the evidence is against the canary");
}
