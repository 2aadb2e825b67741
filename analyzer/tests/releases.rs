//! A release's own experiment on the running program: it opens with the first weight, follows the ramp, survives
//! a crash, is nobody's to change, and its guardrail ends the release and it.

mod common;
#[path = "common/redis.rs"]
mod redis_server;

use common::{Running, edit, folder};
use serde_json::{Value, json};
use serin_contract::AssignedUnit;
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;

const SALT: &str = "default/shop/v2:";

/// A filter that reports what the test says.
struct Filter<'a> {
    running: &'a Running,
    sequence: &'a Cell<u64>,
}

/// What one arm's users did: who was seen, who bought, and how many requests with which errors.
fn arm(seen: &[&str], bought: &[&str], requests: u64, errors: u64) -> Value {
    let hash = |user: &&str| AssignedUnit::of(SALT, user.as_bytes()).expect("a unit").hash.to_string();
    let rows: Vec<Value> = bought.iter().map(|user| json!([hash(user), 2, 12.5])).collect();
    let mut arm = json!({"requests": requests, "errors": errors, "latency": [[200, requests]],
        "seen": seen.iter().map(hash).collect::<Vec<_>>()});
    if !rows.is_empty() {
        arm["goals"] = json!({"purchase": rows});
    }
    arm
}

impl Filter<'_> {
    fn send(&self, entries: &Value) {
        self.sequence.set(self.sequence.get() + 1);
        self.repeat(entries);
    }

    /// The report as it was sent last.
    fn repeat(&self, entries: &Value) {
        let report = json!({"instance": "00000000000000aa", "sequence": self.sequence.get(), "plan_revision": 1,
            "node": "n", "interval_ms": 500, "canaries": entries});
        let (code, body) =
            self.running.call("POST", "/v1/report", "", &report.to_string()).expect("an answer");
        assert_eq!(code, 200, "{body}");
    }
}

fn get(running: &Running, path: &str) -> Value {
    let (code, body) = running.call("GET", path, "", "").expect("an answer");
    assert_eq!(code, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

fn canary(running: &Running) -> Value {
    get(running, "/v1/canaries/default/shop")
}

fn entry(view: &Value, stable: &Value, canary: &Value) -> Value {
    json!([{"name": "default/shop", "step": view["step"], "stratum": view["stratum"],
        "arms": {"stable": stable, "canary": canary}}])
}

/// Exposures and buyers of stable, then of the canary.
fn counted(results: &Value) -> [u64; 4] {
    let of = |arm: &str, field: &str| results["variants"][arm][field].as_u64().expect("a number");
    [
        of("stable", "exposures"),
        of("stable", "conversions"),
        of("canary", "exposures"),
        of("canary", "conversions"),
    ]
}

fn brake(folder: &Path, from: [u8; 2], to: [u8; 2]) {
    let path = folder.join("routes.yaml");
    let old = std::fs::read_to_string(&path).expect("read");
    let mut routes: serde_json::Value = serde_saphyr::from_str(&old).expect("YAML");
    let clusters = routes
        .pointer_mut("/resources/0/virtual_hosts/0/routes/2/route/weighted_clusters/clusters")
        .and_then(Value::as_array_mut)
        .expect("two clusters");
    for (cluster, (from, to)) in clusters.iter_mut().zip(from.into_iter().zip(to)) {
        assert_eq!(cluster["weight"], from, "{old}");
        cluster["weight"] = json!(to);
    }
    let new = folder.join("routes.new");
    std::fs::write(&new, serde_saphyr::to_string(&routes).expect("YAML")).expect("written");
    std::fs::rename(new, path).expect("renamed");
}

/// A release with goals that goes to half of the users and stays there.
fn release() -> (tempfile::TempDir, SocketAddr) {
    let (folder, address) = folder("");
    let goals = "units: [{header: x-user-id}]\n  goals: [{name: purchase, guardrail: less}, {name: signup}]\n  \
                 limits: {minRequestCount: 0, ";
    edit(folder.path(), "limits: {", goals);
    edit(
        folder.path(),
        "analysisInterval: 1s",
        "steps: [50, 100], promotionInterval: 1h, analysisInterval: 1s",
    );
    (folder, address)
}

#[test]
fn a_release_has_an_experiment_that_follows_it_and_a_guardrail_that_ends_it() {
    let (folder, address) = release();
    let mut running = Running::start(folder.path(), address);
    let sequence = Cell::new(0);
    let send = |running: &Running, entries: Value| Filter { running, sequence: &sequence }.send(&entries);
    assert!(canary(&running)["experiment"].is_null(), "before its first weight there is nothing to compare");
    running.until("half of the users are in the canary", || {
        send(&running, json!([]));
        canary(&running)["weight"] == 50.0
    });
    let first = canary(&running);
    let id = first["experiment"].as_str().expect("an experiment").to_owned();
    let digits = id.strip_prefix("canary_v2_").expect("named after its version");
    assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let one = format!("/v1/experiments/{id}");
    let known = get(&running, &one);
    assert_eq!((&known["name"], &known["source"]), (&json!("Canary Deployment: v1 vs v2"), &json!("canary")));
    assert_eq!((&known["status"], &known["canary"]), (&json!("running"), &json!("default/shop")));
    assert_eq!(
        (&known["step"], &known["shares"]),
        (&first["step"], &json!({"stable": 50.0, "canary": 50.0}))
    );
    assert_eq!(
        (&known["spec"]["salt"], &known["spec"]["units"]),
        (&json!(SALT), &json!([{"header": "x-user-id"}]))
    );

    // Counted once, also when a report comes twice, and a unit twice.
    let busy = entry(&first, &arm(&["a", "b", "c"], &["a"], 90, 9), &arm(&["x", "y"], &["y"], 10, 0));
    send(&running, busy.clone());
    Filter { running: &running, sequence: &sequence }.repeat(&busy);
    send(&running, entry(&first, &arm(&["a"], &["a"], 0, 0), &arm(&[], &[], 0, 0)));
    let results = get(&running, &format!("{one}/results"));
    assert_eq!(counted(&results), [3, 1, 2, 1]);
    let metrics = &results["release"]["metrics"];
    assert_eq!(metrics["total"]["stable"]["error_rate"], 10.0);
    assert_eq!(metrics["total"]["canary"]["conversion"]["purchase"], 50.0);
    assert_eq!(metrics["total"]["canary"]["latency_p95"], metrics["steps"][0]["stable"]["latency_p95"]);
    assert_eq!(
        results["variants"]["stable"]["goals"]["purchase"],
        json!({"converted": 1, "events": 4, "sum": 25.0})
    );

    // Who turns up in both arms keeps the first, and that is noted as often as it comes.
    for _ in 0..2 {
        send(&running, entry(&first, &arm(&["a", "b"], &[], 0, 0), &arm(&["a", "x"], &[], 0, 0)));
    }
    assert_eq!(counted(&get(&running, &format!("{one}/results"))), [3, 1, 2, 1]);
    assert_eq!(get(&running, &one)["loose"]["crossed"], 2);

    // It is the release's: nobody else changes it. Conversions may come by the API all the same.
    for (method, path, body) in [
        ("PATCH", one.clone(), r#"{"shares": {"stable": 10, "canary": 90}, "acceptMoves": true}"#),
        ("POST", format!("{one}/end"), "{}"),
        ("POST", format!("{one}/assign"), r#"{"user": "a"}"#),
    ] {
        let (code, told) = running.call(method, &path, "", body).expect("an answer");
        assert_eq!(code, 409, "{method} {path}: {told}");
        assert!(told.contains("belongs to the release of default/shop"), "{told}");
    }
    let event = |user: &str, kind: &str| {
        let body = json!({"events": [{"experiment": id, "user": user, "type": kind}]}).to_string();
        running.call("POST", "/v1/events", "", &body).expect("an answer")
    };
    assert_eq!(event("b", "exposure").0, 422);
    assert!(event("nobody", "conversion").1.contains("\"unexposed\":1"));
    assert_eq!(event("b", "conversion").0, 200);
    assert_eq!(counted(&get(&running, &format!("{one}/results"))), [3, 2, 2, 1]);
    let goal = canary(&running)["summary"]["goals"][0].clone();
    assert_eq!(goal["converted"], json!({"stable": 2, "canary": 1}), "the judge knows of it, too");

    // A brake is a new step of the release, and of its experiment. What is late counts in the step before.
    brake(folder.path(), [50, 50], [80, 20]);
    running.until("the brake is obeyed", || canary(&running)["weight"] == 20.0);
    let second = canary(&running);
    send(&running, entry(&first, &arm(&["late"], &[], 1, 0), &arm(&[], &[], 0, 0)));
    send(&running, entry(&second, &arm(&["a", "b", "x"], &["a"], 10, 0), &arm(&["y"], &[], 5, 0)));
    let step = |results: &Value, place: usize| {
        let step = &results["steps"][place];
        (step["step"].clone(), step["shares"]["canary"].clone(), counted(step))
    };
    let results = get(&running, &format!("{one}/results"));
    assert_eq!(step(&results, 0), (first["step"].clone(), json!(50.0), [4, 2, 2, 1]));
    assert_eq!(step(&results, 1), (second["step"].clone(), json!(20.0), [3, 1, 1, 0]));
    assert_eq!(results["analysis"]["test"], "mantel_haenszel", "never pooled");

    // Killed, it goes on: the same experiment with the same numbers.
    let numbers = |results: &Value| (results["variants"].clone(), results["release"].clone());
    let before = numbers(&results);
    drop(running);
    running = Running::start(folder.path(), address);
    assert_eq!(numbers(&get(&running, &format!("{one}/results"))), before);
    assert_eq!(canary(&running)["experiment"], json!(id));

    // The goals of a release that runs may only grow.
    edit(folder.path(), "{name: purchase, guardrail: less}, ", "");
    running.signal("-HUP");
    running.until("the reload is refused", || {
        let log = std::fs::read_to_string(folder.path().join("log")).expect("a log");
        log.contains("goals: may only be added, behind those that are there")
    });
    edit(folder.path(), "goals: [", "goals: [{name: purchase, guardrail: less}, ");

    // Many buy, nobody of the canary: no error, no slow request, and yet it is over.
    let buyers: Vec<String> = (0..60).map(|user| format!("buyer{user}")).collect();
    let buyers: Vec<&str> = buyers.iter().map(String::as_str).collect();
    send(&running, entry(&second, &arm(&buyers, &buyers, 600, 0), &arm(&["z"], &[], 150, 0)));
    let failed = canary(&running);
    let reason = failed["verdict"]["reason"].as_str().expect("a reason");
    assert_eq!(
        (&failed["phase"], &failed["verdict"]["rule"]),
        (&json!("Failed"), &json!("goal")),
        "{failed}"
    );
    assert!(reason.starts_with("Goal: 0 canary and 6"), "{reason}");
    let ended = get(&running, &one);
    assert_eq!((&ended["status"], ended["step"].as_u64()), (&json!("ended"), second["step"].as_u64()));
    let results = get(&running, &format!("{one}/results"));
    let guardrail = &results["guardrails"][0];
    assert_eq!((&guardrail["harmed"], &guardrail["threshold"]), (&json!(true), &json!(20.0)), "{guardrail}");
    assert_eq!(guardrail["goal"], "purchase");
    let (_, page) = running.call("GET", &format!("{one}/report?format=md"), "", "").expect("an answer");
    assert!(page.contains("Guardrail purchase in canary: **harmed**"), "{page}");
    assert!(page.contains("| all steps | "), "{page}");
    running.until("the numbers are at /metrics", || {
        let (_, metrics) = running.call("GET", "/metrics", "", "").expect("an answer");
        metrics.contains(r#"serin_goal_evidence{canary="default/shop",goal="purchase",guardrail="less"}"#)
    });
}

#[test]
fn with_redis_what_events_told_the_judge_is_counted_once_also_after_a_crash() {
    let redis = redis_server::Server::start(&[]);
    let (folder, address) = release();
    let store = format!("redis: {{url: \"redis://127.0.0.1:{}\", lease: 1s}}", redis.port);
    edit(folder.path(), "redb: serin.redb", &store);
    let leads = |running: &Running| {
        running.until("it leads", || {
            running.call("GET", "/v1/canaries/default/shop", "", "").is_some_and(|(code, _)| code == 200)
        });
    };
    let mut running = Running::start(folder.path(), address);
    leads(&running);
    let sequence = Cell::new(0);
    let send = |running: &Running, entries: Value| Filter { running, sequence: &sequence }.send(&entries);
    running.until("half of the users are in the canary", || {
        send(&running, json!([]));
        canary(&running)["weight"] == 50.0
    });
    let first = canary(&running);
    let id = first["experiment"].as_str().expect("an experiment").to_owned();
    let results = |running: &Running| counted(&get(running, &format!("/v1/experiments/{id}/results")));
    send(&running, entry(&first, &arm(&["a", "b", "c"], &["a"], 90, 0), &arm(&["x", "y"], &["y"], 10, 0)));
    assert_eq!(results(&running), [3, 1, 2, 1]);
    let told = |running: &Running, user: &str| {
        let body = json!({"events": [{"experiment": id, "user": user, "type": "conversion"}]}).to_string();
        running.call("POST", "/v1/events", "", &body).expect("an answer")
    };
    for (users, expected) in [(["b", "nobody"], [3, 2, 2, 1]), (["c", "b"], [3, 3, 2, 1])] {
        for user in users {
            assert_eq!(told(&running, user).0, 200);
        }
        // The experiment has it in the store by then, and the canary's snapshot in most cases not yet.
        assert_eq!(results(&running), expected);
        running.signal("-KILL");
        drop(running.child.wait());
        running = Running::start(folder.path(), address);
        leads(&running);
        assert_eq!(results(&running), expected);
        let goal = canary(&running)["summary"]["goals"][0].clone();
        assert_eq!(goal["converted"], json!({"stable": expected[1], "canary": 1}), "the judge knows it once");
    }
}
