//! The OpenFeature remote evaluation protocol, as far as it is spoken here.

use super::errors::Problem;
use utoipa::{IntoResponses, ToSchema};

/// How an evaluation can fail.
#[derive(IntoResponses)]
pub enum Faults {
    /// The context has no `targetingKey`, or cannot be read
    #[response(status = 400)]
    Wrong(Fault),
    /// No valid token
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// No running experiment gives the user this flag
    #[response(status = 404)]
    NotFound(Fault),
    /// The body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Late(Problem),
    /// The body is larger than 256 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The assignment could not be stored
    #[response(status = 503)]
    Unavailable(Fault),
}

/// Who asks.
#[derive(ToSchema)]
#[schema(as = OfrepRequest)]
pub struct Request {
    /// `targetingKey` is the user; everything else are attributes for segments.
    #[schema(value_type = Object, example = json!({"targetingKey": "u1", "country": "US"}))]
    pub context: serde_json::Value,
}

/// A flag.
#[derive(ToSchema)]
#[schema(as = OfrepFlag)]
pub struct Flag {
    /// Its name.
    pub key: String,
    /// `SPLIT`.
    pub reason: String,
    /// The user's arm.
    pub variant: String,
    /// Its value.
    pub value: serde_json::Value,
    /// Which `experiment` it belongs to.
    #[schema(value_type = Object)]
    pub metadata: serde_json::Value,
}

/// Flags.
#[derive(ToSchema)]
#[schema(as = OfrepFlags)]
pub struct Flags {
    /// The flags of the user's arms.
    pub flags: Vec<Flag>,
}

/// Why there is no value.
#[derive(ToSchema)]
#[schema(as = OfrepFault)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The flag, where one was asked for.
    #[schema(required = false, nullable = false)]
    pub key: Option<String>,
    /// `PARSE_ERROR`, `TARGETING_KEY_MISSING`, `INVALID_CONTEXT`, `FLAG_NOT_FOUND` or `GENERAL`.
    pub error_code: String,
    /// In words.
    pub error_details: String,
}
