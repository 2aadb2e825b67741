//! Synthetic users against the whole judge: faults are found in time, and their absence is no fault.
//! Every run is seeded, so a failure repeats itself.

use serin_contract::allocation::canary_arm;
use serin_contract::latency::index;
use serin_contract::report::{ArmReport, Instance};
use serin_contract::{Arm, AssignedUnit, CanaryReport, PerArm, Share, UnitHash};
use serin_judge::observations::Observations;
use serin_judge::ramp::{Action, Facts, Phase, State, on_report, weight_raised};
use serin_judge::settings::{Ramp, Settings};
use serin_judge::time::Time;
use std::collections::HashSet;
use std::time::Duration;

const USERS: usize = 5_000;
const PER_REPORT: usize = 100;
const REPORT: Duration = Duration::from_millis(500);
/// The fault begins after so many seconds.
const FAULT: u64 = 20;

/// splitmix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below 1, at least 0.
    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// How the two versions treat their users.
#[derive(Clone, Copy)]
struct World {
    /// The part of requests that fail before the fault, and the canary's after it.
    errors: f64,
    canary_errors: f64,
    /// The part of users half of whose requests fail, whatever the version.
    chronic: f64,
    /// How many times as long the canary takes after the fault.
    slower: f64,
    /// Whether the canary answers nothing any more after the fault.
    hangs: bool,
}

const FINE: World = World { errors: 0.01, canary_errors: 0.01, chronic: 0.0, slower: 1.0, hangs: false };

struct User {
    hash: UnitHash,
    arm: Arm,
    chronic: bool,
}

/// A filter: it names a user once in a stratum for each of the three questions.
#[derive(Default)]
struct Filter {
    seen: HashSet<UnitHash>,
    erred: HashSet<UnitHash>,
    slow: HashSet<UnitHash>,
    /// Start and user of the requests that are never answered.
    hanging: Vec<(Time, UnitHash)>,
}

struct Simulation {
    world: World,
    random: Random,
    users: Vec<User>,
    /// Sums of activity, to draw a user by.
    activity: Vec<f64>,
    filter: Filter,
    settings: Settings,
    state: State,
    observations: Observations,
    now: Time,
}

impl Simulation {
    fn new(world: World, seed: u64) -> Self {
        let mut random = Random(seed);
        let share = Share::from_percent(10.0).expect("a share");
        let users = (0..USERS).map(|number| {
            let unit =
                AssignedUnit::of(&format!("{seed}:"), format!("user-{number}").as_bytes()).expect("a unit");
            let chronic = random.uniform() < world.chronic;
            User { hash: unit.hash, arm: canary_arm(unit.bucket, share), chronic }
        });
        let users: Vec<_> = users.collect();
        let mut sum = 0.0;
        let activity = users.iter().map(|_| {
            // Pareto with exponent 1.5, cut off: a tenth of the users make half of the requests.
            sum += (1.0 - random.uniform()).powf(-1.0 / 1.5).min(100.0);
            sum
        });
        let activity = activity.collect();
        let settings = Settings {
            ramp: Ramp::by_steps(vec![share, Share::ALL]).expect("a ramp"),
            ..Settings::default()
        };
        let now = Time(1_700_000_000_000);
        let (state, actions) = weight_raised(&settings, &State::new("v1", "v2", now), share, now);
        assert_eq!(actions.first(), Some(&Action::BeginStratum));
        let mut observations = Observations::new(now);
        observations.begin_stratum(state.step, state.stratum, state.weight, now);
        Self { world, random, users, activity, filter: Filter::default(), settings, state, observations, now }
    }

    /// Half a second of requests, reported.
    fn advance(&mut self, faulty: bool) {
        let edge = self.observations.slow_edge(&self.settings).as_micros() as u64;
        let mut arms = PerArm::<ArmReport>::default();
        for _ in 0..PER_REPORT {
            self.request(&mut arms, faulty, edge);
        }
        self.now = self.now.plus(REPORT);
        for (started, user) in &self.filter.hanging {
            if self.now.since(*started).as_micros() as u64 > edge {
                arms.canary.overdue += 1;
                arms.canary.slow.extend(self.filter.slow.insert(*user).then_some(*user));
            }
        }
        let (step, stratum) = (self.state.step, self.state.stratum);
        let entry = CanaryReport { step, stratum, arms, ..CanaryReport::default() };
        self.observations.report(&self.settings, Instance(1), REPORT, &[entry], self.now);
        let summary = self.observations.summary(&self.settings, self.now);
        (self.state, _) = on_report(&self.settings, &self.state, &summary, &Facts::default(), self.now);
    }

    fn request(&mut self, arms: &mut PerArm<ArmReport>, faulty: bool, edge: u64) {
        let total = self.activity.last().copied().unwrap_or_default();
        let place = self.random.uniform() * total;
        let user = &self.users[self.activity.partition_point(|sum| *sum <= place)];
        let (arm, hash) = (arms.get_mut(user.arm), user.hash);
        arm.seen.extend(self.filter.seen.insert(hash).then_some(hash));
        let faulty = faulty && user.arm == Arm::Canary;
        if faulty && self.world.hangs {
            self.filter.hanging.push((self.now, hash));
            return;
        }
        let errors = match (user.chronic, faulty) {
            (true, _) => 0.5,
            (false, true) => self.world.canary_errors,
            (false, false) => self.world.errors,
        };
        // Exponential beyond 20 ms: mean 50 ms, p95 110 ms; in few buckets, which is quick to add up.
        let millis = 25.0 * ((20.0 - 30.0 * (1.0 - self.random.uniform()).ln()) / 25.0).round();
        let micros = (1e3 * millis * if faulty { self.world.slower } else { 1.0 }) as u64;
        arm.requests += 1;
        match arm.latency.iter_mut().find(|(bucket, _)| *bucket == index(micros)) {
            Some((_, count)) => *count += 1,
            None => arm.latency.push((index(micros), 1)),
        }
        if self.random.uniform() < errors {
            arm.errors += 1;
            arm.erred.extend(self.filter.erred.insert(hash).then_some(hash));
        }
        if micros > edge {
            arm.slow.extend(self.filter.slow.insert(hash).then_some(hash));
        }
    }

    /// Runs for so many seconds, the fault from `fault` on; when it failed, in seconds since the start.
    fn run(mut self, seconds: u64, fault: u64) -> (State, Option<f64>) {
        for report in 0..2 * seconds {
            self.advance(report >= 2 * fault);
            match self.state.phase {
                Phase::Failed => return (self.state, Some((report + 1) as f64 / 2.0)),
                Phase::Progressing => {}
                Phase::Pending | Phase::Paused | Phase::Promoting | Phase::Succeeded => {
                    panic!("{}: {}", self.state.phase.name(), self.state.verdict.reason)
                }
            }
        }
        (self.state, None)
    }
}

/// The seconds from the fault until each seed's canary failed, fastest first, and the reasons.
fn time_to_fail(world: World, seeds: u64, fault: u64, within: u64) -> (Vec<f64>, Vec<String>) {
    let (mut times, mut reasons) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let (state, failed) = Simulation::new(world, seed).run(fault + within, fault);
        // What fails before its fault is a false alarm, not a find.
        if let Some(time) = failed.filter(|time| *time > fault as f64) {
            times.push(time - fault as f64);
            reasons.push(state.verdict.reason);
        }
    }
    times.sort_by(f64::total_cmp);
    (times, reasons)
}

fn false_alarms(world: World, seeds: u64, seconds: u64) -> Vec<String> {
    let run = |seed| Simulation::new(world, 1_000 + seed).run(seconds, seconds);
    (0..seeds)
        .map(run)
        .filter(|(_, failed)| failed.is_some())
        .map(|(state, _)| state.verdict.reason)
        .collect()
}

#[test]
fn one_to_twenty_percent_errors_fail_within_fifteen_seconds() {
    let (times, _) = time_to_fail(World { canary_errors: 0.2, ..FINE }, 20, FAULT, 15);

    assert!(times.len() >= 19, "{times:?}");
}

#[test]
fn five_percent_against_one_percent_fails_within_a_minute() {
    let (times, _) = time_to_fail(World { canary_errors: 0.05, ..FINE }, 20, FAULT, 60);

    assert!(times.len() >= 18, "{times:?}");
}

#[test]
fn a_canary_as_good_as_stable_hardly_ever_fails_in_five_minutes() {
    let failed = false_alarms(FINE, 30, 300);

    assert!(failed.len() <= 3, "{failed:#?}");
}

#[test]
fn users_who_always_have_errors_do_not_fail_the_canary() {
    let failed = false_alarms(World { chronic: 0.01, ..FINE }, 30, 300);

    assert!(failed.len() <= 3, "{failed:#?}");
}

#[test]
fn tripled_latency_fails_with_latency_increased() {
    let (times, reasons) = time_to_fail(World { slower: 3.0, ..FINE }, 20, FAULT, 60);

    assert!(times.len() >= 18, "{times:?}");
    for reason in reasons {
        assert!(reason.starts_with("latency increased: "), "{reason}");
    }
}

#[test]
fn a_canary_that_hangs_fails_before_its_requests_end() {
    for (fault, words) in [(0, "the canary's p95 is not answered yet"), (FAULT, "in flight beyond")] {
        let (times, reasons) = time_to_fail(World { hangs: true, ..FINE }, 5, fault, 30);
        assert_eq!(times.len(), 5, "{times:?}");
        for reason in reasons {
            assert!(reason.starts_with("latency increased: ") && reason.contains(words), "{reason}");
            assert!(!reason.contains("; 0 requests"), "{reason}");
        }
    }
}
