//! Where a release's weights are written, and who serves its versions: checked.

use crate::kinds::{
    DeploymentsSpec, EnvoyRoutesSpec, HeaderRoutesSpec, PromotionSpec, RouterSpec, VirtualServiceSpec,
};
use serin_contract::{FieldError, PerArm};
use serin_judge::settings::Promotion;
use std::path::{Path, PathBuf};

/// Where weights are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Router {
    /// A file that a plain Envoy watches.
    EnvoyRoutes(EnvoyRoutes),
    /// An object of Istio's in the API server.
    VirtualService(VirtualService),
}

/// A plain Envoy's route file and the two clusters in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvoyRoutes {
    /// The file that Envoy watches.
    pub path: PathBuf,
    /// The names of the clusters that serve each version.
    pub clusters: PerArm<String>,
}

/// An Istio VirtualService in the Canary's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualService {
    /// Its name.
    pub name: String,
    /// The DestinationRule's subsets that serve each version.
    pub subsets: PerArm<String>,
    /// Whether Serin keeps the routes for `x-canary`.
    pub managed: bool,
}

/// The Deployments of the two versions, in the Canary's namespace.
pub type Deployments = PerArm<String>;

impl Router {
    /// The clusters of each version that are known from the configuration alone. A VirtualService's follow
    /// from its routes.
    pub fn served_by(&self) -> PerArm<Vec<String>> {
        match self {
            Self::EnvoyRoutes(routes) => routes.clusters.map(|cluster| vec![cluster.clone()]),
            Self::VirtualService(_) => PerArm { stable: Vec::new(), canary: Vec::new() },
        }
    }
}

impl From<PromotionSpec> for Promotion {
    fn from(raw: PromotionSpec) -> Self {
        match raw {
            PromotionSpec::Manual => Self::Manual,
            PromotionSpec::Copy => Self::Copy,
        }
    }
}

pub(super) fn compile(raw: RouterSpec, base: &Path) -> Result<Router, FieldError> {
    match (raw.envoy_routes, raw.virtual_service) {
        (Some(routes), None) => compile_routes(routes, base)
            .map(Router::EnvoyRoutes)
            .map_err(|error| error.under("router.envoyRoutes")),
        (None, Some(service)) => compile_service(service)
            .map(Router::VirtualService)
            .map_err(|error| error.under("router.virtualService")),
        (Some(_), Some(_)) | (None, None) => {
            Err(FieldError::new("router", "give exactly one of envoyRoutes and virtualService"))
        }
    }
}

fn compile_routes(raw: EnvoyRoutesSpec, base: &Path) -> Result<EnvoyRoutes, FieldError> {
    for (field, cluster) in [("stableCluster", &raw.stable_cluster), ("canaryCluster", &raw.canary_cluster)] {
        if cluster.is_empty() {
            return Err(FieldError::new(field, "is empty: name the cluster in the route file"));
        }
    }
    if raw.stable_cluster == raw.canary_cluster {
        return Err(FieldError::new("canaryCluster", "is the stable cluster too: name two"));
    }
    Ok(EnvoyRoutes {
        path: base.join(raw.path),
        clusters: PerArm { stable: raw.stable_cluster, canary: raw.canary_cluster },
    })
}

fn compile_service(raw: VirtualServiceSpec) -> Result<VirtualService, FieldError> {
    let named =
        [("name", &raw.name), ("stableSubset", &raw.stable_subset), ("canarySubset", &raw.canary_subset)];
    if let Some((field, _)) = named.iter().find(|(_, name)| name.is_empty() || name.contains('/')) {
        return Err(FieldError::new(*field, "must be a name without a namespace"));
    }
    if raw.stable_subset == raw.canary_subset {
        return Err(FieldError::new("canarySubset", "is the stable subset too: name two"));
    }
    Ok(VirtualService {
        name: raw.name,
        subsets: PerArm { stable: raw.stable_subset, canary: raw.canary_subset },
        managed: match raw.header_routes {
            HeaderRoutesSpec::Managed => true,
            HeaderRoutesSpec::None => false,
        },
    })
}

pub(super) fn compile_deployments(raw: DeploymentsSpec) -> Result<Deployments, FieldError> {
    let told = |field: &str, message: &str| Err(FieldError::new(format!("deployments.{field}"), message));
    match (raw.stable.as_str(), raw.canary.as_str()) {
        ("", _) => told("stable", "is empty: name a Deployment"),
        (_, "") => told("canary", "is empty: name a Deployment"),
        (stable, canary) if stable == canary => told("canary", "is the stable Deployment too: name two"),
        (_, _) => Ok(PerArm { stable: raw.stable, canary: raw.canary }),
    }
}
