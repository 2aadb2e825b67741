//! A report in all three forms.

use super::*;
use serde_json::json;

fn report() -> Report {
    let sample = |second: u64| {
        let version = |rate: f64| {
            json!({
                "requests": 100, "errors": 1, "error_rate": rate, "error_rate_interval": [rate / 2.0, rate * 2.0],
                "latency_p95": 0.2 + rate / 100.0, "latency": [[10, 3]],
            })
        };
        Report::slim(json!({
            "timestamp": 1_700_000_000_000 + second * 1000, "weight": 5.0,
            "evidence": { "errors": 0.5 * 1.5_f64.powf(second as f64), "slow": 0.7 },
            "versions": { "stable": version(1.0), "canary": version(4.0) },
            "slo": { "stable": { "availability": 100.0 }, "canary": { "availability": 96.5 } },
            "anomalies": [{ "version": "canary", "type": "error_rate", "severity": "high", "message": "<odd>" }],
        }))
    };
    Report {
        kind: "rollback".into(),
        time: Time(1_700_000_012_000),
        started: Time(1_700_000_000_000),
        affected: PerArm {
            stable: Affected { seen: 1900.0, erred: 12, slow: 0 },
            canary: Affected { seen: 100.0, erred: 9, slow: 1 },
        },
        canary: json!({
            "namespace": "web", "name": "shop", "phase": "Failed", "weight": 0.0,
            "stableVersion": "v1", "canaryVersion": "v2<script>",
            "verdict": { "outcome": "fail", "rule": "errorEvidence", "reason": "x" },
            "summary": { "evidence": { "errors": 40.0, "slow": 0.7, "threshold": 20.0 } },
            "totals": { "stable": { "requests": 1900, "errors": 19 }, "canary": { "requests": 100, "errors": 9 } },
            "metrics": [{ "name": "carts", "stable": 1.0, "canary": 9.0, "state": "broken", "reason": "too many" }],
            "history": [
                { "time": 1_600_000_000_000_u64, "phase": "Failed", "weight": 0.0, "reason": "an earlier rollout" },
                { "time": 1_700_000_000_000_u64, "phase": "Progressing", "weight": 5.0, "reason": "begins", "by": null },
                { "time": 1_700_000_012_000_u64, "phase": "Failed", "weight": 0.0, "reason": "Statistical test: a | b" },
            ],
        }),
        samples_taken: 11,
        samples: (0..11).map(sample).collect(),
    }
}

#[test]
fn html_is_one_page_with_every_plot_and_nothing_foreign_that_runs() {
    let page = report().write(Format::Html).expect("drawn");
    assert_eq!(page.matches("<svg").count(), 5, "weight, rates, evidence, latency and one SLO");
    for text in
        ["Rolled back", "Statistical test: a | b", "1,900", "SLO availability", "&lt;odd&gt;", "too many"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains("v2&lt;script&gt;") && !page.contains("<script"), "foreign words are escaped");
    assert!(!page.contains("an earlier rollout"));
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
}

#[test]
fn markdown_says_what_was_decided_why_and_who_was_affected() {
    let page = report().write(Format::Markdown).expect("written");
    assert!(page.starts_with("# web/shop: rolled back\n\n**Why:** Statistical test: a \\| b\n"), "{page}");
    assert!(page.contains("| v2\\<script\\> (canary) | 100 | 9 | 1 | 100 | 9 | 9.00 % |"), "{page}");
    assert!(page.contains("| canary error\\_rate | high | 0 s | 11 |"), "{page}");
}

#[test]
fn json_has_no_latency_buckets_and_reads_back() {
    let text = report().write(Format::Json).expect("written");
    assert!(!text.contains("\"latency\":"), "{text}");
    let back: Report = serde_json::from_str(&text).expect("reads back");
    assert_eq!(back.samples.len(), 11);
}

#[test]
fn a_rollout_without_samples_has_a_page_too() {
    let empty = Report { samples: vec![], canary: json!({}), ..report() };
    for format in Format::ALL {
        assert!(!empty.write(format).expect("written").is_empty());
    }
}
