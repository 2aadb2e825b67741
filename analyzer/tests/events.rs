//! A million events of an experiment: memory is bounded, every one is counted, and results need no scan.

mod common;

use common::{Running, folder};
use serde_json::{Value, json};
use std::time::Instant;

const USERS: u64 = 200_000;
const ROUNDS: u64 = 5;
/// As many rows of goals as fit into a report of 256 kB.
const IN_ONE_REPORT: u64 = 8_000;

fn memory_kb(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_million_events_take_a_bounded_memory_and_are_counted_in_full() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let call = |method: &str, path: &str, body: &Value| -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (code, text) = running.call(method, path, "", &body).expect("an answer");
        assert_eq!(code, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    };
    let spec = json!({"id": "button", "hosts": ["shop.example"], "units": [{"header": "x-user-id"}],
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}]});
    call("POST", "/v1/experiments", &spec);
    let before = memory_kb(&running);
    let (mut most, mut sequence) = (0, 0);
    for _ in 0..ROUNDS {
        for first in (0..USERS).step_by(IN_ONE_REPORT as usize) {
            let rows = |odd: bool| -> Vec<Value> {
                let users = (first..first + IN_ONE_REPORT).filter(|user| (user % 2 == 1) == odd);
                users
                    .map(|user| json!([format!("{:016x}", user.wrapping_mul(0x9e37_79b9_7f4a_7c15)), 1, 0.5]))
                    .collect()
            };
            sequence += 1;
            let report = json!({"instance": "00000000000000aa", "sequence": sequence, "plan_revision": 1,
                "node": "crowd", "interval_ms": 500, "experiments": [{"id": "button", "step": 1, "arms": {
                    "control": {"goals": {"conversion": rows(false)}},
                    "treatment": {"goals": {"conversion": rows(true)}}}}]});
            assert_eq!(call("POST", "/v1/report", &report)["acknowledged"], sequence);
            most = most.max(memory_kb(&running));
        }
    }
    let asked = Instant::now();
    let results = call("GET", "/v1/experiments/button/results", &Value::Null);
    println!("a million events: from {before} kB to at most {most} kB; results after {:?}", asked.elapsed());
    assert!(most - before < 128 << 10, "from {before} kB to {most} kB");
    for arm in ["control", "treatment"] {
        let variant = &results["variants"][arm];
        let goal = &variant["goals"]["conversion"];
        assert_eq!((&variant["exposures"], &variant["conversions"]), (&json!(USERS / 2), &json!(USERS / 2)));
        assert_eq!((&goal["events"], &goal["sum"]), (&json!(USERS * ROUNDS / 2), &json!(250_000.0)));
    }
}
