//! The reference's test file, example by example, with its assertions; and wrong input.

use super::*;
use serde_json::{Value, json};
use serin_judge::anomaly::{Kind, Severity};

/// A sample of the reference's controller, so many seconds after noon.
fn metrics(second: u64, requests: u64, errors: u64, p50: f64, p95: f64, p99: f64) -> Value {
    json!({
        "timestamp": 1_704_106_800 + second, "requests": requests, "errors": errors,
        "latency_p50": p50, "latency_p95": p95, "latency_p99": p99,
    })
}

fn repeated(count: u64, make: impl Fn(u64) -> Value) -> Vec<Value> {
    (0..count).map(make).collect()
}

/// The reference's own fixture.
fn config(decisions: &str) -> Value {
    json!({
        "name": "test-app", "namespace": "test", "stable_version": "v1", "canary_version": "v2",
        "initial_canary_weight": 5, "canary_increment": 20, "max_canary_weight": 100,
        "promotion_interval_seconds": 60, "analysis_interval_seconds": 10,
        "max_error_rate": 5.0, "max_latency_increase": 50.0, "min_request_count": 10,
        "decisions": decisions,
    })
}

fn judged(decisions: &str, stable: &[Value], canary: &[Value]) -> Answer {
    let file = json!({"config": config(decisions), "samples": {"stable": stable, "canary": canary}});
    answer(&parse(&file.to_string()).map_err(|error| error.to_string()).expect("a history"))
}

/// Each example under both kinds of decision, its samples all at one moment as the reference has them,
/// and ten seconds apart.
fn each(count: u64, stable: impl Fn(u64) -> Value, canary: impl Fn(u64) -> Value, check: impl Fn(&Answer)) {
    for decisions in ["point", "evidence"] {
        for apart in [0, 10] {
            let at = |make: &dyn Fn(u64) -> Value| repeated(count, |number| make(number * apart));
            check(&judged(decisions, &at(&stable), &at(&canary)));
        }
    }
}

#[test]
fn progressive_traffic_shifting_goes_on_within_acceptable_thresholds() {
    each(
        10,
        |second| metrics(second, 1000, 10, 0.1, 0.3, 0.5),
        |second| metrics(second, 100, 1, 0.1, 0.35, 0.6),
        |answer| {
            assert!(answer.go_on);
            assert!(answer.reason.contains("acceptable thresholds"), "{}", answer.reason);
            assert_eq!(answer.verdict.outcome, Outcome::Continue);
        },
    );
}

#[test]
fn high_errors_roll_back_with_error_rate_too_high() {
    each(
        5,
        |second| metrics(second, 1000, 10, 0.1, 0.3, 0.5),
        |second| metrics(second, 100, 10, 0.1, 0.3, 0.5),
        |answer| {
            assert!(!answer.go_on);
            assert!(answer.reason.contains("error rate too high"), "{}", answer.reason);
        },
    );
}

#[test]
fn a_doubled_latency_rolls_back_with_latency_increased() {
    each(
        5,
        |second| metrics(second, 1000, 10, 0.1, 0.2, 0.4),
        |second| metrics(second, 100, 1, 0.2, 0.4, 0.8),
        |answer| {
            assert!(!answer.go_on);
            assert!(answer.reason.to_lowercase().contains("latency increased"), "{}", answer.reason);
        },
    );
}

/// The reference draws normal(10, 2) and normal(3, 1) and cuts them to whole numbers; these are such.
#[test]
fn three_percent_against_one_percent_is_either_fine_or_the_statistical_tests() {
    let stable = [10, 9, 11, 13, 9, 9, 13, 11, 9, 11, 9, 9, 10, 6, 6, 8, 7, 10, 8, 7];
    let canary = [4, 2, 3, 1, 2, 3, 1, 3, 2, 2, 2, 4, 2, 1, 3, 1, 3, 1, 1, 3];
    each(
        20,
        |second| metrics(second, 1000, stable[second as usize / 10 % 20], 0.1, 0.3, 0.5),
        |second| metrics(second, 100, canary[second as usize / 10 % 20], 0.1, 0.3, 0.5),
        |answer| {
            let words = ["All metrics within acceptable thresholds", "Statistical test"];
            assert!(words.iter().any(|words| answer.reason.contains(words)), "{}", answer.reason);
        },
    );
}

#[test]
fn slo_compliance_is_near_100_for_availability_and_perfect_for_the_error_rate() {
    let latencies = [0.1, 0.2, 0.3, 0.4, 0.5].repeat(200);
    let good = |second| {
        json!({
            "timestamp": second, "requests": 1000, "errors": 5,
            "latencies": latencies,
            "cpu_percent": 50.0, "memory_bytes": 1024 * 1024 * 100,
        })
    };
    let scores = judged("evidence", &repeated(10, good), &[]).slo.stable;
    assert!(scores["availability"] > 95.0 && scores["availability"] < 100.0, "{scores:?}");
    assert_eq!(scores["error_rate"], 100.0);
}

#[test]
fn an_anomalous_sample_is_found_in_errors_and_cpu() {
    let sample = |minute: u64, errors: u64, latencies: [f64; 3], cpu: f64| {
        json!({
            "timestamp": 60 * minute, "requests": 1000, "errors": errors, "latencies": latencies,
            "cpu_percent": cpu, "memory_bytes": 1024 * 1024 * 100,
        })
    };
    let mut canary = repeated(20, |minute| sample(minute, 10, [0.1, 0.2, 0.3], 40.0));
    canary.push(sample(20, 100, [0.5, 0.6, 0.7], 90.0));
    let anomalies = judged("evidence", &[], &canary).anomalies;
    let of = |kind| anomalies.iter().find(|anomaly| anomaly.kind == kind);
    assert_eq!(of(Kind::ErrorRate).map(|anomaly| anomaly.severity), Some(Severity::High));
    assert_eq!(of(Kind::Latency).map(|anomaly| anomaly.severity), Some(Severity::Medium));
    assert!(of(Kind::Cpu).is_some());
}

#[test]
fn an_increasing_error_pattern_of_the_canary_is_a_correlation_anomaly() {
    let sample = |minute: u64, requests: u64, errors: u64| {
        json!({
            "timestamp": 60 * minute, "requests": requests, "errors": errors, "latencies": [0.1, 0.2],
            "cpu_percent": 40.0, "memory_bytes": 1024 * 1024 * 100,
        })
    };
    let stable = repeated(20, |minute| sample(minute, 1000, 8 + minute * 7 % 5));
    let canary = repeated(20, |minute| sample(minute, 100, 2 + minute));
    let anomalies = judged("evidence", &stable, &canary).anomalies;
    let found = anomalies.iter().find(|anomaly| anomaly.kind == Kind::Correlation).expect("one");
    assert_eq!((found.metric.as_deref(), found.severity), (Some("errors"), Severity::High));
}

#[test]
fn the_whole_flow_with_good_metrics_does_not_fail() {
    let good = |second| metrics(second, 100, 1, 0.1, 0.2, 0.3);
    each(1, good, good, |answer| assert!(answer.go_on, "{}", answer.reason));
}

#[test]
fn the_answer_has_the_promised_names() {
    let good = repeated(10, |second| metrics(10 * second, 100, 1, 0.1, 0.2, 0.3));
    let answer = serde_json::to_value(judged("evidence", &good, &good)).expect("JSON");
    assert_eq!(answer["continue"], true);
    assert_eq!(answer["verdict"]["outcome"], "continue");
    assert_eq!(answer["slo"]["canary"]["error_rate"], 100.0);
    assert!(answer["reason"].is_string() && answer["anomalies"].is_array());
    assert!(answer["statistics"]["chi_square"]["p"].is_number(), "{}", answer["statistics"]);
    assert_eq!(answer["statistics"]["summary"]["window"]["canary"]["requests"], 600);
}

#[test]
fn wrong_input_is_refused_with_the_fields_path_and_what_is_allowed() {
    let told = |config: Value, sample: Value| {
        let file = json!({"config": config, "samples": {"stable": [], "canary": [sample]}});
        parse(&file.to_string()).map(|_| ()).expect_err("an error").to_string()
    };
    let good = metrics(0, 10, 1, 0.1, 0.2, 0.3);
    let with = |field: &str, value: Value| {
        let mut sample = good.clone();
        sample[field] = value;
        told(json!({}), sample)
    };
    for (error, words) in [
        (
            told(json!({"max_error_rate": 500}), good.clone()),
            "config.max_error_rate: 500 is not allowed: 0 to 100",
        ),
        (told(json!({"decisions": "guess"}), good.clone()), "config.decisions: unknown variant `guess`"),
        (told(json!({"max_eror_rate": 5}), good.clone()), "unknown field `max_eror_rate`"),
        (
            told(json!({"slos": [{"name": "a", "metric_type": "latency", "target": 101}]}), good.clone()),
            "config.slos[0].target: 101 is not allowed",
        ),
        (with("errors", json!(11)), "samples.canary[0].errors: 11 is not allowed: 0 to 10, the requests"),
        (with("requests", json!(-1)), "samples.canary[0].requests: invalid value"),
        (with("latency_p95", json!(-0.1)), "samples.canary[0].latency_p95: -0.1 is not allowed: 0 to more"),
        (with("latency_p50", json!(0.25)), "p50, p95 and p99 must not fall"),
        (with("latencies", json!([0.1])), "not both"),
        (with("timestamp", json!("noon")), "samples.canary[0].timestamp: `noon` is no time"),
        (with("timestamp", json!([])), "samples.canary[0].timestamp"),
        (parse("{").map(|_| ()).expect_err("an error").to_string(), "EOF while parsing"),
        (parse("{}").map(|_| ()).expect_err("an error").to_string(), "missing field `samples`"),
    ] {
        assert!(error.contains(words), "{error} does not say {words}");
    }
}
