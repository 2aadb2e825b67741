//! Which of Envoy's clusters serve each version.

use super::Subsets;
use super::routes::{self, full_host, http, text};
use serde_json::Value;
use serin_contract::PerArm;

/// The names of Envoy's clusters behind each version's destinations, as pilot builds them:
/// `outbound|PORT|SUBSET|HOST`. A destination without a port stands for whatever port its service has.
pub fn served_by(object: &Value, subsets: &Subsets) -> PerArm<Vec<String>> {
    let namespace = routes::namespace(object);
    let mut served_by = PerArm::<Vec<String>>::default();
    for weighted in routes::weighted(http(object), subsets, namespace) {
        for (arm, entry) in weighted.entries.iter() {
            let port = entry.value.pointer("/destination/port/number").and_then(Value::as_u64);
            let port = port.map_or_else(|| "*".to_owned(), |port| port.to_string());
            let host = full_host(namespace, text(entry.value, "/destination/host"));
            let name = format!("outbound|{port}|{}|{host}", entry.subset());
            let names = served_by.get_mut(arm);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    served_by
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(routes: &Value) -> Value {
        json!({"metadata": {"name": "shop", "namespace": "n", "resourceVersion": "7"}, "spec": {"http": routes}})
    }

    fn route(host: &str, port: Option<u16>, weights: (u32, u32)) -> Value {
        let destination = |subset: &str| match port {
            Some(port) => json!({"host": host, "subset": subset, "port": {"number": port}}),
            None => json!({"host": host, "subset": subset}),
        };
        json!({"route": [
            {"destination": destination("v1"), "weight": weights.0},
            {"destination": destination("v2"), "weight": weights.1},
        ]})
    }

    #[test]
    fn clusters_are_named_as_pilot_names_them_and_each_once() {
        let routes = json!([
            route("shop", Some(8000), (95, 5)),
            route("shop.n.svc.cluster.local", Some(8000), (95, 5)),
            route("api.example", None, (95, 5)),
        ]);
        let subsets = PerArm { stable: "v1".to_owned(), canary: "v2".to_owned() };
        let served_by = served_by(&object(&routes), &subsets);
        assert_eq!(
            served_by.canary,
            ["outbound|8000|v2|shop.n.svc.cluster.local", "outbound|*|v2|api.example"]
        );
        assert_eq!(
            served_by.stable,
            ["outbound|8000|v1|shop.n.svc.cluster.local", "outbound|*|v1|api.example"]
        );
    }
}
