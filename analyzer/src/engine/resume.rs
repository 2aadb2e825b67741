//! A rollout goes on after a restart, or where another replica left it.

use super::cluster::Takeover;
use super::past::taken;
use super::rollout::{HISTORY, Rollout};
use crate::config::Canary;
use crate::store::{Snapshot, StoredCanary, Write};
use serin_judge::observations::Observations;
use serin_judge::ramp::State;
use serin_judge::time::Time;
use std::time::Duration;

impl Rollout {
    /// Goes on where the store ends: the snapshot, then everything counted after it.
    pub(super) fn restore(spec: Canary, stored: StoredCanary, now: Time, writes: &mut Vec<Write>) -> Self {
        let Snapshot { state, mut observations, offset, cursor } = stored.snapshot;
        if let Err(error) = observations.restore_units(&stored.units) {
            tracing::error!(canary = %spec.id, %error, "the stratum's units cannot be read; units count anew");
        }
        for (_, entry) in &stored.journal {
            let interval = Duration::from_millis(entry.interval_ms);
            observations.report(&spec.settings, entry.instance, interval, &entry.entries, entry.time);
        }
        let offset = stored.journal.last().map_or(offset, |(offset, _)| *offset);
        let mut rollout = Self::with(spec, state, observations, offset, now);
        rollout.cursor = cursor;
        rollout.history = stored.history.into_iter().rev().take(HISTORY).rev().collect();
        tracing::info!(
            canary = %rollout.spec.id, phase = ?rollout.state.phase, weight = %rollout.state.weight,
            step = %rollout.state.step, replayed = stored.journal.len(), "goes on from the store"
        );
        rollout.take_over_versions(now, writes);
        rollout
    }

    /// Goes on from another replica's numbers: the same weight and step, a new stratum. Everything counted
    /// begins anew, so that nothing that the other had acknowledged counts again.
    pub(super) fn take_over(
        spec: Canary,
        takeover: Takeover,
        offset: u64,
        now: Time,
        writes: &mut Vec<Write>,
    ) -> Self {
        let Takeover { state, carried, history, .. } = takeover;
        let state = State { stratum: state.stratum.next(), stratum_started: now, ..state };
        let mut observations = Observations::carry_on(&carried, now);
        observations.begin_stratum(state.step, state.stratum, state.weight, now);
        let mut rollout = Self::with(spec, state, observations, offset, now);
        rollout.history = history.into();
        tracing::info!(
            canary = %rollout.spec.id, phase = ?rollout.state.phase, weight = %rollout.state.weight,
            step = %rollout.state.step, stratum = %rollout.state.stratum, "taken over from the Canary's status"
        );
        rollout.take_over_versions(now, writes);
        rollout
    }

    /// Versions that were changed while nobody was there, as a reload would bring them.
    fn take_over_versions(&mut self, now: Time, writes: &mut Vec<Write>) {
        let (stable, canary) = (self.spec.stable_version.clone(), self.spec.canary_version.clone());
        if let Err(problem) = self.change_versions(&stable, &canary, now, writes) {
            tracing::error!(canary = %self.spec.id, %problem, "the configured versions are not taken over");
        }
    }

    /// Takes over the samples that the store has of this rollout.
    pub(super) fn remember(&mut self, samples: &[serde_json::Value], now: Time) {
        let summary = self.summary(now);
        if let Some(last) = samples.last() {
            self.sampler.resume(last, &self.state, &summary);
        }
        for sample in samples {
            self.keep(taken(sample), sample, now);
        }
        self.resume_analysis(samples);
    }
}
