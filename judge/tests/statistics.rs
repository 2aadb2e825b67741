//! The classical statistics against numbers of scipy and numpy (tests/vectors/statistics.json).

use serde::Deserialize;
use serin_judge::statistics::{Alternative, chi_square, mann_whitney, percentile, wald, wilson};

#[derive(Deserialize)]
struct Vectors {
    chi2_contingency: Vec<Proportions>,
    mannwhitneyu: Vec<Samples>,
    percentile: Vec<Percentiles>,
}

#[derive(Deserialize)]
struct Proportions {
    conversions: [u64; 2],
    exposures: [u64; 2],
    chi2: Option<f64>,
    p: Option<f64>,
    error: Option<String>,
    wald95_percent: [[f64; 2]; 2],
    wilson95_first: [f64; 2],
}

#[derive(Deserialize)]
struct Samples {
    x: Vec<f64>,
    y: Vec<f64>,
    #[serde(rename = "two-sided")]
    two_sided: Tested,
    less: Tested,
    greater: Tested,
}

#[derive(Deserialize)]
struct Tested {
    u: f64,
    p: f64,
}

#[derive(Deserialize)]
struct Percentiles {
    x: Vec<f64>,
    p50: f64,
    p95: f64,
    p99: f64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("vectors/statistics.json")).expect("the vectors parse")
}

fn assert_close(found: f64, expected: f64, what: &str) {
    let close = found == expected || (found - expected).abs() <= 1e-9 * expected.abs();
    assert!(close, "{what}: {found} is not {expected}");
}

#[test]
fn chi_squares_and_intervals_are_those_of_scipy() {
    let cases = vectors().chi2_contingency;
    assert!(cases.len() >= 40);
    for case in &cases {
        let row = |arm: usize| [case.conversions[arm], case.exposures[arm] - case.conversions[arm]];
        let what = format!("{:?} of {:?}", case.conversions, case.exposures);
        match chi_square([row(0), row(1)]) {
            Ok(found) => {
                assert_close(found.statistic, case.chi2.expect("a statistic"), &what);
                assert_close(found.p, case.p.expect("a p-value"), &what);
            }
            Err(error) => assert!(case.error.is_some(), "{what}: {error}"),
        }
        for arm in [0, 1] {
            let (low, high) = wald(case.conversions[arm], case.exposures[arm], 0.95);
            // The vectors are rounded to two decimals of a percent.
            let rounded: [f64; 2] =
                [low, high].map(|end| format!("{:.2}", 100.0 * end).parse().expect("a number"));
            assert_eq!(rounded, case.wald95_percent[arm], "{what}");
        }
        let (low, high) = wilson(case.conversions[0], case.exposures[0], 0.95);
        assert_close(low, case.wilson95_first[0], &what);
        assert_close(high, case.wilson95_first[1], &what);
    }
}

#[test]
fn mann_whitney_is_scipys_in_all_three_directions_with_and_without_ties() {
    let cases = vectors().mannwhitneyu;
    assert!(cases.len() >= 40);
    for Samples { x, y, two_sided, less, greater } in &cases {
        let what = format!("{x:?} against {y:?}");
        for (alternative, expected) in
            [(Alternative::TwoSided, two_sided), (Alternative::Less, less), (Alternative::Greater, greater)]
        {
            let found = mann_whitney(x, y, alternative).expect("ranks");
            assert_close(found.u, expected.u, &what);
            assert_close(found.p, expected.p, &what);
        }
    }
}

#[test]
fn percentiles_are_numpys() {
    let cases = vectors().percentile;
    assert!(cases.len() >= 10);
    for case in &cases {
        for (percent, expected) in [(50.0, case.p50), (95.0, case.p95), (99.0, case.p99)] {
            assert_close(percentile(&case.x, percent).expect("values"), expected, &format!("{:?}", case.x));
        }
    }
}
