//! What can happen to Redis: while it does, reports are not acknowledged and come again, the data path does not
//! notice, no weight grows; afterwards every request has counted once.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::load::{Load, LoadOptions, Record};
use serin_tests::redis::{Redis, Relay, Way, number};
use serin_tests::wait;
use serin_tests::world::{World, WorldOptions};
use std::time::Duration;

/// How long Redis is away where it comes back by itself: 15 s, or what SERIN_OUTAGE_SECONDS says; the promise is
/// for 60.
fn outage() -> Duration {
    let asked = std::env::var("SERIN_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(asked.unwrap_or(15))
}

struct Scene {
    redis: Redis,
    relay: Relay,
    world: World,
    load: Load,
    _folder: tempfile::TempDir,
}

/// A release at 5 % under load, with a relay between the analyzer and Redis.
async fn scene(promotion: &str) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path(), "redis", &[]).await.unwrap();
    let relay = Relay::start(redis.port()).await.unwrap();
    let url = format!("redis://127.0.0.1:{}", relay.port());
    let canary = CanaryConfig {
        promotion_interval: promotion.to_owned(),
        steps: vec![5.0, 25.0, 100.0],
        ..CanaryConfig::default()
    };
    let server = vec![format!("store: {{ redis: {{ url: \"{url}\", lease: 3s, timeout: 1s }} }}")];
    let world = World::start(WorldOptions { canary, server, ..WorldOptions::default() }).await.unwrap();
    let arms = json!([{"name": "control", "share": 50}, {"name": "treatment", "share": 50}]);
    let experiment = json!({"id": "button", "arms": arms});
    world.analyzer.api().call(Method::POST, "/v1/experiments", &experiment).await.unwrap();
    let load = LoadOptions { rate: 100.0, time: Duration::from_secs(600), ..world.load() };
    let load = Load::start(load).unwrap();
    world.until("traffic on the canary", 60, |status| status.totals.canary.requests > 20).await.unwrap();
    Scene { redis, relay, world, load, _folder: folder }
}

/// A report of a filter that follows the current plan is refused with 503, and told when to come again. One that
/// follows an older plan is given the current one, and is not acknowledged either.
async fn reports_are_refused(world: &World) -> Result<()> {
    let mut report = json!({"instance": "00000000000000aa", "sequence": 7, "plan_revision": 1, "node": "by-hand",
        "interval_ms": 500, "canaries": [{"name": "default/shop", "step": 1, "stratum": 1}]});
    let answer = world.analyzer.api().report(report.to_string(), None).await?;
    let told: Value = serde_json::from_slice(&answer.body)?;
    ensure!(answer.status == 200 && told["acknowledged"] == 6, "{} {told}", answer.status);
    report["plan_revision"] = told["plan"]["revision"].clone();
    let answer = world.analyzer.api().report(report.to_string(), None).await?;
    ensure!(answer.status == 503, "{} {}", answer.status, answer.text());
    ensure!(answer.header("retry-after").is_some(), "no retry-after");
    ensure!(answer.text().contains("store unavailable"), "{}", answer.text());
    // Neither is what services send.
    let event = json!([{"experiment": "button", "user": "kim", "type": "exposure"}]);
    let told = world.analyzer.api().events("a key", &event).await.err().map(|error| error.to_string());
    ensure!(told.as_deref().is_some_and(|told| told.contains("503")), "{told:?}");
    Ok(())
}

async fn until_held(world: &World) -> Status {
    let held = world.until("a hold for the store", 30, |status| {
        status.verdict.as_ref().is_some_and(|verdict| verdict.reason.contains("store unavailable"))
    });
    held.await.unwrap()
}

async fn until_refused(world: &World) {
    let told = wait::until("reports to be refused", Duration::from_secs(30), || reports_are_refused(world));
    told.await.unwrap();
}

/// Ends the load; every request has counted once, and none was lost on its way through Envoy.
async fn assert_totals_are_exact(world: &World, record: &Record) -> Status {
    assert_eq!(record.count(|exchange| exchange.version().is_none()), 0, "{record} {:?}", record.broken());
    let all = world.until("all requests to be counted", 60, |status| status.totals.all() >= record.sent());
    all.await.unwrap_or_else(|error| panic!("{error:#}; {record} of {} sent", record.sent()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = world.status().await.unwrap();
    assert_eq!(status.totals.all(), record.sent());
    let failed = record.count(|exchange| exchange.assigned_user().is_some() && exchange.failed());
    assert_eq!(status.totals.errors(), failed);
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_slow_delays_acknowledgements_and_nothing_else() {
    let Scene { redis, relay, world, load, _folder } = scene("5m").await;
    relay.turn(Way::To(redis.port(), Duration::from_millis(150)));
    let before = world.status().await.unwrap().totals.all();
    let counted = world.until("more to be counted", 60, |status| status.totals.all() > before + 500);
    counted.await.unwrap();
    relay.turn(Way::To(redis.port(), Duration::ZERO));
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_for_a_while_holds_the_release_and_loses_nothing() {
    let Scene { redis, relay, world, load, _folder } = scene("6s").await;
    relay.turn(Way::Silent);
    let held = until_held(&world).await;
    until_refused(&world).await;
    tokio::time::sleep(outage()).await;
    let after = world.status().await.unwrap();
    assert_eq!((after.weight, after.step), (held.weight, held.step), "a weight grew: {:?}", after.history);
    relay.turn(Way::To(redis.port(), Duration::ZERO));
    world.until("the ramp to go on", 60, |status| status.weight > held.weight).await.unwrap();
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_does_not_wait_for_redis() {
    let Scene { redis, relay, world, load, _folder } = scene("5m").await;
    relay.turn(Way::Closed);
    until_held(&world).await;
    world.analyzer.api().act("rollback", "by hand, Redis is away").await.unwrap();
    let gone =
        world.until("the rollback", 10, |status| status.phase == Phase::Failed && status.weight == 0.0);
    gone.await.unwrap();
    // The filters are told too, although nothing that they report is acknowledged.
    let begin = std::time::Instant::now();
    let left = wait::until("nobody to be sent to the canary", Duration::from_secs(20), || async {
        let now = std::time::Instant::now();
        let from = now.checked_sub(Duration::from_secs(1)).unwrap_or(begin).max(begin);
        let versions = load.record().versions(from, now);
        ensure!(now - begin > Duration::from_secs(1) && !versions.contains_key("v2"), "{versions:?}");
        Ok(())
    });
    left.await.unwrap();
    relay.turn(Way::To(redis.port(), Duration::ZERO));
    let record = load.stop().await.unwrap();
    let status = assert_totals_are_exact(&world, &record).await;
    assert_eq!(status.phase, Phase::Failed);
    // What was decided meanwhile is in the store afterwards.
    let history = wait::until("the history in Redis", Duration::from_secs(20), || async {
        let history = redis.ask(&["ZRANGE", "{serin}:history:default/shop", "0", "-1"])?;
        ensure!(history.contains("by hand, Redis is away"), "{history}");
        let audit = redis.ask(&["ZRANGE", "{serin}:audit", "0", "-1"])?;
        ensure!(audit.contains("by hand, Redis is away") && audit.contains("rollback"), "{audit}");
        Ok(())
    });
    history.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_full_refuses_reports_until_it_has_room() {
    let Scene { redis, relay: _relay, world, load, _folder } = scene("6s").await;
    redis.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).unwrap();
    redis.ask(&["CONFIG", "SET", "maxmemory", "1mb"]).unwrap();
    let held = until_held(&world).await;
    until_refused(&world).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    let after = world.status().await.unwrap();
    assert_eq!((after.weight, after.step), (held.weight, held.step), "a weight grew: {:?}", after.history);
    redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).unwrap();
    world.until("the ramp to go on", 60, |status| status.weight > held.weight).await.unwrap();
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_promoted_has_everything_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    // Each write waits for a replica.
    let mut first = Redis::start(folder.path(), "first", &[]).await.unwrap();
    let of_first = first.port().to_string();
    let second =
        Redis::start(folder.path(), "second", &["--replicaof", "127.0.0.1", &of_first]).await.unwrap();
    until_replicated(&first).await;
    let relay = Relay::start(first.port()).await.unwrap();
    let url = format!("redis://127.0.0.1:{}", relay.port());
    let server =
        vec![format!("store: {{ redis: {{ url: \"{url}\", lease: 3s, timeout: 2s, replicas: 1 }} }}")];
    let canary = CanaryConfig { promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    let world = World::start(WorldOptions { canary, server, ..WorldOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..world.load() }).unwrap();
    world.until("traffic on the canary", 60, |status| status.totals.canary.requests > 20).await.unwrap();

    first.kill9().unwrap();
    second.ask(&["REPLICAOF", "NO", "ONE"]).unwrap();
    let of_second = second.port().to_string();
    let _third =
        Redis::start(folder.path(), "third", &["--replicaof", "127.0.0.1", &of_second]).await.unwrap();
    until_replicated(&second).await;
    relay.turn(Way::To(second.port(), Duration::ZERO));
    let before = world.status().await.unwrap();
    let counted =
        world.until("more to be counted", 60, |status| status.totals.all() > before.totals.all() + 300);
    let after = counted.await.unwrap();
    assert_eq!((after.step, after.stratum), (before.step, before.stratum));
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

async fn until_replicated(master: &Redis) {
    let replicated = wait::until("a replica to be online", Duration::from_secs(60), || async {
        let info = master.ask(&["INFO", "replication"])?;
        ensure!(number(&info, "connected_slaves")? == 1 && info.contains("state=online"), "{info}");
        Ok(())
    });
    replicated.await.unwrap();
}
