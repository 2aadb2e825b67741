//! Parts of the control plane that are away for a while: traffic goes on, evidence counts, nothing is promoted
//! on a weight that no proxy has, and the router follows once it can.

use serde_json::{Value, json};
use serin_tests::load::{Ending, Exchange, Load, LoadOptions};
use serin_tests::mesh::{Mesh, MeshOptions, history, phase};
use serin_tests::shop::Faults;
use std::time::{Duration, Instant};

/// A quarter of the users for longer than the test takes.
fn a_quarter_for_long() -> Value {
    json!({ "spec": { "ramp": { "steps": [25, 100], "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "10m", "analysisInterval": "1s", "warmup": "1s" } } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_without_the_api_server_moves_users_by_the_plan_and_the_router_follows_later() {
    let options = MeshOptions { canary: a_quarter_for_long(), ..MeshOptions::default() };
    let mut mesh = Mesh::start(options).await.unwrap();
    let load =
        Load::start(LoadOptions { rate: 150.0, time: Duration::from_secs(300), ..mesh.load() }).unwrap();
    mesh.until_status("traffic on the canary", 60, |status| status.totals.canary.requests > 100)
        .await
        .unwrap();

    mesh.plane.kill_apiserver().unwrap();
    let down = Instant::now();
    let counted = mesh.status().await.unwrap().totals.all();
    mesh.until_status("evidence to go on counting", 60, |status| status.totals.all() > counted + 300)
        .await
        .unwrap();
    mesh.canary.set_faults(Faults::errors(0.3));
    mesh.until_status("the verdict", 60, |status| status.phase == serin_tests::analyzer::Phase::Failed)
        .await
        .unwrap();
    mesh.until_plan_is_followed().await.unwrap();
    let moved = Instant::now();
    let routing = mesh.gateway.routing().await.unwrap();
    assert_eq!(routing.canary_weight(), Some(25), "no router can have changed");
    // The rest of half a minute, so that every back-off of a short outage is over.
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(down.elapsed())).await;
    let users = load.record().users(moved, Instant::now());
    assert_eq!(users.get("v2"), None, "sticky users are on stable by the plan alone");
    assert!(users["v1"].len() > 100, "{users:?}");

    mesh.plane.restart_apiserver().await.unwrap();
    mesh.gateway
        .until_routing("the router to follow", Duration::from_secs(60), |routing| {
            routing.canary_weight() == Some(0)
        })
        .await
        .unwrap();
    let canary =
        mesh.until_canary("the status to follow", 60, |canary| phase(canary) == "Failed").await.unwrap();
    assert_eq!(canary["status"]["weight"], 0.0, "{canary}");
    let record = load.stop().await.unwrap();
    let broken = |exchange: &Exchange| match &exchange.ending {
        Ending::Answered { status, version } => *status >= 500 && version.as_deref() != Some("v2"),
        Ending::Cut | Ending::Broken(_) => true,
    };
    assert_eq!(record.count(broken), 0, "traffic was affected: {:?}", record.broken());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_istiod_is_away_nothing_is_promoted_on_a_weight_that_no_proxy_has() {
    let canary = json!({ "spec": { "ramp": { "steps": [5, 50, 60], "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "6s", "analysisInterval": "1s", "warmup": "1s" } } });
    let mut mesh = Mesh::start(MeshOptions { canary, ..MeshOptions::default() }).await.unwrap();
    // Half of the requests have no user: the router's weights decide.
    let load = LoadOptions { rate: 200.0, anonymous: 0.5, time: Duration::from_secs(300), ..mesh.load() };
    let load = Load::start(load).unwrap();
    mesh.until_status("traffic on the canary", 60, |status| status.totals.unassigned.canary.requests > 0)
        .await
        .unwrap();

    mesh.plane.kill_istiod().unwrap();
    let held = mesh
        .until_status("the hold", 90, |status| {
            status.weight == 50.0
                && status.verdict.as_ref().is_some_and(|verdict| {
                    verdict.outcome.eq_ignore_ascii_case("hold") && verdict.reason.contains("weights")
                })
        })
        .await
        .unwrap();
    assert_eq!(mesh.weight().await.unwrap(), 50, "{:?}", held.verdict);
    assert_eq!(mesh.gateway.routing().await.unwrap().canary_weight(), Some(5));
    // Two promotion intervals later it still is where it was.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(mesh.status().await.unwrap().weight, 50.0);

    mesh.plane.start_istiod().await.unwrap();
    let canary = mesh
        .until_canary("the end", 240, |canary| matches!(phase(canary), "Succeeded" | "Failed"))
        .await
        .unwrap();
    assert_eq!(phase(&canary), "Succeeded", "{canary}");
    let weights: Vec<f64> = history(&canary).iter().map(|(_, weight, _)| *weight).collect();
    assert!(weights.is_sorted(), "{weights:?}");
    assert_eq!(mesh.gateway.routing().await.unwrap().canary_weight(), Some(60));
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());
}
