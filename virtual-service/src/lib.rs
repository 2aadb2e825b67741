//! An Istio VirtualService: its weights, its routes for `x-canary`, and what is wrong with it. Pure
//! functions from the object, as the API server gave it, to a JSON patch; who sends it reads the object
//! again after a refusal (kube-apiserver answers a failed `test` with 422) and asks once more.
//!
//! Nothing but weights and Serin's own routes ever changes. A route is ours when it has one destination in
//! each of the two subsets, both of one host; a third destination keeps its part, and the two share the
//! rest. tcp and tls routes, redirects, delegates and routes to other services are left alone.

mod check;
mod clusters;
mod header_routes;
mod matching;
mod observe;
mod patch;
mod place;
mod routes;
mod weights;

pub use check::{Examined, Finding, Severity, check};
pub use clusters::served_by;
pub use header_routes::HeaderRoutes;
pub use observe::{Drift, Observed, ObservedRoute, observe};
pub use patch::{Operation, Patch};

use routes::{Weighted, http, text};
use serde_json::Value;
use serin_contract::{PerArm, Share};

/// The names of the DestinationRule's subsets that serve each version.
pub type Subsets = PerArm<String>;

/// What shall stand in the VirtualService.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The canary's share of every weighted route; `None` leaves the weights as they are.
    pub share: Option<Share>,
    /// What becomes of the managed routes.
    pub header_routes: HeaderRoutes,
}

/// Why a VirtualService cannot be used; the text says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There is nothing to write a weight into.
    #[error(
        "VirtualService {name}: no http route has one destination of the same host in subset {stable} and \
         one in subset {canary}: create a route with both, weights 100 and 0"
    )]
    NoWeightedRoute {
        /// The VirtualService.
        name: String,
        /// The stable subset.
        stable: String,
        /// The canary subset.
        canary: String,
    },
    /// Other destinations have all the weight of every weighted route.
    #[error(
        "VirtualService {name}: the subsets {stable} and {canary} have weight 0 beside other destinations, \
         so that there is nothing to share: give {stable} a weight"
    )]
    NothingLeft {
        /// The VirtualService.
        name: String,
        /// The stable subset.
        stable: String,
        /// The canary subset.
        canary: String,
    },
    /// The numbers would be larger than Istio holds.
    #[error(
        "VirtualService {name}: {share} beside the other destinations needs weights that sum up to more than \
         2147483647 in spec.http[{route}]: write smaller weights there, as 80, 20 and 0"
    )]
    TooLarge {
        /// The VirtualService.
        name: String,
        /// The route's place.
        route: usize,
        /// What was to be written.
        share: Share,
    },
    /// The object did not come from the API server, and a patch of it would be blind.
    #[error(
        "VirtualService {name}: there is no metadata.resourceVersion: patch only what the API server gave"
    )]
    NoVersion {
        /// The VirtualService.
        name: String,
    },
}

impl Problem {
    fn no_weighted_route(object: &Value, subsets: &Subsets) -> Self {
        let PerArm { stable, canary } = subsets.clone();
        Self::NoWeightedRoute { name: name(object), stable, canary }
    }
}

fn name(object: &Value) -> String {
    format!("{}/{}", routes::namespace(object), text(object, "/metadata/name"))
}

/// The patch that brings the object to `change`; `None` when everything stands there already. One patch is
/// one write: weights and managed routes change together or not at all.
///
/// # Errors
/// When no route splits traffic between both subsets (unless only something is to be removed), when a
/// share above 0 has nothing left to share or would need larger numbers than Istio holds, or when the object
/// has no resourceVersion.
pub fn patch(object: &Value, subsets: &Subsets, change: Change) -> Result<Option<Patch>, Problem> {
    let weighted = routes::weighted(http(object), subsets, routes::namespace(object));
    if weighted.is_empty() && change.header_routes != HeaderRoutes::Removed {
        return Err(Problem::no_weighted_route(object, subsets));
    }
    if let Some(share) = change.share {
        check_room(object, subsets, &weighted, share)?;
    }
    // Weights first: the managed routes shift the places of the others.
    let weights = change.share.map_or_else(Patch::default, |share| {
        weighted.iter().fold(Patch::default(), |all, route| all.then(weights::patch(route, share)))
    });
    let operations = weights.then(header_routes::patch(object, subsets, change.header_routes));
    if operations.is_empty() {
        return Ok(None);
    }
    let version = text(object, "/metadata/resourceVersion");
    if version.is_empty() {
        return Err(Problem::NoVersion { name: name(object) });
    }
    let mut patch = Patch::default();
    patch.test("/metadata/resourceVersion".to_owned(), version);
    Ok(Some(patch.then(operations)))
}

/// Only the weights: the canary gets `share` of every weighted route.
///
/// # Errors
/// As [`patch`].
pub fn set_share(object: &Value, subsets: &Subsets, share: Share) -> Result<Option<Patch>, Problem> {
    patch(object, subsets, Change { share: Some(share), header_routes: HeaderRoutes::Untouched })
}

/// Only the managed routes: brings them to what the weighted routes ask for now.
///
/// # Errors
/// As [`patch`].
pub fn manage(object: &Value, subsets: &Subsets) -> Result<Option<Patch>, Problem> {
    patch(object, subsets, Change { share: None, header_routes: HeaderRoutes::Managed })
}

/// The rollback without an analyzer: weight 0, and the managed routes for `"true"` lead to stable. Users
/// whom the filter still assigns to the canary are served by stable all the same.
///
/// # Errors
/// As [`patch`].
pub fn roll_back_directly(object: &Value, subsets: &Subsets) -> Result<Option<Patch>, Problem> {
    patch(object, subsets, Change { share: Some(Share::NONE), header_routes: HeaderRoutes::Direct })
}

/// When the Canary goes: weight 0 and no managed route any more. An object whose weighted routes are gone
/// only loses the managed ones.
///
/// # Errors
/// As [`patch`].
pub fn restore(object: &Value, subsets: &Subsets) -> Result<Option<Patch>, Problem> {
    patch(object, subsets, Change { share: Some(Share::NONE), header_routes: HeaderRoutes::Removed })
}

fn check_room(
    object: &Value,
    subsets: &Subsets,
    weighted: &[Weighted<'_>],
    share: Share,
) -> Result<(), Problem> {
    if share == Share::NONE || weighted.is_empty() {
        return Ok(());
    }
    if let Some(route) = weighted.iter().find(|route| weights::too_large(route, share)) {
        return Err(Problem::TooLarge { name: name(object), route: route.index, share });
    }
    if !weighted.iter().all(weights::nothing_left) {
        return Ok(());
    }
    let PerArm { stable, canary } = subsets.clone();
    Err(Problem::NothingLeft { name: name(object), stable, canary })
}

#[cfg(test)]
mod tests;
