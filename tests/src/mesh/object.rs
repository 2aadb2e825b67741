//! Questions to Canary and VirtualService objects.

use serde_json::Value;
use std::collections::BTreeMap;

/// A Canary's phase; empty before its first status.
pub fn phase(canary: &Value) -> &str {
    canary["status"]["phase"].as_str().unwrap_or_default()
}

/// Its history as steps, weights and reasons, oldest first.
pub fn history(canary: &Value) -> Vec<(u64, f64, &str)> {
    let lines = canary["status"]["history"].as_array().into_iter().flatten();
    let read = |line: &'_ Value| Some((line["step"].as_u64()?, line["weight"].as_f64()?));
    lines
        .filter_map(|line| {
            let (step, weight) = read(line)?;
            Some((step, weight, line["reason"].as_str()?))
        })
        .collect()
}

/// Its conditions: type, and status with message.
pub fn conditions(canary: &Value) -> BTreeMap<String, (String, String)> {
    let list = canary["status"]["conditions"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    list.map(|one| (text(&one["type"]), (text(&one["status"]), text(&one["message"])))).collect()
}

/// The canary's weight in a VirtualService's last route; none without a destination in the subset.
pub fn canary_weight(virtual_service: &Value) -> Option<u64> {
    let last = virtual_service["spec"]["http"].as_array()?.last()?;
    let canary = last["route"].as_array()?.iter().find(|route| route["destination"]["subset"] == "canary")?;
    Some(canary["weight"].as_u64().unwrap_or(0))
}

/// The names of the routes that Serin keeps in a VirtualService.
pub fn managed_routes(virtual_service: &Value) -> Vec<String> {
    let routes = virtual_service["spec"]["http"].as_array().into_iter().flatten();
    let names = routes.filter_map(|route| route["name"].as_str());
    names.filter(|name| name.starts_with("serin-")).map(str::to_owned).collect()
}

/// A VirtualService's spec with the weight of every destination taken out.
pub fn without_weights(virtual_service: &Value) -> Value {
    let mut spec = virtual_service["spec"].clone();
    for route in spec["http"].as_array_mut().into_iter().flatten() {
        for destination in route["route"].as_array_mut().into_iter().flatten() {
            if let Some(destination) = destination.as_object_mut() {
                destination.remove("weight");
            }
        }
    }
    spec
}
