//! What an Envoy routes by, read from its configuration dump: each route's name, its match on `x-canary`,
//! and the parts of its traffic by subset.

use serde_json::Value;
use std::collections::BTreeMap;

/// All routes, virtual host by virtual host, in Envoy's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// The routes.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its virtual host's first domain.
    pub domain: String,
    /// Its name in the VirtualService; empty if it has none.
    pub name: String,
    /// The value of `x-canary` that it asks for.
    pub x_canary: Option<String>,
    /// Subset (`stable`, `canary`, or the cluster's whole name) and its weight. A route to one cluster has
    /// all 100 there; clusters without weight are left out.
    pub weights: BTreeMap<String, u64>,
}

impl Routing {
    /// The routes of a `config_dump` of dynamic route configurations.
    pub(super) fn of(dump: &Value) -> Self {
        let configs = list(&dump["configs"]).iter().map(|config| &config["route_config"]);
        let hosts = configs.flat_map(|config| list(&config["virtual_hosts"]));
        let routes = hosts.flat_map(|host| {
            let domain = host["domains"][0].as_str().unwrap_or_default();
            list(&host["routes"]).iter().map(move |route| Route::of(domain, route))
        });
        Self { routes: routes.collect() }
    }

    /// The canary's weight in the first route that does not ask for `x-canary`.
    pub fn canary_weight(&self) -> Option<u64> {
        let weighted = self.routes.iter().find(|route| route.x_canary.is_none() && !route.weights.is_empty());
        Some(weighted?.weights.get("canary").copied().unwrap_or(0))
    }

    /// Where requests with this `x-canary` go first.
    pub fn for_header(&self, value: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.x_canary.as_deref() == Some(value))
    }
}

impl Route {
    fn of(domain: &str, route: &Value) -> Self {
        let headers = list(&route["match"]["headers"]);
        let asked = headers.iter().find(|header| header["name"] == "x-canary");
        let x_canary = asked.and_then(|header| header.pointer("/string_match/exact")?.as_str());
        let action = &route["route"];
        let mut weights = BTreeMap::new();
        if let Some(cluster) = action["cluster"].as_str() {
            weights.insert(subset(cluster).to_owned(), 100);
        }
        for part in list(&action["weighted_clusters"]["clusters"]) {
            // A weight of 0 is not in the dump.
            if let (Some(cluster), Some(weight)) = (part["name"].as_str(), part["weight"].as_u64()) {
                weights.insert(subset(cluster).to_owned(), weight);
            }
        }
        Self {
            domain: domain.to_owned(),
            name: route["name"].as_str().unwrap_or_default().to_owned(),
            x_canary: x_canary.map(str::to_owned),
            weights,
        }
    }
}

/// `outbound|8000|canary|host`: the third part, or all of it where that is empty.
fn subset(cluster: &str) -> &str {
    cluster.split('|').nth(2).filter(|subset| !subset.is_empty()).unwrap_or(cluster)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subsets_weights_and_the_asked_header_are_read() {
        let dump = json!({ "configs": [{ "route_config": { "virtual_hosts": [{
            "domains": ["demo.example:80"],
            "routes": [
                {
                    "name": "by-hand",
                    "match": { "headers": [{ "name": "x-canary", "string_match": { "exact": "true" } }] },
                    "route": { "cluster": "outbound|8000|canary|demo.default.svc.cluster.local" },
                },
                { "match": { "prefix": "/" }, "route": { "weighted_clusters": { "clusters": [
                    { "name": "outbound|8000|stable|demo.default.svc.cluster.local", "weight": 75 },
                    { "name": "outbound|8000|canary|demo.default.svc.cluster.local", "weight": 25 },
                ] } } },
            ],
        }] } }] });
        let routing = Routing::of(&dump);
        assert_eq!(routing.canary_weight(), Some(25));
        let by_hand = routing.for_header("true").unwrap();
        assert_eq!((by_hand.name.as_str(), by_hand.domain.as_str()), ("by-hand", "demo.example:80"));
        assert_eq!(by_hand.weights, BTreeMap::from([("canary".to_owned(), 100)]));
        assert_eq!(routing.for_header("false"), None);
    }
}
