//! `/v1/experiments` and `/v1/events`: what people read, and what services ask and tell. What people design is
//! in `design`.

use super::problem::Problem;
use super::schema::{ReadErrors, experiment as of};
use super::{Shared, Taking};
use crate::engine::{ExperimentView, now};
use crate::experiments::desk::{Assigned, Counted};
use crate::experiments::events::{MAX_EVENTS, check_user};
use crate::experiments::funnel::Funnel;
use crate::experiments::report::{TRUST, html, markdown};
use crate::experiments::spec::written;
use crate::experiments::{Event, EventDocument, Refused};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serin_contract::FieldError;
use serin_contract::parse::from_json;
use serin_judge::experiment::Results;
use std::collections::BTreeMap;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unknown(_) => Self::new(StatusCode::NOT_FOUND, refused.to_string()),
            Refused::Field(error) => Self::field(error),
            Refused::Conflict(why) => Self::new(StatusCode::CONFLICT, why),
            Refused::Unavailable(why) => Self::new(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

/// All experiments
#[utoipa::path(get, path = "/v1/experiments", tag = "experiments",
    responses((status = 200, description = "The experiments", body = Vec<of::Experiment>), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Vec<ExperimentView>>, Problem> {
    Ok(Json(shared.engine.experiments().await?))
}

/// One experiment
#[utoipa::path(get, path = "/v1/experiments/{id}", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id")),
    responses((status = 200, description = "The experiment", body = of::Experiment), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn one(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ExperimentView>, Problem> {
    Ok(Json(shared.engine.experiment(id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    user: String,
    #[serde(default)]
    attributes: BTreeMap<String, serde_json::Value>,
}

/// The arm of a user: kept for 30 days, and counted as an exposure once
#[utoipa::path(post, path = "/v1/experiments/{id}/assign", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id")),
    request_body = of::Who,
    responses((status = 200, description = "The arm, or why there is none", body = of::Assigned), of::WriteErrors),
    security(("report" = []), ("operator" = [])))]
pub(super) async fn assign(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Assigned>, Problem> {
    let Who { user, attributes } = from_json(&body).map_err(Problem::field)?;
    check_user(&user).map_err(Problem::field)?;
    Ok(Json(shared.engine.assign(id, user, attributes).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    events: Vec<EventDocument>,
}

/// Exposures, conversions and custom events, up to 1,000 in a call: all are taken, or none
#[utoipa::path(post, path = "/v1/events", tag = "experiments",
    params(("idempotency-key" = Option<String>, Header,
        description = "Makes a call that is sent again within 48 hours the same call")),
    request_body = of::Events,
    responses((status = 200, description = "Stored, or known already", body = of::Counted), of::WriteErrors),
    security(("report" = []), ("operator" = [])))]
pub(super) async fn events(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Counted>, Problem> {
    let (events, key) = read_events(&headers, &body)?;
    Ok(Json(shared.engine.events(events, key).await?))
}

/// The same, by an analyzer that does not lead.
pub(super) async fn take_events(
    State(taking): State<Taking>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Counted>, Problem> {
    let (events, key) = read_events(&headers, &body)?;
    Ok(Json(taking.intake.events(events, key).await?))
}

/// What can be checked without the experiments.
fn read_events(headers: &HeaderMap, body: &[u8]) -> Result<(Vec<Event>, Option<String>), Problem> {
    let key = key_of(headers).map_err(Problem::field)?;
    let Events { events } = from_json(body).map_err(Problem::field)?;
    if events.is_empty() || events.len() > MAX_EVENTS {
        let message = format!("there are {}: allowed are 1 to {MAX_EVENTS}", events.len());
        return Err(Problem::field(FieldError::new("events", message)));
    }
    let now = now();
    let checked = events.into_iter().enumerate().map(|(place, event)| {
        event.check(now).map_err(|error| Problem::field(error.under(&format!("events[{place}]"))))
    });
    Ok((checked.collect::<Result<_, _>>()?, key))
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, FieldError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= 256);
    let wrong = || FieldError::new("idempotency-key", "must be 1 to 256 visible ASCII characters");
    key.map(|key| Some(key.to_owned())).ok_or_else(wrong)
}

/// Results, with the reference's names.
#[derive(Serialize)]
pub(super) struct ResultsView {
    test_id: String,
    test_name: String,
    status: crate::experiments::Status,
    start_date: String,
    end_date: Option<String>,
    looked_at: String,
    which_to_trust: &'static str,
    #[serde(flatten)]
    results: Results,
}

impl ResultsView {
    fn of(view: &ExperimentView, results: Results) -> Self {
        Self {
            test_id: view.id.clone(),
            test_name: view.name.clone(),
            status: view.status,
            start_date: view.spec.start.clone().unwrap_or_else(|| view.created.clone()),
            end_date: view.ended.clone().or_else(|| view.spec.end.clone()),
            looked_at: written(now()),
            which_to_trust: TRUST,
            results,
        }
    }
}

/// The results as they are now
#[utoipa::path(get, path = "/v1/experiments/{id}/results", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id")),
    responses((status = 200, description = "The results", body = of::Results), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn results(
    State(shared): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ResultsView>, Problem> {
    let (view, results) = shared.engine.experiment_results(id).await?;
    Ok(Json(ResultsView::of(&view, results)))
}

fn unreadable(rejection: &QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("the query cannot be read: {}", rejection.body_text()))
}

#[derive(Deserialize)]
pub(super) struct Steps {
    #[serde(default)]
    steps: String,
}

/// How far users got, step by step, for each arm
#[utoipa::path(get, path = "/v1/experiments/{id}/funnel", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id"),
        ("steps" = String, Query, description = "2 to 10 names of actions, as view,cart,purchase")),
    responses((status = 200, description = "The funnel", body = of::Funnel), of::QueryErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn funnel(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<Steps>, QueryRejection>,
) -> Result<Json<Funnel>, Problem> {
    let Query(Steps { steps }) = query.map_err(|rejection| unreadable(&rejection))?;
    Ok(Json(shared.engine.funnel(id, &steps).await?))
}

#[derive(Deserialize)]
pub(super) struct Form {
    #[serde(default)]
    format: Option<String>,
}

/// The report: JSON, Markdown, or an HTML page with plots
#[utoipa::path(get, path = "/v1/experiments/{id}/report", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id"),
        ("format" = Option<of::Format>, Query, description = "json without it")),
    responses((status = 200, description = "The report", content(
        (of::Report = "application/json"), (String = "text/markdown"), (String = "text/html"))), of::QueryErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn report(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    query: Result<Query<Form>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Form { format }) = query.map_err(|rejection| unreadable(&rejection))?;
    let (view, results) = shared.engine.experiment_results(id).await?;
    let text = |kind: &'static str, text: String| ([(header::CONTENT_TYPE, kind)], text).into_response();
    match format.as_deref().unwrap_or("json") {
        "json" => {
            let results = ResultsView::of(&view, results);
            Ok(Json(serde_json::json!({"experiment": view, "results": results})).into_response())
        }
        "md" => Ok(text("text/markdown; charset=utf-8", markdown(&view, &results))),
        "html" => Ok(text("text/html; charset=utf-8", html(&view, &results))),
        other => {
            let message = format!("`{other}` is not known: allowed are json, md and html");
            Err(Problem::field(FieldError::new("format", message)))
        }
    }
}
