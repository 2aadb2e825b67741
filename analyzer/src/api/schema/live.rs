//! Sessions, and the frames of the live view.

use super::experiment::Experiment;
use super::{Canary, Filter, Problem, Sample};
use std::collections::BTreeMap;
use utoipa::{IntoResponses, ToSchema};

/// What whoever asks may do.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct Session {
    /// `none`, `viewer` or `operator`.
    #[schema(example = "operator")]
    pub role: String,
    /// Who they say they are; null without a session or a name.
    pub name: Option<String>,
    /// When the session ends, in milliseconds since 1970; null without one.
    pub expires: Option<u64>,
    /// Whether nothing can be read without signing in.
    pub sign_in_needed: bool,
    /// Whether there are tokens to sign in with.
    pub can_sign_in: bool,
}

/// A token, and who shows it.
#[derive(ToSchema)]
pub struct SignIn {
    /// A viewer's or an operator's.
    pub token: String,
    /// Stands in the history and in the audit with what they do.
    #[schema(example = "kim", min_length = 1, max_length = 100)]
    pub name: Option<String>,
}

/// One text of the live view. In a snapshot everything is there; in a delta what has changed, as a whole.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct LiveFrame {
    /// `snapshot` or `delta`.
    #[schema(example = "delta")]
    pub r#type: String,
    /// Counts up by one from the snapshot's.
    pub sequence: u64,
    /// When this was so, in milliseconds since 1970.
    pub time: u64,
    /// The releases.
    #[schema(required = false, nullable = false)]
    pub canaries: Option<Vec<Canary>>,
    /// Releases that are gone, as `<namespace>/<name>`.
    #[schema(required = false, nullable = false)]
    pub removed_canaries: Option<Vec<String>>,
    /// The experiments: all that have not ended, and the 100 that ended last.
    #[schema(required = false, nullable = false)]
    pub experiments: Option<Vec<Experiment>>,
    /// Ids of experiments that are gone.
    #[schema(required = false, nullable = false)]
    pub removed_experiments: Option<Vec<String>>,
    /// All filters that report.
    #[schema(required = false, nullable = false)]
    pub filters: Option<Vec<Filter>>,
    /// The plan that they should follow.
    #[schema(required = false, nullable = false)]
    pub plan_revision: Option<u64>,
    /// By release, as `<namespace>/<name>`: in a snapshot the last 100 samples, in a delta the new ones.
    #[schema(required = false, nullable = false)]
    pub samples: Option<BTreeMap<String, Vec<Sample>>>,
}

/// How the live view can be refused.
#[derive(IntoResponses)]
pub enum LiveErrors {
    /// No valid token of a viewer or operator, and no session
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The page that asks is another host's
    #[response(status = 403, content_type = "application/problem+json")]
    Foreign(Problem),
    /// This is a WebSocket
    #[response(status = 426, content_type = "application/problem+json")]
    Upgrade(Problem),
    /// As many clients watch as may, or the analyzer is stopping
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// How signing in can fail.
#[derive(IntoResponses)]
pub enum SignInErrors {
    /// The body ended before its end
    #[response(status = 400, content_type = "application/problem+json")]
    Cut(Problem),
    /// The token is not known
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The page that asks is another host's
    #[response(status = 403, content_type = "application/problem+json")]
    Foreign(Problem),
    /// The body is larger than 8 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not what is expected; `field` says where
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// Too many have failed: `Retry-After` says when to try again
    #[response(status = 429, content_type = "application/problem+json")]
    TooMany(Problem),
    /// The system gives no random numbers
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}
