//! The audit: one log line, with target `audit`, for each time that somebody acts or tries to. What
//! changed something stands in the store's history too, with the same name and reason.

use super::listener::Peer;
use crate::engine::{CanaryView, Refused};
use crate::experiments::history::Intent;

/// The log target. It is written whatever `--log` says.
pub const TARGET: &str = "audit";

/// Somebody acts.
pub(super) struct Attempt {
    pub(super) canary: String,
    pub(super) deed: &'static str,
    pub(super) by: String,
    pub(super) role: &'static str,
    pub(super) reason: String,
    pub(super) peer: Option<Peer>,
}

impl Attempt {
    /// Says what came of it. Texts of people are quoted, so that none can look like a line of its own.
    pub(super) fn log(&self, result: &Result<CanaryView, Refused>) {
        let (outcome, detail) = match result {
            Ok(view) => ("done", format!("{} at {} %", view.phase.name(), view.weight)),
            Err(Refused::Unknown) => ("refused", "there is no such canary".to_owned()),
            Err(Refused::NotNow(why)) => ("refused", why.clone()),
            Err(Refused::Stopping) => ("unknown", "the analyzer is stopping".to_owned()),
        };
        let (canary, by, reason) = (self.canary.as_str(), self.by.as_str(), self.reason.as_str());
        let (peer, detail) = (address(self.peer), detail.as_str());
        let role = self.role;
        tracing::info!(target: TARGET, canary, deed = self.deed, by, role, reason, peer, outcome, detail, "action");
    }
}

/// Somebody has signed in.
pub(super) fn signed_in(by: Option<&str>, role: &'static str, peer: Option<Peer>) {
    let (peer, by) = (address(peer), by.unwrap_or(""));
    tracing::info!(target: TARGET, deed = "sign in", by, role, peer, outcome = "done", "action");
}

/// Somebody makes, changes or ends an experiment.
pub(super) struct ExperimentAttempt {
    pub(super) id: String,
    pub(super) deed: &'static str,
    pub(super) intent: Intent,
    pub(super) peer: Option<Peer>,
}

impl ExperimentAttempt {
    /// Says what came of it.
    pub(super) fn log(&self, result: Result<String, &crate::experiments::Refused>) {
        let (outcome, detail) = match result {
            Ok(detail) => ("done", detail),
            Err(crate::experiments::Refused::Unavailable(why)) => ("unknown", why.clone()),
            Err(refused) => ("refused", refused.to_string()),
        };
        let (experiment, by) = (self.id.as_str(), self.intent.by.as_str());
        let reason = self.intent.reason.as_deref().unwrap_or_default();
        let (peer, detail) = (address(self.peer), detail.as_str());
        let role = super::access::Role::Operator.name();
        tracing::info!(target: TARGET, experiment, deed = self.deed, by, role, reason, peer, outcome, detail, "action");
    }
}

/// An action that was not even understood or admitted.
pub(super) fn refused(path: &str, peer: Option<Peer>, detail: &str) {
    let (peer, outcome) = (address(peer), "refused");
    tracing::info!(target: TARGET, path, peer, outcome, detail, "action");
}

fn address(peer: Option<Peer>) -> String {
    peer.map_or_else(|| "unknown".to_owned(), |Peer(address)| address.to_string())
}
