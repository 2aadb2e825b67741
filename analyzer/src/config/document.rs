//! The configuration as it is written: names and shapes only, nothing checked yet. What a Canary says is the
//! kind's spec, [`crate::kinds::CanarySpec`].

use super::alerts::ReceiverSpec;
use super::analytics::AnalyticsSpec;
use super::sources;
use crate::experiments::ExperimentSpec;
use crate::kinds::{CanarySpec, Seconds};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What every document begins with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Header {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    pub(super) kind: String,
}

#[derive(Deserialize)]
enum ApiVersion {
    #[serde(rename = "serin.dev/v1alpha1")]
    V1Alpha1,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerDocument {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(default, rename = "metadata")]
    _metadata: serde::de::IgnoredAny,
    pub(super) spec: ServerSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct ServerSpec {
    pub(super) listen: SocketAddr,
    pub(super) store: StoreSpec,
    pub(super) wasm: Option<PathBuf>,
    pub(super) report_token_file: Option<PathBuf>,
    pub(super) viewer_token_file: Option<PathBuf>,
    pub(super) operator_token_file: Option<PathBuf>,
    pub(super) report_token_env: Option<String>,
    pub(super) viewer_token_env: Option<String>,
    pub(super) operator_token_env: Option<String>,
    pub(super) tls: Option<TlsSpec>,
    #[serde(default)]
    pub(super) origins: Vec<String>,
    pub(super) session_length: Option<Seconds>,
    pub(super) prometheus: Option<sources::ServerSpec>,
    #[serde(default)]
    pub(super) alerts: Vec<ReceiverSpec>,
    pub(super) analytics: Option<AnalyticsSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct TlsSpec {
    pub(super) cert_file: PathBuf,
    pub(super) key_file: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct StoreSpec {
    pub(super) redb: Option<PathBuf>,
    pub(super) redis: Option<RedisSpec>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RedisSpec {
    pub(super) url: String,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) prefix: Option<String>,
    pub(super) timeout: Option<Seconds>,
    pub(super) lease: Option<Seconds>,
    pub(super) replicas: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CanaryDocument {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: CanarySpec,
    /// There where the document comes from a cluster.
    #[serde(default, rename = "status")]
    _status: serde::de::IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExperimentDocument {
    #[serde(rename = "apiVersion")]
    _api_version: ApiVersion,
    #[serde(rename = "kind")]
    _kind: String,
    pub(super) metadata: Metadata,
    pub(super) spec: ExperimentSpec,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub(super) name: String,
    #[serde(default = "default_namespace")]
    pub(super) namespace: String,
}

fn default_namespace() -> String {
    "default".to_owned()
}
