//! People and the VirtualService in mid-rollout: a lower weight is obeyed, a higher one is written back, and
//! a managed route that somebody removes comes again. A person without the analyzer, and an analyzer that may
//! not do what it must.

use serde_json::{Value, json};
use serin_tests::artifacts;
use serin_tests::http::Client;
use serin_tests::load::{Load, LoadOptions};
use serin_tests::mesh::{
    HOST, Mesh, MeshOptions, Reference, VIRTUAL_SERVICE, canary_weight, history, managed_routes, phase,
};
use serin_tests::wait;
use std::process::Command;
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
    let mut mesh = Mesh::start(options).await.unwrap();
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

    a_removed_managed_route_is_misrouting_and_a_hold(&mut mesh, &managed).await;

    let cluster = mesh.plane.cluster();
    edit(&mesh, |routes| set_canary_weight(routes, 60)).await;
    cluster
        .until("the raise to be written back", patience, VIRTUAL_SERVICE, |now| {
            canary_weight(now) == Some(25)
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
    everybody_is_on_stable(&mesh).await;
    assert_eq!(mesh.weight().await.unwrap(), 0);
    for words in ["changed the managed routes", "raised the weight to 60 %", "lowered the weight"] {
        let told = wait::until("an Event of it", patience, || async {
            let events = mesh.events("RouteChanged").await?;
            let told = events.iter().any(|event| event["note"].as_str().unwrap_or_default().contains(words));
            anyhow::ensure!(told, "{events:?} should contain {words}");
            Ok(())
        });
        told.await.unwrap();
    }
    drop(load);
}

/// Somebody whom the filter gives the stable version.
async fn stable_user(mesh: &Mesh) -> String {
    for n in 0..200 {
        let user = format!("sticky-{n}");
        if version(mesh, ("x-user-id", &user)).await == "v1" {
            return user;
        }
    }
    panic!("nobody of 200 users is on stable at 75 %");
}

/// The analyzer stands still meanwhile, because it would write the route again before anybody is misrouted.
async fn a_removed_managed_route_is_misrouting_and_a_hold(mesh: &mut Mesh, managed: &[String]) {
    let patience = Duration::from_secs(30);
    let user = stable_user(mesh).await;
    mesh.replicas[0].stop().unwrap();
    let stable_route = |name: &Value| name.as_str().is_some_and(|name| name.starts_with("serin-stable-"));
    edit(mesh, |routes| routes.retain(|route| !stable_route(&route["name"]))).await;
    let gone = |routing: &serin_tests::mesh::Routing| routing.for_header("false").is_none();
    mesh.gateway.until_routing("the removed route to be gone from Envoy", patience, gone).await.unwrap();
    let mut elsewhere = 0;
    for _ in 0..200 {
        elsewhere += u32::from(version(mesh, ("x-user-id", &user)).await == "v2");
    }
    assert!(elsewhere > 20, "{elsewhere} of 200 requests of a stable user went to the canary at 25 %");
    mesh.replicas[0].cont().unwrap();
    mesh.until_status("a hold for misrouting", 30, |status| {
        let verdict = status.verdict.as_ref();
        verdict.is_some_and(|verdict| verdict.outcome == "hold" && verdict.rule == "routing")
    })
    .await
    .unwrap();
    let back = |now: &Value| managed_routes(now) == managed;
    mesh.plane
        .cluster()
        .until("the managed route to be back", patience, VIRTUAL_SERVICE, back)
        .await
        .unwrap();
}

/// Which version answers a request with this header.
async fn version(mesh: &Mesh, header: (&str, &str)) -> String {
    let address = mesh.gateway.envoy.address();
    let answer = Client::default().get(address, "/", &[("host", HOST), header]).await.unwrap();
    answer.header("x-shop-version").unwrap_or("none").to_owned()
}

async fn everybody_is_on_stable(mesh: &Mesh) {
    for n in 0..50 {
        let user = format!("sticky-{n}");
        assert_eq!(version(mesh, ("x-user-id", &user)).await, "v1", "{user}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_rollback_needs_no_analyzer_and_is_the_releases_end_once_there_is_one() {
    let options = MeshOptions { canary: a_quarter_for_long(), ..MeshOptions::default() };
    let mut mesh = Mesh::start(options).await.unwrap();
    let load =
        Load::start(LoadOptions { rate: 60.0, time: Duration::from_secs(300), ..mesh.load() }).unwrap();
    mesh.until_status("traffic on the canary", 60, |status| status.totals.canary.requests > 50)
        .await
        .unwrap();
    assert_eq!(version(&mesh, ("x-canary", "true")).await, "v2");
    mesh.replicas[0].kill9().unwrap();

    let told = Command::new(artifacts::serin().unwrap())
        .env("KUBECONFIG", mesh.plane.kubeconfig())
        .args(["rollback", "default/canary-demo", "--direct", "--reason", "support calls"])
        .output()
        .unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    // The filters still send their users to the canary; the routes for `true` do not.
    let patience = Duration::from_secs(60);
    let gateway = &mesh.gateway;
    let pinned = |value: &'static str, arm: &'static str| {
        move |routing: &serin_tests::mesh::Routing| {
            routing.canary_weight() == Some(0)
                && routing.for_header(value).is_some_and(|route| route.weights.get(arm) == Some(&100))
        }
    };
    gateway.until_routing("everything on stable", patience, pinned("true", "stable")).await.unwrap();
    everybody_is_on_stable(&mesh).await;

    mesh.replicas[0].start().await.unwrap();
    let canary = mesh.until_canary("the end", 60, |canary| phase(canary) == "Failed").await.unwrap();
    assert_eq!(canary["status"]["weight"], 0.0, "{canary}");
    assert!(history(&canary).iter().any(|(_, _, reason)| reason.contains("support calls")), "{canary}");
    assert_eq!(canary["metadata"]["annotations"]["serin.dev/rolled-back-directly"], Value::Null);
    gateway.until_routing("the canary for debugging", patience, pinned("true", "canary")).await.unwrap();
    assert_eq!(version(&mesh, ("x-canary", "true")).await, "v2", "for debugging");
    mesh.until_plan_is_followed().await.unwrap();
    everybody_is_on_stable(&mesh).await;

    // The routes stand for as long as the Canary does.
    edit(&mesh, |routes| routes.retain(|route| route["name"] != "serin-canary-weighted")).await;
    mesh.plane
        .cluster()
        .until("the route to be back", patience, VIRTUAL_SERVICE, |now| managed_routes(now).len() == 2)
        .await
        .unwrap();
    drop(load);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_any_one_rule_removed_the_analyzer_says_which_permission_is_missing() {
    let options = MeshOptions { canary: a_quarter_for_long(), ..MeshOptions::default() };
    let mut mesh = Mesh::start(options).await.unwrap();
    mesh.until_canary("its beginning", 60, |canary| phase(canary) == "Progressing").await.unwrap();
    let api_version = "rbac.authorization.k8s.io/v1";
    let roles = [
        Reference { api_version, kind: "ClusterRole", namespace: "", name: "serin" },
        Reference { api_version, kind: "Role", namespace: "serin-system", name: "serin-leader" },
    ];
    let cluster = mesh.plane.cluster().clone();
    let mut rules = 0;
    for role in roles {
        let whole = cluster.get(role).await.unwrap()["rules"].as_array().unwrap().clone();
        for (index, rule) in whole.iter().enumerate() {
            let mut rest = whole.clone();
            rest.remove(index);
            mesh.replicas[0].kill9().unwrap();
            cluster.merge(role, &json!({ "rules": rest })).await.unwrap();
            let before = mesh.replicas[0].said().len();
            mesh.replicas[0].launch().unwrap();
            let group = rule["apiGroups"][0].as_str().unwrap();
            let (resource, verb) = (rule["resources"][0].as_str().unwrap(), &rule["verbs"]);
            let missing = format!(" {resource}.{group} in ");
            let mut weight = 60;
            let what = format!("a word about {rule}");
            let told = wait::until(&what, Duration::from_secs(60), || {
                // Something to read, to write and to tell.
                weight = 121 - weight;
                let (mesh, missing) = (&mesh, &missing);
                async move {
                    edit(mesh, |routes| set_canary_weight(routes, weight)).await;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    let said = mesh.replicas[0].said().split_off(before);
                    let line = said.lines().find(|line| line.contains("may not ") && line.contains(missing));
                    line.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("it said:\n{said}"))
                }
            });
            let told = told.await.unwrap();
            let verbs = verb.as_array().unwrap();
            let named = |verb: &Value| told.contains(&format!("may not {} ", verb.as_str().unwrap_or("?")));
            assert!(verbs.iter().any(named) && told.contains(role.name), "{rule}: {told}");
            cluster.merge(role, &json!({ "rules": whole })).await.unwrap();
            rules += 1;
        }
    }
    assert_eq!(rules, 8, "each rule of the analyzer's roles");
}
