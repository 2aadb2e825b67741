//! The rules that no fault of the canary sets off: traffic that goes elsewhere, weights that do not arrive,
//! and people who change their mind in mid-rollout.

use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::half::{Half, version_of};
use serin_tests::load::{Load, LoadOptions, Who};
use serin_tests::world::{World, WorldOptions};
use std::time::Duration;

fn verdict(status: &Status) -> (&str, &str) {
    status.verdict.as_ref().map_or(("", ""), |verdict| (verdict.outcome.as_str(), verdict.reason.as_str()))
}

/// Half of the canary's users.
fn beta(user: u32) -> bool {
    user.is_multiple_of(2) && Who::User(user).id().is_some_and(|id| version_of(&id) == "v2")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_who_are_sent_elsewhere_before_the_filter_pause_the_release() {
    // Somebody's older route catches beta users, half of whom the canary should have, and by-passes the filter.
    let route = "          - match: { prefix: /, headers: [{ name: x-beta, present_match: true }] }
            route: { cluster: shop-stable }
            typed_per_filter_config:
              serin: { \"@type\": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true }
";
    let routes = "        routes:\n";
    let options = WorldOptions {
        canary: Half::canary(),
        routes: vec![(routes.to_owned(), format!("{routes}{route}"))],
        ..WorldOptions::default()
    };
    let half = Half::start(options).await.unwrap();
    let load = LoadOptions { beta: Some(beta), anonymous: 0.0, ..half.world.load() };
    let load = Load::start(load).unwrap();
    let status = half.world.until_phase(Phase::Paused, 60).await.unwrap();
    let (outcome, reason) = verdict(&status);
    assert!(outcome == "pause" && reason.starts_with("sample ratio mismatch: "), "{outcome} {reason}");
    assert_eq!(status.weight, 50.0);
    // Nobody looked at it: it stays as it is.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(half.world.status().await.unwrap().phase, Phase::Paused);
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weight_that_did_not_reach_the_proxies_is_not_built_upon() {
    let canary =
        CanaryConfig { steps: vec![50.0, 100.0], promotion_interval: "4s".to_owned(), ..Half::canary() };
    let mut world =
        World::start(WorldOptions { canary, envoys: vec![], ..WorldOptions::default() }).await.unwrap();
    // This Envoy looks at a copy of the route file that nobody writes.
    let stale = world.folder().join("stale");
    std::fs::create_dir(&stale).unwrap();
    let routes = stale.join("routes.yaml");
    std::fs::copy(world.routes(), &routes).unwrap();
    let file = routes.clone();
    world
        .add_envoy_as(|options| {
            options.node = "gateway-stale".to_owned();
            options.routes = file;
        })
        .await
        .unwrap();
    let load = Load::start(LoadOptions { anonymous: 0.5, ..world.load() }).unwrap();
    let held = |status: &Status| verdict(status).1.starts_with("weights have not reached the proxies");
    let status = world.until("the hold", 40, held).await.unwrap();
    assert_eq!((status.phase, verdict(&status).0), (Phase::Progressing, "hold"));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let status = world.status().await.unwrap();
    assert_eq!(status.weight, 50.0, "it went on: {:?}", status.verdict);
    // Now Envoy gets what the analyzer wrote, and the release goes on by itself.
    std::fs::copy(world.routes(), stale.join("new")).unwrap();
    std::fs::rename(stale.join("new"), &routes).unwrap();
    let write_on = tokio::spawn({
        let (from, stale, routes) = (world.routes().to_path_buf(), stale.clone(), routes.clone());
        async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                std::fs::copy(&from, stale.join("new")).unwrap();
                std::fs::rename(stale.join("new"), &routes).unwrap();
            }
        }
    });
    world.until("the next weight", 90, |status| status.weight == 100.0).await.unwrap();
    write_on.abort();
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_changed_in_mid_rollout_waits_for_a_rollback() {
    let canary = CanaryConfig {
        steps: vec![25.0, 100.0],
        promotion_interval: "30m".to_owned(),
        ..CanaryConfig::default()
    };
    let mut world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { time: Duration::from_secs(300), ..world.load() }).unwrap();
    let before = world.until("25 %", 30, |status| status.weight == 25.0).await.unwrap();

    world.analyzer.reload(|canary| canary.canary_version = "v3".to_owned()).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let after = world.status().await.unwrap();
    assert_eq!(
        (&after.canary_version, after.weight, after.step),
        (&before.canary_version, 25.0, before.step)
    );
    let log = world.analyzer.process().unwrap().log_tail();
    assert!(log.contains("versions v1 and v3 are refused while v2 has 25 % of the users"), "{log}");

    world.analyzer.api().act("rollback", "v3 mends it").await.unwrap();
    world.until_phase(Phase::Failed, 20).await.unwrap();
    world.canary.become_version("v3");
    world.analyzer.reload(|canary| canary.canary_version = "v3".to_owned()).unwrap();
    let next = world.until("v3 at 25 %", 30, |status| status.canary_version == "v3" && status.weight == 25.0);
    let next = next.await.unwrap();
    assert!(next.step > after.step, "steps count over the whole life: {} then {}", after.step, next.step);
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_changed_in_mid_rollout_is_taken_as_a_whole_or_not_at_all() {
    let canary = CanaryConfig {
        steps: vec![25.0, 100.0],
        promotion_interval: "30m".to_owned(),
        ..CanaryConfig::default()
    };
    let mut world = World::start(WorldOptions { canary, ..WorldOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { time: Duration::from_secs(300), ..world.load() }).unwrap();
    let before = world.until("25 %", 30, |status| status.weight == 25.0).await.unwrap();

    // The interval alone would let it go on; the wrong limit beside it keeps all as it was.
    world
        .analyzer
        .reload(|canary| {
            canary.promotion_interval = "2s".to_owned();
            canary.limits = vec!["maxErrorRate: 500".to_owned()];
        })
        .unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let after = world.status().await.unwrap();
    assert_eq!((after.phase, after.weight, after.step), (before.phase, 25.0, before.step));
    let log = world.analyzer.process().unwrap().log_tail();
    assert!(log.contains("spec.limits.maxErrorRate: 500 is not allowed: 0 to 100"), "{log}");

    world.analyzer.reload(|canary| canary.limits.clear()).unwrap();
    world.until("the rest of the ramp", 40, |status| status.weight == 100.0).await.unwrap();
    drop(load);
}
