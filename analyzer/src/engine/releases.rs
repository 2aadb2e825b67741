//! Releases' experiments in the engine: each rollout has one while it has users to compare.

use super::core::Core;
use super::rollout::Rollout;
use crate::experiments::Draft;
use crate::experiments::desk::{Changes, Counting};
use crate::experiments::release;
use crate::store::StoreError;
use serin_contract::{CanaryReport, Sample};
use serin_judge::ramp::State;
use serin_judge::time::Time;
use std::time::Duration;

/// An experiment whose canary nobody knows any more ends after so long: in a cluster Canaries come one by one
/// after a start.
const ORPHAN: Duration = Duration::from_secs(60);

/// A rollout's experiment, if it has one. The id is kept because it is asked for with every report.
#[derive(Debug, Default)]
pub(super) struct OwnExperiment {
    version: String,
    started: Time,
    id: String,
    is_there: bool,
}

impl Rollout {
    /// To be called before [`Self::experiment_id`] is asked: a new rollout has another experiment.
    fn name_experiment(&mut self) {
        let State { canary_version, rollout_started, .. } = &self.state;
        let named = &self.own_experiment;
        if named.id.is_empty() || (&named.version, named.started) != (canary_version, *rollout_started) {
            self.own_experiment = OwnExperiment {
                version: canary_version.clone(),
                started: *rollout_started,
                id: release::id(&self.spec.id.to_string(), canary_version, *rollout_started),
                is_there: false,
            };
        }
    }

    /// The id that this rollout's experiment has or would have.
    fn experiment_id(&self) -> &str {
        &self.own_experiment.id
    }

    /// The id of this rollout's experiment, where there is one.
    pub(super) fn experiment(&self) -> Option<&str> {
        self.own_experiment.is_there.then_some(self.experiment_id())
    }
}

impl Core {
    /// Opens, follows and ends experiments as the rollouts are now. What cannot be stored is tried again at the
    /// next look: nothing of it is taken over before.
    pub(super) fn follow_releases(&mut self, now: Time) {
        if self.store_is_away() {
            return;
        }
        self.rollouts.values_mut().for_each(Rollout::name_experiment);
        let mut changes = Changes::default();
        for (canary, rollout) in &self.rollouts {
            let known = self.experiments.get(rollout.experiment_id());
            if known.is_some_and(|book| {
                book.record.ended.is_some() || book.follows(&rollout.state, &rollout.spec)
            }) {
                continue;
            }
            if let Some((step, experiment)) = release::wanted(&rollout.spec, &rollout.state) {
                changes.follow(known, canary, step, experiment, now);
            }
        }
        for book in self.experiments.open_releases() {
            let rollout = book.canary().and_then(|canary| self.rollouts.get(canary));
            let current = rollout.filter(|rollout| rollout.experiment_id() == book.record.id);
            match (rollout, current) {
                (_, Some(rollout)) if release::is_under_way(rollout.state.phase) => {}
                (_, Some(rollout)) => changes.end(book, Some(&rollout.summary(now).goals), now),
                (Some(_), None) => changes.end(book, None, now),
                (None, None) if now.since(self.started) < ORPHAN => {}
                (None, None) => changes.end(book, None, now),
            }
        }
        let (books, writes) = changes.finish();
        if !books.is_empty() {
            match self.commit(&writes) {
                Ok(()) => self.experiments.adopt(books, now),
                Err(error) => {
                    tracing::error!(%error, "releases' experiments could not be stored; tried again");
                }
            }
        }
        for rollout in self.rollouts.values_mut() {
            rollout.own_experiment.is_there = self.experiments.get(rollout.experiment_id()).is_some();
        }
    }

    /// Counts what a filter reports of a canary in its experiment.
    pub(super) fn count_release(
        &self,
        draft: &mut Draft<'_>,
        entry: &CanaryReport,
    ) -> Result<(), StoreError> {
        // In a cluster reports may be here before their Canary is.
        let rollout = self.rollouts.get(&entry.name);
        let current = rollout.and_then(Rollout::experiment);
        let exposed = current.and_then(|id| self.experiments.exposed(id, entry.step));
        let current = current.filter(|_| exposed.is_some());
        let Some(id) = current.or_else(|| self.experiments.of_release(&entry.name, entry.step)) else {
            return Ok(());
        };
        let present = rollout.filter(|rollout| rollout.state.stratum == entry.stratum);
        let sample = present.map_or(Sample::ALL, |rollout| rollout.observations.seen_sample());
        let goals =
            rollout.map_or_else(Vec::new, |rollout| rollout.observations.goals(&rollout.spec.settings));
        // Not so where an experiment could only be opened after its step began, as after an outage of the store. (A
        // late report of the stratum before may then fill the gap: as many users as it has new ones stay uncounted.)
        let all_are_exposed = |rollout: &&Rollout| {
            let seen = rollout.observations.seen();
            exposed.is_some_and(|exposed| exposed.stable >= seen.stable && exposed.canary >= seen.canary)
        };
        let in_step = present.filter(|rollout| rollout.state.step == entry.step);
        let exposed = in_step.filter(all_are_exposed).map(|rollout| &rollout.observations);
        draft.release(id, entry, Counting { sample, guardrails: &goals, exposed })
    }
}
