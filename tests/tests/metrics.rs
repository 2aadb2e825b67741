//! Sources beside the filters: a real Prometheus that scrapes the real Envoys, limits on its numbers, a real
//! Alertmanager, what the dashboard shows of them, and the report at the end. One world, because each start costs
//! seconds.

use anyhow::{Result, ensure};
use serde_json::Value;
use serin_tests::analyzer::{CANARY, CanaryConfig, Phase};
use serin_tests::artifacts::{repository, serin};
use serin_tests::browser::Script;
use serin_tests::load::{Load, LoadOptions};
use serin_tests::monitoring::{Alertmanager, Page, Prometheus, promtool};
use serin_tests::world::{World, WorldOptions};
use serin_tests::{ports, wait};
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(90);

/// A quarter of the users on the canary for longer than the test, and one metric with a limit.
fn canary(page: &Page) -> CanaryConfig {
    let page = page.address();
    CanaryConfig {
        steps: vec![25.0, 100.0],
        promotion_interval: "10m".to_owned(),
        more: vec![
            format!(
                "sources: {{application: {{stable: 'http://{page}/v1', canary: 'http://{page}/v2'}}, \
                 prometheus: {{interval: 10s}}}}"
            ),
            "metrics: [{name: carts-lost, query: 'max(carts_lost{version=\"{{version}}\"})', max: 5, \
             onBreach: Fail}]"
                .to_owned(),
        ],
        ..CanaryConfig::default()
    }
}

async fn json(world: &World, path: &str) -> Result<Value> {
    let answer = world.analyzer.api().get(path).await?;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

async fn last_sample(world: &World) -> Result<Value> {
    let samples = json(world, &format!("/v1/canaries/{CANARY}/samples")).await?;
    Ok(samples.as_array().and_then(|samples| samples.last()).cloned().unwrap_or_default())
}

/// Waits until the last sample has a number at each of the paths.
async fn until_sample_has(world: &World, paths: &[&str]) -> Value {
    wait::until("the sample to have all numbers", LONG, || async {
        let last = last_sample(world).await?;
        for path in paths {
            ensure!(last.pointer(path).is_some_and(Value::is_number), "{path} is not there: {last}");
        }
        Ok(last)
    })
    .await
    .unwrap()
}

/// Waits until an alert of this name fires in Alertmanager, or no longer does.
async fn until_alert(alertmanager: &Alertmanager, name: &str, fires: bool) {
    wait::until(name, LONG, || async {
        let firing = alertmanager.firing().await?;
        let found = firing.iter().any(|labels| labels["alertname"] == name && labels["canary"] == CANARY);
        ensure!(found == fires, "firing are {firing:?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Waits until the web hook has been told all of these.
async fn until_told(page: &Page, alerts: &[(&str, &str)]) {
    wait::until("the web hook to be told", LONG, || async {
        let told = page.told();
        let missing =
            alerts.iter().find(|(name, status)| !told.iter().any(|(n, s)| n == name && s == status));
        ensure!(missing.is_none(), "{missing:?} is missing in {told:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_metric_of_prometheus_holds_while_it_is_unknown_and_fails_when_it_is_broken() {
    let page = Page::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Alertmanager::start(folder.path()).await.unwrap();
    let port = ports::free().unwrap();
    // Nobody listens at the second receiver: the first must not notice.
    let nobody = ports::loopback(ports::free().unwrap());
    let server = vec![
        format!("prometheus: {{url: 'http://127.0.0.1:{port}'}}"),
        format!(
            "alerts: [{{name: nobody, webhook: 'http://{nobody}/'}}, {{name: real, alertmanager: 'http://{}'}}, \
             {{name: hook, webhook: 'http://{}/hook'}}]",
            alertmanager.address(),
            page.address()
        ),
    ];
    let options = WorldOptions { canary: canary(&page), server, ..WorldOptions::default() };
    let world = World::start(options).await.unwrap();
    let api = world.analyzer.api();
    let targets = [
        (world.envoys[0].admin(), "/stats/prometheus"),
        (page.address(), "/prometheus"),
        (api.address(), "/metrics"),
    ];
    let mut prometheus = Prometheus::start(port, folder.path(), &targets).await.unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..world.load() }).unwrap();

    // The three queries of traffic find the filter's and Envoy's statistics; CPU and memory come from what
    // has cAdvisor's names, unless the application says it itself.
    let sample = until_sample_has(
        &world,
        &[
            "/versions/canary/sources/prometheus/request_rate",
            "/versions/canary/sources/prometheus/error_rate",
            "/versions/canary/sources/prometheus/latency_p95",
            "/versions/stable/sources/prometheus/request_rate",
            "/versions/canary/sources/application/requests",
            "/versions/canary/cpu_percent",
            "/versions/canary/memory_bytes",
            "/versions/canary/active_connections",
            "/slo/canary/availability/score",
        ],
    )
    .await;
    let number = |path: &str| sample.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    assert_eq!(number("/versions/stable/cpu_percent"), 42.0, "the application's own word");
    assert_eq!(number("/versions/canary/memory_bytes"), 200e6);
    assert_eq!(number("/versions/canary/custom/carts"), 7.0);
    // A rate is too low until so much time was scraped.
    wait::until("a fifth of a core, and requests", LONG, || async {
        let sample = last_sample(&world).await?;
        let number = |path: &str| sample.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let cpu = number("/versions/canary/cpu_percent");
        ensure!((15.0..25.0).contains(&cpu), "{cpu} %");
        for version in ["stable", "canary"] {
            let rate = number(&format!("/versions/{version}/sources/prometheus/request_rate"));
            ensure!(rate > 0.0, "{version} has {rate} requests a second");
        }
        Ok(())
    })
    .await
    .unwrap();
    let address = format!("http://{}", api.address());
    Script::start("usage.mjs", &[("SERIN_URL", &address)]).unwrap().end().await.unwrap();
    world.until("nothing to be against it", 60, |status| rule(status) == "continue").await.unwrap();

    let text = api.metrics().await.unwrap();
    let checked = promtool(&["check", "metrics"], &text).unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for name in
        ["canary_requests_total{", "canary_request_duration_seconds_bucket{", "canary_slo_compliance{"]
    {
        assert!(text.contains(name), "{name} is not exported:\n{text}");
    }

    // Prometheus goes: nobody is blamed, nothing grows, somebody is told.
    prometheus.stop().unwrap();
    let held = world.until("a hold", 60, |status| rule(status) == "metric").await.unwrap();
    let verdict = held.verdict.unwrap();
    assert_eq!((verdict.outcome.as_str(), held.phase), ("hold", Phase::Progressing), "{verdict:?}");
    assert!(verdict.reason.contains("metric carts-lost of the canary is not known"), "{}", verdict.reason);
    until_alert(&alertmanager, "SerinSourceDown", true).await;
    prometheus.restart().await.unwrap();
    world.until("it to go on", 60, |status| rule(status) == "continue").await.unwrap();
    until_alert(&alertmanager, "SerinSourceDown", false).await;

    page.lose(9.0);
    let failed = world.until_phase(Phase::Failed, 60).await.unwrap();
    let reason = &failed.history.last().unwrap().reason;
    assert!(reason.contains("metric carts-lost is 9") && reason.contains("at most 5 is allowed"), "{reason}");
    until_alert(&alertmanager, "SerinRolledBack", true).await;
    drop(load);
    // The first call was refused, so what it carried has come by another.
    until_told(
        &page,
        &[
            ("SerinPhaseChanged", "event"),
            ("SerinSourceDown", "firing"),
            ("SerinSourceDown", "resolved"),
            ("SerinRolledBack", "firing"),
        ],
    )
    .await;
    report_is_whole(&world).await;
}

/// As the API gives it, and as `serin report` prints it.
async fn report_is_whole(world: &World) {
    let api = world.analyzer.api();
    let path = format!("/v1/canaries/{CANARY}/report");
    let report = json(world, &path).await.unwrap();
    assert_eq!(report["kind"], "rollback");
    assert!(report["affected"]["canary"]["seen"].as_f64().unwrap() > 0.0, "{}", report["affected"]);
    assert!(!report["samples"].as_array().unwrap().is_empty());
    let answer = api.get(&format!("{path}?format=html")).await.unwrap();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let html = printed(world, "html");
    assert!(html.matches("<svg").count() >= 5 && answer.text().trim_end() == html.trim_end(), "{html}");
    if let Some(file) = std::env::var_os("SERIN_KEEP_REPORT") {
        std::fs::write(file, html).unwrap();
    }
    assert!(printed(world, "markdown").contains("metric carts-lost is 9"));
    let printed: Value = serde_json::from_str(&printed(world, "json")).unwrap();
    assert_eq!(printed["kind"], "rollback");
}

/// What `serin report` says.
fn printed(world: &World, output: &str) -> String {
    let server = format!("http://{}", world.analyzer.api().address());
    let mut command = Command::new(serin().unwrap());
    let printed = command.args(["report", "--server", &server, "--output", output, CANARY]).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    String::from_utf8(printed.stdout).unwrap()
}

fn rule(status: &serin_tests::analyzer::Status) -> &str {
    status.verdict.as_ref().map_or("", |verdict| &verdict.rule)
}

#[test]
fn prometheus_takes_the_rules_of_the_repository() {
    let rules = repository().join("istio/monitoring/rules.yaml");
    let checked = promtool(&["check", "rules", &rules.display().to_string()], "").unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    assert!(said.contains("rules found"), "{said}");
}
