//! `kind: Canary`: one release under test.

use super::{
    CanaryStatus, DecisionsSpec, DeploymentsSpec, ExcludeSpec, GateSpec, GoalSpec, LimitsSpec, ManualKeys,
    ManualSpec, MetricSpec, PromotionSpec, RampSpec, RouterSpec, SloSpec, SourcesSpec, UnitSpec, who,
};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};
use serin_contract::segment::SegmentDocument;
use serin_judge::settings::Settings;

/// What a release is: who is assigned, how its share grows, what it may not do, who routes it.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "serin.dev",
    version = "v1alpha1",
    kind = "Canary",
    plural = "canaries",
    namespaced,
    shortname = "cny",
    category = "all",
    category = "serin",
    status = "CanaryStatus",
    derive = "PartialEq",
    doc = "One release under test: a service, its stable and its canary version, a ramp.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Weight", type_ = "number", json_path = ".status.weight"),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.step"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict.outcome"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.verdict.reason", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(
        "self.spec.router == oldSelf.spec.router || !has(oldSelf.status) || !has(oldSelf.status.phase) \
         || !(oldSelf.status.phase in ['Progressing', 'Paused', 'Promoting'])"
    )
    .message("spec.router cannot change while a rollout runs: wait for its end or roll it back")
    .field_path(".spec.router"),
    validation = Rule::new(
        "self.spec.canaryVersion == oldSelf.spec.canaryVersion || !has(oldSelf.status) \
         || !has(oldSelf.status.weight) || oldSelf.status.weight == 0.0"
    )
    .message(
        "spec.canaryVersion cannot change while the canary has weight: roll it back, or make it the stable \
         version first"
    )
    .field_path(".spec.canaryVersion")
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.manual == 'WithKey') == has(self.manualKeys)")
        .message("manual: WithKey and manualKeys go together: give both or neither")
)]
pub struct CanarySpec {
    /// The version that serves today.
    #[schemars(length(min = 1, max = 253))]
    pub stable_version: String,
    /// The version under test; changing it starts a new rollout.
    #[schemars(length(min = 1, max = 253))]
    pub canary_version: String,
    /// The hosts whose requests are assigned: `shop.example`, `*.example` or `*`; a service's short name
    /// stands for all forms of its name.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(
        validation = Rule::new("self.all(host, !host.contains('/') && !host.contains(':'))")
            .message("a host has no port and no path: write shop.example, *.example or *")
    )]
    pub hosts: Vec<String>,
    /// Only requests whose path begins with this are assigned.
    #[serde(default = "root")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path begins with /"))]
    pub path_prefix: String,
    /// Where the weights are written.
    pub router: RouterSpec,
    /// The Deployments of the two versions, so that readiness and capacity are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployments: Option<DeploymentsSpec>,
    /// What makes users of one version differ from those of another; `NAMESPACE/NAME/CANARYVERSION:`
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub salt: Option<String>,
    /// Where a request says who its user is; the first that has a value counts. Without any, the weights
    /// alone decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        validation = Rule::new(
            "self.filter(unit, has(unit.issuedCookie)).size() <= \
             (self.size() > 0 && has(self[self.size() - 1].issuedCookie) ? 1 : 0)"
        )
        .message("issuedCookie must be the last: whoever comes so far is given one")
    )]
    pub units: Vec<UnitSpec>,
    /// Whether a client may choose its version with `x-canary: true|false`.
    #[serde(default)]
    pub manual: ManualSpec,
    /// The keys that `manual: WithKey` asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_keys: Option<ManualKeys>,
    /// Requests that are never part of the release.
    #[serde(default)]
    pub exclude: ExcludeSpec,
    /// Who the release is for; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "who::segment_schema")]
    pub segment: Option<SegmentDocument>,
    /// How the canary's share grows.
    #[serde(default)]
    pub ramp: RampSpec,
    /// What the canary may not do.
    #[serde(default)]
    pub limits: LimitsSpec,
    /// How often a canary that is no worse may be rolled back, 0.0001 to 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = Settings::default().false_rollback_rate))]
    #[x_kube(validation = Rule::new("0.0001 <= self && self <= 0.5").message("allowed is 0.0001 to 0.5"))]
    pub false_rollback_rate: Option<f64>,
    /// Straight to the last share, without analysis.
    #[serde(default)]
    pub skip_analysis: bool,
    /// Whether a limit must be broken beyond what chance explains.
    #[serde(default)]
    pub decisions: DecisionsSpec,
    /// Web hooks that are asked before, during and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub gates: Vec<GateSpec>,
    /// Where numbers beside the filters' reports come from.
    #[serde(default)]
    pub sources: SourcesSpec,
    /// Prometheus queries with limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub metrics: Vec<MetricSpec>,
    /// What the versions should keep to; availability 99.9 %, 95 % below 500 ms and at most 1 % errors
    /// without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 10),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub slos: Option<Vec<SloSpec>>,
    /// What users are hoped, or feared, to do: counted for each version in an experiment of its own. A
    /// guardrail fails the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 20),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub goals: Vec<GoalSpec>,
    /// Who makes the canary the stable version in the end.
    #[serde(default)]
    pub promotion: PromotionSpec,
}

fn root() -> String {
    "/".to_owned()
}
