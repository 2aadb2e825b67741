//! People change weights beside the analyzer: lower is a brake and obeyed, higher is written back.

use serin_tests::analyzer::{CanaryConfig, Phase};
use serin_tests::load::{Load, LoadOptions};
use serin_tests::wait;
use serin_tests::world::{World, WorldOptions};
use std::path::Path;
use std::time::Duration;

/// A world at 25 % for as long as the test takes.
async fn at_a_quarter() -> (World, Load) {
    let steps = vec![25.0, 100.0];
    let canary = CanaryConfig { steps, promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { rate: 200.0, ..world.load() }).unwrap();
    world.until("25 %", 30, |status| status.weight == 25.0).await.unwrap();
    world.until_plan_is_followed().await.unwrap();
    (world, load)
}

/// As an editor or a script would: another file renamed over it.
fn edit(routes: &Path, changes: &[(&str, &str)]) {
    let mut text = std::fs::read_to_string(routes).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from} is not in {text}");
        text = text.replace(from, to);
    }
    let beside = routes.with_extension("edited");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, routes).unwrap();
}

async fn until_file_says(routes: &Path, text: &str) {
    wait::until(text, Duration::from_secs(20), || async {
        let found = std::fs::read_to_string(routes)?;
        anyhow::ensure!(found.contains(text), "{found}");
        Ok(())
    })
    .await
    .unwrap();
}

async fn nobody_is_on_the_canary(world: &World) {
    world.until_plan_is_followed().await.unwrap();
    let before = world.canary.served("v2").requests;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.canary.served("v2").requests, before, "v2 still gets requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_lowered_by_hand_is_obeyed_and_a_raised_one_is_written_back() {
    let (world, _load) = at_a_quarter().await;
    edit(world.routes(), &[("weight: 75", "weight: 40"), ("weight: 25", "weight: 60")]);
    until_file_says(world.routes(), "weight: 25").await;
    let status = world.status().await.unwrap();
    assert_eq!((status.phase, status.weight), (Phase::Progressing, 25.0));
    let last = status.history.last().unwrap();
    assert!(last.reason.contains("somebody raised the weight"), "{last:?}");

    edit(world.routes(), &[("weight: 75", "weight: 100"), ("weight: 25", "weight: 0")]);
    let status = world.until_phase(Phase::Paused, 20).await.unwrap();
    assert_eq!(status.weight, 0.0);
    nobody_is_on_the_canary(&world).await;
    world.analyzer.api().act("resume", "looked at it").await.unwrap();
    world.until("25 % again", 30, |status| status.weight == 25.0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brake_pulled_while_the_analyzer_is_dead_is_obeyed_when_it_comes_back() {
    let (mut world, _load) = at_a_quarter().await;
    world.analyzer.kill9().unwrap();
    edit(world.routes(), &[("weight: 75", "weight: 100"), ("weight: 25", "weight: 0")]);
    world.analyzer.restart().await.unwrap();
    let status = world.until_phase(Phase::Paused, 20).await.unwrap();
    assert_eq!(status.weight, 0.0);
    until_file_says(world.routes(), "weight: 0").await;
    nobody_is_on_the_canary(&world).await;
}
