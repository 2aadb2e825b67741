//! The program as people run it: exit codes, words, tokens, signals. Real processes, real sockets.

mod common;

use common::{ROUTES, Running, edit, folder, serin, text};
use std::net::TcpListener;

#[test]
fn a_wrong_configuration_ends_with_code_2_and_starts_nothing() {
    let (folder, address) = folder("");
    edit(folder.path(), "maxErrorRate: 5", "maxErrorRate: 500");
    let output = serin(folder.path(), &["serve", "--config", "serin.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    let told = text(&output.stderr);
    assert!(
        told.contains("serin.yaml: document 2: spec.limits.maxErrorRate: 500 is not allowed: 0 to 100"),
        "{told}"
    );
    assert!(!folder.path().join("serin.redb").exists(), "no store was made");
    assert!(TcpListener::bind(address).is_ok(), "nobody listens");
    assert_eq!(serin(folder.path(), &["serve", "--config", "none.yaml"]).status.code(), Some(2));
    assert_eq!(serin(folder.path(), &["frobnicate"]).status.code(), Some(2));
}

#[test]
fn check_names_what_will_not_work() {
    let (folder, _) = folder("");
    let good = serin(folder.path(), &["check", "serin.yaml"]);
    assert!(good.status.success(), "{}", text(&good.stdout));
    std::fs::write(folder.path().join("routes.yaml"), ROUTES.replace("\"false\"", "\"no\""))
        .expect("written");
    let bad = serin(folder.path(), &["check", "--output", "json", "serin.yaml"]);
    assert_eq!(bad.status.code(), Some(2));
    let problems: Vec<serde_json::Value> = serde_json::from_slice(&bad.stdout).expect("JSON");
    assert_eq!(problems[0]["severity"], "error");
    assert_eq!(problems[0]["object"], "Canary default/shop");
    assert_eq!(problems[0]["field"], "spec.router.envoyRoutes.path");
    let message = problems[0]["message"].as_str().expect("text");
    assert!(message.contains("no route sends `x-canary: \"false\"`"), "{message}");
}

/// A release in the mesh in which one thing is odd: the canary's cap.
const MESH: &str = r#"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop, namespace: web}
spec:
  host: shop
  trafficPolicy: {connectionPool: {tcp: {maxConnections: 100}}}
  subsets:
    - {name: stable, labels: {version: v1}}
    - name: canary
      labels: {version: v2}
      trafficPolicy: {connectionPool: {tcp: {maxConnections: 50}}}
---
apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: {name: shop, namespace: web, resourceVersion: "7"}
spec:
  stableVersion: v1
  canaryVersion: v2
  hosts: [shop]
  router: {virtualService: {name: shop}}
status: {phase: Pending}
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: web}
"#;

const SERVICE: &str = r#"
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: web}
spec:
  hosts: [shop]
  http:
    - route:
        - {destination: {host: shop, subset: stable}, weight: 100}
        - {destination: {host: shop, subset: canary}, weight: 0}
"#;

#[test]
fn check_takes_what_a_release_in_the_mesh_needs_from_any_files_in_any_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    write("mesh.yaml", MESH);
    write("service.yaml", SERVICE);
    let alone = serin(folder.path(), &["check", "mesh.yaml"]);
    let told = text(&alone.stdout);
    assert_eq!(alone.status.code(), Some(2));
    assert!(told.contains("Canary web/shop: spec.router.virtualService.name: there is no Virtual"), "{told}");

    write("foreign.yaml", "---\napiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: shop}\n");
    let both = serin(folder.path(), &["check", "mesh.yaml", "foreign.yaml", "service.yaml"]);
    let told = text(&both.stdout);
    assert_eq!(both.status.code(), Some(2));
    assert_eq!(told.lines().count(), 1, "{told}");
    let place =
        "warning: DestinationRule web/shop: spec.subsets[1].trafficPolicy.connectionPool.tcp.maxConnections";
    assert!(told.starts_with(place) && told.contains("raise it to at least 100"), "{told}");
    let warned = serin(folder.path(), &["check", "--allow-warnings", "mesh.yaml", "service.yaml"]);
    assert_eq!(warned.status.code(), Some(0));

    write("wrong.yaml", &MESH.replace("canaryVersion: v2", "canaryVersoin: v2").replace("Service", "Other"));
    let told = text(&serin(folder.path(), &["check", "service.yaml", "wrong.yaml"]).stdout);
    assert!(told.contains("wrong.yaml: document 2: spec.canaryVersoin: unknown field"), "{told}");
    write("other.yaml", "apiVersion: v1\nkind: Service\n");
    let told = text(&serin(folder.path(), &["check", "other.yaml"]).stdout);
    assert_eq!(told, "error: other.yaml: no Serin, Canary, VirtualService or DestinationRule is there\n");
}

#[test]
fn the_definitions_of_the_kinds_are_printed_as_yaml() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = serin(folder.path(), &["crd"]);
    assert!(output.status.success());
    assert!(text(&output.stdout).starts_with("---\napiVersion: apiextensions.k8s.io/v1\n"));
}

#[test]
fn assign_is_pythons_md5() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments =
        ["assign", "--share", "stable=60", "--share", "canary=40", "--output", "json", "user1", "a"];
    let output = serin(folder.path(), &arguments);
    // python3 -c "import hashlib; print([int(hashlib.md5(u).hexdigest(), 16) % 10000 for u in (b'user1', b'a')])"
    let expected =
        r#"[{"unit":"user1","bucket":3245,"arm":"stable"},{"unit":"a","bucket":6497,"arm":"canary"}]"#;
    assert_eq!(text(&output.stdout).trim(), expected);
    let wrong = serin(folder.path(), &["assign", "--share", "a=60,b=60", "x"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("the shares sum to 120 %"), "{}", text(&wrong.stderr));
}

#[test]
fn judge_answers_for_a_recorded_history_and_names_what_is_wrong_with_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let sample = |requests, errors| serde_json::json!({"timestamp": "2026-01-31T12:00:00Z", "requests": requests, "errors": errors});
    let write = |canary: serde_json::Value| {
        let history = serde_json::json!({
            "config": {"max_error_rate": 5.0, "decisions": "point"},
            "samples": {"stable": [sample(1000, 10)], "canary": [canary]},
        });
        std::fs::write(folder.path().join("history.json"), history.to_string()).expect("written");
    };
    write(sample(100, 10));
    let output = serin(folder.path(), &["judge", "--output", "json", "history.json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["continue"], false);
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.starts_with("error rate too high")));
    assert_eq!(answer["slo"]["stable"]["error_rate"], 100.0);
    write(sample(10, 11));
    let wrong = serin(folder.path(), &["judge", "history.json"]);
    assert_eq!(wrong.status.code(), Some(2));
    let told = text(&wrong.stderr);
    assert!(told.contains("history.json: samples.canary[0].errors: 11 is not allowed: 0 to 10"), "{told}");
    assert_eq!(serin(folder.path(), &["judge", "none.json"]).status.code(), Some(1));
}

#[test]
fn simulate_gives_the_same_numbers_for_the_same_seed() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = "simulate --rate 50 --fault-errors 30 --fault-at 5s --length 30s --runs 2 --output json";
    let run = |threads: &str| {
        let mut arguments: Vec<&str> = arguments.split(' ').collect();
        arguments.extend(["--threads", threads]);
        let output = serin(folder.path(), &arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let rows: serde_json::Value = serde_json::from_str(&run("1")).expect("JSON");
    assert_eq!(rows[0]["method"], "evidence");
    assert_eq!(rows[0]["found"]["count"], 2);
    assert_eq!(run("1"), run("2"));
    let wrong = serin(folder.path(), &["simulate", "--scenario", "nonsense"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("`nonsense` is not known: allowed are all, even"));
}

#[test]
fn each_role_opens_its_own_doors() {
    let (folder, address) =
        folder(", reportTokenFile: report, viewerTokenFile: viewer, operatorTokenFile: operator");
    let token = |role: &str, name: &str| format!("{role}-token-{name}-0123456789");
    for role in ["report", "viewer", "operator"] {
        let lines = format!("{}\n{}\n", token(role, "old"), token(role, "new"));
        std::fs::write(folder.path().join(role), lines).expect("written");
    }
    let running = Running::start(folder.path(), address);
    let report =
        r#"{"instance":"00000000000000ab","sequence":1,"plan_revision":0,"node":"n","interval_ms":500}"#;
    let act = r#"{"reason":"a test"}"#;
    let doors = [
        ("POST", "/v1/report", report, ["report"].as_slice()),
        ("GET", "/v1/canaries", "", &["viewer", "operator"]),
        ("GET", "/v1/canaries/default/shop", "", &["viewer", "operator"]),
        ("GET", "/v1/filters", "", &["viewer", "operator"]),
        ("POST", "/v1/canaries/default/shop/pause", act, &["operator"]),
    ];
    for (method, path, body, roles) in doors {
        assert_eq!(running.code(method, path, "", body), 401, "{path} without a token");
        assert_eq!(
            running.code(method, path, "operator-token-old-012345678", body),
            401,
            "{path}, a part of one"
        );
        for role in ["report", "viewer", "operator"] {
            for name in ["old", "new"] {
                let code = running.code(method, path, &token(role, name), body);
                assert_eq!(code != 401, roles.contains(&role), "{path} as {role}: {code}");
            }
        }
    }
    assert_eq!(running.code("GET", "/healthz", "", ""), 200);
}

#[test]
fn errors_say_what_is_there_and_what_is_allowed() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    for (method, path, body, code, words) in [
        ("GET", "/v1/canaries/default/nope", "", 404, "there is no canary default/nope"),
        ("GET", "/v1/canaries/default/shop/report", "", 404, "no rollout of default/shop has begun yet"),
        ("POST", "/v1/canaries/default/shop/explode", r#"{"reason":"x"}"#, 404, "allowed are pause, resume"),
        (
            "POST",
            "/v1/canaries/default/shop/pause",
            r#"{"reason":"x"}"#,
            409,
            "cannot pause: it is Pending at 0 %",
        ),
        ("POST", "/v1/canaries/default/shop/pause", "{}", 422, "missing field `reason`"),
        ("POST", "/v1/canaries/default/shop/pause", r#"{"reason":" "}"#, 422, "1 to 1000 characters"),
        ("DELETE", "/v1/canaries", "", 405, "is not called with this method"),
        ("GET", "/v2", "", 404, "there is nothing at /v2"),
    ] {
        let (found, answer) = running.call(method, path, "", body).expect("an answer");
        assert_eq!(found, code, "{method} {path}: {answer}");
        assert!(answer.contains(words), "{method} {path}: {answer}");
    }
}

#[test]
fn a_wrong_configuration_on_sighup_changes_nothing_and_a_right_one_all() {
    let (folder, address) = folder("");
    let running = Running::start(folder.path(), address);
    let log = || std::fs::read_to_string(folder.path().join("log")).expect("a log");
    let version = || running.call("GET", "/v1/canaries/default/shop", "", "").expect("an answer").1;

    edit(folder.path(), "canaryVersion: v2", "canaryVersion: v3\n  colour: red");
    running.signal("-HUP");
    running.until("the log says so", || log().contains("unknown field `colour`"));
    assert!(version().contains(r#""canaryVersion":"v2""#));

    edit(folder.path(), "\n  colour: red", "");
    running.signal("-HUP");
    running.until("v3 is there", || version().contains(r#""canaryVersion":"v3""#));

    edit(folder.path(), "serin.redb", "other.redb");
    running.signal("-HUP");
    running.until("the log says so", || log().contains("cannot change while the program runs"));
}

#[test]
fn sigterm_ends_it_with_code_0() {
    let (folder, address) = folder("");
    let mut running = Running::start(folder.path(), address);
    running.signal("-TERM");
    assert_eq!(running.child.wait().expect("ends").code(), Some(0));
    assert!(std::fs::read_to_string(folder.path().join("log")).expect("a log").contains("stopped"));
}

#[test]
fn the_module_is_served_under_its_digest() {
    let (folder, address) = folder(", wasm: module.wasm");
    std::fs::write(folder.path().join("module.wasm"), "a module").expect("written");
    let running = Running::start(folder.path(), address);
    // printf 'a module' | sha256sum
    let digest = "f6c0d945dc8a9e01854484f4e9b123945919e553778d4386d1d939451c038a0c";
    let served = running.call("GET", "/filter.wasm", "", "").expect("an answer");
    assert_eq!(served, (200, "a module".to_owned()));
    let found = running.call("GET", &format!("/filter-{digest}.wasm"), "", "").expect("an answer");
    assert_eq!(found.0, 200, "{digest}");
    assert_eq!(running.code("GET", "/filter-0000.wasm", "", ""), 404);
}

#[test]
fn a_module_that_was_replaced_is_still_served_under_its_digest_unless_it_is_damaged() {
    let (folder, address) = folder(", wasm: module.wasm");
    let file = folder.path().join("module.wasm");
    std::fs::write(&file, "a module").expect("written");
    drop(Running::start(folder.path(), address));
    std::fs::write(&file, "another module").expect("written");
    let running = Running::start(folder.path(), address);
    let former = "/filter-f6c0d945dc8a9e01854484f4e9b123945919e553778d4386d1d939451c038a0c.wasm";
    assert_eq!(running.call("GET", "/filter.wasm", "", ""), Some((200, "another module".to_owned())));
    assert_eq!(running.call("GET", former, "", ""), Some((200, "a module".to_owned())));
    assert_eq!(running.code("GET", "/filter-..%2F..%2Fserin.yaml.wasm", "", ""), 404);
    std::fs::write(folder.path().join("serin.modules").join(&former[1..]), "a trap").expect("written");
    assert_eq!(running.code("GET", former, "", ""), 404);
}
