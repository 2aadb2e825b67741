//! The kind Canary on a real API server: what it refuses and with which words, what it fills in, what it shows.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use serin_tests::mesh::{Cluster, ControlPlane, Reference};

const SHOP: Reference<'static> =
    Reference { api_version: "serin.dev/v1alpha1", kind: "Canary", namespace: "default", name: "shop" };
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
    let plane = ControlPlane::with_kinds().await.unwrap();
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
    columns(cluster).await.unwrap();
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
async fn columns(cluster: &Cluster) -> Result<()> {
    let (columns, rows) = cluster.table("/apis/serin.dev/v1alpha1/namespaces/default/canaries").await?;
    assert_eq!(columns, ["Name", "Phase", "Weight", "Step", "Verdict", "Age"]);
    let cells = rows[0].as_array().context("cells")?;
    assert_eq!(cells[..5], [json!("shop"), json!("Failed"), json!(0), json!(2), json!("hold")]);
    Ok(())
}
