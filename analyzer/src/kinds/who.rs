//! Who is assigned, as it is written: units, manual requests, exclusions, the segment.

use super::Seconds;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use serin_contract::attributes::Claim;
use serin_contract::plan::{IssuedCookie, Keys, Manual, UnitSource};
use std::borrow::Cow;
use std::time::Duration;

/// A place in the request that says who its user is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnitSpec {
    /// The value of a request header.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// A claim of a JWT.
    Jwt(Claim),
    /// A cookie that the filter itself gives to whoever has no other unit.
    IssuedCookie(IssuedCookieSpec),
}

/// A cookie with an id that the filter makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IssuedCookieSpec {
    /// The cookie's name.
    pub name: String,
    /// How long a browser keeps it.
    #[serde(default = "thirty_days")]
    pub max_age: Seconds,
}

fn thirty_days() -> Seconds {
    Seconds(Duration::from_secs(30 * 86_400))
}

impl UnitSpec {
    pub(crate) fn compile(self) -> UnitSource {
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

impl From<UnitSource> for UnitSpec {
    fn from(source: UnitSource) -> Self {
        match source {
            UnitSource::Header(name) => Self::Header(name),
            UnitSource::Cookie(name) => Self::Cookie(name),
            UnitSource::Jwt(claim) => Self::Jwt(claim),
            UnitSource::IssuedCookie(IssuedCookie { name, max_age_s }) => {
                let max_age = Seconds(Duration::from_secs(max_age_s));
                Self::IssuedCookie(IssuedCookieSpec { name, max_age })
            }
        }
    }
}

// A structural schema cannot say "one of these variants"; a rule with a sentence can.
impl JsonSchema for UnitSpec {
    fn schema_name() -> Cow<'static, str> {
        "Unit".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut max_age = Seconds::json_schema(generator);
        max_age.insert("description".into(), "How long a browser keeps it; 60s to 400d.".into());
        max_age.insert("default".into(), json!(thirty_days()));
        let mut schema = one_of(&[
            ("header", named("The value of a request header.")),
            ("cookie", named("The value of a cookie.")),
            ("jwt", claim_schema()),
        ]);
        let cookie = json!({
            "type": "object",
            "description": "A cookie that the filter itself gives to whoever has no other unit.",
            "required": ["name"],
            "properties": {"name": named("The cookie's name."), "maxAge": max_age},
        });
        add_variant(&mut schema, "issuedCookie", cookie);
        schema
    }
}

/// Whether a client may choose its version with `x-canary: true|false`.
#[derive(JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ManualSpec {
    /// Anybody may.
    #[default]
    Always,
    /// Nobody may: the header is removed.
    Never,
    /// Who shows a key in `x-canary-key`.
    WithKey,
}

/// The keys that let a client choose.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManualKeys {
    /// The sha256 of each key, as 64 lower-case hexadecimal digits; never the key.
    #[schemars(length(min = 1, max = 32), inner(regex(pattern = "^[0-9a-f]{64}$")))]
    pub sha256: Vec<String>,
}

impl ManualSpec {
    /// None when a key is asked for and there is none, or the other way round.
    pub(crate) fn compile(self, keys: Option<ManualKeys>) -> Option<Manual> {
        match (self, keys) {
            (Self::Always, None) => Some(Manual::Always),
            (Self::Never, None) => Some(Manual::Never),
            (Self::WithKey, Some(keys)) => Some(Manual::WithKey(Keys { sha256: keys.sha256 })),
            (Self::Always | Self::Never, Some(_)) | (Self::WithKey, None) => None,
        }
    }
}

/// Requests that are never part of the release: health probes, bots.
#[derive(JsonSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct ExcludeSpec {
    /// Paths that begin with one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    pub path_prefixes: Vec<String>,
    /// User agents that contain one of these, in any case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub user_agents: Vec<String>,
}

/// The schema of `serin_contract::segment::SegmentDocument`. Rules nest, which a structural schema cannot
/// say: the analyzer checks them.
pub(super) fn segment_schema(_: &mut SchemaGenerator) -> Schema {
    rules_over_attributes("Who the release is for; everybody without it.", &["attributes", "rules"])
}

/// The same for experiments, where the API's callers bring attributes themselves.
pub(super) fn participants_schema(_: &mut SchemaGenerator) -> Schema {
    rules_over_attributes("Who takes part; everybody without it.", &["rules"])
}

fn rules_over_attributes(description: &str, required: &[&str]) -> Schema {
    let source = one_of(&[
        ("header", named("The value of a request header.")),
        ("cookie", named("The value of a cookie.")),
        ("jwt", claim_schema()),
        ("query", named("A parameter of the query.")),
    ]);
    json_schema!({
        "type": "object",
        "description": description,
        "required": required,
        "properties": {
            "attributes": {
                "type": "object",
                "description": "Where each attribute stands.",
                "maxProperties": 64,
                "additionalProperties": source,
            },
            "rules": {
                "type": "object",
                "description": "Who belongs to it: attributes, $and, $or and $not.",
                "x-kubernetes-preserve-unknown-fields": true,
            },
        },
    })
}

fn named(description: &str) -> Value {
    json!({"type": "string", "description": description, "minLength": 1, "maxLength": 256})
}

fn claim_schema() -> Value {
    json!({
        "type": "object",
        "description": "A claim of a JWT; verifying the token is the gateway's job.",
        "required": ["header", "claim"],
        "properties": {
            "header": named("The header that carries it, with or without Bearer."),
            "claim": named("Its name; a.b for the claim b within the claim a."),
        },
    })
}

/// An object of which exactly one property is given.
fn one_of(variants: &[(&str, Value)]) -> Schema {
    let mut schema = json_schema!({"type": "object", "properties": {}});
    for (name, variant) in variants {
        add_variant(&mut schema, name, variant.clone());
    }
    schema
}

fn add_variant(schema: &mut Schema, name: &str, variant: Value) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    properties.insert(name.to_owned(), variant);
    let names: Vec<&str> = properties.keys().map(String::as_str).collect();
    let given: Vec<String> = names.iter().map(|name| format!("has(self.{name})")).collect();
    let rule = format!("[{}].filter(given, given).size() == 1", given.join(", "));
    let message = format!("give exactly one of {}", names.join(", "));
    schema.insert("x-kubernetes-validations".into(), json!([{"rule": rule, "message": message}]));
}
