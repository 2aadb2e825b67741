//! `/v1/canaries` and `/v1/filters`: what people read and do.

use super::Shared;
use super::problem::Problem;
use crate::engine::{CanaryView, Deed, FilterView, Refused};
use crate::store::RolloutReport;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

pub(super) async fn list(State(shared): State<Shared>) -> Result<Json<Vec<CanaryView>>, Problem> {
    shared.engine.canaries().await.map(Json).ok_or_else(Problem::stopping)
}

pub(super) async fn one(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<CanaryView>, Problem> {
    let id = format!("{namespace}/{name}");
    shared.engine.canary(&id).await.map(Json).ok_or_else(|| Problem::no_canary(&id))
}

pub(super) async fn samples(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Vec<serde_json::Value>>, Problem> {
    let id = format!("{namespace}/{name}");
    shared.engine.samples(&id).await.map(Json).ok_or_else(|| Problem::no_canary(&id))
}

pub(super) async fn report(
    State(shared): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<RolloutReport>, Problem> {
    let id = format!("{namespace}/{name}");
    let found = shared.engine.rollout_report(&id).await;
    let found = found.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    found.map(Json).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, format!("no rollout of {id} has ended yet: there is no report"))
    })
}

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

pub(super) async fn act(
    State(shared): State<Shared>,
    Path((namespace, name, deed)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Json<CanaryView>, Problem> {
    let Some(deed) = Deed::ALL.into_iter().find(|known| known.name() == deed) else {
        let detail = format!("`{deed}` cannot be done: allowed are pause, resume, promote and rollback");
        return Err(Problem::new(StatusCode::NOT_FOUND, detail));
    };
    let intent: Intent = serin_contract::parse::from_json(&body).map_err(Problem::field)?;
    let by = intent.by.unwrap_or_else(|| "operator".to_owned());
    for (field, text) in [("reason", &intent.reason), ("by", &by)] {
        if text.trim().is_empty() || text.len() > 1000 {
            let error = serin_contract::FieldError::new(field, "must have 1 to 1000 characters");
            return Err(Problem::field(error));
        }
    }
    let id = format!("{namespace}/{name}");
    let done = shared.engine.act(&id, deed, &by, &intent.reason).await;
    done.map(Json).map_err(|refused| match refused {
        Refused::Unknown => Problem::no_canary(&id),
        Refused::NotNow(why) => Problem::new(StatusCode::CONFLICT, why),
        Refused::Stopping => Problem::stopping(),
    })
}
