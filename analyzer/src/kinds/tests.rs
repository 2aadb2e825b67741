//! What the definitions say, without an API server.

use super::*;
use serde_json::{Value, json};

fn schema(kind: usize) -> Value {
    let definition = serde_json::to_value(&definitions()[kind]).expect("JSON");
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Every object below, with its path.
fn walk(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, value);
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| walk(inner, &format!("{path}.{key}"), visit));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(index, inner)| walk(inner, &format!("{path}[{index}]"), visit));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_schema_is_structural_and_every_field_is_described() {
    for kind in 0..definitions().len() {
        is_structural(&schema(kind));
    }
}

fn is_structural(schema: &Value) {
    walk(schema, "", &mut |path, value| {
        for key in ["$ref", "oneOf", "anyOf", "allOf", "not", "nullable", "uniqueItems"] {
            assert!(value.get(key).is_none() || path.ends_with(".properties"), "{path} has {key}");
        }
        assert!(!value["format"].as_str().unwrap_or("").starts_with("uint"), "{path}");
    });
    walk(&schema["properties"], "", &mut |path, value| {
        if let Some(properties) = value.get("properties").and_then(Value::as_object) {
            for (name, property) in properties {
                assert!(property["type"].is_string(), "{path}.{name} has no type");
                assert!(property["description"].is_string(), "{path}.{name} has no description");
            }
        }
    });
}

#[test]
fn what_the_api_server_fills_in_is_what_the_analyzer_takes_without_it() {
    let least = json!({
        "stableVersion": "v1", "canaryVersion": "v2", "hosts": ["shop"],
        "router": {"virtualService": {"name": "shop"}},
    });
    let mut filled = least.clone();
    fill(&schema(0)["properties"]["spec"], &mut filled);
    assert_eq!(filled["ramp"]["promotionInterval"], "60s");
    assert_eq!(filled["limits"]["maxErrorRate"], 5.0);
    assert_eq!(filled["router"]["virtualService"]["canarySubset"], "canary");
    let compile = |spec: Value| {
        let id = crate::config::CanaryId { namespace: "web".into(), name: "shop".into() };
        let spec = serde_json::from_value(spec).expect("a spec");
        crate::config::Canary::compile(id, spec, std::path::Path::new("/")).expect("good")
    };
    assert_eq!(compile(filled), compile(least));
}

/// Defaulting as the API server does it.
fn fill(schema: &Value, value: &mut Value) {
    let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object_mut()) else {
        return;
    };
    for (name, property) in properties {
        if let Some(default) = property.get("default") {
            object.entry(name).or_insert_with(|| default.clone());
        }
        if let Some(inner) = object.get_mut(name) {
            fill(property, inner);
        }
    }
}

#[test]
fn the_definitions_in_istio_are_those_of_this_program() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../istio/crds/serin.yaml");
    let stored = std::fs::read_to_string(file).unwrap_or_default();
    let told = "istio/crds/serin.yaml is not what `serin crd` prints; write it again with\n  \
                cargo run -p serin -- crd > istio/crds/serin.yaml";
    assert!(stored == yaml().expect("YAML"), "{told}");
}
