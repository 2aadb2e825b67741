//! Patching a VirtualService: applied as kube-apiserver would, only weights differ, and what Serin added
//! goes again. The bytes are the object's JSON where they can be read so, and choices of routes elsewhere.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use serin_contract::{PerArm, Share};
use serin_virtual_service::{Patch, Problem, Subsets, manage, restore, roll_back_directly, set_share};

fuzz_target!(|data: &[u8]| {
    let (object, share) = match serde_json::from_slice::<Value>(data) {
        Ok(object) => (versioned(object), Share::from_basis_points(u16::from(data[0]) * 39)),
        Err(_) => {
            let mut bytes = Unstructured::new(data);
            let Ok(object) = object(&mut bytes) else { return };
            (object, Share::from_basis_points(bytes.int_in_range(0..=10_000).unwrap_or(500)))
        }
    };
    let Ok(share) = share else { return };
    examine(&object, share);
});

fn subsets() -> Subsets {
    PerArm { stable: "stable".to_owned(), canary: "canary".to_owned() }
}

/// What the API server gives always has a version.
fn versioned(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".to_owned(), json!("1"));
    }
    object
}

fn examine(object: &Value, share: Share) {
    let subsets = subsets();
    let Some(managed) = applied(object, manage(object, &subsets)) else { return };
    assert_eq!(manage(&managed, &subsets), Ok(None), "managed twice is managed once");
    let shared = applied(&managed, set_share(&managed, &subsets, share));
    let weighed = shared.as_ref().unwrap_or(&managed);
    assert_eq!(without_weights(weighed), without_weights(&managed), "a share changes weights only");
    if shared.is_some() {
        assert_eq!(set_share(weighed, &subsets, share), Ok(None), "a share is written once");
    }
    let direct =
        applied(weighed, roll_back_directly(weighed, &subsets)).expect("weight 0 is always possible");
    let restored = applied(&direct, restore(&direct, &subsets)).expect("restoring is always possible");
    let at_once = applied(object, restore(object, &subsets)).expect("restoring is always possible");
    assert_eq!(without_weights(&restored), without_weights(&at_once), "all of ours is gone again");
    assert_eq!(users(&restored), users(object), "and nothing else");
    assert_eq!(restore(&restored, &subsets), Ok(None), "restored twice is restored once");
}

/// The object after the patch; nothing when it cannot be patched.
fn applied(object: &Value, patch: std::result::Result<Option<Patch>, Problem>) -> Option<Value> {
    let mut object = object.clone();
    if let Some(patch) = patch.ok()? {
        let patch = serde_json::to_value(&patch).expect("JSON");
        let patch: json_patch::Patch = serde_json::from_value(patch).expect("RFC 6902");
        json_patch::patch(&mut object, &patch).expect("every test holds and every path exists");
    }
    Some(object)
}

fn routes(object: &mut Value) -> Option<&mut Vec<Value>> {
    object.pointer_mut("/spec/http")?.as_array_mut()
}

fn without_weights(object: &Value) -> Value {
    let mut object = object.clone();
    for route in routes(&mut object).into_iter().flatten() {
        for entry in route.get_mut("route").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(entry) = entry.as_object_mut() {
                entry.remove("weight");
            }
        }
    }
    object
}

/// Without weights, and without the routes that a name and a single destination make Serin's, whoever wrote them.
fn users(object: &Value) -> Value {
    let mut object = without_weights(object);
    let ours = |route: &Value| {
        let name = route.get("name").and_then(Value::as_str).unwrap_or_default();
        let destinations = route.get("route").and_then(Value::as_array).map_or(0, Vec::len);
        destinations == 1 && (name.starts_with("serin-canary-") || name.starts_with("serin-stable-"))
    };
    if let Some(routes) = routes(&mut object) {
        routes.retain(|route| !ours(route));
    }
    object
}

fn object(bytes: &mut Unstructured<'_>) -> Result<Value> {
    let mut routes = Vec::new();
    for _ in 0..bytes.int_in_range(1..=6)? {
        routes.push(route(bytes)?);
    }
    Ok(json!({
        "metadata": { "name": "shop", "namespace": "market", "resourceVersion": "1" },
        "spec": { "hosts": ["shop"], "http": routes, "tcp": [{ "route": [destination("shop", "stable")] }] },
    }))
}

fn destination(host: &str, subset: &str) -> Value {
    json!({ "destination": { "host": host, "subset": subset } })
}

fn route(bytes: &mut Unstructured<'_>) -> Result<Value> {
    let mut route = json!({});
    if bytes.ratio(2, 3)? {
        route["name"] =
            json!(bytes.choose(&["api", "web", "", "serin-canary-0", "serin-stable-web", "/~0"])?);
    }
    if bytes.arbitrary()? {
        let mut alternatives = Vec::new();
        for _ in 0..bytes.int_in_range(0..=3)? {
            alternatives.push(alternative(bytes)?);
        }
        route["match"] = json!(alternatives);
    }
    for field in ["timeout", "retries", "fault", "mirrors", "corsPolicy", "headers", "rewrite"] {
        if bytes.ratio(1, 6)? {
            route[field] = json!({ "kept": bytes.arbitrary::<u16>()? });
        }
    }
    if bytes.ratio(1, 8)? {
        route["redirect"] = json!({ "uri": "/new" });
        return Ok(route);
    }
    let mut entries = Vec::new();
    for _ in 0..bytes.int_in_range(0..=4)? {
        let host = bytes.choose(&["shop", "shop.market.svc.cluster.local", "else", "SHOP"])?;
        let subset = bytes.choose(&["stable", "canary", "v9", ""])?;
        let mut entry = destination(host, subset);
        if bytes.ratio(3, 4)? {
            entry["weight"] = match bytes.int_in_range(0..=9)? {
                0 => json!("ten"),
                1 => json!(bytes.int_in_range(0..=i32::MAX)?),
                _ => json!(bytes.int_in_range(0..=120)?),
            };
        }
        entries.push(entry);
    }
    route["route"] = json!(entries);
    Ok(route)
}

fn alternative(bytes: &mut Unstructured<'_>) -> Result<Value> {
    let mut alternative = json!({});
    if bytes.arbitrary()? {
        alternative["uri"] = json!({ *bytes.choose(&["exact", "prefix", "regex"])?: "/a" });
    }
    for field in ["headers", "withoutHeaders"] {
        if bytes.ratio(1, 3)? {
            let value = *bytes.choose(&["true", "false", "t", ".*"])?;
            let condition = match bytes.arbitrary()? {
                true => json!({ *bytes.choose(&["exact", "prefix", "regex"])?: value }),
                false => json!({}),
            };
            alternative[field] = json!({ *bytes.choose(&["x-canary", "X-Canary", "x-tier"])?: condition });
        }
    }
    Ok(alternative)
}
