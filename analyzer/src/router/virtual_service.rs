//! What the analyzer asks of a VirtualService while it keeps its weights; the object itself is serin-virtual-service's.

pub use serin_virtual_service::*;

use super::Standing;
use crate::config::VirtualService;
use serde_json::Value;
use serin_contract::Share;

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
    let shares = || observed.routes.iter().filter_map(ObservedRoute::share);
    let complete = change(service, Share::NONE).header_routes == HeaderRoutes::Untouched
        || patch(object, &service.subsets, Change { share: None, header_routes: HeaderRoutes::Managed })?
            .is_none();
    Ok(Standing { shares: shares().min().zip(shares().max()), complete })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use serin_contract::PerArm;

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
