//! The dashboard in a real headless Chromium, against a real analyzer and an Envoy under load. What is seen on the
//! page is checked by the scripts in analyzer/dashboard/browser; what really happens is looked at here.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use serin_tests::analyzer::{Analyzer, AnalyzerConfig, CanaryConfig};
use serin_tests::browser::{Question, Script};
use serin_tests::envoy::copy_routes;
use serin_tests::http::Client;
use serin_tests::load::{Load, LoadOptions, Record};
use serin_tests::world::{World, WorldOptions};
use serin_tests::{ports, wait};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A world that a script plays in.
struct Stage {
    world: World,
    load: Option<Load>,
    /// What the load of the first part saw.
    record: Option<Arc<Record>>,
}

/// Errors and latencies are the shop's own and the same on both versions: no rule that compares them may end the
/// release by chance.
fn slow_ramp() -> CanaryConfig {
    CanaryConfig {
        steps: vec![10.0, 50.0, 100.0],
        promotion_interval: "10m".to_owned(),
        limits: vec![
            "maxErrorRate: 90.0".to_owned(),
            "minErrorIncrease: 90.0".to_owned(),
            "maxLatencyIncrease: 100000.0".to_owned(),
        ],
        ..CanaryConfig::default()
    }
}

impl Stage {
    async fn open() -> Result<Self> {
        let world = World::start(WorldOptions { canary: slow_ramp(), ..WorldOptions::default() }).await?;
        let mut stage = Self { world, load: None, record: None };
        let faults = serin_tests::shop::Faults::errors(0.02);
        stage.world.stable.set_faults(faults);
        stage.world.canary.set_faults(faults);
        stage.begin_load()?;
        stage.world.until("10 %", 30, |status| status.weight == 10.0).await?;
        Ok(stage)
    }

    fn begin_load(&mut self) -> Result<()> {
        let time = Duration::from_secs(600);
        self.load = Some(Load::start(LoadOptions { rate: 150.0, time, ..self.world.load() })?);
        Ok(())
    }

    /// Does what the script asks for.
    async fn answer(&mut self, question: &Question) -> Result<Value> {
        match question.what.as_str() {
            "versions" => self.versions().await,
            "quiet" => self.quiet().await,
            "counted" => self.counted(),
            "load" => self.begin_load().map(|()| Value::Null),
            "release" => self.release(&question.argument),
            "experiment" => self.experiment(&question.argument).await,
            "kill" => self.world.analyzer.kill9().map(|()| Value::Null),
            "restart" => self.world.analyzer.restart().await.map(|()| Value::Null),
            other => bail!("nobody can answer `{other}`"),
        }
    }

    /// How many requests each version answers, from when all filters follow the plan.
    async fn versions(&self) -> Result<Value> {
        self.world.until_plan_is_followed().await?;
        let begin = Instant::now() + Duration::from_millis(500);
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let load = self.load.as_ref().context("there is no load")?;
        Ok(json!(load.record().versions(begin, Instant::now())))
    }

    /// Ends the load and waits until all of it is counted.
    async fn quiet(&mut self) -> Result<Value> {
        let record = self.load.take().context("there is no load")?.stop().await?;
        let sent = record.sent();
        self.world.until("all requests to be counted", 30, |status| status.totals.all() == sent).await?;
        self.record = Some(record);
        Ok(Value::Null)
    }

    /// What the clients saw of each version: assigned requests, and those of them that failed.
    fn counted(&self) -> Result<Value> {
        let record = self.record.as_ref().context("the load still runs")?;
        let arm = |version: &str| {
            let assigned = |failed: bool| {
                record.count(|exchange| {
                    exchange.assigned_user().is_some()
                        && exchange.version() == Some(version)
                        && (!failed || exchange.failed())
                })
            };
            json!([assigned(false), assigned(true)])
        };
        Ok(json!({ "stable": arm("v1"), "canary": arm("v2") }))
    }

    /// Another canary version, whatever it is called.
    fn release(&mut self, version: &Value) -> Result<Value> {
        // JSON's text is YAML's, too.
        self.world.analyzer.reload(|canary| canary.canary_version = version.to_string())?;
        Ok(Value::Null)
    }

    /// An experiment with this name and hypothesis, in which twenty users have taken part.
    async fn experiment(&self, name: &Value) -> Result<Value> {
        let api = self.world.analyzer.api();
        let experiment = json!({
            "id": "button", "name": name, "hypothesis": name,
            "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}],
        });
        api.call(Method::POST, "/v1/experiments", &experiment).await?;
        for user in 0..20 {
            let user = format!("user-{user}");
            api.call(Method::POST, "/v1/experiments/button/assign", &json!({ "user": user })).await?;
            let event = json!({ "experiment": "button", "user": user, "type": "conversion" });
            api.call(Method::POST, "/v1/events", &json!({ "events": [event] })).await?;
        }
        Ok(Value::Null)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_watched_and_steered_on_the_page() {
    let mut stage = Stage::open().await.unwrap();
    let address = format!("http://{}", stage.world.analyzer.api().address());
    let mut script = Script::start("release.mjs", &[("SERIN_URL", &address)]).unwrap();
    while let Some(question) = script.question().await.unwrap() {
        let answer = stage.answer(&question).await.unwrap();
        script.answer(&answer).await.unwrap();
    }
}

const VIEWER: &str = "a-viewer-token-of-the-test";
const OPERATOR: &str = "an-operator-token-of-the-test";
const LENGTH: &str = "sessionLength: ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_signs_in_and_may_do_what_the_token_allows() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (file, token) in [("viewer", VIEWER), ("operator", OPERATOR)] {
        std::fs::write(at.join(file), token).unwrap();
    }
    let routes = at.join("routes.yaml");
    copy_routes(&routes, &[]).unwrap();
    let file = |name: &str| at.join(name).display().to_string();
    let config = AnalyzerConfig {
        port: ports::free().unwrap(),
        store: at.join("serin.redb"),
        report_token_file: None,
        routes,
        canary: slow_ramp(),
        server: vec![
            format!("viewerTokenFile: {}", file("viewer")),
            format!("operatorTokenFile: {}", file("operator")),
            LENGTH.to_owned() + "12h",
        ],
        documents: vec![],
    };
    let mut analyzer = Analyzer::start(config, at).await.unwrap();
    let address = format!("http://{}", analyzer.api().address());
    let tokens = json!({ "viewer": VIEWER, "operator": OPERATOR }).to_string();
    let mut script =
        Script::start("access.mjs", &[("SERIN_URL", &address), ("SERIN_TOKENS", &tokens)]).unwrap();
    while let Some(question) = script.question().await.unwrap() {
        let done = match question.what.as_str() {
            "revoke" => revoke(&mut analyzer, &at.join("operator")),
            "sessionLength" => session_length(&mut analyzer, &question.argument).await,
            other => panic!("nobody can answer `{other}`"),
        };
        done.unwrap();
        script.answer(&Value::Null).await.unwrap();
    }
}

/// Sessions that begin from now on last so many seconds.
async fn session_length(analyzer: &mut Analyzer, seconds: &Value) -> Result<()> {
    let file = analyzer.config_path();
    let config = std::fs::read_to_string(&file)?;
    let lines = config.lines().map(|line| match line.trim_start().starts_with(LENGTH) {
        true => format!("  {LENGTH}{seconds}s"),
        false => line.to_owned(),
    });
    std::fs::write(&file, lines.collect::<Vec<_>>().join("\n"))?;
    analyzer.process()?.hang_up()?;
    let (client, address) = (Client::default(), analyzer.api().address());
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(json!({ "token": VIEWER }).to_string());
    wait::until("the new length", Duration::from_secs(30), || async {
        let answer = client.send(address, Method::POST, "/v1/session", &headers, body.clone()).await?;
        let cookie = answer.header("set-cookie").unwrap_or_default();
        ensure!(cookie.contains(&format!("Max-Age={seconds};")), "{cookie}");
        Ok(())
    })
    .await
}

/// Replaces the operators' token, as somebody would after it was lost.
fn revoke(analyzer: &mut Analyzer, file: &std::path::Path) -> Result<()> {
    std::fs::write(file, "another-token-of-the-test")?;
    analyzer.process()?.hang_up()
}
