//! Two replicas of the analyzer, of which the leading one is killed again and again: the rollout goes on,
//! step by step, nobody is sent back, and nothing is counted twice.

use serde_json::{Value, json};
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::mesh::{
    CANARY, Mesh, MeshOptions, Reference, VIRTUAL_SERVICE, canary_weight, history, phase,
};
use serin_tests::random;
use serin_tests::wait;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const KILLS: u64 = 10;
const STEPS: [u64; 8] = [5, 10, 20, 30, 45, 60, 80, 100];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollout_goes_on_step_by_step_while_its_leader_is_killed_ten_times() {
    let canary = json!({ "spec": { "ramp": { "steps": STEPS, "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "8s", "analysisInterval": "1s", "warmup": "1s" } } });
    let mut mesh = Mesh::start(MeshOptions { replicas: 2, canary, ..MeshOptions::default() }).await.unwrap();
    let load = LoadOptions { rate: 60.0, time: Duration::from_secs(900), ..mesh.load() };
    let load = Load::start(load).unwrap();
    let begin = Instant::now();
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
    no_weight_grows_while_the_status_cannot_be_written(&mesh).await;
    let mut kills = 0;
    for kill in 0..KILLS {
        let canary = mesh.canary_object().await.unwrap();
        if matches!(phase(&canary), "Succeeded" | "Failed") {
            assert!(kill >= 5, "it was over after {kill} kills: {canary}");
            break;
        }
        // At another moment each time: within a step, at a tick, while a weight is written.
        let moment = Duration::from_millis((3000.0 * random::fraction(5, kill)) as u64);
        tokio::time::sleep(moment).await;
        let leader = mesh.leader().await.unwrap();
        if matches!(kill, 0 | 4) {
            kill_before_it_tells_of_a_step(&mut mesh, leader).await;
        } else {
            mesh.replicas[leader].kill9().unwrap();
        }
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
    assert_eq!(record.moved_back("v2", begin, Instant::now()), BTreeSet::new(), "users were sent back");
    let status = mesh.status().await.unwrap();
    assert!(status.totals.all() <= record.sent(), "{} of {}", status.totals.all(), record.sent());
}

/// Users have followed a step of which the Canary's status does not tell yet, only that it was about to be: what a
/// leader leaves that is killed in between. (That takes it some 20 ms, so the status is set back by hand.)
async fn kill_before_it_tells_of_a_step(mesh: &mut Mesh, leader: usize) {
    mesh.until_canary("a step", 60, |canary| weight(canary) >= STEPS[0]).await.unwrap();
    mesh.until_plan_is_followed().await.unwrap();
    mesh.replicas[leader].kill9().unwrap();
    let canary = mesh.canary_object().await.unwrap();
    let status = &canary["status"];
    println!("killed at {} %, on to {}", status["weight"], status["nextWeight"]);
    if status["nextWeight"].is_number() {
        // It was just about to.
        return;
    }
    let place = STEPS.iter().position(|step| *step == weight(&canary)).unwrap();
    let first = place == 0;
    let less = |field: &str| json!(status[field].as_u64().unwrap() - 1);
    let mut lines = status["history"].as_array().unwrap().clone();
    lines.pop();
    let before = json!({ "status": {
        "phase": if first { "Pending" } else { "Progressing" },
        "weight": if first { 0 } else { STEPS[place - 1] },
        "nextWeight": STEPS[place],
        "step": less("step"), "stratum": less("stratum"), "history": lines,
    } });
    mesh.plane.cluster().merge_status(CANARY, &before).await.unwrap();
}

fn weight(canary: &Value) -> u64 {
    canary["status"]["weight"].as_f64().unwrap_or_default() as u64
}

/// Whoever goes on would not know whose the weight in the router is.
async fn no_weight_grows_while_the_status_cannot_be_written(mesh: &Mesh) {
    let cluster = mesh.plane.cluster();
    let api_version = "rbac.authorization.k8s.io/v1";
    let role = Reference { api_version, kind: "ClusterRole", namespace: "", name: "serin" };
    let whole = cluster.get(role).await.unwrap()["rules"].clone();
    let mut rest = whole.as_array().unwrap().clone();
    rest.retain(|rule| rule["resources"][0] != "canaries/status");
    cluster.merge(role, &json!({ "rules": rest })).await.unwrap();
    let weight = async || canary_weight(&cluster.get(VIRTUAL_SERVICE).await.unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = weight().await;
    // Longer than a step.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(weight().await, before);
    assert!(before < STEPS.last().copied(), "there was nothing left to grow");
    cluster.merge(role, &json!({ "rules": whole })).await.unwrap();
}
