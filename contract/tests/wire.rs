//! Plans and reports as they travel: what is accepted, what is refused and with which words.

use proptest::prelude::*;
use serin_contract::latency::{MAX_INDEX, index, lower_bound, upper_bound};
use serin_contract::{Plan, Report, Sample, UnitHash};

fn plan(canaries: &str) -> String {
    format!(r#"{{"revision": 4, "report_interval_ms": 500, "canaries": [{canaries}]}}"#)
}

fn canary(name: &str, hosts: &str, prefix: &str) -> String {
    format!(
        r#"{{"name": "{name}", "step": 1, "stratum": 2, "hosts": {hosts}, "path_prefix": "{prefix}", "salt": "",
            "units": [{{"header": "X-User-Id"}}], "canary_share": 500, "slow_edge_us": 15000000,
            "served_by": {{"stable": ["a"], "canary": ["b"]}}}}"#
    )
}

fn refused(text: &str) -> String {
    Plan::from_json(text.as_bytes()).expect_err("refused").to_string()
}

#[test]
fn a_request_finds_its_canary_by_the_closest_host_and_the_longest_prefix() {
    let text = plan(
        &[
            canary("n/exact", r#"["Shop.example"]"#, "/"),
            canary("n/cart", r#"["shop.example"]"#, "/cart"),
            canary("n/suffix", r#"["*.example"]"#, "/"),
            canary("n/any", r#"["*"]"#, "/"),
        ]
        .join(","),
    );
    let plan = Plan::from_json(text.as_bytes()).expect("a plan");
    let found = |authority, path| plan.find(authority, path).map(|(_, canary)| canary.name.as_str());
    assert_eq!(found("shop.example:8080", "/x?y"), Some("n/exact"));
    assert_eq!(found("SHOP.EXAMPLE", "/cart/1"), Some("n/cart"));
    assert_eq!(found("api.shop.example", "/"), Some("n/suffix"));
    assert_eq!(found("example", "/"), Some("n/any"));
    assert_eq!(found("[::1]:80", "/"), Some("n/any"));
}

#[test]
fn a_canarys_goals_travel_only_where_there_are_some_and_are_checked_like_an_experiments() {
    let with = |goals: &str| {
        let text = plan(&canary("n/a", r#"["h"]"#, "/"));
        text.replace("\"served_by\"", &format!("\"goals\": {goals}, \"served_by\""))
    };
    let text = with(r#"[{"name": "buy", "response": {"methods": ["POST"], "path_prefix": "/buy"}}]"#);
    let plan = Plan::from_json(text.as_bytes()).expect("a plan");
    let goal = &plan.canaries()[0].goals[0];
    assert!(
        goal.covers(b"/buy/7", b"POST") && !goal.covers(b"/buy/7", b"GET") && !goal.covers(b"/", b"POST")
    );
    let twice = refused(&with(r#"[{"name": "buy"}, {"name": "buy"}]"#));
    assert!(twice.starts_with("canaries[0].goals[1].name: `buy` is there twice"), "{twice}");
    // A filter of before knows no goals: without any nothing of them is in plan and report.
    let report = serin_contract::report::ArmReport::default();
    assert!(!serde_json::to_string(&report).expect("JSON").contains("goals"));
    let report = |rows: &str| {
        let text = format!(
            r#"{{"instance": "00000000000000ff", "sequence": 1, "plan_revision": 1, "node": "n", "interval_ms": 500,
                "canaries": [{{"name": "n/a", "step": 1, "stratum": 1,
                    "arms": {{"stable": {{}}, "canary": {{"goals": {{"buy": {rows}}}}}}}}}]}}"#
        );
        Report::from_json(text.as_bytes())
    };
    let goals =
        &report(r#"[["00000000000000aa", 2, 25.5]]"#).expect("a report").canaries[0].arms.canary.goals;
    assert_eq!(goals["buy"], [(UnitHash(0xaa), 2, 25.5)]);
    let none = report(r#"[["00000000000000aa", 0, 0]]"#).expect_err("refused").to_string();
    assert!(none.starts_with("canaries[0].arms.canary.goals.buy[0]: counts nothing"), "{none}");
}

#[test]
fn a_plan_that_is_wrong_anywhere_is_refused_with_the_fields_path() {
    let share = plan(&canary("n/a", r#"["h"]"#, "/")).replace("500, \"slow", "10001, \"slow");
    assert!(
        refused(&share).starts_with("canaries[0].canary_share: 10001 is not a share"),
        "{}",
        refused(&share)
    );
    let host = plan(&canary("n/a", r#"["h:80"]"#, "/"));
    assert!(refused(&host).starts_with("canaries[0].hosts[0]: `h:80` is no host"), "{}", refused(&host));
    let twice = plan(&[canary("n/a", r#"["h"]"#, "/"), canary("n/b", r#"["h"]"#, "/")].join(","));
    assert!(refused(&twice).starts_with("canaries[1].hosts[0]: `h/` belongs to n/a"), "{}", refused(&twice));
    let interval = r#"{"revision": 1, "report_interval_ms": 1}"#;
    assert!(refused(interval).starts_with("report_interval_ms: 1 is not allowed"), "{}", refused(interval));
    let unknown = r#"{"revision": 1, "report_interval_ms": 500, "colour": 1}"#;
    assert!(refused(unknown).contains("unknown field `colour`"), "{}", refused(unknown));
    assert!(refused("{} x").contains("revision"), "{}", refused("{} x"));
}

const REPORT: &str = r#"{"instance": "00000000000000ab", "sequence": 7, "plan_revision": 3, "node": "gw-0",
  "interval_ms": 500, "canaries": [{"name": "default/shop", "step": 4, "stratum": 6, "arms": {
    "stable": {"requests": 120, "errors": 1, "responses": [["GET", 200, 119], ["GET", 503, 1]],
      "latency": [[214, 80], [215, 40]], "seen": ["00000000000000ff"]},
    "canary": {}}, "excluded": 5}]}"#;

#[test]
fn a_report_travels_both_ways() {
    let report = Report::from_json(REPORT.as_bytes()).expect("a report");
    assert_eq!(report.canaries[0].arms.stable.seen, [UnitHash(255)]);
    let again = serde_json::to_vec(&report).expect("serialises");
    assert_eq!(Report::from_json(&again).expect("a report"), report);
}

#[test]
fn a_report_that_cannot_be_is_refused_with_the_fields_path() {
    let cases = [
        (
            "\"errors\": 1,",
            "\"errors\": 121,",
            "canaries[0].arms.stable.errors: 121 is above the 120 requests",
        ),
        ("[214, 80]", "[214, 81]", "canaries[0].arms.stable.latency: sums to 121"),
        ("[214, 80]", "[9999, 80]", "canaries[0].arms.stable.latency[0]: index 9999 is above 975"),
        ("\"GET\", 503", "\"GET\\n\", 503", "canaries[0].arms.stable.responses[1]: the method"),
        ("00000000000000ff", "xyz", "canaries[0].arms.stable.seen[0]: a unit hash has 16"),
        ("00000000000000ab", "AB", "instance: an instance has 16"),
        ("\"sequence\": 7", "\"sequence\": 0", "sequence: 0 is not allowed"),
        ("default/shop", "shop", "canaries[0].name: `shop` is not allowed"),
        ("\"excluded\": 5", "\"excluded\": -5", "canaries[0].excluded: invalid value"),
        ("\"excluded\": 5", "\"included\": 5", "canaries[0].included: unknown field"),
    ];
    for (from, to, expected) in cases {
        let text = REPORT.replace(from, to);
        let error = Report::from_json(text.as_bytes()).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}\nshould begin with\n{expected}");
    }
}

#[test]
fn a_sample_of_half_holds_half_of_the_units_and_is_part_of_the_larger() {
    let half = Sample::ALL.halved();
    let units: Vec<UnitHash> = (0..10_000).map(UnitHash).collect();
    let kept = units.iter().filter(|unit| half.has(**unit)).count();
    // Four standard errors of a fair coin: 4 * sqrt(10000 / 4) = 200.
    assert!(kept.abs_diff(5_000) < 200, "{kept}");
    assert!(units.iter().all(|unit| half.has(*unit) || !half.halved().has(*unit)));
    assert!((half.fraction() - 0.5).abs() < 1e-9);
}

proptest! {
    #[test]
    fn a_latency_lies_in_its_bucket_and_buckets_are_narrow(micros: u64) {
        let bucket = index(micros);
        prop_assert!(bucket <= MAX_INDEX);
        prop_assert!(lower_bound(bucket) <= micros);
        prop_assert!(bucket == MAX_INDEX || micros < upper_bound(bucket));
        prop_assert_eq!(index(lower_bound(bucket)), bucket);
        if bucket < MAX_INDEX {
            let width = upper_bound(bucket) - lower_bound(bucket);
            prop_assert!(width == 1 || width as f64 <= lower_bound(bucket) as f64 / 16.0);
        }
    }

    #[test]
    fn a_slower_request_never_has_a_lower_index(a: u64, b: u64) {
        prop_assert_eq!(a.min(b) == a, index(a.min(b)) <= index(a.max(b)) && a <= b);
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(text: Vec<u8>) {
        drop(Report::from_json(&text));
        drop(Plan::from_json(&text));
    }
}

#[test]
fn a_cluster_of_istio_may_be_named_without_its_port() {
    let named = canary("n/a", r#"["h"]"#, "/")
        .replace(r#"["a"]"#, r#"["outbound|*|v1|shop.n.svc.cluster.local", "plain"]"#)
        .replace(r#"["b"]"#, r#"["outbound|8000|v2|shop.n.svc.cluster.local"]"#);
    let plan = Plan::from_json(plan(&named).as_bytes()).expect("a plan");
    let arm = |cluster: &str| {
        plan.canaries()
            .first()
            .and_then(|canary| canary.served_by(cluster.as_bytes()))
            .map(serin_contract::Arm::name)
    };
    assert_eq!(arm("outbound|8000|v1|shop.n.svc.cluster.local"), Some("stable"));
    assert_eq!(arm("outbound|80|v1|shop.n.svc.cluster.local"), Some("stable"));
    assert_eq!(arm("plain"), Some("stable"));
    assert_eq!(arm("outbound|8000|v2|shop.n.svc.cluster.local"), Some("canary"));
    for stranger in [
        "outbound|80|v2|shop.n.svc.cluster.local",
        "outbound||v1|shop.n.svc.cluster.local",
        "outbound|*|v1|shop.n.svc.cluster.local",
        "outbound|80a|v1|shop.n.svc.cluster.local",
        "inbound|80|v1|shop.n.svc.cluster.local",
        "outbound|80|v1|shop.n.svc.cluster.local.",
        "outbound|80",
        "",
    ] {
        assert_eq!(arm(stranger), None, "{stranger}");
    }
}
