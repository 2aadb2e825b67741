//! What people do to a release moves Envoy's traffic, at once and in every phase.

use serin_tests::analyzer::{CanaryConfig, Phase};
use serin_tests::load::Load;
use serin_tests::world::{World, WorldOptions};
use std::time::{Duration, Instant};

async fn slow_ramp() -> (World, Load) {
    let steps = vec![10.0, 50.0, 100.0];
    let canary = CanaryConfig { steps, promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let load = Load::start(world.load()).unwrap();
    world.until("10 %", 30, |status| status.weight == 10.0).await.unwrap();
    (world, load)
}

/// The versions that answer over two seconds, once every filter follows the plan.
async fn versions_now(world: &World, load: &Load) -> Vec<String> {
    world.until_plan_is_followed().await.unwrap();
    let begin = Instant::now() + Duration::from_millis(500);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    load.record().versions(begin, Instant::now()).into_keys().collect()
}

async fn refused(world: &World, action: &str) {
    let error = world.analyzer.api().act(action, "a test").await.unwrap_err().to_string();
    assert!(error.contains("409"), "{action}: {error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_canary_has_everybody_and_can_still_be_rolled_back() {
    let (world, load) = slow_ramp().await;
    let api = world.analyzer.api();
    api.act("promote", "a hotfix").await.unwrap();
    let status = world.until_phase(Phase::Succeeded, 20).await.unwrap();
    assert_eq!(status.weight, 100.0);
    assert_eq!(versions_now(&world, &load).await, ["v2"]);
    for action in ["pause", "resume", "promote"] {
        refused(&world, action).await;
    }
    api.act("rollback", "support calls").await.unwrap();
    let status = world.until_phase(Phase::Failed, 20).await.unwrap();
    assert_eq!(status.history.last().and_then(|last| last.by.clone()).as_deref(), Some("operator"));
    assert_eq!(versions_now(&world, &load).await, ["v1"]);
    refused(&world, "rollback").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_canary_keeps_its_users_until_it_is_resumed_or_rolled_back() {
    let (world, load) = slow_ramp().await;
    let api = world.analyzer.api();
    api.act("pause", "maintenance").await.unwrap();
    assert_eq!(world.status().await.unwrap().phase, Phase::Paused);
    assert_eq!(versions_now(&world, &load).await, ["v1", "v2"]);
    refused(&world, "pause").await;
    api.act("resume", "it is over").await.unwrap();
    assert_eq!(world.status().await.unwrap().phase, Phase::Progressing);
    api.act("pause", "again").await.unwrap();
    api.act("rollback", "enough").await.unwrap();
    assert_eq!(versions_now(&world, &load).await, ["v1"]);
}
