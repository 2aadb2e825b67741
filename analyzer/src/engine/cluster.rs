//! What the engine and the Kubernetes side tell each other: Canaries that come and go, what the cluster shows
//! of them, and what becomes of them.

use super::core::{Core, open};
use super::reload::{check_changed, take_over};
use super::rollout::Rollout;
use super::view::CanaryView;
use crate::config::{Canary, check_together};
use crate::router::RouterError;
use crate::store::{StoreError, Write};
use serde_json::Value;
use serin_contract::Share;
use serin_judge::deployments::Deployments;
use serin_judge::observations::Carried;
use serin_judge::ramp::{State, Transition};
use serin_judge::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// What the cluster shows of a Canary.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The VirtualService, or why there is none.
    pub virtual_service: Result<Arc<Value>, RouterError>,
    /// What is missing or wrong in it, so that requests would not be served as they should.
    pub problem: Option<String>,
    /// The Deployments, where the Canary names them.
    pub deployments: Option<Deployments>,
}

/// What a Canary's status says of its release.
#[derive(Debug, Clone, PartialEq)]
pub struct Takeover {
    /// Phase, weight, step, verdict.
    pub state: State,
    /// The evidence's numbers.
    pub carried: Carried,
    /// Its last lines.
    pub history: Vec<Transition>,
    /// The share that the router was about to get, and may have.
    pub next: Option<Share>,
    /// Whether this program wrote it, so that its store may know more.
    pub ours: bool,
}

/// A release, for its Canary's status.
#[derive(Debug, Clone)]
pub struct Release {
    /// As the API shows it.
    pub view: CanaryView,
    /// Phase, weight, step, verdict.
    pub state: State,
    /// The evidence's numbers.
    pub carried: Carried,
    /// The share that the router is about to get. It gets it once the status says so: [`super::Engine::told`].
    pub next: Option<Share>,
    /// The Deployments, where they are named and were seen.
    pub deployments: Option<Deployments>,
    /// How often its numbers are worth a look.
    pub analysis_interval: Duration,
}

impl Seen {
    /// The VirtualService's resourceVersion: since Kubernetes 1.35 a number that grows by contract, and
    /// before by habit of etcd.
    pub(super) fn version(&self) -> u64 {
        let version = |object: &Value| object.pointer("/metadata/resourceVersion")?.as_str()?.parse().ok();
        self.virtual_service.as_deref().ok().and_then(version).unwrap_or(0)
    }
}

impl Core {
    /// Takes over a Canary's spec, or refuses it and leaves everything as it was.
    pub(super) fn apply(
        &mut self,
        canary: &Canary,
        takeover: Option<Takeover>,
        now: Time,
    ) -> Result<(), String> {
        let id = canary.id.to_string();
        let mut canaries: Vec<Canary> = self
            .rollouts
            .values()
            .map(|rollout| rollout.spec.clone())
            .filter(|known| known.id != canary.id)
            .collect();
        canaries.push(canary.clone());
        check_together(&canaries)?;
        let mut writes = Vec::new();
        match self.rollouts.get_mut(&id) {
            Some(rollout) => {
                check_changed(rollout, canary, now)?;
                take_over(rollout, canary, now, &mut writes)?;
            }
            None => {
                let rollout =
                    self.begin(canary, takeover, now, &mut writes).map_err(|error| error.to_string())?;
                self.rollouts.insert(id, rollout);
            }
        }
        self.settle(&writes, now);
        self.publish();
        Ok(())
    }

    fn begin(
        &self,
        canary: &Canary,
        takeover: Option<Takeover>,
        now: Time,
        writes: &mut Vec<Write>,
    ) -> Result<Rollout, StoreError> {
        let stored = self.store.canary(&canary.id.to_string())?;
        let end = |stored: &crate::store::StoredCanary| {
            stored.journal.last().map_or(stored.snapshot.offset, |(offset, _)| *offset)
        };
        let offset = stored.as_ref().map_or(0, end);
        let next = takeover.as_ref().and_then(|takeover| takeover.next);
        let mut rollout = match (takeover, stored) {
            (Some(takeover), Some(stored))
                if !self.store.is_shared()
                    && takeover.ours
                    && is_as_fresh(&takeover.state, &stored.snapshot.state) =>
            {
                open(&*self.store, canary, now, writes)?
            }
            // What all replicas share is at least as fresh as the status, unless it was away when that was written.
            (Some(takeover), Some(stored))
                if self.store.is_shared() && is_no_older(&takeover.state, &stored.snapshot.state) =>
            {
                let mut rollout = open(&*self.store, canary, now, writes)?;
                self.catch_up(&mut rollout, now)?;
                rollout
            }
            (Some(takeover), _) => Rollout::take_over(canary.clone(), takeover, offset, now, writes),
            (None, _) => Rollout::new(canary.clone(), offset, now),
        };
        rollout.was_raising_to(next);
        writes.push(rollout.snapshot());
        Ok(rollout)
    }

    /// Lets go of a Canary that is deleted; its route is given back by whoever asks for this.
    pub(super) fn remove(&mut self, id: &str, now: Time) {
        if self.rollouts.remove(id).is_some() {
            tracing::info!(canary = %id, "no longer kept");
            self.forget(&[id.to_owned()], now);
            self.publish();
        }
    }

    pub(super) fn told(&mut self, id: &str, next: Option<Share>, now: Time) {
        if let Some(rollout) = self.rollouts.get_mut(id) {
            rollout.told = next;
        }
        self.settle(&[], now);
    }

    pub(super) fn see(&mut self, id: &str, seen: Seen, now: Time) {
        let mut writes = Vec::new();
        if let Some(rollout) = self.rollouts.get_mut(id) {
            rollout.see(seen);
            rollout.look_at_router(&mut self.route_files, now, &mut writes);
        }
        self.settle(&writes, now);
        self.publish();
    }
}

/// Whether the store is at the point that the status tells of, or further.
fn is_no_older(status: &State, stored: &State) -> bool {
    let at = |state: &State| (state.rollout_started, state.step, state.stratum);
    at(stored) > at(status) || is_as_fresh(status, stored)
}

/// Whether the store is at the point that the status tells of.
fn is_as_fresh(status: &State, stored: &State) -> bool {
    (status.phase, status.step, status.stratum, status.weight)
        == (stored.phase, stored.step, stored.stratum, stored.weight)
        && (&status.stable_version, &status.canary_version)
            == (&stored.stable_version, &stored.canary_version)
}
