//! A new configuration while releases run: all of it, or nothing.

use super::core::{Core, open};
use super::rollout::Rollout;
use crate::config::{Canary, Configuration};
use crate::experiments::release;
use crate::router::RouteFiles;
use crate::store::Write;
use serin_contract::Share;
use serin_judge::time::Time;
use std::collections::BTreeMap;

impl Core {
    pub(super) fn reload(&mut self, new: Configuration, now: Time) -> Result<(), String> {
        self.check_server(&new)?;
        self.check_removed(&new)?;
        self.experiments.declaration(&new.experiments, now)?;
        // First everything that can be refused, on the side; the old state is untouched until all fits.
        let mut writes = Vec::new();
        let mut added: BTreeMap<String, Rollout> = BTreeMap::new();
        for canary in &new.canaries {
            let id = canary.id.to_string();
            match self.rollouts.get(&id) {
                Some(rollout) => check_changed(rollout, canary, now)?,
                None => {
                    let opened =
                        open(&*self.store, canary, now, &mut writes).map_err(|error| error.to_string())?;
                    added.insert(id, opened);
                }
            }
        }
        let stays = |id: &String| new.canaries.iter().any(|canary| canary.id.to_string() == *id);
        let gone: Vec<String> = self.rollouts.keys().filter(|id| !stays(id)).cloned().collect();
        self.forget(&gone, now);
        self.rollouts.retain(|id, _| new.canaries.iter().any(|canary| canary.id.to_string() == *id));
        self.rollouts.append(&mut added);
        for canary in &new.canaries {
            if let Some(rollout) = self.rollouts.get_mut(&canary.id.to_string()) {
                take_over(rollout, canary, now, &mut writes)?;
            }
        }
        writes.extend(self.experiments.declare(&new.experiments, now)?);
        let receivers_changed = self.configuration.server.alerts != new.server.alerts;
        let analytics_changed = self.configuration.server.analytics != new.server.analytics;
        self.configuration = new;
        self.route_files = RouteFiles::default();
        if receivers_changed {
            self.start_receivers();
        }
        if analytics_changed {
            self.start_analytics();
        }
        self.settle(&writes, now);
        self.publish();
        Ok(())
    }

    fn check_server(&self, new: &Configuration) -> Result<(), String> {
        let old = &self.configuration.server;
        if (old.listen, &old.store, &old.wasm) != (new.server.listen, &new.server.store, &new.server.wasm) {
            return Err(
                "spec.listen, spec.store and spec.wasm cannot change while the program runs: restart it"
                    .into(),
            );
        }
        Ok(())
    }

    fn check_removed(&self, new: &Configuration) -> Result<(), String> {
        for (id, rollout) in &self.rollouts {
            let stays = new.canaries.iter().any(|canary| canary.id.to_string() == *id);
            if !stays && rollout.state.weight > Share::NONE {
                return Err(format!(
                    "{id} cannot be removed at {}: roll it back, or make {} the stable version first",
                    rollout.state.weight, rollout.state.canary_version
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn check_changed(rollout: &Rollout, canary: &Canary, now: Time) -> Result<(), String> {
    if rollout.spec.router != canary.router && rollout.state.weight > Share::NONE {
        return Err(format!(
            "{}: router cannot change at {}: roll back or finish the release first",
            canary.id, rollout.state.weight
        ));
    }
    if release::is_under_way(rollout.state.phase) {
        release::check_goals(&rollout.spec.goals, &canary.goals)
            .map_err(|error| format!("{}: {error}", canary.id))?;
    }
    serin_judge::ramp::versions_changed(&rollout.state, &canary.stable_version, &canary.canary_version, now)
        .map(drop)
        .map_err(|refusal| format!("{}: {refusal}", canary.id))
}

pub(super) fn take_over(
    rollout: &mut Rollout,
    canary: &Canary,
    now: Time,
    writes: &mut Vec<Write>,
) -> Result<(), String> {
    rollout.spec = canary.clone();
    rollout.change_versions(&canary.stable_version, &canary.canary_version, now, writes)
}
