//! The kinds on a real API server: what it refuses and with which words, what it fills in, what it shows. And
//! `serin check` and `serin rollback --direct` with a kubeconfig alone: no analyzer runs here.

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
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

/// The least that a Canary can say, with this on top (RFC 7386).
fn canary(spec: Value) -> Value {
    let mut least = json!({
        "apiVersion": "serin.dev/v1alpha1", "kind": "Canary",
        "metadata": { "name": "shop", "namespace": "default" },
        "spec": {
            "stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"],
            "router": { "virtualService": { "name": "shop" } },
        },
    });
    merge(&mut least["spec"], spec);
    least
}

fn merge(into: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *into = patch;
        return;
    };
    let Some(into) = into.as_object_mut() else { return };
    for (key, value) in patch {
        match (value, into.get_mut(&key)) {
            (Value::Null, _) => drop(into.remove(&key)),
            (value @ Value::Object(_), Some(there @ Value::Object(_))) => merge(there, value),
            (value, _) => drop(into.insert(key, value)),
        }
    }
}

/// What the API server refuses at once: what is wrong, and a part of its words.
fn refused() -> Vec<(Value, &'static str)> {
    let digest = "0".repeat(64);
    let gate = |when: &str, url: &str| json!({ "name": "load", "when": when, "url": url });
    let (hook, ftp) = ("http://127.0.0.1:8090/check", "ftp://x");
    vec![
        (json!({ "stableVersion": "" }), "spec.stableVersion in body should be at least 1 chars long"),
        (json!({ "canaryVersion": null }), "spec.canaryVersion: Required value"),
        (json!({ "maxErorRate": 5 }), "maxErorRate"),
        (json!({ "hosts": [] }), "spec.hosts in body should have at least 1 items"),
        (json!({ "hosts": ["shop:80"] }), "a host has no port and no path: write shop.example"),
        (json!({ "hosts": ["shop/cart"] }), "a host has no port and no path"),
        (json!({ "pathPrefix": "cart" }), "a path begins with /"),
        (
            json!({ "router": { "envoyRoutes": { "path": "a", "stableCluster": "s", "canaryCluster": "c" } } }),
            "spec.router: Invalid value: give exactly one of envoyRoutes and virtualService",
        ),
        (
            json!({ "router": { "virtualService": null } }),
            "give exactly one of envoyRoutes and virtualService",
        ),
        (
            json!({ "router": { "virtualService": { "canarySubset": "stable" } } }),
            "stableSubset and canarySubset must be two",
        ),
        (
            json!({ "router": { "virtualService": { "headerRoutes": "Mine" } } }),
            "supported values: \"Managed\", \"None\"",
        ),
        (json!({ "deployments": { "stable": "a" } }), "spec.deployments.canary: Required value"),
        (json!({ "deployments": { "stable": "a", "canary": "a" } }), "must be two Deployments"),
        (json!({ "units": [{}] }), "give exactly one of cookie, header, issuedCookie, jwt"),
        (
            json!({ "units": [{ "header": "a", "cookie": "b" }] }),
            "spec.units[0]: Invalid value: give exactly one",
        ),
        (json!({ "units": [{ "jwt": { "header": "a" } }] }), "spec.units[0].jwt.claim: Required value"),
        (
            json!({ "units": [{ "issuedCookie": { "name": "id" } }, { "cookie": "uid" }] }),
            "issuedCookie must be the last",
        ),
        (
            json!({ "units": [{ "issuedCookie": { "name": "id", "maxAge": "a year" } }] }),
            "is no length of time such as 500ms, 10s, 1m 30s, 1h or 2d",
        ),
        (json!({ "manual": "Sometimes" }), "supported values: \"Always\", \"Never\", \"WithKey\""),
        (json!({ "manual": "WithKey" }), "manual: WithKey and manualKeys go together"),
        (json!({ "manualKeys": { "sha256": [digest] } }), "manual: WithKey and manualKeys go together"),
        (
            json!({ "manual": "WithKey", "manualKeys": { "sha256": ["sesame"] } }),
            "should match '^[0-9a-f]{64}$'",
        ),
        (
            json!({ "segment": { "attributes": { "land": { "header": "a", "query": "b" } }, "rules": {} } }),
            "give exactly one of cookie, header, jwt, query",
        ),
        (
            json!({ "ramp": { "initialWeight": 0 } }),
            "spec.ramp.initialWeight in body should be greater than 0",
        ),
        (json!({ "ramp": { "increment": 0 } }), "spec.ramp.increment in body should be greater than 0"),
        (json!({ "ramp": { "maxWeight": 101 } }), "should be less than or equal to 100"),
        (json!({ "ramp": { "initialWeight": 50, "maxWeight": 20 } }), "must not be above maxWeight"),
        (json!({ "ramp": { "maxWeight": 3 } }), "initialWeight (5 if not given) must not be above maxWeight"),
        (json!({ "ramp": { "steps": [1, 5], "maxWeight": 50 } }), "steps cannot stand beside initialWeight"),
        (json!({ "ramp": { "steps": [] } }), "spec.ramp.steps in body should have at least 1 items"),
        (json!({ "ramp": { "steps": [0, 5] } }), "the first above 0"),
        (json!({ "ramp": { "steps": [5, 1] } }), "each step must be above the one before"),
        (json!({ "ramp": { "steps": [5, 5] } }), "each step must be above the one before"),
        (json!({ "ramp": { "promotionInterval": "soon" } }), "is no length of time such as 500ms"),
        (json!({ "ramp": { "promotionInterval": 6 } }), "promotionInterval"),
        (json!({ "limits": { "maxErrorRate": 250 } }), "should be less than or equal to 100"),
        (json!({ "limits": { "minRequestCount": -1 } }), "should be greater than or equal to 0"),
        (json!({ "falseRollbackRate": 0 }), "allowed is 0.0001 to 0.5"),
        (json!({ "decisions": "guess" }), "supported values: \"evidence\", \"point\""),
        (json!({ "promotion": "Auto" }), "supported values: \"Manual\", \"Copy\""),
        (json!({ "gates": [gate("Never", hook)] }), "supported values: \"BeforeRollout\""),
        (json!({ "gates": [gate("OnEvent", ftp)] }), "write http://HOST:PORT/PATH or https://HOST:PORT/PATH"),
        (json!({ "gates": [gate("OnEvent", hook), gate("OnRollback", hook)] }), "load"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_server_refuses_what_cannot_be_with_a_sentence_and_fills_in_the_rest() {
    let plane = with_kinds().await.unwrap();
    let cluster = plane.cluster();
    for (wrong, words) in refused() {
        let told = match cluster.dry_run(&canary(wrong.clone())).await {
            Ok(()) => panic!("{wrong} is accepted"),
            Err(error) => format!("{error:#}"),
        };
        assert!(told.contains(words), "{wrong}: {told}\nshould contain\n{words}");
    }
    everything_at_once(cluster).await.unwrap();
    defaults(cluster).await.unwrap();
    what_a_running_rollout_forbids(cluster).await.unwrap();
    columns(&plane).await.unwrap();
}

/// Every field with a value that is allowed.
async fn everything_at_once(cluster: &Cluster) -> Result<()> {
    let all = json!({
        "pathPrefix": "/cart", "salt": "", "deployments": { "stable": "shop-v1", "canary": "shop-v2" },
        "units": [
            { "header": "x-user-id" }, { "cookie": "uid" },
            { "jwt": { "header": "authorization", "claim": "sub" } },
            { "issuedCookie": { "name": "serin-id", "maxAge": "30d" } },
        ],
        "manual": "WithKey", "manualKeys": { "sha256": ["0".repeat(64)] },
        "exclude": { "pathPrefixes": ["/healthz"], "userAgents": ["bot"] },
        "segment": {
            "attributes": { "land": { "header": "x-country" } },
            "rules": { "land": { "$in": ["US", "DE"] }, "$not": { "land": "UK" } },
        },
        "ramp": {
            "steps": [1, 5.5, 100], "promotionInterval": "1m 30s", "analysisInterval": "10s", "warmup": "0s",
            "progressDeadline": "2d",
        },
        "limits": {
            "maxErrorRate": 2.5, "maxLatencyIncrease": 50, "minRequestCount": 0, "minErrorIncrease": 0.1,
            "slowRequest": "500ms",
        },
        "falseRollbackRate": 0.01, "skipAnalysis": true, "decisions": "point", "promotion": "Copy",
        "gates": [{
            "name": "load", "when": "BeforeWeight", "url": "https://127.0.0.1:8090/check", "timeout": "5s",
            "retries": 1, "onFailure": "Fail", "metadata": { "team": "shop" },
        }],
    });
    cluster.dry_run(&canary(all)).await
}

async fn defaults(cluster: &Cluster) -> Result<()> {
    cluster.apply_document(&canary(json!({}))).await?;
    let spec = cluster.get(SHOP).await?["spec"].clone();
    let expected = json!({
        "pathPrefix": "/", "manual": "Always", "decisions": "evidence", "promotion": "Manual", "skipAnalysis": false,
        "falseRollbackRate": 0.05, "exclude": {},
        "router": { "virtualService": { "stableSubset": "stable", "canarySubset": "canary", "headerRoutes": "Managed" } },
        "ramp": {
            "promotionInterval": "60s", "analysisInterval": "10s", "warmup": "10s", "progressDeadline": "3600s",
        },
        "limits": {
            "maxErrorRate": 5, "maxLatencyIncrease": 50, "minRequestCount": 10, "minErrorIncrease": 0.1,
            "slowRequest": "15s",
        },
    });
    let mut filled = spec.clone();
    merge(&mut filled, expected);
    assert_eq!(filled, spec);
    Ok(())
}

async fn what_a_running_rollout_forbids(cluster: &Cluster) -> Result<()> {
    let router = |name: &str| json!({ "spec": { "router": { "virtualService": { "name": name } } } });
    let version = |version: &str| json!({ "spec": { "canaryVersion": version } });
    for name in ["other", "shop"] {
        cluster.merge(SHOP, &router(name)).await.context("before the rollout")?;
    }
    for phase in ["Progressing", "Paused", "Promoting"] {
        let status = json!({ "status": { "phase": phase, "weight": 25, "step": 2,
            "verdict": { "outcome": "hold", "rule": "requests", "reason": "3 of 10 requests" } } });
        cluster.merge_status(SHOP, &status).await?;
        for (change, words) in [
            (router("other"), "spec.router cannot change while a rollout runs"),
            (version("v3"), "spec.canaryVersion cannot change while the canary has weight"),
        ] {
            let told = cluster.merge(SHOP, &change).await.expect_err("it is refused");
            assert!(format!("{told:#}").contains(words), "{told:#}");
        }
        cluster.merge(SHOP, &json!({ "spec": { "ramp": { "increment": 10 } } })).await?;
    }
    let wrong = cluster.merge_status(SHOP, &json!({ "status": { "phase": "Odd" } })).await;
    assert!(format!("{:#}", wrong.expect_err("no phase")).contains("supported values: \"Pending\""));
    cluster.merge_status(SHOP, &json!({ "status": { "phase": "Failed", "weight": 0 } })).await?;
    cluster.merge(SHOP, &router("other")).await.context("after the rollout")?;
    cluster.merge(SHOP, &version("v3")).await.context("after the rollout")?;
    Ok(())
}

/// What `kubectl get canaries` prints.
async fn columns(plane: &ControlPlane) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(plane.kubeconfig())?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = kube::Client::try_from(config)?;
    let request = hyper::Request::get("/apis/serin.dev/v1alpha1/namespaces/default/canaries")
        .header(hyper::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())?;
    let table: Value = client.request(request).await?;
    let columns = table["columnDefinitions"].as_array().context("columns")?;
    let names: Vec<&str> = columns
        .iter()
        .filter(|column| column["priority"] == 0)
        .filter_map(|column| column["name"].as_str())
        .collect();
    assert_eq!(names, ["Name", "Phase", "Weight", "Step", "Verdict", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().context("cells")?;
    assert_eq!(cells[..5], [json!("shop"), json!("Failed"), json!(0), json!(2), json!("hold")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_checked_and_rolled_back_with_a_kubeconfig_alone() {
    let plane = with_kinds().await.unwrap();
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
    cluster.apply_document(&canary(json!({}))).await?;
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

/// A control plane with the kinds as `serin crd` prints them.
async fn with_kinds() -> Result<ControlPlane> {
    let plane = ControlPlane::start().await?;
    let printed = Command::new(artifacts::serin()?).arg("crd").output()?;
    let definitions = serin_tests::mesh::parse(std::str::from_utf8(&printed.stdout)?)?;
    plane.cluster().apply_definitions(&definitions.iter().collect::<Vec<_>>()).await?;
    Ok(plane)
}

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
