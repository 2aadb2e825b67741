//! The controller on a real control plane: what it says while something is missing, room before each weight,
//! a promotion by copy and what the dashboard says of it, a Canary's end, and who goes on when the leader ends.

use serde_json::{Value, json};
use serin_tests::artifacts;
use serin_tests::browser::Script;
use serin_tests::http::Client;
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::mesh::{
    ApiTokens, CANARY, Cluster, HOST, Manifests, Mesh, MeshOptions, NAMESPACE, Reference, VIRTUAL_SERVICE,
    conditions, phase, without_weights,
};
use serin_tests::wait;
use std::time::Duration;

const DESTINATION_RULE: Reference<'static> =
    Reference { kind: "DestinationRule", name: "canary-demo-dr", ..VIRTUAL_SERVICE };
const LEASE: Reference<'static> =
    Reference { api_version: "coordination.k8s.io/v1", kind: "Lease", namespace: NAMESPACE, name: "serin" };

fn deployment(name: &str) -> Reference<'_> {
    Reference { api_version: "apps/v1", kind: "Deployment", namespace: "default", name }
}

fn reason(canary: &Value) -> &str {
    canary["status"]["verdict"]["reason"].as_str().unwrap_or_default()
}

/// Waits until the Canary is as `so` wants it.
async fn until(mesh: &Mesh, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let until = mesh.plane.cluster().until(what, Duration::from_secs(90), CANARY, so);
    until.await.unwrap_or_else(|error| panic!("{error:#}\n{}", mesh.logs()))
}

/// Gives a Deployment so many replicas, all of them ready at its newest template, as its controller would.
async fn roll_out(cluster: &Cluster, name: &str, replicas: u64) {
    let spec = json!({ "spec": { "replicas": replicas } });
    let object = cluster.merge(deployment(name), &spec).await.unwrap();
    let status = json!({ "status": {
        "observedGeneration": object["metadata"]["generation"], "replicas": replicas,
        "updatedReplicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas,
    } });
    cluster.merge_status(deployment(name), &status).await.unwrap();
}

/// istio/ with the component for `promotion: Copy`, as an administrator's overlay has it.
fn with_the_component(mesh: &Mesh) -> anyhow::Result<Manifests> {
    let overlay = std::fs::canonicalize(mesh.plane.folder())?.join("overlay");
    std::fs::create_dir_all(&overlay)?;
    // kustomize takes relative paths alone.
    let root = "../".repeat(overlay.components().count() - 1);
    let repository = std::fs::canonicalize(artifacts::repository())?;
    let istio = format!("{root}{}/istio", repository.strip_prefix("/")?.display());
    let text = format!("resources: [{istio}]\ncomponents: [{istio}/promotion-copy]\n");
    std::fs::write(overlay.join("kustomization.yaml"), text)?;
    Manifests::render_at(mesh.plane.programs(), &overlay)
}

/// An object as one would apply it again.
fn bare(object: &Value) -> Value {
    let metadata = &object["metadata"];
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"], "spec": object["spec"],
        "metadata": { "name": metadata["name"], "namespace": metadata["namespace"] },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_by_copy_waits_for_what_it_lacks_and_leaves_nothing_behind() {
    let mut mesh = Mesh::start_without_canary(&MeshOptions::default()).await.unwrap();
    let cluster = mesh.plane.cluster().clone();
    let before = cluster.get(VIRTUAL_SERVICE).await.unwrap();
    let rule = cluster.get(DESTINATION_RULE).await.unwrap();
    cluster.delete(DESTINATION_RULE).await.unwrap();
    roll_out(&cluster, "canary-demo-stable", 2).await;
    let none = json!({ "status": { "replicas": 0, "updatedReplicas": 0, "readyReplicas": 0, "availableReplicas": 0 } });
    cluster.merge_status(deployment("canary-demo-canary"), &none).await.unwrap();
    mesh.start_replicas(1).await.unwrap();
    let ramp = json!({
        "steps": [10, 100], "promotionInterval": "2s", "analysisInterval": "1s",
        "initialWeight": null, "increment": null, "maxWeight": null,
    });
    mesh.apply_canary(&json!({ "spec": { "promotion": "Copy", "ramp": ramp } })).await.unwrap();

    // Each thing that is missing is told, and the first weight waits for all of them.
    let is = |canary: &Value, kind: &str, status: &str| {
        conditions(canary).get(kind).is_some_and(|(told, _)| told == status)
    };
    let canary = until(&mesh, "the missing DestinationRule", |canary| is(canary, "Ready", "False")).await;
    let told = &conditions(&canary)["RoutesReady"].1;
    assert!(
        told.contains("no DestinationRule defines the subsets") && told.ends_with("create one"),
        "{told}"
    );
    cluster.apply_document(&bare(&rule)).await.unwrap();
    let (client, address) = (Client::default(), mesh.gateway.envoy.address());
    wait::until("stable to be reached again", Duration::from_secs(60), || async {
        let status = client.get(address, "/", &[("host", HOST)]).await?.status;
        anyhow::ensure!(status == 200, "it answers {status}");
        Ok(())
    })
    .await
    .unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..mesh.load() }).unwrap();
    let unready = "Deployment default/canary-demo-canary: 0 of 2 replicas are ready";
    let canary = until(&mesh, "the unready Deployment", |canary| reason(canary) == unready).await;
    assert_eq!(conditions(&canary)["DeploymentsReady"], ("False".to_owned(), unready.to_owned()));
    assert_eq!((phase(&canary), canary["status"]["weight"].as_f64()), ("Pending", Some(0.0)));

    // One replica is enough for 10 % beside two of stable, and not for everybody.
    roll_out(&cluster, "canary-demo-canary", 1).await;
    until(&mesh, "room to be lacking", |canary| reason(canary).starts_with("1 of 2 ready replicas")).await;
    assert_eq!(mesh.weight().await.unwrap(), 10);
    roll_out(&cluster, "canary-demo-canary", 2).await;

    // To write Deployments takes a right that only the component brings.
    until(&mesh, "the promotion", |canary| phase(canary) == "Promoting").await;
    wait::until("a word about the right", Duration::from_secs(60), || async {
        let said = mesh.replicas[0].said();
        let missing =
            "may not patch deployments.apps in default: add it to the ClusterRole serin-promotion-copy";
        anyhow::ensure!(said.contains(missing), "{}", mesh.replicas[0].log_tail());
        Ok(())
    })
    .await
    .unwrap();
    with_the_component(&mesh).unwrap().apply(&cluster).await.unwrap();

    // Stable gets the canary's pods under its own labels, and its users once they are ready.
    let waits = |canary: &Value| phase(canary) == "Promoting" && reason(canary).contains("still rolling out");
    until(&mesh, "the copy", waits).await;
    assert_eq!(mesh.weight().await.unwrap(), 100);
    let stable = cluster.get(deployment("canary-demo-stable")).await.unwrap();
    let template = &stable["spec"]["template"];
    assert_eq!(template["spec"]["containers"][0]["image"], "registry.example/canary-demo:v2");
    assert_eq!(template["metadata"]["labels"]["version"], "stable");
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());
    // A browser needs the machine for itself.
    let address = format!("http://127.0.0.1:{}", mesh.replicas[0].port());
    let token = [("SERIN_URL", address.as_str()), ("SERIN_TOKEN", ApiTokens::OPERATOR)];
    Script::start("promoting.mjs", &token).unwrap().end().await.unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..mesh.load() }).unwrap();
    mesh.stable.become_version("v2");
    roll_out(&cluster, "canary-demo-stable", 2).await;
    let canary = until(&mesh, "the end", |canary| phase(canary) == "Succeeded").await;
    assert_eq!(canary["status"]["weight"], 0.0, "{canary}");
    assert_eq!(canary["status"]["stableVersion"], "v2", "{canary}");
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());

    // The deleted Canary leaves the VirtualService as it was.
    mesh.delete_canary().await.unwrap();
    let after = cluster.get(VIRTUAL_SERVICE).await.unwrap();
    assert_eq!(without_weights(&before), without_weights(&after));
    assert_eq!(mesh.weight().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_goes_on_at_the_same_weight_and_a_leader_ends_at_the_sight_of_another() {
    let ramp = json!({ "promotionInterval": "20s", "analysisInterval": "1s", "warmup": "1s" });
    let canary = json!({ "spec": { "ramp": ramp } });
    let options = MeshOptions { replicas: 2, canary, ..MeshOptions::default() };
    let mut mesh = Mesh::start(options).await.unwrap();
    let load = Load::start(LoadOptions { rate: 100.0, ..mesh.load() }).unwrap();
    let before = until(&mesh, "25 %", |canary| canary["status"]["weight"] == 25.0).await;
    let leader = before["status"]["holder"].as_str().unwrap().to_owned();
    for replica in &mut mesh.replicas {
        if replica.name() == leader {
            replica.kill9().unwrap();
        }
    }
    // The Lease runs out, and until then the weight stands.
    let went_on = |canary: &Value| canary["status"]["holder"].as_str().is_some_and(|holder| holder != leader);
    let after = until(&mesh, "the other replica to lead", went_on).await;
    let number = |canary: &Value, field: &str| canary["status"][field].as_u64().unwrap();
    assert_eq!(after["status"]["weight"], 25.0, "{after}\n{}", mesh.logs());
    assert_eq!(number(&after, "step"), number(&before, "step"));
    assert_eq!(number(&after, "stratum"), number(&before, "stratum") + 1);
    assert_eq!(mesh.weight().await.unwrap(), 25);
    // Reports reach it, and the ramp goes on where it was.
    let next =
        until(&mesh, "the next step", |canary| number(canary, "step") == number(&before, "step") + 1).await;
    assert_eq!(next["status"]["weight"], 45.0, "{}", mesh.logs());

    let stranger = json!({ "spec": { "holderIdentity": "stranger" } });
    mesh.plane.cluster().merge(LEASE, &stranger).await.unwrap();
    let mut all = std::mem::take(&mut mesh.replicas);
    let rest = all.iter_mut().find(|replica| replica.name() != leader).unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while rest.is_running() {
        assert!(std::time::Instant::now() < end, "the leader goes on: {}", rest.log_tail());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(rest.said().contains("stranger holds the Lease serin-system/serin now"), "{}", rest.said());
    mesh.replicas = all;
    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());
}
