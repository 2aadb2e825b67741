//! A service mesh on this machine: a real etcd, kube-apiserver and istiod, gateways that get their
//! configuration from it, and the analyzer with its own ServiceAccount's rights.

mod access;
mod cluster;
mod control_plane;
mod gateway;
mod manifests;
mod object;
mod programs;
mod replica;
mod routing;
mod world;

pub use access::write_kubeconfig;
pub use cluster::{Cluster, Reference, parse};
pub use control_plane::ControlPlane;
pub use gateway::{Gateway, filter_url};
pub use manifests::{Manifests, all_ready, endpoints};
pub use object::{canary_weight, conditions, history, managed_routes, phase, without_weights};
pub use programs::Programs;
pub use replica::{ApiTokens, NAMESPACE, Replica};
pub use routing::{Route, Routing};
pub use world::{CANARY, HOST, Mesh, MeshOptions, VIRTUAL_SERVICE, quick};
