//! Bad canaries are rolled back, each for its own reason; good ones are promoted.

use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::load::{Ending, Exchange, Load, LoadOptions};
use serin_tests::shop::Faults;
use serin_tests::world::{World, WorldOptions};
use std::time::Duration;

/// A quarter of the users are on the canary for longer than any verdict takes.
fn a_quarter_for_long() -> CanaryConfig {
    CanaryConfig { steps: vec![25.0, 100.0], promotion_interval: "5m".to_owned(), ..CanaryConfig::default() }
}

/// Lets the canary be healthy for some seconds, then spoils it and waits for the rollback.
async fn rolled_back(stable: Faults, canary: Faults) -> (World, Status) {
    let canary_config = a_quarter_for_long();
    let world =
        World::start(WorldOptions { canary: canary_config, ..WorldOptions::default() }).await.unwrap();
    world.stable.set_faults(stable);
    world.canary.set_faults(stable);
    let load = Load::start(LoadOptions { rate: 300.0, ..world.load() }).unwrap();
    world
        .until("the canary to have traffic", 30, |status| status.totals.canary.requests > 200)
        .await
        .unwrap();
    let healthy = world.status().await.unwrap();
    assert_eq!(healthy.phase, Phase::Progressing, "{:?}", healthy.verdict);

    world.canary.set_faults(canary);
    let status = world.until_phase(Phase::Failed, 60).await.unwrap();
    assert_eq!(status.weight, 0.0);
    assert_eq!(status.history.last().map(|last| last.phase), Some(Phase::Failed));

    // Nobody is assigned to it any more, as soon as the plan has arrived.
    world.until_plan_is_followed().await.unwrap();
    let before = world.canary.served("v2").requests;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.canary.served("v2").requests, before, "v2 still gets requests");
    drop(load);
    (world, status)
}

fn reason(status: &Status) -> &str {
    status.verdict.as_ref().map_or("", |verdict| &verdict.reason)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_twenty_percent_errors_is_rolled_back() {
    let (_world, status) = rolled_back(Faults::errors(0.01), Faults::errors(0.2)).await;
    let reason = reason(&status);
    // Both rules see it; which of them sees it first is chance.
    assert!(reason.starts_with("error rate too high") || reason.starts_with("Statistical test"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_five_percent_errors_against_one_is_rolled_back() {
    let (_world, status) = rolled_back(Faults::errors(0.01), Faults::errors(0.05)).await;
    assert!(reason(&status).starts_with("Statistical test"), "{}", reason(&status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_three_times_the_latency_is_rolled_back() {
    let fast = Faults { latency: Duration::from_millis(20), ..Faults::NONE };
    let slow = Faults { latency: Duration::from_millis(60), ..Faults::NONE };
    let (_world, status) = rolled_back(fast, slow).await;
    assert!(reason(&status).starts_with("latency increased"), "{}", reason(&status));
    assert_eq!(status.totals.errors(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_hangs_is_rolled_back_before_its_requests_end() {
    let hanging = Faults { hang_rate: 1.0, ..Faults::NONE };
    let (_world, status) = rolled_back(Faults::NONE, hanging).await;
    assert!(reason(&status).starts_with("latency increased"), "{}", reason(&status));
    // Envoy's own timeout, an error, would have come after 15 s.
    assert_eq!(status.totals.errors(), 0, "it took until the requests timed out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_percent_against_one_percent_is_promoted_after_two_minutes_of_full_load() {
    let canary = CanaryConfig {
        promotion_interval: "24s".to_owned(),
        // One run in a hundred would be rolled back by chance at most, and this test fail with it.
        false_rollback_rate: Some(0.01),
        ..CanaryConfig::default()
    };
    let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    world.stable.set_faults(Faults::errors(0.01));
    world.canary.set_faults(Faults::errors(0.01));
    let options = LoadOptions { rate: 400.0, time: Duration::from_secs(300), ..world.load() };
    let load = Load::start(options).unwrap();
    let status = world
        .until("the end of the ramp", 240, |status| matches!(status.phase, Phase::Succeeded | Phase::Failed))
        .await
        .unwrap();
    assert_eq!((status.phase, status.weight), (Phase::Succeeded, 100.0), "{:?}", status.verdict);
    let record = load.stop().await.unwrap();
    assert!(record.count(Exchange::failed) > 100, "{record}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_go_away_are_no_errors() {
    let canary = a_quarter_for_long();
    let world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let options =
        LoadOptions { cut: 0.3, rate: 200.0, time: Duration::from_secs(20), anonymous: 0.0, ..world.load() };
    let record = Load::start(options).unwrap().finish().await.unwrap();
    let cut = record.count(|exchange| exchange.ending == Ending::Cut);
    assert!(cut > 500, "{record}");
    let status = world
        .until("all requests to be counted", 20, |status| status.totals.all() == record.sent())
        .await
        .unwrap();
    assert_eq!(status.totals.errors(), 0);
    assert_eq!((status.phase, status.weight), (Phase::Progressing, 25.0), "{:?}", status.verdict);
}
