//! `kind: Experiment`: an A/B test. The same spec stands in files and in what the API is told.

use super::{ExperimentStatus, GoalSpec, Seconds, UnitSpec, who};
use kube::{CustomResource, KubeSchema};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serin_contract::attributes::Source;
use serin_contract::plan::experiment::Within;
use std::collections::BTreeMap;

/// Two or more arms, each for its share of users, and what users are hoped to do.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "serin.dev",
    version = "v1alpha1",
    kind = "Experiment",
    plural = "experiments",
    namespaced,
    shortname = "xp",
    category = "serin",
    status = "ExperimentStatus",
    derive = "PartialEq",
    doc = "An A/B test: arms with shares of users, who takes part, and what users are hoped to do.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "integer", json_path = ".status.step"),
    printcolumn(name = "Exposures", type_ = "integer", json_path = ".status.exposures"),
    printcolumn(name = "Winner", type_ = "string", json_path = ".status.winner"),
    printcolumn(
        name = "Recommendation",
        type_ = "string",
        json_path = ".status.recommendation",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 64")
        .message("an Experiment's name is its id: 1 to 64 characters"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) \
         || self.spec.arms.map(arm, arm.name) == oldSelf.spec.arms.map(arm, arm.name)"
    )
    .message(
        "the arms cannot change in a running experiment but for shares and flags: delete it and make another"
    )
    .field_path(".spec.arms"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || (has(self.spec.salt) == has(oldSelf.spec.salt) \
         && (!has(self.spec.salt) || self.spec.salt == oldSelf.spec.salt))"
    )
    .message("the salt cannot change in a running experiment: delete it and make another"),
    validation = Rule::new(
        "!has(oldSelf.status) || !has(oldSelf.status.phase) || (has(self.spec.units) == has(oldSelf.spec.units) \
         && (!has(self.spec.units) || self.spec.units == oldSelf.spec.units))"
    )
    .message("the units cannot change in a running experiment: delete it and make another")
)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "!has(self.hosts) || self.hosts.size() == 0 || (has(self.units) && self.units.size() > 0)"
    )
    .message("with hosts, say in units where a user's id stands"),
    validation = Rule::new("!has(self.within) || (has(self.hosts) && self.hosts.size() > 0)")
        .message("within needs hosts: only filters know what a canary has decided"),
    validation = Rule::new(
        "!has(self.start) || !has(self.end) || !self.start.endsWith('Z') || !self.end.endsWith('Z') \
         || timestamp(self.end) > timestamp(self.start)"
    )
    .message("end must be later than start")
)]
pub struct ExperimentSpec {
    /// For people; the id where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub name: Option<String>,
    /// What is believed, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2000))]
    pub hypothesis: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub owner: Option<String>,
    /// The arms, control first, in the order in which they own buckets.
    #[schemars(length(min = 2, max = 20))]
    #[x_kube(
        validation = Rule::new("self.all(arm, self.exists_one(other, other.name == arm.name))")
            .message("two arms have one name"),
        // Half a hundredth more than is allowed, because the sum of doubles is not exact.
        validation = Rule::new("99.985 < self.map(arm, arm.share).sum() && self.map(arm, arm.share).sum() < 100.015")
            .message("the shares must sum to 100 +- 0.01")
    )]
    pub arms: Vec<ArmSpec>,
    /// Hosts whose requests the filters assign; without any it is for the API alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(
        validation = Rule::new("self.all(host, !host.contains('/') && !host.contains(':'))")
            .message("a host has no port and no path: write shop.example, *.example or *")
    )]
    pub hosts: Vec<String>,
    /// The path prefix under which the filters assign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path begins with /"))]
    pub path_prefix: Option<String>,
    /// The methods of requests that the filters assign; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = "^[A-Z]{1,16}$")))]
    pub methods: Vec<String>,
    /// Where the filters find a user's id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub units: Vec<UnitSpec>,
    /// Goes before the unit into the hash; the id where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub salt: Option<String>,
    /// Who takes part; everybody without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "who::participants_schema")]
    pub segment: Option<SegmentSpec>,
    /// What users are hoped, or feared, to do; the first is what it is about. `conversion` without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(
        validation = Rule::new("self.all(goal, self.exists_one(other, other.name == goal.name))")
            .message("two goals have one name")
    )]
    pub goals: Vec<GoalSpec>,
    /// When it begins, as `2026-01-31T12:00:00Z`; at once without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$')"
        )
        .message("is no date such as 2026-01-31T12:00:00Z")
    )]
    pub start: Option<String>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(
        validation = Rule::new(
            "self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?Z$')"
        )
        .message("is no date such as 2026-01-31T12:00:00Z")
    )]
    pub end: Option<String>,
    /// The cookie that keeps a user's arm in the filters when shares change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepSpec>,
    /// Only users whom this canary has put into this arm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "within_schema")]
    pub within: Option<Within>,
    /// The smallest relative difference that matters, in percent: for the sample size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("0.1 <= self && self <= 1000.0").message("allowed is 0.1 to 1000 percent"))]
    pub minimum_effect: Option<f64>,
}

/// One arm.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSpec {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-`.
    #[schemars(length(max = 64), regex(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,
    /// Its share in percent, with at most two decimals.
    #[schemars(range(min = 0.0, max = 100.0))]
    #[x_kube(
        validation = Rule::new(
            "self * 100.0 - double(int(self * 100.0 + 0.25)) < 0.0001 \
             && double(int(self * 100.0 + 0.25)) - self * 100.0 < 0.0001"
        )
        .message("has more than two decimals")
    )]
    pub share: f64,
    /// What services are told: text, numbers, true or false.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "flags_schema")]
    pub flags: BTreeMap<String, serde_json::Value>,
}

/// Who takes part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentSpec {
    /// Where each attribute stands in a request; for the API it comes with the call.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Source>,
    /// Who belongs to it.
    pub rules: serde_json::Value,
}

/// A kept arm.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KeepSpec {
    /// The cookie's name; `serin-x-<id>` without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cookie: Option<String>,
    /// How long a browser keeps it, 60s to 400d; 30 days without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Seconds>,
}

/// Values of several types are more than a structural schema can say; the analyzer checks them.
fn flags_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "What services are told: text, numbers, true or false.",
        "maxProperties": 50,
        "additionalProperties": {"x-kubernetes-preserve-unknown-fields": true},
    })
}

fn within_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "description": "Only users whom this canary has put into this arm.",
        "required": ["canary", "arm"],
        "properties": {
            "canary": {
                "type": "string",
                "description": "The canary, as NAMESPACE/NAME.",
                "maxLength": 317,
                "pattern": "^[^/]+/[^/]+$",
            },
            "arm": {"type": "string", "description": "Which of its arms.", "enum": ["stable", "canary"]},
        },
    })
}
