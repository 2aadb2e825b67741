//! People and the VirtualService in mid-rollout: a lower weight is obeyed, a higher one is written back, and
//! a managed route that somebody removes comes again.

use serde_json::{Value, json};
use serin_tests::http::Client;
use serin_tests::load::{Load, LoadOptions};
use serin_tests::mesh::{HOST, Mesh, MeshOptions, VIRTUAL_SERVICE, canary_weight, managed_routes, phase};
use serin_tests::wait;
use std::time::{Duration, Instant};

fn a_quarter_for_long() -> Value {
    json!({ "spec": { "ramp": { "steps": [25, 100], "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "10m", "analysisInterval": "1s", "warmup": "1s" } } })
}

/// What `kubectl edit` would send: the list of routes as somebody wants it.
async fn edit(mesh: &Mesh, change: impl Fn(&mut Vec<Value>)) {
    let mut object = mesh.plane.cluster().get(VIRTUAL_SERVICE).await.unwrap();
    let routes = object["spec"]["http"].as_array_mut().unwrap();
    change(routes);
    let patch = json!({ "spec": { "http": routes } });
    mesh.plane.cluster().merge(VIRTUAL_SERVICE, &patch).await.unwrap();
}

fn set_canary_weight(routes: &mut [Value], weight: u64) {
    let route = routes.last_mut().unwrap();
    for destination in route["route"].as_array_mut().unwrap() {
        let canary = destination["destination"]["subset"] == "canary";
        destination["weight"] = json!(if canary { weight } else { 100 - weight });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persons_changes_in_mid_rollout() {
    let options = MeshOptions { canary: a_quarter_for_long(), ..MeshOptions::default() };
    let mesh = Mesh::start(options).await.unwrap();
    let load = LoadOptions { rate: 100.0, time: Duration::from_secs(300), ..mesh.load() };
    let load = Load::start(load).unwrap();
    mesh.until_status("traffic on the canary", 60, |status| status.totals.canary.requests > 50)
        .await
        .unwrap();
    let cluster = mesh.plane.cluster();
    let before = cluster.get(VIRTUAL_SERVICE).await.unwrap();
    let managed = managed_routes(&before);
    assert_eq!(managed.len(), 2, "one for `true`, one for `false`: {before}");
    let patience = Duration::from_secs(30);

    edit(&mesh, |routes| routes.retain(|route| route["name"] != managed[1].as_str())).await;
    cluster
        .until("the managed route to be back", patience, VIRTUAL_SERVICE, |now| {
            managed_routes(now) == managed
        })
        .await
        .unwrap();

    edit(&mesh, |routes| set_canary_weight(routes, 60)).await;
    cluster
        .until("the raise to be written back", patience, VIRTUAL_SERVICE, |now| {
            canary_weight(now) == Some(25)
        })
        .await
        .unwrap();
    wait::until("an Event of it", patience, || async {
        anyhow::ensure!(!mesh.events("RouteChanged").await?.is_empty(), "there is none");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(phase(&mesh.canary_object().await.unwrap()), "Progressing");

    edit(&mesh, |routes| set_canary_weight(routes, 0)).await;
    let braked = Instant::now();
    mesh.until_status("the brake to be obeyed", 30, |status| status.weight == 0.0).await.unwrap();
    mesh.until_plan_is_followed().await.unwrap();
    println!("a person's brake was in every filter after {} ms", braked.elapsed().as_millis());
    let canary = mesh.until_canary("Paused", 30, |canary| phase(canary) == "Paused").await.unwrap();
    assert_eq!(canary["status"]["weight"], 0.0, "{canary}");
    let client = Client::default();
    for n in 0..50 {
        let user = format!("sticky-{n}");
        let headers = [("host", HOST), ("x-user-id", user.as_str())];
        let answer = client.get(mesh.gateway.envoy.address(), "/", &headers).await.unwrap();
        assert_eq!(answer.header("x-shop-version"), Some("v1"), "{user}");
    }
    assert_eq!(mesh.weight().await.unwrap(), 0);
    drop(load);
}
