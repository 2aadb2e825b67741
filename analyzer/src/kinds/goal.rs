//! Goals of experiments and releases, as they are written.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serin_judge::evidence::Harm;

/// A goal.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct GoalSpec {
    /// Its name: 1 to 64 letters, digits, `.`, `_` and `-`.
    #[schemars(length(max = 64), regex(pattern = "^[A-Za-z0-9._-]{1,64}$"))]
    pub name: String,
    /// Answers that are this goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseSpec>,
    /// What would be harm, if it is there to be left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guardrail: Option<GuardrailSpec>,
}

/// What is harm.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GuardrailSpec {
    /// An arm's users reach it more often.
    More,
    /// An arm's users reach it less often.
    Less,
}

impl From<GuardrailSpec> for Harm {
    fn from(guardrail: GuardrailSpec) -> Self {
        match guardrail {
            GuardrailSpec::More => Self::More,
            GuardrailSpec::Less => Self::Less,
        }
    }
}

impl From<Harm> for GuardrailSpec {
    fn from(harm: Harm) -> Self {
        match harm {
            Harm::More => Self::More,
            Harm::Less => Self::Less,
        }
    }
}

/// An answer that is a goal.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ResponseSpec {
    /// The methods of its requests; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(regex(pattern = "^[A-Z]{1,16}$")))]
    pub methods: Vec<String>,
    /// The prefix of its requests' paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('/')").message("a path begins with /"))]
    pub path_prefix: Option<String>,
    /// The lowest and the highest status that count; 200 to 299 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "status_schema")]
    pub status: Option<[u16; 2]>,
}

fn status_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "description": "The lowest and the highest status that count; 200 to 299 without it.",
        "items": {"type": "integer", "minimum": 100, "maximum": 599},
        "minItems": 2,
        "maxItems": 2,
        "x-kubernetes-validations": [{
            "rule": "self[0] <= self[1]",
            "message": "must be a lowest and a highest status",
        }],
    })
}
