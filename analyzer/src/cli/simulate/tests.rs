//! The command's answers: deterministic, whoever makes the runs; and what it refuses.

use super::*;
use clap::Parser;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    simulate: Simulate,
}

fn parsed(arguments: &str) -> Simulate {
    Program::try_parse_from(std::iter::once("serin").chain(arguments.split_whitespace()))
        .map_err(|error| error.to_string())
        .expect("arguments")
        .simulate
}

fn outcomes(threads: usize) -> Vec<serin_judge::simulate::Outcome> {
    let simulate = parsed("--rate 100 --fault-errors 20 --fault-at 5s");
    let world = simulate.world.compile().expect("a world");
    let settings = simulate.settings.compile().expect("settings");
    let job = workers::Job {
        world: &world,
        settings: &settings,
        method: Method::Evidence,
        length: Duration::from_secs(40),
    };
    job.run(5..9, threads, &workers::Progress::new(4))
}

#[test]
fn one_thread_and_three_find_the_same() {
    let alone = outcomes(1);
    assert_eq!(alone, outcomes(3));
    assert_eq!(alone.len(), 4);
    assert!(alone.iter().all(|outcome| outcome.rolled_back.is_some()));
}

#[test]
fn every_documented_world_has_a_name_of_its_own_and_can_be_asked_for() {
    let all = parsed("--scenario all").scenarios().expect("scenarios");
    let names: std::collections::BTreeSet<&str> = all.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), all.len());
    for scenario in &all {
        let one = parsed(&format!("--scenario {}", scenario.name)).scenarios().expect("one");
        assert_eq!(one.first(), Some(scenario));
    }
}

#[test]
fn wrong_options_are_named_with_what_is_allowed() {
    let told = |arguments: &str| {
        let simulate = parsed(arguments);
        simulate.settings.compile().map(|_| ()).and(simulate.scenarios().map(|_| ())).expect_err(arguments)
    };
    for (arguments, words) in [
        ("--scenario nonsense", "`nonsense` is not known: allowed are all, even"),
        ("--scenario even --rate 5", "--rate describes a world of your own"),
        ("--rate 0", "--rate: 0 is not allowed: 0.01 to 100000"),
        ("--errors 101", "--errors: 101 is not allowed: 0 to 100"),
        ("--fault-at 5s", "need a fault"),
        ("--share 50,20", "--share: 20 % does not grow"),
        ("--false-rollback-rate 0.9", "--false-rollback-rate: 0.9 is not allowed"),
        ("--interval 0s", "--interval: 0 is not allowed"),
    ] {
        let error = told(arguments);
        assert!(error.contains(words), "{error} does not say {words}");
    }
    let refused = Program::try_parse_from(["serin", "--outage", "noon"]).map(|_| ()).expect_err("refused");
    assert!(refused.to_string().contains("FROM..UNTIL:PERCENT"), "{refused}");
}

#[test]
fn tables_are_markdown_with_a_row_for_each_world_and_method() {
    let world = parsed("").world.compile().expect("a world");
    let row =
        |method| Row { scenario: "even".into(), about: String::new(), method, tally: Tally::of(&world, &[]) };
    let text = table::text(&[row("evidence"), row("gate")]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].starts_with("| nothing wrong | method"), "{text}");
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
}
