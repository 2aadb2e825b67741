//! Gates against a real engine, store, route file and HTTP server: a gate that says no, is slow or flaps
//! leaves the weight where it is, and nothing is promoted while one is unanswered.

use axum::http::StatusCode;
use serin::config::Configuration;
use serin::engine::{CanaryView, Engine};
use serin::metrics::Metrics;
use serin::store::Redb;
use serin_contract::Report;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const ROUTES: &str = r"resources:
  - virtual_hosts:
      - routes:
          - match: {prefix: /}
            route: {weighted_clusters: {clusters: [{name: a, weight: 100}, {name: b, weight: 0}]}}
";

/// A real HTTP server that answers as it is told and remembers what it was asked.
#[derive(Clone)]
struct Gatekeeper {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<serde_json::Value>>>,
}

#[derive(Clone)]
enum Answers {
    Always(u16),
    /// Every other one, the first with this.
    Flapping(u16, u16),
    Silent,
}

impl Gatekeeper {
    async fn start(answers: Answers) -> (Self, String) {
        let keeper = Self { answers: Arc::new(Mutex::new(answers)), asked: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/gate", listener.local_addr().expect("an address"));
        let served = keeper.clone();
        let app = axum::Router::new().route(
            "/gate",
            axum::routing::post(move |axum::Json(call): axum::Json<serde_json::Value>| async move {
                served.answer(call).await
            }),
        );
        tokio::spawn(async move { axum::serve(listener, app).await });
        (keeper, url)
    }

    async fn answer(&self, call: serde_json::Value) -> StatusCode {
        self.asked.lock().expect("held").push(call);
        let answers = self.answers.lock().expect("held").clone();
        let code = match answers {
            Answers::Always(code) => code,
            Answers::Flapping(now, then) => {
                *self.answers.lock().expect("held") = Answers::Flapping(then, now);
                now
            }
            Answers::Silent => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                200
            }
        };
        StatusCode::from_u16(code).expect("a status")
    }

    fn becomes(&self, answers: Answers) {
        *self.answers.lock().expect("held") = answers;
    }

    fn calls(&self) -> Vec<serde_json::Value> {
        self.asked.lock().expect("held").clone()
    }
}

/// An engine with one canary at 10, 50 and 100 %, a second each, and a filter that reports nothing.
struct World {
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl World {
    fn start(gates: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("routes.yaml"), ROUTES).expect("written");
        let config = format!(
            r#"apiVersion: serin.dev/v1alpha1
kind: Serin
spec: {{listen: "127.0.0.1:9090", store: {{redb: serin.redb}}}}
---
apiVersion: serin.dev/v1alpha1
kind: Canary
metadata: {{name: shop}}
spec:
  stableVersion: v1
  canaryVersion: v2
  hosts: [shop]
  router: {{envoyRoutes: {{path: routes.yaml, stableCluster: a, canaryCluster: b}}}}
  ramp: {{steps: [10, 50, 100], promotionInterval: 1s, analysisInterval: 1s}}
  limits: {{minRequestCount: 0}}
  gates: [{gates}]
"#
        );
        std::fs::write(folder.path().join("serin.yaml"), config).expect("written");
        let configuration = Configuration::load(&folder.path().join("serin.yaml")).expect("good");
        let store = Redb::open(&folder.path().join("serin.redb")).expect("opens");
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let engine = Engine::start(configuration, Arc::new(store), metrics, None).expect("starts");
        tokio::spawn(report_for_ever(engine.clone()));
        Self { engine, _folder: folder }
    }

    async fn canary(&self) -> CanaryView {
        self.engine.canary("default/shop").await.expect("is there")
    }

    async fn until(&self, what: &str, so: impl Fn(&CanaryView) -> bool) -> CanaryView {
        let begin = Instant::now();
        loop {
            let canary = self.canary().await;
            if so(&canary) {
                return canary;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "waited too long until {what}: {canary:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Says why it is held, and is still at this weight some ticks later.
    async fn stays_at(&self, weight: f64, reason: &str) {
        self.until(reason, |canary| canary.verdict.reason.contains(reason)).await;
        tokio::time::sleep(Duration::from_millis(3500)).await;
        let canary = self.canary().await;
        assert!((canary.weight - weight).abs() < 1e-9, "{canary:?}");
    }
}

async fn report_for_ever(engine: Engine) {
    for sequence in 1.. {
        let report = format!(
            r#"{{"instance": "00000000000000ab", "sequence": {sequence}, "plan_revision": 0, "node": "n", "interval_ms": 500}}"#
        );
        let report = Report::from_json(report.as_bytes()).expect("a report");
        if engine.report(report).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_the_canary_before_the_rollouts_gate_agrees() {
    let (keeper, url) = Gatekeeper::start(Answers::Always(500)).await;
    let world = World::start(&format!("{{name: ready, when: BeforeRollout, url: \"{url}\"}}"));
    world.stays_at(0.0, "gate ready answered 500").await;
    keeper.becomes(Answers::Always(204));
    world.until("it succeeds", |canary| canary.phase.name() == "Succeeded").await;
    let call = &keeper.calls()[0];
    assert_eq!(
        (&call["name"], &call["when"], &call["nextWeight"]),
        (&"shop".into(), &"BeforeRollout".into(), &10.0.into())
    );
    assert!(keeper.calls().iter().all(|call| call["weight"] == 0.0), "asked only before the first weight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_gate_keeps_the_weight_and_is_asked_again() {
    let (keeper, url) = Gatekeeper::start(Answers::Always(200)).await;
    let gate = format!(
        "{{name: load, when: BeforeWeight, url: \"{url}\", timeout: 300ms, metadata: {{kind: smoke}}}}"
    );
    let world = World::start(&gate);
    world.until("10 %", |canary| canary.weight == 10.0).await;
    keeper.becomes(Answers::Silent);
    world.stays_at(10.0, "gate load did not answer within 300 ms").await;
    keeper.becomes(Answers::Always(200));
    world.until("it succeeds", |canary| canary.phase.name() == "Succeeded").await;
    assert_eq!(keeper.calls()[0]["metadata"]["kind"], "smoke");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_carry_over_a_flapping_gate() {
    let (keeper, url) = Gatekeeper::start(Answers::Flapping(503, 200)).await;
    let world = World::start(&format!("{{name: load, when: BeforeWeight, url: \"{url}\", retries: 1}}"));
    let done = world.until("it succeeds", |canary| canary.phase.name() == "Succeeded").await;
    assert!((done.weight - 100.0).abs() < 1e-9);
    assert_eq!(keeper.calls().len(), 6, "three weights, each asked twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_during_analysis_can_fail_the_release_and_the_rollback_is_told() {
    let (keeper, url) = Gatekeeper::start(Answers::Always(200)).await;
    let (told, told_url) = Gatekeeper::start(Answers::Always(200)).await;
    let world = World::start(&format!(
        "{{name: load, when: DuringAnalysis, url: \"{url}\", onFailure: Fail}}, \
         {{name: pager, when: OnRollback, url: \"{told_url}\"}}, {{name: chat, when: OnEvent, url: \"{told_url}\"}}"
    ));
    world.until("50 %", |canary| canary.weight == 50.0).await;
    keeper.becomes(Answers::Always(400));
    let failed = world.until("it fails", |canary| canary.phase.name() == "Failed").await;
    assert_eq!((failed.weight, failed.verdict.reason.as_str()), (0.0, "gate load answered 400 Bad Request"));
    let begin = Instant::now();
    let kinds = || {
        told.calls().iter().filter_map(|call| call["when"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    while !(kinds().contains(&"OnRollback".to_owned())
        && kinds().iter().filter(|kind| *kind == "OnEvent").count() == 3)
    {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", told.calls());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_promoted_while_a_gate_is_unanswered() {
    let (keeper, url) = Gatekeeper::start(Answers::Silent).await;
    let world =
        World::start(&format!("{{name: people, when: BeforePromotion, url: \"{url}\", timeout: 20s}}"));
    world.until("100 %", |canary| canary.weight == 100.0).await;
    world.stays_at(100.0, "gate people has not answered yet").await;
    assert_eq!(world.canary().await.phase.name(), "Progressing");
    assert_eq!(keeper.calls().len(), 1, "nobody is asked twice at once");
}
