//! Guardrails of releases, simulated: how often a release whose users reach a goal as before is failed by its
//! guardrail, looked at after every report, and how soon one is whose users no longer do.

use serin_contract::report::{ArmReport, Instance};
use serin_contract::{Arm, CanaryReport, Share, Step, Stratum, UnitHash};
use serin_judge::evidence::Harm;
use serin_judge::goals::Goal;
use serin_judge::observations::Observations;
use serin_judge::rules::{Facts, Position, judge};
use serin_judge::settings::Settings;
use serin_judge::time::Time;
use serin_judge::verdict::{Outcome, Rule};
use std::collections::HashMap;
use std::time::Duration;

const REPORT: Duration = Duration::from_secs(1);
const STEP_S: u64 = 60;
const RAMP: [f64; 5] = [5.0, 25.0, 45.0, 65.0, 85.0];

/// splitmix64 (Steele, Lea and Flood 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / 2_f64.powi(53)
    }
}

/// Users who convert, and when.
#[derive(Clone, Copy)]
struct World {
    users: u64,
    /// Conversions a second if the canary were like stable.
    rate: f64,
    /// Above 1 some users convert much more often than others.
    busy: i32,
    /// How many times as often canary users convert as stable ones ...
    times: f64,
    /// ... from this second on.
    from: u64,
    harm: Harm,
}

impl World {
    fn even() -> Self {
        Self { users: 20_000, rate: 5.0, busy: 1, times: 1.0, from: 0, harm: Harm::Less }
    }

    /// One rollout by the ramp; the second in which its guardrail failed it.
    fn run(self, seed: u64) -> Option<u64> {
        let mut random = Random(seed);
        let goal = Goal { name: "purchase".to_owned(), guardrail: Some(self.harm) };
        let settings = Settings { goals: vec![goal], ..Settings::default() };
        let mut observations = Observations::new(Time(0));
        // Each user's place between 0 and 1, as its bucket: the canary owns the top.
        let mut places: HashMap<u64, f64> = HashMap::new();
        for second in 0..STEP_S * RAMP.len() as u64 {
            let (step, now) = ((second / STEP_S) as usize, Time(1000 * second));
            let share = Share::from_percent(RAMP[step]).expect("a share");
            let (number, stratum) = (Step(step as u32 + 1), Stratum(step as u32 + 1));
            if second % STEP_S == 0 {
                observations.begin_stratum(number, stratum, share, now);
            }
            let mut entry = CanaryReport { step: number, stratum, ..CanaryReport::default() };
            // Binomial with a mean of `rate`: close to Poisson.
            for _ in 0..50 {
                if random.uniform() >= self.rate / 50.0 {
                    continue;
                }
                let user = (self.users as f64 * random.uniform().powi(self.busy)) as u64;
                let place = *places.entry(user).or_insert_with(|| random.uniform());
                let arm = if place >= 1.0 - share.fraction() { Arm::Canary } else { Arm::Stable };
                let kept = if arm == Arm::Canary { self.times } else { self.times.recip() };
                if second >= self.from && random.uniform() >= kept {
                    continue;
                }
                let rows = entry.arms.get_mut(arm).goals.entry("purchase".to_owned()).or_default();
                rows.push((UnitHash(user), 1, 0.0));
            }
            // Enough requests that no other rule has anything to say.
            for (arm, part) in [(Arm::Stable, 1.0 - share.fraction()), (Arm::Canary, share.fraction())] {
                let requests = (1000.0 * part) as u64;
                let goals = std::mem::take(&mut entry.arms.get_mut(arm).goals);
                *entry.arms.get_mut(arm) = ArmReport { requests, goals, ..ArmReport::default() };
            }
            observations.report(&settings, Instance(1), REPORT, &[entry], now);
            let summary = observations.summary(&settings, now);
            let at = Position { weight: share, step_started: Time(1000 * STEP_S * step as u64) };
            let verdict = judge(&settings, at, &summary, &Facts::default(), now);
            if verdict.outcome == Outcome::Fail {
                assert_eq!(verdict.rule, Rule::Goal, "{}", verdict.reason);
                return Some(second);
            }
        }
        None
    }

    fn failed(self, runs: u64) -> Vec<u64> {
        let mut seconds: Vec<u64> = (0..runs).filter_map(|seed| self.run(seed ^ 0x5eed_0000)).collect();
        seconds.sort_unstable();
        seconds
    }
}

#[test]
fn a_release_whose_users_convert_as_before_is_failed_by_its_guardrail_in_at_most_one_run_of_twenty() {
    const RUNS: u64 = 240;
    let even = World::even();
    let worlds = [
        ("even users", even),
        ("much traffic", World { rate: 30.0, ..even }),
        ("busy users, who convert again in every step", World { users: 500, busy: 3, ..even }),
        ("the harm is more", World { harm: Harm::More, users: 500, busy: 3, ..even }),
    ];
    for (name, world) in worlds {
        let failed = world.failed(RUNS).len() as u64;
        println!("{name}: {failed} of {RUNS} good releases failed by the guardrail");
        assert!(failed * 20 <= RUNS, "{name}: {failed} of {RUNS}");
    }
}

#[test]
fn a_release_whose_users_no_longer_convert_is_failed_and_the_sooner_the_worse_it_is() {
    const RUNS: u64 = 60;
    let even = World::even();
    let worlds = [
        ("nobody converts", World { times: 0.0, ..even }),
        ("nobody converts from the third step on", World { times: 0.0, from: 2 * STEP_S, ..even }),
        ("half as many convert", World { times: 0.5, ..even }),
        ("twice as many refunds", World { harm: Harm::More, times: 2.0, ..even }),
    ];
    let medians = worlds.map(|(name, world)| {
        let seconds = world.failed(RUNS);
        assert!(seconds.len() as u64 * 20 >= RUNS * 19, "{name}: {} of {RUNS}", seconds.len());
        let of = |part: usize| seconds[seconds.len() * part / 100];
        println!(
            "{name}: {} of {RUNS} failed, after {} s (median), {} s (90 %)",
            seconds.len(),
            of(50),
            of(90)
        );
        of(50)
    });
    assert!(medians[0] < medians[2] && medians[1] < 2 * STEP_S + STEP_S, "{medians:?}");
}

#[test]
fn a_user_who_buys_all_day_counts_once_in_a_stratum_and_a_takeover_keeps_the_evidence() {
    let goal = Goal { name: "purchase".to_owned(), guardrail: Some(Harm::Less) };
    let settings = Settings { goals: vec![goal], ..Settings::default() };
    let half = Share::from_percent(50.0).expect("a share");
    let mut observations = Observations::new(Time(0));
    observations.begin_stratum(Step(1), Stratum(1), half, Time(0));
    let report = |observations: &mut Observations, stratum: u32, users: std::ops::Range<u64>, second: u64| {
        let rows = users.map(|user| (UnitHash(user), 3, 7.5)).collect();
        let mut entry = CanaryReport { step: Step(1), stratum: Stratum(stratum), ..CanaryReport::default() };
        entry.arms.stable.goals.insert("purchase".to_owned(), rows);
        observations.report(&settings, Instance(1), REPORT, &[entry], Time(1000 * second));
        observations.summary(&settings, Time(1000 * second)).goals.remove(0)
    };
    assert_eq!(report(&mut observations, 1, 0..6, 1).converted.stable, 6);
    let once = report(&mut observations, 1, 0..6, 2);
    assert_eq!((once.converted.stable, once.converted.canary), (6, 0));
    // Late, of a stratum that is over: counted elsewhere, never evidence.
    let late = report(&mut observations, 9, 6..60, 3);
    assert_eq!(late.evidence, once.evidence);
    assert!(once.evidence > Some(1.0) && !once.is_harmed(), "{once:?}");

    // Written and read, the users are still known.
    let mut read: Observations =
        serde_json::from_str(&serde_json::to_string(&observations.clone_without_units()).expect("JSON"))
            .expect("JSON");
    read.restore_units(&observations.units_to_bytes()).expect("whole");
    assert_eq!(report(&mut read, 1, 0..6, 4).converted.stable, 6);
    let another = report(&mut read, 1, 6..7, 4);
    assert_eq!(another.converted.stable, 7);

    // Another analyzer goes on from the status: E stays, what comes counts as if nobody had changed.
    let carried = serde_json::to_string(&observations.carried()).expect("numbers");
    let mut taken = Observations::carry_on(&serde_json::from_str(&carried).expect("numbers"), Time(5000));
    for observations in [&mut observations, &mut taken] {
        observations.begin_stratum(Step(1), Stratum(2), half, Time(5000));
    }
    let after = [&mut observations, &mut taken].map(|one| report(one, 2, 100..110, 6).evidence.expect("E"));
    assert!((after[0] / after[1] - 1.0).abs() < 1e-9, "{after:?}");
}
