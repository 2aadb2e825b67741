//! The manifests of istio/ as they are: a real API server takes every document, and they grant no more than
//! they must.

use serde_json::Value;
use serin_tests::mesh::{ControlPlane, Manifests, Programs};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_api_server_takes_every_document() {
    let plane = ControlPlane::start().await.unwrap();
    // The namespaces and definitions that the others stand on.
    Manifests::render(plane.programs(), "istio").unwrap().apply(plane.cluster()).await.unwrap();
    let mut count = 0;
    for folder in ["istio", "istio/filter", "istio/trial", "istio/example"] {
        let manifests = Manifests::render(plane.programs(), folder).unwrap();
        for document in manifests.documents() {
            plane.cluster().dry_run(document).await.unwrap();
            count += 1;
        }
    }
    assert!(count > 25, "only {count} documents");
}

/// Every rule of the roles in these manifests that are bound to the analyzer.
fn rules(manifests: &Manifests) -> Vec<Value> {
    let roles = manifests.documents().iter().filter(|document| {
        matches!(document["kind"].as_str(), Some("Role" | "ClusterRole"))
            && document["metadata"]["labels"].is_null()
    });
    roles.flat_map(|role| role["rules"].as_array().cloned().unwrap_or_default()).collect()
}

fn strings<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_analyzer_may_read_no_secret_and_no_rule_has_a_wildcard() {
    let programs = Programs::find().unwrap();
    let rules = rules(&Manifests::render(&programs, "istio").unwrap());
    assert!(rules.len() >= 6, "{rules:?}");
    for rule in &rules {
        for field in ["apiGroups", "resources", "verbs"] {
            let values = strings(rule, field);
            assert!(!values.is_empty() && !values.contains(&"*"), "{field} of {rule}");
        }
        assert!(!strings(rule, "resources").contains(&"secrets"), "{rule}");
        assert!(!strings(rule, "verbs").contains(&"delete"), "{rule}");
    }
    // Only the component for `promotion: Copy` may change Deployments.
    let deployments = rules.iter().filter(|rule| strings(rule, "resources").contains(&"deployments"));
    for rule in deployments {
        assert_eq!(strings(rule, "verbs"), ["get", "list", "watch"]);
    }
}

#[test]
fn the_filter_is_on_the_way_out_alone_and_no_dead_filter_is_passed_by() {
    let programs = Programs::find().unwrap();
    let mut edges = Vec::new();
    for plugin in Manifests::render(&programs, "istio/filter").unwrap().documents() {
        let spec = &plugin["spec"];
        assert_eq!(spec["match"], serde_json::json!([{ "mode": "CLIENT" }]));
        assert_eq!(spec["failStrategy"], "FAIL_RELOAD");
        assert!(spec["url"].as_str().unwrap().contains("@sha256:"), "{spec}");
        edges.push(spec["pluginConfig"]["edge"].as_bool().unwrap());
    }
    edges.sort_unstable();
    assert_eq!(edges, [false, true], "one for gateways, one for sidecars");
}
