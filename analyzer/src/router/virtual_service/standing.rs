//! What the analyzer asks of a VirtualService while it keeps its weights: what stands there, and which of
//! Envoy's clusters serve each version.

use super::routes::{self, full_host, http, text};
use super::{Change, HeaderRoutes, Problem, Subsets, observe, patch};
use crate::config::VirtualService;
use crate::router::Standing;
use serde_json::Value;
use serin_contract::{PerArm, Share};

/// What brings a VirtualService to a share.
pub fn change(service: &VirtualService, share: Share) -> Change {
    let header_routes = if service.managed { HeaderRoutes::Managed } else { HeaderRoutes::Untouched };
    Change { share: Some(share), header_routes }
}

/// What stands there.
///
/// # Errors
/// As [`patch`].
pub fn standing(object: &Value, service: &VirtualService) -> Result<Standing, Problem> {
    let observed = observe(object, &service.subsets)?;
    let shares = || observed.routes.iter().filter_map(super::ObservedRoute::share);
    let complete = change(service, Share::NONE).header_routes == HeaderRoutes::Untouched
        || patch(object, &service.subsets, Change { share: None, header_routes: HeaderRoutes::Managed })?
            .is_none();
    Ok(Standing { shares: shares().min().zip(shares().max()), complete })
}

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

    fn service(managed: bool) -> VirtualService {
        let subsets = PerArm { stable: "v1".to_owned(), canary: "v2".to_owned() };
        VirtualService { name: "shop".to_owned(), subsets, managed }
    }

    #[test]
    fn clusters_are_named_as_pilot_names_them_and_each_once() {
        let routes = json!([
            route("shop", Some(8000), (95, 5)),
            route("shop.n.svc.cluster.local", Some(8000), (95, 5)),
            route("api.example", None, (95, 5)),
        ]);
        let served_by = served_by(&object(&routes), &service(true).subsets);
        assert_eq!(
            served_by.canary,
            ["outbound|8000|v2|shop.n.svc.cluster.local", "outbound|*|v2|api.example"]
        );
        assert_eq!(
            served_by.stable,
            ["outbound|8000|v1|shop.n.svc.cluster.local", "outbound|*|v1|api.example"]
        );
    }

    #[test]
    fn what_stands_is_the_least_and_the_most_and_whether_the_managed_routes_are_there() {
        let share = |percent: f64| Share::from_percent(percent).expect("a share");
        let two = object(&json!([route("shop", None, (95, 5)), route("shop", None, (75, 25))]));
        let found = standing(&two, &service(false)).expect("routes");
        assert_eq!((found.shares, found.complete), (Some((share(5.0), share(25.0))), true));
        assert!(!standing(&two, &service(true)).expect("routes").complete);
        let nothing = object(&json!([route("shop", None, (0, 0))]));
        let found = standing(&nothing, &service(false)).expect("a route");
        assert!(found.shares.is_none() && !found.is(Share::NONE));
        assert!(standing(&object(&json!([])), &service(false)).is_err());
    }
}
