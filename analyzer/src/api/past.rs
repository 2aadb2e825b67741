//! What the store has of the past: samples of any time, rollouts that have ended, how experiments went.

use super::Shared;
use super::problem::Problem;
use super::schema::{self, PastErrors};
use crate::engine::{RolloutView, Span};
use crate::store::StoreError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serin_contract::FieldError;
use serin_judge::time::Time;

/// Samples in an answer, where nothing else is asked for.
const USUAL: usize = 500;
/// Samples in an answer at most.
const MOST: usize = 2000;

/// Which samples are asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    from: Option<u64>,
    to: Option<u64>,
    most: Option<usize>,
    latency: Option<bool>,
}

impl Asked {
    /// None where nothing is asked for.
    fn span(&self) -> Result<Option<Span>, Problem> {
        let Self { from, to, most, latency } = *self;
        if from.is_none() && to.is_none() && most.is_none() && latency.is_none() {
            return Ok(None);
        }
        let most = most.unwrap_or(USUAL);
        if !(1..=MOST).contains(&most) {
            let message = format!("{most} is not allowed: 1 to {MOST}");
            return Err(Problem::field(FieldError::new("most", message)));
        }
        let (from, to) = (Time(from.unwrap_or(0)), Time(to.unwrap_or(u64::MAX)));
        Ok(Some(Span { from, to, most, latency: latency.unwrap_or(true) }))
    }
}

pub(super) fn unreadable(rejection: &QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("the query cannot be read: {}", rejection.body_text()))
}

pub(super) fn unavailable(error: &StoreError) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

/// The samples of a release, one for each analysis interval: the last 100, or those of any time
#[utoipa::path(get, path = "/v1/canaries/{namespace}/{name}/samples", tag = "canaries",
    params(("namespace" = String, Path, description = "The canary's namespace"),
        ("name" = String, Path, description = "The canary's name"),
        ("from" = Option<u64>, Query, description = "Milliseconds since 1970"),
        ("to" = Option<u64>, Query, description = "Milliseconds since 1970"),
        ("most" = Option<u64>, Query, minimum = 1, maximum = 2000,
            description = "Of more than so many only each second, third or nth; 500 without it"),
        ("latency" = Option<bool>, Query, description = "`false` leaves the latency buckets out")),
    responses((status = 200, description = "Oldest first", body = Vec<schema::Sample>), PastErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn samples(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Vec<serde_json::Value>>, Problem> {
    let id = format!("{namespace}/{name}");
    let Query(asked) = query.map_err(|rejection| unreadable(&rejection))?;
    let samples = match asked.span()? {
        Some(span) => shared.engine.samples_between(&id, span).await.map_err(|error| unavailable(&error))?,
        None => shared.engine.samples(&id).await,
    };
    samples.map(Json).ok_or_else(|| Problem::no_canary(&id))
}

/// The rollouts of a release: the one that runs and the last 100 that ended
#[utoipa::path(get, path = "/v1/canaries/{namespace}/{name}/rollouts", tag = "canaries",
    params(("namespace" = String, Path, description = "The canary's namespace"),
        ("name" = String, Path, description = "The canary's name")),
    responses((status = 200, description = "Newest first", body = Vec<schema::Rollout>), schema::ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn rollouts(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Vec<RolloutView>>, Problem> {
    let id = format!("{namespace}/{name}");
    let rollouts = shared.engine.rollouts(&id).await.map_err(|error| unavailable(&error))?;
    rollouts.map(Json).ok_or_else(|| Problem::no_canary(&id))
}

/// An experiment's numbers over time.
#[derive(Serialize)]
pub(super) struct Series {
    points: Vec<serde_json::Value>,
}

/// How an experiment went: a point a minute, where something happened
#[utoipa::path(get, path = "/v1/experiments/{id}/series", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id"),
        ("from" = Option<u64>, Query, description = "Milliseconds since 1970"),
        ("to" = Option<u64>, Query, description = "Milliseconds since 1970"),
        ("most" = Option<u64>, Query, minimum = 1, maximum = 2000,
            description = "Of more than so many only each second, third or nth; 500 without it")),
    responses((status = 200, description = "Oldest first", body = schema::Series), PastErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn series(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Series>, Problem> {
    let Query(asked) = query.map_err(|rejection| unreadable(&rejection))?;
    let usual = Span { from: Time(0), to: Time(u64::MAX), most: USUAL, latency: true };
    let span = asked.span()?.unwrap_or(usual);
    Ok(Json(Series { points: shared.engine.experiment_series(id, span).await? }))
}
