//! Where weights are written, which Deployments serve, and who promotes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where weights are written: exactly one of both.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.envoyRoutes) != has(self.virtualService)")
        .message("give exactly one of envoyRoutes and virtualService")
)]
pub struct RouterSpec {
    /// A plain Envoy's route file; for the stand-alone analyzer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy_routes: Option<EnvoyRoutesSpec>,
    /// An Istio VirtualService in the Canary's namespace; for the analyzer in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_service: Option<VirtualServiceSpec>,
}

/// A plain Envoy's route file and the two clusters in it.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EnvoyRoutesSpec {
    /// The file that Envoy watches.
    #[schemars(length(min = 1, max = 4096))]
    pub path: PathBuf,
    /// The cluster that serves the stable version.
    #[schemars(length(min = 1, max = 253))]
    pub stable_cluster: String,
    /// The cluster that serves the canary version.
    #[schemars(length(min = 1, max = 253))]
    pub canary_cluster: String,
}

/// An Istio VirtualService and the two subsets in it.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.stableSubset != self.canarySubset")
        .message("stableSubset and canarySubset must be two")
)]
pub struct VirtualServiceSpec {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The DestinationRule's subset that serves the stable version.
    #[serde(default = "stable")]
    #[schemars(length(min = 1, max = 63))]
    pub stable_subset: String,
    /// The DestinationRule's subset that serves the canary version.
    #[serde(default = "canary")]
    #[schemars(length(min = 1, max = 63))]
    pub canary_subset: String,
    /// Who keeps the routes for `x-canary`.
    #[serde(default)]
    pub header_routes: HeaderRoutesSpec,
}

fn stable() -> String {
    "stable".to_owned()
}

fn canary() -> String {
    "canary".to_owned()
}

/// Who keeps the routes for `x-canary`.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HeaderRoutesSpec {
    /// Serin: copies of the weighted routes, named serin-canary-* and serin-stable-*.
    #[default]
    Managed,
    /// The VirtualService's owner.
    None,
}

/// The Deployments of the two versions, in the Canary's namespace.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.stable != self.canary").message("stable and canary must be two Deployments"))]
pub struct DeploymentsSpec {
    /// The stable version's.
    #[schemars(length(min = 1, max = 253))]
    pub stable: String,
    /// The canary version's.
    #[schemars(length(min = 1, max = 253))]
    pub canary: String,
}

/// Who makes the canary the stable version in the end.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum PromotionSpec {
    /// A person brings the stable Deployment to the new version and sets stableVersion.
    #[default]
    Manual,
    /// Serin copies the canary Deployment's pod template to the stable one.
    Copy,
}
