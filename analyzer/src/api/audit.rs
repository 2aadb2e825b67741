//! The audit: one line for each time that somebody acts or tries to, in the log with target `audit` and in the store.
//! What was not even understood or admitted is in the log alone, so that nobody without a token can fill the store.

use super::Shared;
use super::listener::Peer;
use super::past::{unavailable, unreadable};
use super::problem::Problem;
use super::schema::{self, AuditErrors};
use crate::engine::{Attempt, now};
use crate::store::{AuditLine, Outcome};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serin_contract::FieldError;

/// The log target. It is written whatever `--log` says.
pub const TARGET: &str = "audit";

/// Lines in an answer, where nothing else is asked for.
const USUAL: usize = 100;
/// Lines in an answer at most.
const MOST: usize = 1000;

/// Says what came of an attempt. Texts of people are quoted, so that none can look like a line of its own.
pub(super) fn log(attempt: &Attempt, (outcome, detail): (Outcome, String)) {
    let Attempt { canary, experiment, deed, by, role, reason, peer } = attempt;
    let (by, peer, outcome) = (by.as_str(), peer.as_str(), outcome.name());
    let reason = reason.as_deref().unwrap_or_default();
    let (canary, experiment) = (canary.as_deref(), experiment.as_deref());
    let detail = Some(detail.as_str()).filter(|detail| !detail.is_empty());
    tracing::info!(target: TARGET, canary, experiment, deed, by, role, reason, peer, outcome, detail, "action");
}

/// Somebody has signed in.
pub(super) async fn signed_in(shared: &Shared, by: Option<&str>, role: &'static str, peer: Option<Peer>) {
    let by = by.unwrap_or("").to_owned();
    let attempt = Attempt { deed: "sign in", by, role, peer: address(peer), ..Attempt::default() };
    let came = (Outcome::Done, String::new());
    log(&attempt, came.clone());
    shared.engine.note(attempt.line(came, now())).await;
}

/// An action that was not even understood or admitted.
pub(super) fn refused(path: &str, peer: Option<Peer>, detail: &str) {
    let (peer, outcome) = (address(peer), "refused");
    tracing::info!(target: TARGET, path, peer, outcome, detail, "action");
}

pub(super) fn address(peer: Option<Peer>) -> String {
    peer.map_or_else(|| "unknown".to_owned(), |Peer(address)| address.to_string())
}

/// Which lines are asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    before: Option<u64>,
    most: Option<usize>,
}

/// A line with its number.
#[derive(Serialize)]
pub(super) struct Numbered {
    number: u64,
    #[serde(flatten)]
    line: AuditLine,
}

/// Who did what, when and why: the last 10,000 actions, refused ones too, and sign-ins
#[utoipa::path(get, path = "/v1/audit", tag = "actions",
    params(("before" = Option<u64>, Query, description = "Only lines with a lower `number`: the next page"),
        ("most" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 without it")),
    responses((status = 200, description = "Newest first", body = Vec<schema::AuditLine>), AuditErrors),
    security(("operator" = [])))]
pub(super) async fn list(
    State(shared): State<Shared>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Vec<Numbered>>, Problem> {
    let Query(Asked { before, most }) = query.map_err(|rejection| unreadable(&rejection))?;
    let most = most.unwrap_or(USUAL);
    if !(1..=MOST).contains(&most) {
        let message = format!("{most} is not allowed: 1 to {MOST}");
        return Err(Problem::field(FieldError::new("most", message)));
    }
    let lines = shared.engine.audit(before.unwrap_or(u64::MAX), most).await;
    let lines = lines.map_err(|error| unavailable(&error))?;
    Ok(Json(lines.into_iter().map(|(number, line)| Numbered { number, line }).collect()))
}
