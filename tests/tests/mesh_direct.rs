//! `serin check` and `serin rollback --direct` with a kubeconfig alone: no analyzer runs here.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_tests::artifacts;
use serin_tests::mesh::{CANARY, Cluster, ControlPlane, Manifests, Reference, VIRTUAL_SERVICE};
use std::path::Path;
use std::process::{Command, Output};

const SHOP: Reference<'static> =
    Reference { api_version: "serin.dev/v1alpha1", kind: "Canary", namespace: "default", name: "shop" };
const SHOP_ROUTES: Reference<'static> = Reference {
    api_version: "networking.istio.io/v1",
    kind: "VirtualService",
    namespace: "default",
    name: "shop",
};

/// The release of the VirtualService `shop`.
fn shop() -> Value {
    json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Canary",
        "metadata": { "name": "shop", "namespace": "default" },
        "spec": {
            "stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"],
            "router": { "virtualService": { "name": "shop" } },
        },
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_checked_and_rolled_back_with_a_kubeconfig_alone() {
    let plane = ControlPlane::with_kinds().await.unwrap();
    checked(&plane).await.unwrap();
    rolled_back(&plane).await.unwrap();
    rolled_back_without_the_right_to_mark(&plane).await.unwrap();
}

/// The example of istio/ in the cluster has one finding; whatever is taken from it is another.
async fn checked(plane: &ControlPlane) -> Result<()> {
    let cluster = plane.cluster();
    Manifests::render(plane.programs(), "istio/example")?.apply(cluster).await?;
    let check = || serin(&plane.kubeconfig(), &["check", "--kubernetes", "--output", "json", "canary-demo"]);
    let found = findings(&check()?, 2)?;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["severity"], &found[0]["object"]),
        (&json!("warning"), &json!("DestinationRule default/canary-demo-dr"))
    );
    assert!(
        found[0]["field"].as_str().is_some_and(|field| field.ends_with("connectionPool.tcp.maxConnections"))
    );
    assert!(found[0]["message"].as_str().is_some_and(|message| message.contains("is 50 for subset canary")));

    let canary =
        json!({ "spec": { "deployments": { "stable": "canary-demo-stable", "canary": "canary-demo-v3" } } });
    cluster.merge(CANARY, &canary).await?;
    let hosts = json!({ "spec": { "hosts": ["elsewhere.example"] } });
    cluster.merge(VIRTUAL_SERVICE, &hosts).await?;
    let fields: Vec<Value> = findings(&check()?, 2)?.iter().map(|found| found["field"].clone()).collect();
    assert_eq!(fields[..2], [json!("spec.hosts[0]"), json!("spec.deployments.canary")], "{fields:?}");
    cluster.delete(VIRTUAL_SERVICE).await?;
    let found = findings(&check()?, 2)?;
    assert_eq!(found[0]["field"], "spec.router.virtualService.name");
    cluster.delete(CANARY).await?;
    let none = serin(&plane.kubeconfig(), &["check", "--kubernetes"])?;
    assert!(stderr(&none).contains("there is no Canary in the namespace default"), "{}", stderr(&none));
    Ok(())
}

/// Two releases in one VirtualService, and somebody who writes it all the time: only what must change does.
async fn rolled_back(plane: &ControlPlane) -> Result<()> {
    let cluster = plane.cluster();
    cluster.apply_document(&shop()).await?;
    cluster.apply_document(&two_releases()).await?;
    let before = cluster.get(SHOP_ROUTES).await?;
    let (told, labels) = tokio::join!(
        tokio::task::spawn_blocking({
            let kubeconfig = plane.kubeconfig();
            move || serin(&kubeconfig, &["rollback", "default/shop", "--direct", "--reason", "support calls"])
        }),
        label(cluster),
    );
    let (told, labels) = (told??, labels?);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    assert!(
        stdout(&told).starts_with("default/shop is rolled back: VirtualService default/shop"),
        "{}",
        stdout(&told)
    );

    let after = cluster.get(SHOP_ROUTES).await?;
    assert_eq!(after["metadata"]["labels"]["writes"], json!(labels.to_string()), "no label is lost");
    let mut expected = before["spec"].clone();
    let weights = |stable: u8, canary: u8| [("/route/0/weight", stable), ("/route/1/weight", canary)];
    for (pointer, weight) in weights(100, 0) {
        *expected["http"][5].pointer_mut(pointer).context("a weight")? = json!(weight);
    }
    expected["http"][3]["route"][0]["destination"]["subset"] = json!("stable");
    assert_eq!(after["spec"], expected);
    let mark = cluster.get(SHOP).await?["metadata"]["annotations"]["serin.dev/rolled-back-directly"].clone();
    assert!(mark.as_str().is_some_and(|mark| mark.ends_with("Z support calls")), "{mark}");

    let again = serin(&plane.kubeconfig(), &["rollback", "default/shop", "--direct", "--reason", "again"])?;
    assert!(stdout(&again).contains("was rolled back already"), "{}", stdout(&again));
    assert_eq!(cluster.get(SHOP_ROUTES).await?["spec"], expected);
    Ok(())
}

/// The routes of the release `shop` at 25 %, of the release `blog` at 40 %, with what Serin manages of both.
fn two_releases() -> Value {
    let to = |host: &str, subset: &str| json!({ "destination": { "host": host, "subset": subset } });
    let weighted = |host: &str, arms: [(&str, u8); 2]| {
        let entries = arms.map(|(subset, weight)| {
            let mut entry = to(host, subset);
            entry["weight"] = json!(weight);
            entry
        });
        json!({ "name": host, "route": entries, "timeout": "15s" })
    };
    let managed = |name: &str, value: &str, host: &str, subset: &str| {
        json!({
            "name": name, "match": [{ "headers": { "x-canary": { "exact": value } } }],
            "route": [to(host, subset)], "timeout": "15s",
        })
    };
    let blog = |mut route: Value| {
        match route.get_mut("match") {
            Some(list) => list[0]["uri"] = json!({ "prefix": "/blog" }),
            None => route["match"] = json!([{ "uri": { "prefix": "/blog" } }]),
        }
        route
    };
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": { "name": "shop", "namespace": "default" },
        "spec": { "hosts": ["shop"], "http": [
            blog(managed("serin-canary-blog", "true", "blog", "blog-v2")),
            blog(managed("serin-stable-blog", "false", "blog", "blog-v1")),
            blog(weighted("blog", [("blog-v1", 60), ("blog-v2", 40)])),
            managed("serin-canary-shop", "true", "shop", "canary"),
            managed("serin-stable-shop", "false", "shop", "stable"),
            weighted("shop", [("stable", 75), ("canary", 25)]),
        ] },
    })
}

/// Writes a label 100 times, as fast as it is answered; the last number.
async fn label(cluster: &Cluster) -> Result<u32> {
    let last = 100;
    for number in 1..=last {
        let labels = json!({ "metadata": { "labels": { "writes": number.to_string() } } });
        cluster.merge(SHOP_ROUTES, &labels).await?;
    }
    Ok(last)
}

/// Whoever may only write VirtualServices still gets users back to stable.
async fn rolled_back_without_the_right_to_mark(plane: &ControlPlane) -> Result<()> {
    let cluster = plane.cluster();
    cluster.apply(OPERATOR).await?;
    cluster.apply_document(&two_releases()).await?;
    let kubeconfig = plane.folder().join("operator.kubeconfig");
    plane.write_kubeconfig(&kubeconfig, &cluster.service_account_token("default", "operator").await?)?;
    let told =
        serin(&kubeconfig, &["rollback", "default/shop", "--direct", "--reason", "x", "--output", "json"])?;
    let done: Value = serde_json::from_slice(&told.stdout).with_context(|| stderr(&told))?;
    assert_eq!((&done["changed"], &done["managedRoutes"]), (&json!(true), &json!(true)));
    assert!(
        done["notMarked"].as_str().is_some_and(|told| told.contains("cannot patch resource \"canaries\"")),
        "{done}"
    );
    let http = cluster.get(SHOP_ROUTES).await?["spec"]["http"].clone();
    assert_eq!(http[5]["route"][1]["weight"], json!(0));
    assert_eq!(http[3]["route"][0]["destination"]["subset"], "stable");
    Ok(())
}

const OPERATOR: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: { name: operator, namespace: default }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: { name: operator, namespace: default }
rules:
  - { apiGroups: [serin.dev], resources: [canaries], verbs: [get] }
  - { apiGroups: [networking.istio.io], resources: [virtualservices], verbs: [get, patch] }
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: { name: operator, namespace: default }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: Role, name: operator }
subjects: [{ kind: ServiceAccount, name: operator, namespace: default }]
"#;

fn serin(kubeconfig: &Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(artifacts::serin()?);
    command.env("KUBECONFIG", kubeconfig).args(arguments).output().context("serin does not start")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What `serin check --output json` found.
fn findings(output: &Output, code: i32) -> Result<Vec<Value>> {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
    serde_json::from_slice(&output.stdout).with_context(|| stderr(output))
}
