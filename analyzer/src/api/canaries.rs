//! `/v1/canaries` and `/v1/filters`: what people read and do.

use super::Shared;
use super::access::{Caller, Role};
use super::audit;
use super::listener::Peer;
use super::past::unreadable;
use super::problem::Problem;
use super::schema::{self, ActionErrors, ReadErrors, ReportReadErrors};
use crate::engine::{Attempt, CanaryView, Deed, FilterView, Refused, came_of_action};
use crate::report::Format;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use serin_judge::time::Time;

/// All releases
#[utoipa::path(get, path = "/v1/canaries", tag = "canaries",
    responses((status = 200, description = "The releases", body = Vec<schema::Canary>), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Vec<CanaryView>>, Problem> {
    shared.engine.canaries().await.map(Json).ok_or_else(Problem::stopping)
}

/// One release
#[utoipa::path(get, path = "/v1/canaries/{namespace}/{name}", tag = "canaries",
    params(("namespace" = String, Path, description = "The canary's namespace"),
        ("name" = String, Path, description = "The canary's name")),
    responses((status = 200, description = "The release", body = schema::Canary), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn one(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<CanaryView>, Problem> {
    let id = format!("{namespace}/{name}");
    shared.engine.canary(&id).await.map(Json).ok_or_else(|| Problem::no_canary(&id))
}

/// Which form of a report is asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    format: Option<String>,
    rollout: Option<u64>,
}

/// The report on the rollout that runs, or on the last that ended
#[utoipa::path(get, path = "/v1/canaries/{namespace}/{name}/report", tag = "canaries",
    params(("namespace" = String, Path, description = "The canary's namespace"),
        ("name" = String, Path, description = "The canary's name"),
        ("format" = Option<schema::ReportFormat>, Query,
            description = "How it is written; without it the Accept header decides, and JSON if that does not"),
        ("rollout" = Option<u64>, Query,
            description = "`started` of the rollout; without it the one that runs, or the last that ended")),
    responses((status = 200, description = "The report", content(
        (schema::RolloutReport = "application/json"),
        (String = "text/markdown"),
        (String = "text/html"))), ReportReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn report(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    query: Result<Query<Wanted>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Query(Wanted { format, rollout }) = query.map_err(|rejection| unreadable(&rejection))?;
    let id = format!("{namespace}/{name}");
    let format = wanted(format.as_deref(), &headers)?;
    let found = shared.engine.rollout_report(&id, rollout.map(Time)).await;
    let found = found.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let report = found.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            match rollout {
                Some(started) => {
                    format!("no rollout of {id} began at {started}: GET .../rollouts lists them")
                }
                None => format!("no rollout of {id} has begun yet: there is no report"),
            },
        )
    })?;
    // Drawing takes milliseconds in which other requests should not wait.
    let text = tokio::task::spawn_blocking(move || report.write(format)).await;
    let text = text.map_err(|error| error.to_string()).and_then(|written| written);
    let text = text.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    let headers = [(header::CONTENT_TYPE, format.media_type()), (header::VARY, "accept")];
    Ok((headers, text).into_response())
}

/// The form that `?format=` or the Accept header asks for.
fn wanted(format: Option<&str>, headers: &HeaderMap) -> Result<Format, Problem> {
    if let Some(name) = format {
        return Format::ALL.into_iter().find(|known| known.name() == name).ok_or_else(|| {
            let message = format!("`{name}` is not known: allowed are json, markdown and html");
            Problem::field(serin_contract::FieldError::new("format", message))
        });
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut known = accept.split(',').filter_map(|part| match part.split(';').next()?.trim() {
        "text/html" => Some(Format::Html),
        "text/markdown" => Some(Format::Markdown),
        "application/json" | "*/*" => Some(Format::Json),
        _ => None,
    });
    Ok(known.next().unwrap_or_default())
}

/// The filters that report
#[utoipa::path(get, path = "/v1/filters", tag = "canaries",
    responses((status = 200, description = "The filters", body = Vec<schema::Filter>), ReadErrors),
    security(("viewer" = []), ("operator" = [])))]
pub(super) async fn filters(State(shared): State<Shared>) -> Result<Json<Vec<FilterView>>, Problem> {
    shared.engine.filters().await.map(Json).ok_or_else(Problem::stopping)
}

/// Why somebody acts, and who, as far as they say so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Intent {
    reason: String,
    #[serde(default)]
    by: Option<String>,
}

/// Pause, resume, promote or roll back a release
#[utoipa::path(post, path = "/v1/canaries/{namespace}/{name}/{deed}", tag = "actions",
    params(("namespace" = String, Path, description = "The canary's namespace"),
        ("name" = String, Path, description = "The canary's name"),
        ("deed" = schema::Deed, Path, description = "What to do")),
    request_body = schema::Intent,
    responses((status = 200, description = "The release after it", body = schema::Canary), ActionErrors),
    security(("operator" = [])))]
pub(super) async fn act(
    State(shared): State<Shared>,
    Path((namespace, name, deed)): Path<(String, String, String)>,
    peer: Option<Extension<Peer>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<CanaryView>, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let id = format!("{namespace}/{name}");
    let (deed, by, reason) = understood(&deed, &body).inspect_err(|problem| {
        audit::refused(&format!("/v1/canaries/{id}/{deed}"), peer, problem.detail());
    })?;
    // Who has signed in is who they said then.
    let by = caller.name().map_or(by, str::to_owned);
    let attempt = Attempt {
        canary: Some(id.clone()),
        deed: deed.name(),
        by,
        role: Role::Operator.name(),
        reason: Some(reason),
        peer: audit::address(peer),
        ..Attempt::default()
    };
    let canary = id.clone();
    // On a task of its own, because a caller who hangs up must not keep the deed from the audit.
    let done = tokio::spawn(async move {
        let done = shared.engine.act(&canary, deed, attempt.clone()).await;
        audit::log(&attempt, came_of_action(&done));
        done
    });
    done.await.unwrap_or(Err(Refused::Stopping)).map(Json).map_err(|refused| match refused {
        Refused::Unknown => Problem::no_canary(&id),
        Refused::NotNow(why) => Problem::new(StatusCode::CONFLICT, why),
        Refused::Stopping => Problem::stopping(),
    })
}

/// What is to be done, by whom, and why.
fn understood(deed: &str, body: &[u8]) -> Result<(Deed, String, String), Problem> {
    let Some(deed) = Deed::ALL.into_iter().find(|known| known.name() == deed) else {
        let detail = format!("`{deed}` cannot be done: allowed are pause, resume, promote and rollback");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let Intent { reason, by } = serin_contract::parse::from_json(body).map_err(Problem::field)?;
    let by = by.unwrap_or_else(|| "operator".to_owned());
    for (field, text) in [("reason", &reason), ("by", &by)] {
        if text.trim().is_empty() || text.len() > 1000 {
            let error = serin_contract::FieldError::new(field, "must have 1 to 1000 characters");
            return Err(Problem::field(error));
        }
    }
    Ok((deed, by, reason))
}
