//! Plans on their way to the filters, and the engine's own numbers at `/metrics`.

use super::core::Core;
use super::plans;
use super::rollout::Rollout;
use serin_contract::plan::CanaryDocument;
use std::collections::BTreeMap;
use std::time::Instant;

impl Core {
    /// Gives the filters a new plan if anything in it changed, and shows the numbers. What can wait may have to,
    /// for the beat after this.
    pub(super) fn publish(&mut self) {
        let begun = Instant::now();
        if begun < self.next_plan && !self.takes_users_off() {
            return;
        }
        let (canaries, live) = plan_parts(&self.rollouts);
        match self.plan.update(canaries, self.experiments.plan(), live, self.pressure.stretch()) {
            Ok(true) => {
                tracing::info!(revision = %self.plan.revision(), "plan published");
                let bytes = self.plan.json().get().len();
                self.next_plan = begun + plans::pause(begun.elapsed(), bytes, self.filters.len());
            }
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "the new plan is wrong; filters keep the old one"),
        }
        self.spread_plan();
        self.show();
    }

    /// Whether a canary should have fewer users than the filters' plan gives it.
    fn takes_users_off(&self) -> bool {
        self.plan
            .shares()
            .any(|(name, share)| self.rollouts.get(name).is_none_or(|rollout| rollout.state.weight < share))
    }

    pub(super) fn show(&mut self) {
        let (current, pending) = self.filters.count(self.plan.revision());
        for (plan, count) in [("current", current), ("pending", pending)] {
            self.metrics.filters.with_label_values(&[plan]).set(count as i64);
        }
        self.metrics.plan_revision.set(self.plan.revision().0 as i64);
        for rollout in self.rollouts.values() {
            rollout.show(&self.metrics);
        }
    }
}

pub(super) fn plan_parts(rollouts: &BTreeMap<String, Rollout>) -> (Vec<CanaryDocument>, bool) {
    let canaries = rollouts.values().map(Rollout::plan).collect();
    (canaries, rollouts.values().any(Rollout::is_live))
}
