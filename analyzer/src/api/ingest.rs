//! `POST /v1/report`: what filters send.

use super::problem::Problem;
use super::reply::Answer;
use super::schema::{self, ReportErrors};
use super::{Shared, Taking};
use crate::engine::{Accepted, Unavailable};
use crate::metrics::Metrics;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serin_contract::{Reply, Report};

/// Takes a filter's report; answers once it is stored
#[utoipa::path(post, path = "/v1/report", tag = "filters",
    request_body = schema::Report,
    responses((status = 200, description = "Stored, or known already", body = schema::Reply), ReportErrors),
    security(("report" = [])))]
pub(super) async fn report(State(shared): State<Shared>, body: Bytes) -> Result<Answer, Problem> {
    let report = read(&shared.metrics, &body)?;
    told(&shared.metrics, shared.engine.report(report).await)
}

/// The same, by an analyzer that does not lead.
pub(super) async fn take(State(taking): State<Taking>, body: Bytes) -> Result<Answer, Problem> {
    let report = read(&taking.metrics, &body)?;
    told(&taking.metrics, taking.intake.report(report).await)
}

fn read(metrics: &Metrics, body: &[u8]) -> Result<Report, Problem> {
    Report::from_json(body).map_err(|error| {
        metrics.reports.with_label_values(&["refused"]).inc();
        tracing::warn!(field = %error.path, problem = %error.message, "report refused");
        Problem::field(error)
    })
}

fn told(metrics: &Metrics, accepted: Result<Accepted, Unavailable>) -> Result<Answer, Problem> {
    let accepted = accepted.map_err(|error| {
        metrics.reports.with_label_values(&["unstored"]).inc();
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    })?;
    Ok(Answer(Reply { acknowledged: accepted.acknowledged, plan: accepted.plan }))
}
