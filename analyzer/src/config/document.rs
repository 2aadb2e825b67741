//! The configuration as it is written: names and shapes only, nothing checked yet.

use super::gates::GateSpec;
use serde::Deserialize;
use serin_contract::attributes::Claim;
use serin_contract::plan::{IssuedCookie, Manual, UnitSource};
use serin_contract::segment::SegmentDocument;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    pub(super) redb: PathBuf,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct CanarySpec {
    pub(super) stable_version: String,
    pub(super) canary_version: String,
    pub(super) hosts: Vec<String>,
    #[serde(default = "root")]
    pub(super) path_prefix: String,
    pub(super) router: RouterSpec,
    pub(super) salt: Option<String>,
    #[serde(default)]
    pub(super) units: Vec<UnitSpec>,
    #[serde(default)]
    pub(super) manual: Manual,
    #[serde(default)]
    pub(super) exclude: ExcludeSpec,
    pub(super) segment: Option<SegmentDocument>,
    #[serde(default)]
    pub(super) ramp: RampSpec,
    #[serde(default)]
    pub(super) limits: LimitsSpec,
    pub(super) false_rollback_rate: Option<f64>,
    #[serde(default)]
    pub(super) skip_analysis: bool,
    #[serde(default)]
    pub(super) decisions: DecisionsSpec,
    #[serde(default)]
    pub(super) gates: Vec<GateSpec>,
    #[serde(default)]
    #[expect(dead_code, reason = "one value is allowed so far, and parsing refuses the others")]
    pub(super) promotion: Promotion,
}

fn root() -> String {
    "/".to_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum UnitSpec {
    Header(String),
    Cookie(String),
    Jwt(Claim),
    IssuedCookie(IssuedCookieSpec),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct IssuedCookieSpec {
    pub(super) name: String,
    #[serde(default = "thirty_days")]
    pub(super) max_age: Seconds,
}

fn thirty_days() -> Seconds {
    Seconds(Duration::from_secs(30 * 86_400))
}

impl UnitSpec {
    pub(super) fn compile(self) -> UnitSource {
        match self {
            Self::Header(name) => UnitSource::Header(name),
            Self::Cookie(name) => UnitSource::Cookie(name),
            Self::Jwt(claim) => UnitSource::Jwt(claim),
            Self::IssuedCookie(IssuedCookieSpec { name, max_age }) => {
                UnitSource::IssuedCookie(IssuedCookie { name, max_age_s: max_age.0.as_secs() })
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct RouterSpec {
    pub(super) envoy_routes: EnvoyRoutesSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct EnvoyRoutesSpec {
    pub(super) path: PathBuf,
    pub(super) stable_cluster: String,
    pub(super) canary_cluster: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct ExcludeSpec {
    pub(super) path_prefixes: Vec<String>,
    pub(super) user_agents: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct RampSpec {
    pub(super) initial_weight: Option<f64>,
    pub(super) increment: Option<f64>,
    pub(super) max_weight: Option<f64>,
    pub(super) steps: Option<Vec<f64>>,
    pub(super) promotion_interval: Option<Seconds>,
    pub(super) analysis_interval: Option<Seconds>,
    pub(super) warmup: Option<Seconds>,
    pub(super) progress_deadline: Option<Seconds>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(super) struct LimitsSpec {
    pub(super) max_error_rate: Option<f64>,
    pub(super) max_latency_increase: Option<f64>,
    pub(super) min_request_count: Option<u64>,
    pub(super) min_error_increase: Option<f64>,
    pub(super) slow_request: Option<Seconds>,
}

/// Whether a fail asks for evidence.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) enum DecisionsSpec {
    #[default]
    Evidence,
    Point,
}

#[derive(Deserialize, Default)]
pub(super) enum Promotion {
    #[default]
    Manual,
}

/// A length of time as people write it: `500ms`, `10s`, `1m 30s`, `1h`.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "String")]
pub(super) struct Seconds(pub(super) Duration);

impl TryFrom<String> for Seconds {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(|error| format!("`{text}` is no length of time such as 500ms, 10s, 1m or 1h: {error}"))
    }
}
