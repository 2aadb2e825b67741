//! The ramp with a router that obeys, refuses or takes its time.

use super::*;
use crate::deployments::{Deployment, Deployments};
use crate::observations::Observations;
use crate::settings::{Promotion, Ramp, Settings};
use crate::summary::Summary;
use proptest::prelude::*;
use serin_contract::report::{ArmReport, Instance};
use serin_contract::{CanaryReport, PerArm, UnitHash};
use std::time::Duration;

const START: Time = Time(1_000_000);
const TICK: Duration = Duration::from_secs(10);

/// A release, what is observed of it, and the program around it.
struct World {
    settings: Settings,
    state: State,
    observations: Observations,
    facts: Facts,
    now: Time,
    /// The weight that is on its way to the router.
    asked: Option<Share>,
    /// What has to be done, of the last step; weights that were asked for too.
    actions: Vec<Action>,
    history: Vec<Transition>,
}

/// What the canary does to the users of a report.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Traffic {
    Fine,
    Failing,
    Mismatched,
    /// Nobody who was not seen before.
    Regular,
    Silent,
}

fn share(percent: f64) -> Share {
    Share::from_percent(percent).expect("a share")
}

impl World {
    fn new() -> Self {
        Self {
            settings: Settings::default(),
            state: State::new("v1", "v2", START),
            observations: Observations::new(START),
            facts: Facts::default(),
            now: START,
            asked: None,
            actions: Vec::new(),
            history: Vec::new(),
        }
    }

    /// Progressing at the ramp's first weight, just begun.
    fn begun() -> Self {
        let mut world = Self::new();
        world.pass(Traffic::Fine);
        world.arrive();
        assert_eq!((world.state.phase, world.state.weight), (Phase::Progressing, share(5.0)));
        world
    }

    fn in_phase(phase: Phase) -> Self {
        let mut world = Self::begun();
        let (state, now) = (world.state.clone(), world.now);
        match phase {
            Phase::Pending => return Self::new(),
            Phase::Progressing => {}
            Phase::Paused => world.by_hand(pause(&state, "ann", "lunch", now)),
            Phase::Promoting => world.state.phase = Phase::Promoting,
            Phase::Succeeded => {
                world.by_hand(promote(&world.settings, &state, &world.facts, "ann", "urgent", now));
                world.arrive();
            }
            Phase::Failed => world.by_hand(rollback(&state, "ann", "odd", now)),
        }
        assert_eq!(world.state.phase, phase);
        world
    }

    fn follow(&mut self, (state, actions): (State, Vec<Action>)) {
        self.state = state;
        if !matches!(self.state.phase, Phase::Pending | Phase::Progressing) {
            self.asked = None;
        }
        for action in &actions {
            match action {
                Action::RaiseWeight(share) => self.asked = Some(*share),
                Action::LowerWeight(share) => assert_eq!(*share, self.state.weight),
                Action::BeginRollout => {
                    self.asked = None;
                    self.observations.begin_rollout(self.now);
                }
                Action::BeginStratum => {
                    let State { step, stratum, weight, .. } = self.state;
                    self.observations.begin_stratum(step, stratum, weight, self.now);
                }
                Action::RestartSampleRatio => self.observations.restart_sample_ratio(),
                Action::ConfirmPromotion => {}
                Action::Record(transition) => self.history.push(transition.clone()),
                Action::WriteReport(kind) => assert!(["rollback", "success"].contains(kind)),
            }
        }
        self.actions = actions;
    }

    fn by_hand(&mut self, done: Result<(State, Vec<Action>), Refusal>) {
        self.follow(done.expect("it is allowed"));
    }

    /// The router has the weight that was asked for.
    fn arrive(&mut self) {
        if let Some(share) = self.asked.take() {
            self.follow(weight_raised(&self.settings, &self.state, share, self.now));
        }
    }

    fn summary(&self) -> Summary {
        self.observations.summary(&self.settings, self.now)
    }

    /// A report of a thousand users, judged.
    fn report(&mut self, traffic: Traffic) {
        self.actions.clear();
        if traffic == Traffic::Silent {
            return;
        }
        let canary = (1000.0 * self.state.weight.fraction()) as u64;
        let new = traffic != Traffic::Regular;
        let arm = |users: std::ops::Range<u64>, errors: u64| ArmReport {
            requests: users.end - users.start,
            errors,
            seen: if new { users.clone().map(UnitHash).collect() } else { Vec::new() },
            erred: users.map(UnitHash).take(errors as usize).collect(),
            ..ArmReport::default()
        };
        let lost = if traffic == Traffic::Mismatched { 950 * (1000 - canary) / 1000 } else { 0 };
        let arms = PerArm {
            stable: arm(canary + lost..1000, 0),
            canary: arm(0..canary, if traffic == Traffic::Failing { canary / 2 } else { 0 }),
        };
        let (step, stratum) = (self.state.step, self.state.stratum);
        let entry = CanaryReport { step, stratum, arms, ..CanaryReport::default() };
        let interval = Duration::from_millis(500);
        self.observations.report(&self.settings, Instance(1), interval, &[entry], self.now);
        self.follow(on_report(&self.settings, &self.state, &self.summary(), &self.facts, self.now));
    }

    /// A tick, after a report.
    fn pass(&mut self, traffic: Traffic) {
        self.now = self.now.plus(TICK);
        self.report(traffic);
        let mut actions = std::mem::take(&mut self.actions);
        self.follow(on_tick(&self.settings, &self.state, &self.summary(), &self.facts, self.now));
        actions.append(&mut self.actions);
        self.actions = actions;
    }

    /// Ticks without trouble, and a router that obeys at once.
    fn passes(&mut self, ticks: u32) {
        for _ in 0..ticks {
            self.pass(Traffic::Fine);
            self.arrive();
        }
    }

    fn weights(&self) -> Vec<f64> {
        let mut weights: Vec<f64> = self.history.iter().map(|line| line.weight.percent()).collect();
        weights.dedup();
        weights
    }
}

#[test]
fn a_fine_canary_takes_every_step_of_the_ramp_and_succeeds() {
    let mut world = World::begun();
    world.passes(6 * 6);
    assert_eq!(world.weights(), [5.0, 25.0, 45.0, 65.0, 85.0, 100.0]);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::ALL));
    assert!(world.state.verdict.reason.contains("bring stable to v2"), "{}", world.state.verdict.reason);
    let [Action::Record(line), Action::WriteReport("success")] = &world.actions[..] else {
        panic!("{:?}", world.actions)
    };
    assert_eq!((line.phase, line.by.as_deref()), (Phase::Succeeded, None));
}

#[test]
fn the_first_weight_waits_for_a_filter() {
    let mut world = World::new();
    world.pass(Traffic::Silent);
    assert_eq!((world.state.phase, world.asked), (Phase::Pending, None));
    assert!(world.state.verdict.reason.starts_with("no data"), "{}", world.state.verdict.reason);
    world.pass(Traffic::Fine);
    assert_eq!(world.actions, [Action::RaiseWeight(share(5.0))]);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Pending, Share::NONE));
    world.arrive();
    assert_eq!(
        (world.state.phase, world.state.step, world.state.stratum),
        (Phase::Progressing, Step(1), Stratum(1))
    );
}

#[test]
fn a_first_weight_that_the_router_refuses_is_asked_for_again() {
    let mut world = World::new();
    world.facts.router_error = Some("no such route".into());
    for _ in 0..2 {
        world.pass(Traffic::Fine);
        assert_eq!(world.actions, [Action::RaiseWeight(share(5.0))]);
        assert!(world.state.verdict.reason.contains("no such route"));
    }
}

#[test]
fn a_weight_stays_for_the_whole_interval_and_grows_only_at_a_tick() {
    let mut world = World::begun();
    world.passes(5);
    assert_eq!((world.state.weight, world.asked), (share(5.0), None), "50 s");
    world.now = world.now.plus(TICK);
    world.report(Traffic::Fine);
    assert_eq!(world.asked, None, "60 s, but a report is no tick");
    world.follow(on_tick(&world.settings, &world.state, &world.summary(), &world.facts, world.now));
    assert_eq!(world.actions, [Action::RaiseWeight(share(25.0))]);
    assert_eq!(world.state.weight, share(5.0), "not before the router has it");
    world.pass(Traffic::Fine);
    assert_eq!(world.actions, [Action::RaiseWeight(share(25.0))], "it is asked for at each tick");
    world.arrive();
    assert_eq!(
        (world.state.weight, world.state.step, world.state.step_started),
        (share(25.0), Step(2), world.now)
    );
    assert_eq!(world.actions[0], Action::BeginStratum);
}

#[test]
fn a_hold_delays_the_next_weight_and_does_not_restart_the_interval() {
    let mut world = World::begun();
    world.passes(5);
    for _ in 0..3 {
        world.pass(Traffic::Silent);
        assert_eq!((world.asked, world.state.verdict.outcome), (None, Outcome::Hold));
    }
    world.pass(Traffic::Fine);
    assert_eq!(world.asked, Some(share(25.0)));
}

#[test]
fn a_router_error_is_a_hold() {
    let mut world = World::begun();
    world.facts.router_error = Some("conflict".into());
    world.passes(7);
    assert_eq!((world.state.weight, world.state.verdict.rule), (share(5.0), Rule::Data));
}

#[test]
fn a_fail_lowers_the_weight_at_the_report_without_a_tick() {
    let mut world = World::begun();
    world.passes(1);
    let before = world.state.clone();
    world.report(Traffic::Failing);
    let state = &world.state;
    assert_eq!(
        (state.phase, state.weight, state.verdict.outcome),
        (Phase::Failed, Share::NONE, Outcome::Fail)
    );
    assert_eq!((state.step, state.stratum), (before.step.next(), before.stratum.next()));
    let [lower, Action::Record(line), report, stratum] = &world.actions[..] else {
        panic!("{:?}", world.actions)
    };
    assert_eq!(lower, &Action::LowerWeight(Share::NONE));
    assert_eq!((report, stratum), (&Action::WriteReport("rollback"), &Action::BeginStratum));
    assert_eq!((line.phase, line.weight, line.by.as_deref()), (Phase::Failed, Share::NONE, None));
    assert!(line.reason.starts_with("error rate too high"), "{}", line.reason);
    world.passes(100);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Failed, Share::NONE));
}

#[test]
fn a_fail_ends_a_paused_release_too() {
    let mut world = World::in_phase(Phase::Paused);
    world.report(Traffic::Failing);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Failed, Share::NONE));
}

#[test]
fn a_weight_that_arrives_after_a_pause_or_an_end_is_ignored() {
    for phase in Phase::ALL {
        let world = World::in_phase(phase);
        let (state, actions) = weight_raised(&world.settings, &world.state, Share::ALL, world.now);
        match phase {
            Phase::Pending | Phase::Progressing => assert_eq!(state.weight, Share::ALL),
            Phase::Paused | Phase::Promoting | Phase::Succeeded | Phase::Failed => {
                assert_eq!((state, actions), (world.state, vec![]));
            }
        }
    }
}

#[test]
fn a_weight_that_is_no_higher_is_ignored() {
    let world = World::begun();
    for percent in [0.0, 4.0, 5.0] {
        let (state, actions) = weight_raised(&world.settings, &world.state, share(percent), world.now);
        assert_eq!((&state, actions), (&world.state, vec![]));
    }
}

#[test]
fn a_mismatch_of_sizes_pauses_and_resuming_asks_anew() {
    let mut world = World::begun();
    world.report(Traffic::Mismatched);
    assert_eq!((world.state.phase, world.state.verdict.rule), (Phase::Paused, Rule::SampleRatio));
    assert!(matches!(&world.actions[..], [Action::Record(line)] if line.phase == Phase::Paused));
    world.report(Traffic::Mismatched);
    assert_eq!(world.actions, [], "it is said once");
    // Silence is another reason to hold, but not the reason of the pause.
    for traffic in [Traffic::Fine, Traffic::Silent] {
        (0..10).for_each(|_| world.pass(traffic));
        assert_eq!((world.state.phase, world.asked), (Phase::Paused, None), "a pause waits for a person");
        assert_eq!(world.state.verdict.rule, Rule::SampleRatio, "who must know why");
    }
    world.by_hand(resume(&world.state, "ann", "repaired", world.now));
    assert_eq!((world.state.phase, &world.actions[0]), (Phase::Progressing, &Action::RestartSampleRatio));
    world.passes(6);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Progressing, share(25.0)));
}

#[test]
fn a_release_paused_for_its_sizes_can_be_promoted() {
    let mut world = World::begun();
    world.report(Traffic::Mismatched);
    assert_eq!((world.state.phase, world.state.verdict.rule), (Phase::Paused, Rule::SampleRatio));
    world.by_hand(promote(&world.settings, &world.state, &world.facts, "ann", "it was a bot", world.now));
    world.report(Traffic::Regular);
    world.arrive();
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::ALL));
}

#[test]
fn a_pause_keeps_the_weight_and_a_resume_begins_the_interval_anew() {
    let mut world = World::begun();
    world.passes(5);
    world.by_hand(pause(&world.state, "ann", "lunch", world.now));
    assert!(matches!(&world.actions[..], [Action::Record(line)] if line.by.as_deref() == Some("ann")));
    assert!(world.state.verdict.reason.contains("paused by ann: lunch"));
    world.passes(500);
    assert_eq!(
        (world.state.phase, world.state.weight),
        (Phase::Paused, share(5.0)),
        "nor is there a deadline"
    );
    world.by_hand(resume(&world.state, "ann", "back", world.now));
    assert_eq!(world.state.step, Step(1), "the share is the same, and so is the step");
    world.passes(5);
    assert_eq!(world.state.weight, share(5.0));
    world.passes(1);
    assert_eq!(world.state.weight, share(25.0));
}

#[test]
fn promoting_goes_to_the_last_weight_and_ends_there() {
    let mut world = World::begun();
    world.by_hand(promote(&world.settings, &world.state, &world.facts, "ann", "urgent", world.now));
    assert!(matches!(&world.actions[..], [Action::Record(_), Action::RaiseWeight(Share::ALL)]));
    world.pass(Traffic::Fine);
    assert_eq!(world.actions, [Action::RaiseWeight(Share::ALL)], "asked for until the router has it");
    world.arrive();
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::ALL));
    assert!(matches!(&world.actions[1], Action::Record(line) if line.by.as_deref() == Some("ann")));
    assert_eq!(world.actions.last(), Some(&Action::WriteReport("success")));
}

#[test]
fn promoting_at_the_last_weight_succeeds_at_once() {
    let mut world = World::begun();
    world.passes(30);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Progressing, Share::ALL));
    world.by_hand(promote(&world.settings, &world.state, &world.facts, "ann", "fine", world.now));
    assert_eq!(world.state.phase, Phase::Succeeded);
}

#[test]
fn a_fail_or_a_pause_takes_a_promotion_back() {
    let mut failed = World::begun();
    failed.by_hand(promote(&failed.settings, &failed.state, &failed.facts, "ann", "urgent", failed.now));
    failed.report(Traffic::Failing);
    failed.arrive();
    assert_eq!((failed.state.phase, &failed.state.promoted_by), (Phase::Failed, &None));

    let mut paused = World::begun();
    paused.by_hand(promote(&paused.settings, &paused.state, &paused.facts, "ann", "urgent", paused.now));
    paused.by_hand(pause(&paused.state, "bob", "wait", paused.now));
    paused.by_hand(resume(&paused.state, "bob", "go on", paused.now));
    paused.passes(6);
    assert_eq!(paused.state.weight, share(25.0), "it goes on by the ramp");
}

/// Phases, and whether each of the four deeds is possible in them.
#[test]
fn what_people_may_do_in_each_phase() {
    for phase in Phase::ALL {
        let [pauses, resumes, promotes, rolls_back] = match phase {
            Phase::Pending => [false, false, false, true],
            Phase::Progressing => [true, false, true, true],
            Phase::Paused => [false, true, true, true],
            Phase::Promoting | Phase::Succeeded => [false, false, false, true],
            Phase::Failed => [false, false, false, false],
        };
        let world = World::in_phase(phase);
        let (state, now) = (&world.state, world.now);
        let all = [
            (pauses, pause(state, "ann", "why", now)),
            (resumes, resume(state, "ann", "why", now)),
            (promotes, promote(&world.settings, state, &world.facts, "ann", "why", now)),
            (rolls_back, rollback(state, "ann", "why", now)),
        ];
        for (allowed, done) in all {
            assert_eq!(done.is_ok(), allowed, "{phase:?}: {done:?}");
            if let Err(refusal) = done {
                let text = refusal.to_string();
                assert!(text.starts_with("cannot ") && text.contains(phase.name()), "{text}");
            }
        }
    }
}

#[test]
fn a_person_can_roll_back_whatever_still_has_users() {
    for phase in [Phase::Pending, Phase::Progressing, Phase::Paused, Phase::Promoting, Phase::Succeeded] {
        let mut world = World::in_phase(phase);
        world.by_hand(rollback(&world.state, "ann", "odd", world.now));
        assert_eq!((world.state.phase, world.state.weight), (Phase::Failed, Share::NONE));
        assert_eq!(world.actions[0], Action::LowerWeight(Share::NONE));
        assert!(matches!(&world.actions[1], Action::Record(line)
            if line.by.as_deref() == Some("ann") && line.reason == "rolled back by ann: odd"));
    }
}

#[test]
fn a_succeeded_release_that_has_become_stable_has_nothing_to_roll_back() {
    let mut world = World::in_phase(Phase::Succeeded);
    world.by_hand(versions_changed(&world.state, "v2", "v2", world.now));
    let refusal = rollback(&world.state, "ann", "odd", world.now).expect_err("it is stable");
    assert_eq!(refusal.to_string(), "cannot roll back: it is Succeeded at 0 %; the canary has no users");
}

#[test]
fn a_weight_that_somebody_lowered_in_the_router_is_obeyed_and_waits_for_a_person() {
    for (found, next) in [(share(5.0), share(25.0)), (Share::NONE, share(5.0))] {
        let mut world = World::begun();
        world.passes(6);
        assert_eq!(world.state.weight, share(25.0));
        let step = world.state.step;
        world.follow(lowered(&world.state, found, world.now));
        assert_eq!((world.state.phase, world.state.weight), (Phase::Paused, found));
        assert_eq!(world.state.step, step.next());
        assert!(world.actions.contains(&Action::LowerWeight(found)), "the plan and the router agree");
        world.passes(20);
        assert_eq!(world.state.weight, found, "nothing grows until a person resumes");
        world.by_hand(resume(&world.state, "ann", "go on", world.now));
        (0..6).for_each(|_| world.pass(Traffic::Fine));
        assert_eq!(world.asked, Some(next));
    }
}

#[test]
fn a_weight_in_the_router_that_is_no_lower_is_no_brake() {
    let world = World::begun();
    for found in [5.0, 25.0] {
        let (state, actions) = lowered(&world.state, share(found), world.now);
        assert_eq!((state, actions), (world.state.clone(), Vec::new()));
    }
}

#[test]
fn versions_that_stay_change_nothing() {
    for phase in Phase::ALL {
        let world = World::in_phase(phase);
        let same = versions_changed(&world.state, "v1", "v2", world.now);
        assert_eq!(same, Ok((world.state.clone(), vec![])));
    }
}

#[test]
fn while_the_canary_has_users_other_versions_are_refused() {
    for phase in [Phase::Progressing, Phase::Paused, Phase::Promoting, Phase::Succeeded] {
        let world = World::in_phase(phase);
        let mut others = vec![("v1", "v3"), ("v3", "v2"), ("v2", "v3"), ("v1", "v1")];
        if phase != Phase::Succeeded {
            others.push(("v2", "v2"));
        }
        for (stable, canary) in others {
            let done = versions_changed(&world.state, stable, canary, world.now);
            let text = done.expect_err("there are users").to_string();
            assert!(text.contains("or roll it back") && text.contains(phase.name()), "{text}");
        }
    }
}

#[test]
fn a_succeeded_version_that_becomes_stable_gives_its_users_back_in_one_write() {
    let mut world = World::in_phase(Phase::Succeeded);
    let before = world.state.clone();
    world.by_hand(versions_changed(&before, "v2", "v2", world.now));
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::NONE));
    assert_eq!(world.state.stable_version, "v2");
    assert_eq!(world.state.step, before.step.next());
    assert_eq!(world.actions[0], Action::LowerWeight(Share::NONE));
}

#[test]
fn another_canary_version_starts_a_new_rollout_with_numbers_that_go_on() {
    for phase in [Phase::Pending, Phase::Failed] {
        let mut world = World::in_phase(phase);
        let before = world.state.clone();
        world.now = world.now.plus(TICK);
        world.by_hand(versions_changed(&before, "v1", "v3", world.now));
        let state = &world.state;
        assert_eq!(
            (state.phase, state.weight, state.rollout_started),
            (Phase::Pending, Share::NONE, world.now)
        );
        assert!(state.step > before.step && state.stratum > before.stratum);
        assert!(matches!(
            &world.actions[..],
            [Action::BeginRollout, Action::Record(_), Action::BeginStratum]
        ));
        world.passes(7);
        assert_eq!((world.state.phase, world.state.weight), (Phase::Progressing, share(25.0)));
    }
}

#[test]
fn renaming_stable_beneath_a_canary_without_users_is_no_new_rollout() {
    for phase in [Phase::Pending, Phase::Failed] {
        let mut world = World::in_phase(phase);
        world.by_hand(versions_changed(&world.state, "v1.1", "v2", world.now));
        assert_eq!((world.state.phase, world.state.stable_version.as_str()), (phase, "v1.1"));
        assert!(matches!(&world.actions[..], [Action::Record(_)]));
    }
}

#[test]
fn equal_versions_are_nothing_to_release() {
    assert_eq!(State::new("v1", "v1", START).phase, Phase::Succeeded);
    let mut world = World::in_phase(Phase::Failed);
    world.by_hand(versions_changed(&world.state, "v1", "v1", world.now));
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::NONE));
    world.passes(10);
    assert_eq!((world.state.phase, world.asked), (Phase::Succeeded, None));
}

fn deployments(stable: u64, canary: u64) -> Deployments {
    let deployment = |name: &str, ready| Deployment {
        name: format!("default/{name}"),
        found: true,
        wanted: ready,
        ready,
        up_to_date: true,
    };
    let arms = PerArm { stable: deployment("stable", stable), canary: deployment("canary", canary) };
    Deployments { arms, copied: false }
}

#[test]
fn a_rollout_waits_for_both_deployments_and_each_weight_for_room() {
    let mut world = World::new();
    world.facts.deployments = Some(deployments(4, 0));
    world.pass(Traffic::Fine);
    assert_eq!((world.asked, world.state.verdict.rule), (None, Rule::Deployments));
    assert!(world.state.verdict.reason.contains("default/canary is scaled to 0"));
    world.facts.deployments = Some(deployments(4, 1));
    world.pass(Traffic::Fine);
    world.arrive();
    assert_eq!(world.state.weight, share(5.0));
    // 25 % of four is one; 45 % still is; 65 % is two.
    world.passes(30);
    assert_eq!(world.state.weight, share(45.0));
    assert!(world.state.verdict.reason.starts_with("1 of 2 ready"), "{}", world.state.verdict.reason);
    world.facts.deployments = Some(deployments(4, 2));
    world.passes(1);
    assert_eq!(world.state.weight, share(65.0));
}

#[test]
fn a_deployment_that_becomes_unready_is_a_hold_with_its_reason() {
    let mut world = World::begun();
    let mut broken = deployments(4, 4);
    broken.arms.canary.ready = 3;
    world.facts.deployments = Some(broken);
    world.passes(20);
    assert_eq!(world.state.weight, share(5.0));
    assert_eq!(world.state.verdict.reason, "Deployment default/canary: 3 of 4 replicas are ready");
}

#[test]
fn who_promotes_by_hand_waits_for_room_too() {
    let mut world = World::begun();
    world.facts.deployments = Some(deployments(4, 1));
    world.by_hand(promote(&world.settings, &world.state, &world.facts, "ann", "urgent", world.now));
    assert_eq!((world.asked, world.state.verdict.rule), (None, Rule::Deployments));
    world.facts.deployments = Some(deployments(4, 4));
    world.pass(Traffic::Fine);
    world.arrive();
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, share(100.0)));
}

#[test]
fn a_promotion_by_copy_gives_stable_its_users_back_once_it_runs_the_canarys_pods() {
    let mut world = World::begun();
    world.settings.promotion = Promotion::Copy;
    world.facts.deployments = Some(deployments(4, 4));
    world.passes(60);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Promoting, share(100.0)));
    let mut rolling = deployments(4, 4);
    (rolling.copied, rolling.arms.stable.up_to_date) = (true, false);
    world.facts.deployments = Some(rolling);
    world.passes(400);
    assert_eq!(world.state.phase, Phase::Promoting, "no deadline sends users to a stable that is not ready");
    assert!(world.state.verdict.reason.contains("still rolling out"), "{}", world.state.verdict.reason);
    world.facts.deployments = Some(Deployments { copied: true, ..deployments(4, 4) });
    world.passes(1);
    let State { phase, weight, stable_version, .. } = &world.state;
    assert_eq!((*phase, *weight, stable_version.as_str()), (Phase::Succeeded, Share::NONE, "v2"));
    assert!(world.actions.contains(&Action::LowerWeight(Share::NONE)));
    // The configuration still says what it said; that is no new release, and the next one starts at v2.
    let (same, actions) = versions_changed(&world.state, "v1", "v2", world.now).expect("nothing");
    assert_eq!((same, actions), (world.state.clone(), Vec::new()));
    let (next, _) = versions_changed(&world.state, "v1", "v3", world.now).expect("a new rollout");
    assert_eq!((next.phase, next.stable_version.as_str()), (Phase::Pending, "v2"));
    // Once it says what stable is, it is taken at its word.
    let (told, _) = versions_changed(&world.state, "v2", "v2", world.now).expect("nothing");
    assert_eq!(told.promoted_from, None);
}

#[test]
fn a_step_older_than_the_deadline_fails() {
    let mut world = World::begun();
    for _ in 0..360 {
        world.pass(Traffic::Silent);
    }
    assert_eq!(world.state.phase, Phase::Progressing, "an hour is allowed");
    world.pass(Traffic::Silent);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Failed, Share::NONE));
    let reason = &world.state.verdict.reason;
    assert!(reason.starts_with("progress deadline: no step for 3600 s; last: no data"), "{reason}");
}

#[test]
fn a_release_that_never_gets_its_first_weight_fails_at_the_deadline() {
    let mut world = World::new();
    for _ in 0..361 {
        world.pass(Traffic::Silent);
    }
    assert_eq!(world.state.phase, Phase::Failed);
    assert!(world.state.verdict.reason.starts_with("progress deadline"));
}

#[test]
fn a_step_of_more_than_ten_minutes_is_cut_into_strata() {
    let mut world = World::begun();
    world.settings.promotion_interval = Duration::from_secs(3000);
    world.passes(59);
    assert_eq!((world.state.step, world.state.stratum), (Step(1), Stratum(1)));
    world.passes(1);
    assert_eq!((world.state.step, world.state.stratum), (Step(1), Stratum(2)));
    assert_eq!(world.actions, [Action::BeginStratum]);
    world.passes(60);
    assert_eq!((world.state.step, world.state.stratum), (Step(1), Stratum(3)));
    world.by_hand(pause(&world.state, "ann", "lunch", world.now));
    world.passes(60);
    assert_eq!((world.state.step, world.state.stratum), (Step(1), Stratum(4)), "a paused one too");
    world.by_hand(resume(&world.state, "ann", "back", world.now));
    world.passes(300);
    assert_eq!((world.state.step, world.state.weight), (Step(2), share(25.0)), "strata are no steps");
}

#[test]
fn without_analysis_the_last_weight_comes_first_and_errors_are_not_looked_at() {
    let mut world = World::new();
    world.settings.skip_analysis = true;
    world.pass(Traffic::Fine);
    assert_eq!(world.asked, Some(Share::ALL));
    world.arrive();
    for _ in 0..6 {
        world.pass(Traffic::Failing);
    }
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, Share::ALL));
}

#[test]
fn a_ramp_that_ends_below_everything_succeeds_there() {
    let mut world = World::new();
    world.settings.ramp = Ramp::by_steps(vec![share(1.0), share(50.0)]).expect("a ramp");
    world.passes(13);
    assert_eq!(world.weights(), [1.0, 50.0]);
    assert_eq!((world.state.phase, world.state.weight), (Phase::Succeeded, share(50.0)));
}

#[test]
fn a_state_survives_being_written() {
    let mut world = World::begun();
    world.passes(8);
    let text = serde_json::to_string(&(&world.state, &world.history)).expect("it can be written");
    let read: (State, Vec<Transition>) = serde_json::from_str(&text).expect("it can be read");
    assert_eq!(read, (world.state, world.history));
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Tick(Traffic),
    Report(Traffic),
    Arrive,
    /// A weight that nobody waits for any more arrives, too.
    ArriveLate(Share),
    Pause,
    Resume,
    Promote,
    Rollback,
    NewVersion,
    RouterRefuses(bool),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let traffic = || {
        prop_oneof![
            20 => Just(Traffic::Fine),
            1 => Just(Traffic::Failing),
            1 => Just(Traffic::Mismatched),
            3 => Just(Traffic::Regular),
            3 => Just(Traffic::Silent),
        ]
    };
    let event = prop_oneof![
        30 => traffic().prop_map(Event::Tick),
        8 => traffic().prop_map(Event::Report),
        20 => Just(Event::Arrive),
        2 => prop::sample::select(vec![500, 2500, 10_000])
            .prop_map(|points| Event::ArriveLate(Share::from_basis_points(points).expect("a share"))),
        1 => Just(Event::Pause),
        3 => Just(Event::Resume),
        1 => Just(Event::Promote),
        1 => Just(Event::Rollback),
        3 => Just(Event::NewVersion),
        2 => any::<bool>().prop_map(Event::RouterRefuses),
    ];
    prop::collection::vec(event, 1..120)
}

impl World {
    /// Follows an event; a refusal must leave everything as it is, which its type sees to.
    fn meet(&mut self, event: Event, number: usize) {
        let (state, now) = (self.state.clone(), self.now);
        let done = match event {
            Event::Tick(traffic) => return self.pass(traffic),
            Event::Report(traffic) => return self.report(traffic),
            Event::Arrive => return self.arrive(),
            // To a release that waits for a weight only the awaited one arrives.
            Event::ArriveLate(share) => match state.phase {
                Phase::Pending | Phase::Progressing => return,
                Phase::Paused | Phase::Promoting | Phase::Succeeded | Phase::Failed => {
                    Ok(weight_raised(&self.settings, &state, share, now))
                }
            },
            Event::Pause => pause(&state, "ann", "why", now),
            Event::Resume => resume(&state, "ann", "why", now),
            Event::Promote => promote(&self.settings, &state, &self.facts, "ann", "why", now),
            Event::Rollback => rollback(&state, "ann", "why", now),
            Event::NewVersion => versions_changed(&state, "v1", &format!("v2.{number}"), now),
            Event::RouterRefuses(refuses) => {
                self.facts.router_error = refuses.then(|| "conflict".to_owned());
                return;
            }
        };
        if let Ok(done) = done {
            self.follow(done);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_weight_only_grows_along_the_ramp(events in events()) {
        let mut world = World::new();
        world.settings.promotion_interval = Duration::from_secs(20);
        for (number, event) in events.into_iter().enumerate() {
            let before = world.state.clone();
            world.meet(event, number);
            let after = &world.state;
            prop_assert!(after.step >= before.step && after.stratum >= before.stratum);
            prop_assert!(after.phase != Phase::Failed || after.weight == Share::NONE);
            prop_assert!(after.weight == before.weight || after.step > before.step, "a step has one share");
            if after.weight > before.weight {
                let next = world.settings.ramp.after(before.weight);
                let promoted = before.promoted_by.is_some() && after.weight == world.settings.ramp.max();
                prop_assert!(Some(after.weight) == next || promoted, "{before:?} {event:?} {after:?}");
                prop_assert!(matches!(before.phase, Phase::Pending | Phase::Progressing), "{before:?} {event:?}");
            }
            if after.weight < before.weight {
                prop_assert_eq!(after.weight, Share::NONE);
                prop_assert!(world.actions.contains(&Action::LowerWeight(Share::NONE)));
            }
            if after.phase != before.phase {
                prop_assert!(world.actions.iter().any(|action| matches!(action, Action::Record(_))));
            }
        }
    }
}
