//! Experiments as they travel.

pub use super::experiment_results::{Analysis, Comparison, GuardrailResult, Results, SampleRatio};

use super::errors::Problem;
use std::collections::BTreeMap;
use utoipa::{IntoResponses, ToSchema};

/// How a call that writes can fail. Nothing was stored then.
#[derive(IntoResponses)]
pub enum WriteErrors {
    /// The body ended before its end
    #[response(status = 400, content_type = "application/problem+json")]
    Cut(Problem),
    /// No valid token
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// A viewer's session, or a foreign page
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such experiment
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// The body did not come in time
    #[response(status = 408, content_type = "application/problem+json")]
    Late(Problem),
    /// It does not go with what is there; `detail` says why
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The body is larger than 256 KiB
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not what is expected; `field` says where
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// It could not be stored, or the analyzer is stopping: send it again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// How reading with a query can fail.
#[derive(IntoResponses)]
pub enum QueryErrors {
    /// The query cannot be read
    #[response(status = 400, content_type = "application/problem+json")]
    Query(Problem),
    /// No valid token of a viewer or operator
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// There is no such experiment
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// A parameter is not what is expected; `field` says which
    #[response(status = 422, content_type = "application/problem+json")]
    Wrong(Problem),
    /// The analyzer is stopping, or its store fails: try again
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// What an experiment is.
#[derive(ToSchema)]
#[schema(as = ExperimentSpec)]
pub struct Spec {
    /// For people; the id where there is none.
    #[schema(required = false, nullable = false)]
    pub name: Option<String>,
    /// What is believed, and why.
    #[schema(required = false, nullable = false)]
    pub hypothesis: Option<String>,
    /// Who answers for it.
    #[schema(required = false, nullable = false)]
    pub owner: Option<String>,
    /// The arms, control first; 2 to 20, with shares that sum to 100.
    pub arms: Vec<Arm>,
    /// Hosts whose requests the filters assign; without any it is for the API alone.
    #[schema(required = false, nullable = false)]
    pub hosts: Option<Vec<String>>,
    /// The path prefix under which the filters assign.
    #[schema(required = false, nullable = false, example = "/")]
    pub path_prefix: Option<String>,
    /// The methods of requests that the filters assign; all without it.
    #[schema(required = false, nullable = false)]
    pub methods: Option<Vec<String>>,
    /// Where the filters find a user's id, as `{"header": "x-user-id"}`.
    #[schema(required = false, nullable = false)]
    pub units: Option<Vec<serde_json::Value>>,
    /// Goes before the unit into the hash; the id without it.
    #[schema(required = false, nullable = false)]
    pub salt: Option<String>,
    /// Who takes part: `{"attributes": {...}, "rules": {...}}`.
    #[schema(required = false, nullable = false)]
    pub segment: Option<serde_json::Value>,
    /// What users are hoped, or feared, to do; `conversion` without any.
    #[schema(required = false, nullable = false)]
    pub goals: Option<Vec<Goal>>,
    /// When it begins.
    #[schema(required = false, nullable = false, example = "2026-01-31T12:00:00Z")]
    pub start: Option<String>,
    /// When it ends by itself.
    #[schema(required = false, nullable = false)]
    pub end: Option<String>,
    /// The cookie that keeps an arm in the filters: `{"cookie": "...", "maxAge": "30d"}`.
    #[schema(required = false, nullable = false)]
    pub keep: Option<serde_json::Value>,
    /// Only users of a canary's arm: `{"canary": "default/shop", "arm": "canary"}`.
    #[schema(required = false, nullable = false)]
    pub within: Option<serde_json::Value>,
    /// The smallest relative difference that matters, in percent.
    #[schema(required = false, nullable = false)]
    pub minimum_effect: Option<f64>,
}

/// An experiment to create: a specification with its id.
#[derive(ToSchema)]
pub struct NewExperiment {
    /// 1 to 64 letters, digits, `.`, `_` and `-`; never used again.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$", example = "checkout-button")]
    pub id: String,
    /// Who makes it; `operator` without it.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000, example = "kim")]
    pub by: Option<String>,
    /// Why.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
    /// What it is.
    #[serde(flatten)]
    pub spec: Spec,
}

/// One arm.
#[derive(ToSchema)]
#[schema(as = ExperimentArm)]
pub struct Arm {
    /// Its name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub name: String,
    /// Its share in percent, with at most two decimals.
    #[schema(minimum = 0, maximum = 100)]
    pub share: f64,
    /// What services are told: text, numbers, true or false.
    #[schema(required = false, nullable = false)]
    pub flags: Option<serde_json::Value>,
}

/// A goal.
#[derive(ToSchema)]
pub struct Goal {
    /// Its name.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    pub name: String,
    /// Answers that are this goal: `{"methods": ["POST"], "pathPrefix": "/buy", "status": [200, 299]}`.
    #[schema(required = false, nullable = false)]
    pub response: Option<serde_json::Value>,
    /// What would be harm, if it is there to be left alone.
    #[schema(required = false, nullable = false)]
    pub guardrail: Option<Harm>,
}

/// What is harm: that an arm's users reach the goal more often, or less often.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Harm {
    /// More often.
    More,
    /// Less often.
    Less,
}

/// An experiment.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// Its id.
    pub id: String,
    /// For people.
    pub name: String,
    /// `scheduled`, `running` or `ended`.
    pub status: String,
    /// `api`, `file`, `cluster` or `canary`: who may change it.
    pub source: String,
    /// The namespace of its object, where it comes from the cluster.
    #[schema(required = false, nullable = false)]
    pub namespace: Option<String>,
    /// The canary whose release it belongs to, as `namespace/name`.
    #[schema(required = false, nullable = false)]
    pub canary: Option<String>,
    /// When it was created.
    pub created: String,
    /// When it ended.
    #[schema(required = true)]
    pub ended: Option<String>,
    /// The present step: it counts changes of shares.
    pub step: u64,
    /// The present shares in percent.
    pub shares: serde_json::Value,
    /// What was asked for.
    pub spec: serde_json::Value,
    /// What could not be counted: conversions of unexposed users, exposures to another arm than before,
    /// reports of arms, goals or steps that are not there.
    pub loose: Loose,
    /// Who did what to it, oldest first; at most 100 lines.
    pub history: Vec<Line>,
}

/// One line of an experiment's history.
#[derive(ToSchema)]
#[schema(as = ExperimentHistory)]
pub struct Line {
    /// When.
    pub time: String,
    /// `created`, `changed` or `ended`.
    pub deed: String,
    /// The step from then on.
    pub step: u64,
    /// Who; `configuration`, `cluster`, `release` or `date` where nobody asked.
    pub by: String,
    /// Why, where they said so.
    #[schema(required = true)]
    pub reason: Option<String>,
}

/// What could not be counted.
#[derive(ToSchema)]
pub struct Loose {
    /// Conversions of units that were never exposed.
    pub unexposed: u64,
    /// Exposures to another arm than the same step gave before.
    pub crossed: u64,
    /// Reports of arms, goals or steps that are not there.
    pub unknown: u64,
}

/// New shares.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The share of every arm, in percent.
    #[schema(value_type = Object, example = json!({"control": 50, "treatment": 50}))]
    pub shares: BTreeMap<String, f64>,
    /// Do it although users of the filters change their arm.
    #[schema(required = false, nullable = false)]
    pub accept_moves: Option<bool>,
    /// Who does it; `operator` without it.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000, example = "kim")]
    pub by: Option<String>,
    /// Why.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// What a change of shares came to.
#[derive(ToSchema)]
pub struct Changed {
    /// The experiment after it.
    pub experiment: Experiment,
    /// What it means to users who have an arm.
    pub persistence: Persistence,
}

/// What a change of shares means to users who have an arm.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Persistence {
    /// The part of all units whose bucket falls to another arm, in percent.
    pub moved_percent: f64,
    /// Whether users of the filters change their arm.
    pub in_filters: bool,
    /// In words.
    pub text: String,
}

/// Who does it, and why; both stand in the audit and in the history.
#[derive(ToSchema)]
#[schema(as = ExperimentIntent)]
pub struct Why {
    /// Who; `operator` without it.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000, example = "kim")]
    pub by: Option<String>,
    /// Why.
    #[schema(required = false, nullable = false, min_length = 1, max_length = 1000)]
    pub reason: Option<String>,
}

/// A user.
#[derive(ToSchema)]
pub struct Who {
    /// The id that the filters would find.
    #[schema(min_length = 1, max_length = 1024)]
    pub user: String,
    /// What the segment's rules ask for.
    #[schema(required = false, nullable = false)]
    pub attributes: Option<serde_json::Value>,
}

/// A user's arm.
#[derive(ToSchema)]
pub struct Assigned {
    /// The experiment.
    pub experiment: String,
    /// The arm; none when the user takes no part.
    #[schema(required = true)]
    pub arm: Option<String>,
    /// The step that assigned it.
    #[schema(required = true)]
    pub step: Option<u64>,
    /// The arm's flags.
    pub flags: serde_json::Value,
    /// Whether this call made the assignment, and counted the exposure.
    pub new: bool,
    /// Why there is no arm.
    #[schema(required = true)]
    pub reason: Option<String>,
}

/// Events.
#[derive(ToSchema)]
pub struct Events {
    /// Taken all, or none.
    #[schema(min_items = 1, max_items = 1000)]
    pub events: Vec<Event>,
}

/// One event.
#[derive(ToSchema)]
pub struct Event {
    /// Which experiment.
    pub experiment: String,
    /// Whose.
    #[schema(min_length = 1, max_length = 1024)]
    pub user: String,
    /// What kind.
    #[schema(rename = "type")]
    pub r#type: EventKind,
    /// Of a conversion: which goal; the first without it.
    pub goal: Option<String>,
    /// Of a custom event: what happened.
    pub name: Option<String>,
    /// Of a conversion: what it is worth.
    pub value: Option<f64>,
    /// When it happened, at most 48 hours ago; now without it.
    pub time: Option<String>,
    /// Whatever else is to be kept, up to 2,048 bytes.
    pub properties: Option<serde_json::Value>,
}

/// What kind of event.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum EventKind {
    /// The user saw the arm.
    Exposure,
    /// The user reached a goal.
    Conversion,
    /// Something for funnels.
    Custom,
}

/// What events came to.
#[derive(ToSchema)]
pub struct Counted {
    /// Events taken.
    pub accepted: u64,
    /// Among them conversions of users whom nothing had exposed.
    pub unexposed: u64,
    /// Whether the answer is that of an earlier call with the same key.
    pub repeated: bool,
}

/// A funnel.
#[derive(ToSchema)]
pub struct Funnel {
    /// The experiment.
    pub experiment: String,
    /// By the arm's name, a list of steps: `step`, `users`, `dropOff`, `fromFirst`, `medianSeconds`.
    pub arms: serde_json::Value,
}

/// A report in JSON.
#[derive(ToSchema)]
#[schema(as = ExperimentReportDocument)]
pub struct Report {
    /// The experiment.
    pub experiment: Experiment,
    /// Its results.
    pub results: Results,
}

/// The form of a report.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum Format {
    /// Everything, for programs.
    Json,
    /// Markdown.
    Md,
    /// A page with plots.
    Html,
}
