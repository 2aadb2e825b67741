//! Experiments, simulated: how often an experiment without a difference is ever called significant when
//! one looks after every event, and how much the right to look costs in power.

use serin_contract::{Share, Step};
use serin_judge::experiment::analysis::{Rate, analyse};
use serin_judge::experiment::{Design, Peak, Role, StepCounts, results, strata};

/// splitmix64 (Steele, Lea and Flood 2014): the same numbers on every machine.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / 2_f64.powi(53)
    }
}

fn step(number: u32, treatment: u16) -> StepCounts {
    let share = |points| Share::from_basis_points(points).expect("in range");
    StepCounts::new(Step(number), vec![share(10_000 - treatment), share(treatment)], 1)
}

/// One unit: exposed to an arm by the step's shares, and maybe converted.
fn unit(step: &mut StepCounts, rates: [f64; 2], random: &mut Random) -> bool {
    let arm = usize::from(random.uniform() < step.shares[1].fraction());
    step.arms[arm].exposures += 1;
    let converts = random.uniform() < rates[arm];
    if converts {
        step.arms[arm].goals[0].add((0, 0.0), 1, 0.0);
    }
    converts
}

#[test]
fn looked_at_after_every_event_at_most_one_in_twenty_equal_experiments_is_ever_called_different() {
    const RUNS: u64 = 2_000;
    let mut crossed = 0;
    for run in 0..RUNS {
        let random = &mut Random(run);
        // Every other one is a ramp: its shares change while it runs.
        let ramp: &[u16] = if run % 2 == 0 { &[5_000] } else { &[500, 2_500, 5_000] };
        let mut steps: Vec<StepCounts> = Vec::new();
        let mut peak = Peak::default();
        for (number, share) in ramp.iter().enumerate() {
            steps.push(step(number as u32, *share));
            for _ in 0..3_000 / ramp.len() {
                let last = steps.last_mut().expect("a step");
                if unit(last, [0.1, 0.1], random) {
                    peak.look(&strata(&steps, 0, 1));
                }
            }
        }
        crossed += u64::from(peak.p_value() < 0.05);
    }
    println!("{crossed} of {RUNS} experiments without a difference ever had p < 0.05");
    assert!(crossed * 20 <= RUNS, "{crossed} of {RUNS}");
    assert!(crossed > 0, "a test that never errs has no power");
}

/// In a release users come again in step after step, and who is in the canary stays there: each is evidence once.
#[test]
fn users_who_convert_in_every_step_of_a_nested_ramp_do_not_make_equal_arms_different() {
    const RUNS: u64 = 400;
    let (mut once, mut naive) = (0, 0);
    for run in 0..RUNS {
        let random = &mut Random(run ^ 0x00aa_5555);
        let users: Vec<f64> = (0..300).map(|_| random.uniform()).collect();
        let mut converted = vec![false; users.len()];
        let mut steps: Vec<StepCounts> = Vec::new();
        let (mut peak, mut pooled) = (Peak::default(), Peak::default());
        for (number, share) in [1_000, 2_500, 4_000, 5_500, 7_000].into_iter().enumerate() {
            steps.push(step(number as u32, share));
            for (place, known) in users.iter().zip(&mut converted) {
                let last = steps.last_mut().expect("a step");
                let arm = usize::from(*place < last.shares[1].fraction());
                last.arms[arm].exposures += 1;
                last.arms[arm].goals[0].add((0, 0.0), 1, 0.0);
                last.arms[arm].goals[0].again += u64::from(std::mem::replace(known, true));
                if random.uniform() > 0.05 {
                    continue;
                }
                peak.look(&strata(&steps, 0, 1));
                let mut without = steps.clone();
                without.iter_mut().flat_map(|step| &mut step.arms).for_each(|arm| arm.goals[0].again = 0);
                pooled.look(&strata(&without, 0, 1));
            }
        }
        once += u64::from(peak.p_value() < 0.05);
        naive += u64::from(pooled.p_value() < 0.05);
    }
    println!("{once} of {RUNS} with each user counted once, {naive} with each counted in every step");
    assert!(once * 20 <= RUNS && naive > once, "{once} and {naive} of {RUNS}");
}

/// How often each of two tests finds a lift, and after how many units of the fixed size the always-valid
/// one has found half of them.
fn power(lift: f64, units: u64, runs: u64) -> (f64, f64, f64, Option<f64>) {
    let (mut fixed, mut valid, mut twice) = (0, 0, 0);
    let mut stops: Vec<u64> = Vec::new();
    for run in 0..runs {
        let random = &mut Random(run ^ 0xabcd_ef00);
        let mut steps = vec![step(1, 5_000)];
        let mut peak = Peak::default();
        let mut stop = None;
        for number in 1..=2 * units {
            // Looked at every hundredth user: more often only costs time here.
            unit(&mut steps[0], [0.1, 0.1 * (1.0 + lift)], random);
            if number % 100 == 0 && stop.is_none() {
                peak.look(&strata(&steps, 0, 1));
                stop = (peak.p_value() < 0.05).then_some(number);
            }
            if number == units {
                let rate = |arm: usize| Rate {
                    exposures: steps[0].arms[arm].exposures,
                    conversions: steps[0].arms[arm].goals[0].converted,
                };
                fixed += u64::from(analyse(&[(rate(0), rate(1))]).is_some_and(|found| found.significant));
            }
        }
        valid += u64::from(stop.is_some_and(|stop| stop <= units));
        twice += u64::from(stop.is_some());
        stops.push(stop.unwrap_or(u64::MAX));
    }
    stops.sort_unstable();
    let median = stops[stops.len() / 2];
    let part = |count: u64| count as f64 / runs as f64;
    let median = (median != u64::MAX).then(|| median as f64 / units as f64);
    (part(fixed), part(valid), part(twice), median)
}

#[test]
fn the_right_to_look_costs_some_power_and_not_most_of_it() {
    println!(
        "lift, users (fixed test at power 0.8), power fixed, always-valid, with twice the users, median"
    );
    for (lift, units) in [(0.1, 29_498), (0.2, 7_682), (0.5, 1_372)] {
        let runs = 8_000_000 / units;
        let (fixed, valid, twice, median) = power(lift, units, runs);
        let median = median.map_or_else(|| "-".to_owned(), |part| format!("{part:.2}"));
        println!("{:>3.0} % | {units:>6} | {fixed:.2} | {valid:.2} | {twice:.2} | {median}", lift * 100.0);
        assert!((0.7..0.9).contains(&fixed), "the fixed test has its power: {fixed}");
        assert!(valid > 0.2 && twice > 0.6, "{valid} {twice}");
    }
}

fn filled(numbers: [[u64; 3]; 3]) -> Vec<StepCounts> {
    let share = |points| Share::from_basis_points(points).expect("in range");
    let mut step = StepCounts::new(Step(1), vec![share(3_400), share(3_300), share(3_300)], 2);
    for (arm, [exposures, converted, refunded]) in numbers.into_iter().enumerate() {
        step.arms[arm].exposures = exposures;
        for (goal, units) in [converted, refunded].into_iter().enumerate() {
            (0..units).for_each(|unit| step.arms[arm].goals[goal].add((0, 0.0), 1, (unit % 7) as f64));
        }
    }
    vec![step]
}

fn peaks(steps: &[StepCounts]) -> Vec<Vec<Peak>> {
    let peak = |goal, arm| {
        let mut peak = Peak::default();
        peak.look(&strata(steps, goal, arm));
        peak
    };
    (0..2).map(|goal| (1..3).map(|arm| peak(goal, arm)).collect()).collect()
}

#[test]
fn several_arms_are_compared_with_control_and_guardrails_are_watched() {
    let arms = ["control", "green", "blue"].map(str::to_owned);
    let goals = [("purchase".to_owned(), Role::Metric), ("refund".to_owned(), Role::HarmIfMore)];
    let design = Design { arms: &arms, goals: &goals, minimum_effect: 10.0 };
    let steps = filled([[3_400, 340, 20], [3_300, 500, 90], [3_300, 335, 18]]);
    let found = results(&design, &steps, &peaks(&steps));
    assert_eq!(found.analysis, None, "the reference analyses two arms");
    let of = |goal: &str, arm: &str| {
        let comparison = found.comparisons.iter().find(|found| found.goal == goal && found.arm == arm);
        comparison.expect("compared").clone()
    };
    let (green, blue) = (of("purchase", "green"), of("purchase", "blue"));
    assert!(green.significant_at_any_time && !blue.significant_at_any_time);
    assert!(green.p_value_holm >= green.p_value && green.value.is_some());
    assert!(green.lift_interval.0.is_some_and(|low| low > 0.0), "{green:?}");
    assert!(
        blue.lift_interval.0.is_some_and(|low| low < 0.0)
            && blue.lift_interval.1.is_some_and(|high| high > 0.0)
    );
    let harmed: Vec<_> = found.guardrails.iter().map(|guard| (guard.arm.as_str(), guard.harmed)).collect();
    assert_eq!(harmed, [("green", true), ("blue", false)]);
    assert!(!found.sample_ratio.mismatch);
    let lost = filled([[3_400, 0, 0], [2_300, 0, 0], [3_300, 0, 0]]);
    assert!(results(&design, &lost, &peaks(&lost)).sample_ratio.mismatch);
}

#[test]
fn whatever_is_empty_or_full_no_number_is_nan() {
    let arms = ["control", "green", "blue"].map(str::to_owned);
    let goals = [("purchase".to_owned(), Role::Metric), ("refund".to_owned(), Role::HarmIfLess)];
    let design = Design { arms: &arms, goals: &goals, minimum_effect: 10.0 };
    for numbers in [
        [[0; 3]; 3],
        [[10, 0, 0], [0; 3], [10, 10, 10]],
        [[10, 10, 10]; 3],
        [[1, 1, 1], [1_000_000, 0, 1_000_000], [0; 3]],
    ] {
        let steps = filled(numbers);
        let found = results(&design, &steps, &peaks(&steps));
        // JSON knows no NaN: serde writes it as null where the type has no null.
        let text = serde_json::to_string(&found).expect("JSON");
        assert!(!text.contains("\"e_value\":null") && !text.contains("_mean\":null"), "{text}");
        assert!(!text.contains("conversion_rate\":null") && !text.contains("[null]"), "{text}");
    }
    assert!(results(&design, &[], &[]).comparisons.len() == 4);
}
