//! Patches are applied by the json-patch crate, as kube-apiserver would, and the objects compared.

mod check;
mod headers;
mod property;
mod weights;

use super::*;
use serde_json::json;

const SHOP: &str = include_str!("../../fixtures/shop.yaml");

fn shop() -> Value {
    serde_saphyr::from_str(SHOP).expect("the fixture is YAML")
}

fn subsets() -> Subsets {
    PerArm { stable: "stable".to_owned(), canary: "canary".to_owned() }
}

fn percent(percent: f64) -> Share {
    Share::from_percent(percent).expect("a share")
}

/// The object after the patch, if there is one.
fn applied(object: &Value, patch: Option<Patch>) -> Value {
    let mut object = object.clone();
    if let Some(patch) = patch {
        let patch: json_patch::Patch =
            serde_json::from_value(serde_json::to_value(&patch).expect("JSON")).expect("RFC 6902");
        json_patch::patch(&mut object, &patch).expect("every test holds and every path exists");
    }
    object
}

fn with_share(object: &Value, share: f64) -> Value {
    applied(object, set_share(object, &subsets(), percent(share)).expect("weighted"))
}

fn managed(object: &Value) -> Value {
    applied(object, manage(object, &subsets()).expect("weighted"))
}

fn restored(object: &Value) -> Value {
    applied(object, restore(object, &subsets()).expect("restorable"))
}

/// A VirtualService `market/shop` with these http routes.
fn service(routes: Value) -> Value {
    let mut object = json!({
        "metadata": { "name": "shop", "namespace": "market", "resourceVersion": "1" },
        "spec": { "hosts": ["shop"] },
    });
    object["spec"]["http"] = routes;
    object
}

fn to(subset: &str, weight: Value) -> Value {
    let mut entry = json!({ "destination": { "host": "shop", "subset": subset } });
    entry["weight"] = weight;
    entry
}

fn weighted_route(stable: i64, canary: i64) -> Value {
    json!({ "route": [to("stable", json!(stable)), to("canary", json!(canary))] })
}

/// `name` of every route, or what it leads to.
fn names(object: &Value) -> Vec<String> {
    http(object)
        .iter()
        .map(|route| match text(route, "/name") {
            "" => text(route, "/route/0/destination/subset").to_owned(),
            name => name.to_owned(),
        })
        .collect()
}

/// All weights of one route, absent ones as `None`.
fn weights(object: &Value, route: usize) -> Vec<Option<i64>> {
    let entries = routes::list(object, &format!("/spec/http/{route}/route"));
    entries.iter().map(|entry| entry.get("weight").and_then(Value::as_i64)).collect()
}
