//! What people do to experiments: make them, change their shares, end them. Each try is in the audit, and what
//! was done stands in the experiment's history.

use super::Shared;
use super::access::{Caller, Role};
use super::audit;
use super::listener::Peer;
use super::problem::Problem;
use super::schema::experiment as of;
use crate::engine::{Attempt, ExperimentView, came_of_change};
use crate::experiments::desk::Moves;
use crate::experiments::history::Intent;
use crate::experiments::{Experiment, ExperimentSpec, Refused};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serin_contract::FieldError;
use serin_contract::parse::from_json;
use std::collections::BTreeMap;

/// Create an experiment
#[utoipa::path(post, path = "/v1/experiments", tag = "experiments",
    request_body = of::NewExperiment,
    responses((status = 200, description = "The experiment", body = of::Experiment), of::WriteErrors),
    security(("operator" = [])))]
pub(super) async fn create(
    State(shared): State<Shared>,
    peer: Option<Extension<Peer>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<ExperimentView>, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let (experiment, intent) = understood("/v1/experiments", peer, &caller, created(&body))?;
    let attempt = attempt(&experiment.id, "create", &intent, peer);
    let tried = Some(attempt.clone());
    let done = async move { shared.engine.create_experiment(experiment, intent, tried).await };
    audited(attempt, done, ExperimentView::in_short).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Change {
    shares: BTreeMap<String, f64>,
    #[serde(default)]
    accept_moves: bool,
    by: Option<String>,
    reason: Option<String>,
}

/// What a change of shares came to.
#[derive(Serialize)]
pub(super) struct Changed {
    experiment: ExperimentView,
    persistence: Moves,
}

/// Change the shares: a new step begins
#[utoipa::path(patch, path = "/v1/experiments/{id}", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id")),
    request_body = of::Change,
    responses((status = 200, description = "The experiment, and what it means to its users", body = of::Changed),
        of::WriteErrors),
    security(("operator" = [])))]
pub(super) async fn change(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    peer: Option<Extension<Peer>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<Changed>, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let read = from_json(&body).and_then(|change: Change| {
        let intent = intent(change.by.clone(), change.reason.clone())?;
        Ok((change, intent))
    });
    let (change, intent) = understood(&format!("/v1/experiments/{id}"), peer, &caller, read)?;
    let attempt = attempt(&id, "shares", &intent, peer);
    let tried = Some(attempt.clone());
    let done = async move {
        let Change { shares, accept_moves, .. } = change;
        let changed = shared.engine.change_shares(id, shares, accept_moves, intent, tried).await;
        changed.map(|(experiment, persistence)| Changed { experiment, persistence })
    };
    audited(attempt, done, |changed| changed.experiment.in_short()).await.map(Json)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    by: Option<String>,
    reason: Option<String>,
}

/// End an experiment
#[utoipa::path(post, path = "/v1/experiments/{id}/end", tag = "experiments",
    params(("id" = String, Path, description = "The experiment's id")),
    request_body = of::Why,
    responses((status = 200, description = "The experiment after it", body = of::Experiment), of::WriteErrors),
    security(("operator" = [])))]
pub(super) async fn end(
    State(shared): State<Shared>,
    Path(id): Path<String>,
    peer: Option<Extension<Peer>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<Json<ExperimentView>, Problem> {
    let peer = peer.map(|Extension(peer)| peer);
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let read = from_json(body).and_then(|Why { by, reason }| Ok(((), intent(by, reason)?)));
    let ((), intent) = understood(&format!("/v1/experiments/{id}/end"), peer, &caller, read)?;
    let attempt = attempt(&id, "end", &intent, peer);
    let tried = Some(attempt.clone());
    let done = async move { shared.engine.end_experiment(id, intent, tried).await };
    audited(attempt, done, ExperimentView::in_short).await.map(Json)
}

/// An experiment as it is created: a specification with an id, and maybe who asks for it and why.
fn created(body: &[u8]) -> Result<(Experiment, Intent), FieldError> {
    let mut raw: serde_json::Map<String, serde_json::Value> = from_json(body)?;
    let mut text = |field: &str| match raw.remove(field) {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(FieldError::new(field, "must be text")),
    };
    let missing = || FieldError::new("id", "is missing: 1 to 64 letters, digits, `.`, `_` and `-`");
    let id = text("id")?.ok_or_else(missing)?;
    let intent = intent(text("by")?, text("reason")?)?;
    let raw = serde_json::Value::Object(raw);
    let spec: ExperimentSpec = serde_path_to_error::deserialize(&raw)
        .map_err(|error| FieldError::new(error.path().to_string(), error.inner().to_string()))?;
    Ok((Experiment::compile(&id, spec)?, intent))
}

fn intent(by: Option<String>, reason: Option<String>) -> Result<Intent, FieldError> {
    for (field, text) in [("by", &by), ("reason", &reason)] {
        if text.as_ref().is_some_and(|text| text.trim().is_empty() || text.len() > 1000) {
            return Err(FieldError::new(field, "must have 1 to 1000 characters"));
        }
    }
    Ok(Intent { by: by.unwrap_or_else(|| "operator".to_owned()), reason })
}

/// What was read, by whom; what was not understood is in the audit too.
fn understood<T>(
    path: &str,
    peer: Option<Peer>,
    caller: &Caller,
    read: Result<(T, Intent), FieldError>,
) -> Result<(T, Intent), Problem> {
    let (read, intent) = read.map_err(|error| {
        audit::refused(path, peer, &error.to_string());
        Problem::field(error)
    })?;
    // Who has signed in is who they said then.
    let by = caller.name().map_or(intent.by, str::to_owned);
    Ok((read, Intent { by, ..intent }))
}

/// What stands in the audit of it.
fn attempt(id: &str, deed: &'static str, intent: &Intent, peer: Option<Peer>) -> Attempt {
    let Intent { by, reason } = intent.clone();
    let (role, peer) = (Role::Operator.name(), audit::address(peer));
    Attempt { experiment: Some(id.to_owned()), deed, by, role, reason, peer, ..Attempt::default() }
}

/// On a task of its own, because a caller who hangs up must not keep the deed from the audit.
async fn audited<T: Send + 'static>(
    attempt: Attempt,
    work: impl Future<Output = Result<T, Refused>> + Send + 'static,
    told: fn(&T) -> String,
) -> Result<T, Problem> {
    let done = tokio::spawn(async move {
        let done = work.await;
        audit::log(&attempt, came_of_change(done.as_ref().map(told)));
        done
    });
    let stopping = |_| Err(Refused::Unavailable("the analyzer is stopping: try again".to_owned()));
    done.await.unwrap_or_else(stopping).map_err(Problem::from)
}
