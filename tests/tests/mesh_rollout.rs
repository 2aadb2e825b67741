//! Whole rollouts on a real control plane, the analyzer with its own ServiceAccount's rights: a good canary
//! takes over step by step, a bad one is rolled back, and nothing but weights changes.

use serde_json::{Value, json};
use serin_contract::allocation::canary_arm;
use serin_contract::{Arm, AssignedUnit, Share};
use serin_tests::http::Client;
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::mesh::{
    HOST, Mesh, MeshOptions, VIRTUAL_SERVICE, canary_weight, conditions, history, phase, without_weights,
};
use serin_tests::shop::Faults;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Every weight that appears, in order, as they come: what `ask` sees, without repetitions.
#[derive(Clone, Default)]
struct Walk(Arc<Mutex<Vec<u64>>>);

impl Walk {
    fn add(&self, weight: u64) {
        let mut walk = self.0.lock().unwrap();
        if walk.last() != Some(&weight) {
            walk.push(weight);
        }
    }

    /// From the first share on: while the release is Pending the analyzer has put everybody on stable.
    fn list(&self) -> Vec<u64> {
        let walk = self.0.lock().unwrap().clone();
        walk.into_iter().skip_while(|weight| *weight == 0).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_walks_to_all_users_in_the_virtual_service_and_in_envoy() {
    let mesh = Mesh::start(MeshOptions::default()).await.unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..mesh.load() }).unwrap();
    let (written, routed) = (Walk::default(), Walk::default());
    let end = Instant::now() + Duration::from_secs(180);
    let mut users = 0;
    loop {
        let object = mesh.plane.cluster().get(VIRTUAL_SERVICE).await.unwrap();
        written.add(canary_weight(&object).unwrap());
        routed.add(mesh.gateway.routing().await.unwrap().canary_weight().unwrap());
        users += users_are_sticky(&mesh).await;
        let canary = mesh.canary_object().await.unwrap();
        if phase(&canary) == "Succeeded" {
            break;
        }
        assert!(phase(&canary) != "Failed", "{canary}\n{}", mesh.logs());
        assert!(Instant::now() < end, "it is {}\n{}", canary["status"], mesh.logs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(users > 50, "only {users} users were asked for at a known weight");
    let ramp = [5, 25, 45, 65, 85, 100];
    assert_eq!(written.list(), ramp, "in the VirtualService");
    assert_eq!(routed.list(), ramp, "in Envoy");
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());

    // What the header routes brought goes with the Canary; nothing else was touched.
    let canary = mesh.canary_object().await.unwrap();
    let conditions = conditions(&canary);
    for kind in ["Ready", "RoutesReady", "DeploymentsReady", "ReportsFlowing"] {
        assert_eq!(conditions.get(kind).map(|(status, _)| status.as_str()), Some("True"), "{kind}: {canary}");
    }
    let events = mesh.events("Succeeded").await.unwrap();
    assert!(!events.is_empty(), "there is no Event of the end");
    mesh.delete_canary().await.unwrap();
    let after = mesh.plane.cluster().get(VIRTUAL_SERVICE).await.unwrap();
    assert_eq!(canary_weight(&after), Some(0), "{after}");
    assert_eq!(without_weights(&mesh.before), without_weights(&after));
}

/// Asks for some users through the gateway and compares with md5, where the weight is the same before and
/// after; answers how many.
async fn users_are_sticky(mesh: &Mesh) -> usize {
    let share = async || {
        let filters = mesh.api().ok()?.filters().await.ok()?;
        let settled = filters.iter().all(|filter| !filter.pending);
        settled.then_some(mesh.status().await.ok()?.weight)
    };
    let Some(before) = share().await else { return 0 };
    let client = Client::default();
    let mut seen = BTreeMap::new();
    for n in 0..20 {
        let user = format!("sticky-{n}");
        let headers = [("host", HOST), ("x-user-id", user.as_str())];
        let answer = client.get(mesh.gateway.envoy.address(), "/", &headers).await.unwrap();
        seen.insert(user, answer.header("x-shop-version").map(str::to_owned));
    }
    if share().await != Some(before) {
        return 0;
    }
    let share = Share::from_percent(before).unwrap();
    for (user, version) in &seen {
        let unit = AssignedUnit::of("default/canary-demo/v2:", user.as_bytes()).unwrap();
        let expected = match canary_arm(unit.bucket, share) {
            Arm::Canary => "v2",
            Arm::Stable => "v1",
        };
        assert_eq!(version.as_deref(), Some(expected), "{user} at {before} %");
    }
    seen.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_with_errors_goes_back_to_stable_in_envoy_and_stays_reachable_by_hand() {
    let ramp = json!({ "steps": [25, 100], "increment": null, "initialWeight": null, "maxWeight": null,
                       "promotionInterval": "5m", "analysisInterval": "1s", "warmup": "1s" });
    let canary = json!({ "spec": { "ramp": ramp } });
    let mesh = Mesh::start(MeshOptions { canary, ..MeshOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { rate: 150.0, ..mesh.load() }).unwrap();
    mesh.until_status("traffic on the canary", 60, |status| status.totals.canary.requests > 100)
        .await
        .unwrap();

    mesh.canary.set_faults(Faults::errors(0.3));
    let spoilt = Instant::now();
    mesh.gateway
        .until_routing("everything on stable", Duration::from_secs(60), |routing| {
            routing.canary_weight() == Some(0)
        })
        .await
        .unwrap();
    let routed = spoilt.elapsed();
    let first_error = mesh.canary.served("v2").first_error.unwrap();
    let canary = mesh.until_canary("its end", 20, |canary| phase(canary) == "Failed").await.unwrap();
    mesh.until_plan_is_followed().await.unwrap();
    println!(
        "from the first bad response to all traffic on stable in Envoy: {} ms",
        (spoilt + routed).duration_since(first_error).as_millis()
    );
    mesh.canary.set_faults(Faults::NONE);

    assert_eq!(mesh.weight().await.unwrap(), 0);
    assert_eq!(canary["status"]["weight"], 0.0, "{canary}");
    let (_, _, last) = history(&canary).last().copied().unwrap();
    assert!(last.contains("error rate too high") || last.contains("Statistical test"), "{last}");
    assert!(!mesh.events("RolledBack").await.unwrap().is_empty());
    let report = mesh.api().unwrap().get("/v1/canaries/default/canary-demo/report").await.unwrap();
    assert!(report.status.is_success(), "{} {}", report.status, report.text());

    let client = Client::default();
    let ask = async |headers: &[(&str, &str)]| {
        let headers = [&[("host", HOST)], headers].concat();
        let answer = client.get(mesh.gateway.envoy.address(), "/", &headers).await.unwrap();
        answer.header("x-shop-version").unwrap_or("none").to_owned()
    };
    assert_eq!(ask(&[("x-canary", "true")]).await, "v2", "for debugging");
    for n in 0..50 {
        assert_eq!(ask(&[("x-user-id", &format!("after-{n}"))]).await, "v1");
        assert_eq!(ask(&[]).await, "v1");
    }
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rich_virtual_service_keeps_everything_but_weights_beside_another_writer() {
    let mesh = Mesh::start(MeshOptions { virtual_service: rich(), ..MeshOptions::default() }).await.unwrap();
    let load = Load::start(LoadOptions { rate: 80.0, ..mesh.load() }).unwrap();
    let cluster = mesh.plane.cluster().clone();
    // Somebody else writes 20 times a second, until the rollout ends.
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            let mut count = 0_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                beat.tick().await;
                count += 1;
                let label = json!({ "metadata": { "labels": { "written": count.to_string() } } });
                let object = cluster.merge(VIRTUAL_SERVICE, &label).await?;
                anyhow::ensure!(object["metadata"]["labels"]["written"] == count.to_string());
            }
            anyhow::Ok(count)
        }
    });
    let canary = mesh
        .until_canary("its end", 180, |canary| matches!(phase(canary), "Succeeded" | "Failed"))
        .await
        .unwrap();
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let writes = writer.await.unwrap().unwrap();
    assert_eq!(phase(&canary), "Succeeded", "{canary}");
    assert!(writes > 100, "only {writes} writes");
    let during = mesh.plane.cluster().get(VIRTUAL_SERVICE).await.unwrap();
    assert_eq!(canary_weight(&during), Some(100), "{during}");
    assert_eq!(during["metadata"]["labels"]["written"], writes.to_string(), "an update was lost");
    drop(load);
    mesh.delete_canary().await.unwrap();
    let after = mesh.plane.cluster().get(VIRTUAL_SERVICE).await.unwrap();
    assert_eq!(without_weights(&mesh.before), without_weights(&after));
    assert_eq!(canary_weight(&after), Some(0), "{after}");
}

/// What a VirtualService may hold beside the weighted route, and on it.
fn rich() -> Value {
    let destination = |subset: &str, weight: u8| {
        json!({ "destination": { "host": "canary-demo", "subset": subset }, "weight": weight,
                "headers": { "response": { "set": { "x-subset": subset } } } })
    };
    json!({ "metadata": { "annotations": { "team": "checkout" } }, "spec": { "http": [
        { "name": "moved", "match": [{ "uri": { "exact": "/old" } }],
          "redirect": { "uri": "/new", "redirectCode": 301 } },
        { "name": "by-hand", "match": [{ "headers": { "x-canary": { "exact": "true" } } }],
          "route": [{ "destination": { "host": "canary-demo", "subset": "canary" } }], "timeout": "15s" },
        { "name": "cart", "match": [
            { "name": "cart", "uri": { "prefix": "/cart" }, "method": { "exact": "POST" } },
            { "name": "pay", "uri": { "prefix": "/pay" }, "queryParams": { "v": { "exact": "2" } } } ],
          "rewrite": { "uri": "/checkout" },
          "route": [destination("stable", 95), destination("canary", 5)] },
        { "name": "blog", "match": [{ "uri": { "prefix": "/blog" } }],
          "delegate": { "name": "blog", "namespace": "default" } },
        { "name": "admin", "match": [{ "uri": { "prefix": "/admin" } }],
          "route": [{ "destination": { "host": "canary-demo", "subset": "stable" } }] },
        { "name": "weighted",
          "fault": { "delay": { "percentage": { "value": 0.1 }, "fixedDelay": "0.010s" } },
          "mirrors": [{ "destination": { "host": "canary-demo", "subset": "stable" },
                        "percentage": { "value": 1.0 } }],
          "corsPolicy": { "allowOrigins": [{ "exact": "https://shop.example" }], "allowMethods": ["GET"],
                          "maxAge": "24h" },
          "headers": { "request": { "set": { "x-from": "mesh" }, "remove": ["x-secret"] } },
          "timeout": "30s",
          "retries": { "attempts": 3, "perTryTimeout": "10s", "retryOn": "gateway-error,connect-failure" },
          "route": [destination("stable", 95), destination("canary", 5)] },
    ] } })
}
