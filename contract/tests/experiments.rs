//! Experiments in plan and report: who falls where, what is kept, what is refused.

use proptest::prelude::*;
use serin_contract::plan::{ExperimentDocument, ExperimentPlan};
use serin_contract::{AssignedUnit, Plan, Report, Step};
use std::collections::BTreeMap;

fn document(id: &str, arms: &str, more: &str) -> String {
    format!(
        r#"{{"id": "{id}", "step": 2, "hosts": ["Shop.example", "*.test"], "path_prefix": "/", "salt": "{id}",
            "units": [{{"header": "x-user-id"}}], "arms": [{arms}]{more}}}"#
    )
}

const HALVES: &str = r#"{"name": "control", "share": 5000},
    {"name": "treatment", "share": 5000, "flags": {"button": "green", "size": "2"}}"#;

fn experiment(id: &str, arms: &str, more: &str) -> ExperimentPlan {
    let raw: ExperimentDocument = serde_json::from_str(&document(id, arms, more)).expect("parses");
    ExperimentPlan::compile(raw).expect("compiles")
}

fn refused(experiments: &str) -> String {
    let text = format!(r#"{{"revision": 1, "report_interval_ms": 500, "experiments": [{experiments}]}}"#);
    Plan::from_json(text.as_bytes()).expect_err("refused").to_string()
}

#[test]
fn an_experiment_that_is_wrong_anywhere_is_refused_with_the_fields_path() {
    let with = |from: &str, to: &str| {
        let text = document("a", HALVES, "");
        assert!(text.contains(from), "{from}");
        refused(&text.replace(from, to))
    };
    let one = r#"{"name": "control", "share": 10000}"#;
    let many: Vec<String> = (0..21).map(|n| format!(r#"{{"name": "a{n}", "share": 476}}"#)).collect();
    let goal = |status: &str| {
        let goals = format!(r#", "goals": [{{"name": "buy", "response": {{"status": {status}}}}}]"#);
        refused(&document("a", HALVES, &goals))
    };
    let cases = [
        (with("\"share\": 5000}", "\"share\": 4990}"), "experiments[0].arms: the shares sum to 99.9 %"),
        (with("\"treatment\"", "\"control\""), "experiments[0].arms[1].name: `control` is there twice"),
        (with("\"treatment\"", "\"a b\""), "experiments[0].arms[1].name: `a b` is not allowed"),
        (with("green", "gr;een"), "experiments[0].arms[1].flags.button: must be 1 to 256"),
        (with("x-user-id", "x user"), "experiments[0].units[0]: `x user` is no header name"),
        (with("\"*.test\"", "\"h:80\""), "experiments[0].hosts[1]: `h:80` is no host"),
        (refused(&document("a", one, "")), "experiments[0].arms: there are 1"),
        (refused(&document("a", &many.join(","), "")), "experiments[0].arms: there are 21"),
        (refused(&document("a b", HALVES, "")), "experiments[0].id: `a b` is not allowed"),
        (
            refused(&[document("a", HALVES, ""), document("a", HALVES, "")].join(",")),
            "experiments[1].id: `a` is there twice",
        ),
        (
            refused(&document("a", HALVES, r#", "keep": {"cookie": "k", "max_age_s": 1}"#)),
            "experiments[0].keep.max_age_s: is not allowed",
        ),
        (
            refused(&document("a", HALVES, r#", "within": {"canary": "shop", "arm": "canary"}"#)),
            "experiments[0].within.canary: `shop` is not allowed",
        ),
        (goal("[300, 200]"), "experiments[0].goals[0].response.status: must be a lowest"),
    ];
    for (error, expected) in cases {
        assert!(error.starts_with(expected), "{error}\nshould begin with\n{expected}");
    }
}

#[test]
fn a_request_belongs_to_an_experiment_by_host_path_and_method() {
    let experiment = experiment("a", HALVES, r#", "methods": ["GET", "POST"]"#);
    assert!(experiment.covers("shop.example", b"/cart?x", b"GET"));
    assert!(experiment.covers("a.test", b"/", b"POST"));
    assert!(!experiment.covers("test", b"/", b"GET"));
    assert!(!experiment.covers("shop.example", b"/", b"PUT"));
    assert_eq!(experiment.arms()[1].flags, "button=green;size=2");
}

#[test]
fn the_shares_of_100_000_users_are_within_four_standard_errors() {
    let arms = r#"{"name": "A", "share": 6000}, {"name": "B", "share": 3000}, {"name": "C", "share": 1000}"#;
    let experiment = experiment("three", arms, "");
    let mut counts = [0_u32; 3];
    for user in 0..100_000 {
        let unit = AssignedUnit::of(&experiment.salt, format!("user{user}").as_bytes()).expect("a unit");
        counts[experiment.arm_of(unit)] += 1;
    }
    for (count, share) in counts.into_iter().zip([0.6_f64, 0.3, 0.1]) {
        let (expected, error) = (1e5 * share, (1e5 * share * (1.0 - share)).sqrt());
        assert!((f64::from(count) - expected).abs() < 4.0 * error, "{counts:?}");
    }
}

#[test]
fn two_experiments_with_their_own_salts_are_independent() {
    let (one, two) = (experiment("one", HALVES, ""), experiment("two", HALVES, ""));
    let mut table: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for user in 0..100_000 {
        let id = format!("user{user}");
        let arm = |of: &ExperimentPlan| of.arm_of(AssignedUnit::of(&of.salt, id.as_bytes()).expect("a unit"));
        *table.entry((arm(&one), arm(&two))).or_default() += 1.0;
    }
    // Pearson's chi-square against 25,000 each, 3 degrees of freedom: 16.27 is its 99.9 % point.
    let chi: f64 = table.values().map(|count| (count - 25_000.0).powi(2) / 25_000.0).sum();
    assert!(table.len() == 4 && chi < 16.27, "{chi} {table:?}");
}

#[test]
fn a_kept_arm_is_that_users_and_of_a_step_that_has_been() {
    let experiment = experiment("a", HALVES, r#", "keep": {"cookie": "k"}"#);
    let text = experiment.keep_text(b"user1", Step(1), &experiment.arms()[1]);
    assert_eq!(experiment.kept(b"user1", text.as_bytes()), Some((Step(1), 1)));
    assert_eq!(experiment.kept(b"user2", text.as_bytes()), None);
    let changed = text.replace("treatment", "control");
    assert_eq!(experiment.kept(b"user1", changed.as_bytes()), None);
    let later = experiment.keep_text(b"user1", Step(3), &experiment.arms()[1]);
    assert_eq!(experiment.kept(b"user1", later.as_bytes()), None);
    for rubbish in ["", ".", "1", "1.", "1.control", "1.control.", "1.control.00", "\u{e9}.\u{e9}.\u{e9}"] {
        assert_eq!(experiment.kept(b"user1", rubbish.as_bytes()), None, "{rubbish}");
    }
}

const REPORT: &str = r#"{"instance": "00000000000000ab", "sequence": 7, "plan_revision": 3, "node": "gw-0",
  "interval_ms": 500, "experiments": [{"id": "checkout-button", "step": 1, "arms": {"control": {
    "seen": ["00000000000000ff"], "goals": {"purchase": [["00000000000000ff", 2, 25.0]]}}}}]}"#;

#[test]
fn a_report_on_experiments_travels_both_ways() {
    let report = Report::from_json(REPORT.as_bytes()).expect("a report");
    let arm = &report.experiments[0].arms["control"];
    assert_eq!((arm.seen.len(), arm.goals["purchase"][0].1), (1, 2));
    let again = serde_json::to_vec(&report).expect("serialises");
    assert_eq!(Report::from_json(&again).expect("a report"), report);
}

#[test]
fn a_report_on_experiments_that_cannot_be_is_refused_with_the_fields_path() {
    let cases = [
        ("checkout-button", "a b", "experiments[0].id: `a b` is not allowed"),
        (", 2, 25.0", ", 0, 25.0", "experiments[0].arms.control.goals.purchase[0]: counts nothing"),
        (
            ", 2, 25.0",
            ", 2, 1e13",
            "experiments[0].arms.control.goals.purchase[0]: 10000000000000 is not a sum",
        ),
        (", 2, 25.0", ", -2, 25.0", "experiments[0].arms.control.goals.purchase[0][1]: invalid value"),
        ("\"seen\"", "\"saw\"", "experiments[0].arms.control.saw: unknown field"),
    ];
    for (from, to, expected) in cases {
        assert!(REPORT.contains(from), "{from}");
        let error = Report::from_json(REPORT.replace(from, to).as_bytes()).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}\nshould begin with\n{expected}");
    }
}

proptest! {
    #[test]
    fn no_cookie_makes_reading_it_panic(cookie: Vec<u8>, unit: Vec<u8>) {
        let experiment = experiment("a", HALVES, "");
        prop_assert_eq!(experiment.kept(&unit, &cookie), None);
    }

    #[test]
    fn what_is_kept_is_read_back(unit: Vec<u8>, step in 0..3_u32, arm in 0..2_usize) {
        let experiment = experiment("a", HALVES, "");
        let text = experiment.keep_text(&unit, Step(step), &experiment.arms()[arm]);
        prop_assert_eq!(experiment.kept(&unit, text.as_bytes()), Some((Step(step), arm)));
    }
}
