//! Two replicas of the analyzer, of which the leading one is killed again and again: the rollout goes on,
//! step by step, and nothing is counted twice.

use serde_json::json;
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::mesh::{Mesh, MeshOptions, VIRTUAL_SERVICE, canary_weight, history, phase};
use serin_tests::random;
use serin_tests::wait;
use std::time::Duration;

const KILLS: u64 = 10;
const STEPS: [u64; 8] = [5, 10, 20, 30, 45, 60, 80, 100];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_goes_on_step_by_step_while_its_leader_is_killed_ten_times() {
    let canary = json!({ "spec": { "ramp": { "steps": STEPS, "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "8s", "analysisInterval": "1s", "warmup": "1s" } } });
    let mut mesh = Mesh::start(MeshOptions { replicas: 2, canary, ..MeshOptions::default() }).await.unwrap();
    let load = LoadOptions { rate: 60.0, time: Duration::from_secs(900), ..mesh.load() };
    let load = Load::start(load).unwrap();
    let cluster = mesh.plane.cluster().clone();
    // Every weight that the VirtualService ever has.
    let walk = tokio::spawn(async move {
        let mut walk: Vec<u64> = Vec::new();
        loop {
            let object = cluster.get(VIRTUAL_SERVICE).await?;
            let weight = canary_weight(&object).unwrap_or(0);
            if walk.last() != Some(&weight) {
                walk.push(weight);
            }
            if weight == 100 {
                return anyhow::Ok(walk);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut kills = 0;
    for kill in 0..KILLS {
        // At another moment each time: within a step, at a tick, while a weight is written.
        let moment = Duration::from_millis((3000.0 * random::fraction(5, kill)) as u64);
        tokio::time::sleep(moment).await;
        let leader = mesh.leader().await.unwrap();
        let canary = mesh.canary_object().await.unwrap();
        if matches!(phase(&canary), "Succeeded" | "Failed") {
            assert!(kill >= 5, "it was over after {kill} kills: {canary}");
            break;
        }
        mesh.replicas[leader].kill9().unwrap();
        kills += 1;
        wait::until("the other replica to lead", Duration::from_secs(60), || async {
            let now = mesh.leader().await?;
            anyhow::ensure!(now != leader, "it still is {now}");
            let status = mesh.replicas[now].api().status().await?;
            Ok(status)
        })
        .await
        .unwrap();
        mesh.replicas[leader].start().await.unwrap();
    }
    println!("the leader was killed {kills} times");
    let canary = mesh
        .until_canary("the end", 240, |canary| matches!(phase(canary), "Succeeded" | "Failed"))
        .await
        .unwrap();
    assert_eq!(phase(&canary), "Succeeded", "{canary}");
    let walk: Vec<u64> = walk.await.unwrap().unwrap().into_iter().skip_while(|weight| *weight == 0).collect();
    assert_eq!(walk, STEPS, "a step was skipped, or a weight jumped");
    let steps: Vec<u64> = history(&canary).iter().map(|(step, _, _)| *step).collect();
    assert!(steps.is_sorted(), "{steps:?}");
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());
    let status = mesh.status().await.unwrap();
    assert!(status.totals.all() <= record.sent(), "{} of {}", status.totals.all(), record.sent());
}
