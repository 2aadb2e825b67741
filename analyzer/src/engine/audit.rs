//! The audit in the engine: a line goes into the same commit as what it tells of. What was refused has a commit of
//! its own.

use super::core::Core;
use super::{CanaryView, Engine, Message, Refused};
use crate::experiments;
use crate::store::{AuditLine, Outcome, StoreError, Write};
use serin_judge::time::Time;
use std::sync::Arc;

/// Somebody acts.
#[derive(Debug, Clone, Default)]
pub struct Attempt {
    /// The canary that it is about, `<namespace>/<name>`.
    pub canary: Option<String>,
    /// The experiment that it is about.
    pub experiment: Option<String>,
    /// What they do.
    pub deed: &'static str,
    /// Who, as far as they say.
    pub by: String,
    /// What they may do.
    pub role: &'static str,
    /// Why, as far as they say.
    pub reason: Option<String>,
    /// From where.
    pub peer: String,
}

impl Attempt {
    /// What stands in the audit once it is over.
    pub fn line(&self, (outcome, detail): (Outcome, String), now: Time) -> AuditLine {
        let Self { canary, experiment, deed, by, role, reason, peer } = self.clone();
        let (deed, role) = (deed.to_owned(), role.to_owned());
        AuditLine { time: now, deed, canary, experiment, by, role, reason, peer, outcome, detail }
    }
}

/// What came of an action on a release.
pub fn came_of_action(done: &Result<CanaryView, Refused>) -> (Outcome, String) {
    match done {
        Ok(view) => (Outcome::Done, format!("{} at {} %", view.phase.name(), view.weight)),
        Err(Refused::Unknown) => (Outcome::Refused, "there is no such canary".to_owned()),
        Err(Refused::NotNow(why)) => (Outcome::Refused, why.clone()),
        Err(Refused::Stopping) => (Outcome::Unknown, "the analyzer is stopping".to_owned()),
    }
}

/// What came of a change of an experiment.
pub fn came_of_change(done: Result<String, &experiments::Refused>) -> (Outcome, String) {
    use experiments::Refused;
    match done {
        Ok(detail) => (Outcome::Done, detail),
        Err(Refused::Unavailable(why)) => (Outcome::Unknown, why.clone()),
        Err(refused @ (Refused::Unknown(_) | Refused::Field(_) | Refused::Conflict(_))) => {
            (Outcome::Refused, refused.to_string())
        }
    }
}

impl Core {
    /// Keeps a line of something that changed nothing here.
    pub(super) fn note(&mut self, line: AuditLine, now: Time) {
        self.settle(&[Write::Audit(Box::new(line))], now);
    }
}

impl Engine {
    /// Keeps a line of something that the engine does not do itself. Nobody waits for it.
    pub async fn note(&self, line: AuditLine) {
        // An engine that is gone keeps nothing; the log has it.
        let _ = self.queue.send(Message::Audit(Box::new(line))).await;
    }

    /// The last lines with numbers below this one, at most so many, the newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn audit(&self, before: u64, most: usize) -> Result<Vec<(u64, AuditLine)>, StoreError> {
        let store = Arc::clone(&self.store);
        let lines = tokio::task::spawn_blocking(move || store.audit(before, most)).await;
        let broken =
            |error: tokio::task::JoinError| StoreError::Record { table: "audit", error: error.to_string() };
        lines.unwrap_or_else(|error| Err(broken(error)))
    }
}
