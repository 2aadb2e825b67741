//! The audit.

use super::Problem;
use utoipa::{IntoResponses, ToSchema};

/// What somebody did, or tried to do.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct AuditLine {
    /// Its number: `before` takes it.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// `pause`, `resume`, `promote`, `rollback`; `create`, `shares`, `end` of an experiment; `sign in`.
    #[schema(example = "rollback")]
    pub deed: String,
    /// The canary that it was about.
    #[schema(example = "default/shop", required = false, nullable = false)]
    pub canary: Option<String>,
    /// The experiment that it was about.
    #[schema(example = "button", required = false, nullable = false)]
    pub experiment: Option<String>,
    /// Who, as far as they said.
    #[schema(example = "kim")]
    pub by: String,
    /// What they may do.
    #[schema(example = "operator")]
    pub role: String,
    /// Why, as far as they said.
    #[schema(required = false, nullable = false)]
    pub reason: Option<String>,
    /// From where.
    #[schema(example = "10.0.0.7")]
    pub peer: String,
    /// What came of it.
    pub outcome: Came,
    /// The same in words.
    pub detail: String,
}

/// What came of it.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase", as = AuditOutcome)]
pub enum Came {
    /// It was done.
    Done,
    /// It was not done, and nothing has changed.
    Refused,
    /// The store or the program went away meanwhile.
    Unknown,
}

/// How reading the audit can fail.
#[derive(IntoResponses)]
pub enum AuditErrors {
    /// The query cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Unreadable(Problem),
    /// No valid token of an operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// A viewer's session
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There are no so many
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// The analyzer is stopping, or its store fails: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
