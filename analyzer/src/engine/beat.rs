//! What is done again and again: looking at routers, ticks, sources, alerts and numbers.

use super::collecting::send_round;
use super::core::Core;
use super::pressure;
use serin_judge::anomaly::{self, Anomaly, Service};
use serin_judge::time::Time;
use std::time::Duration;

/// How often alerts and the canaries' numbers at `/metrics` are brought up to date.
const BOARD: Duration = Duration::from_secs(1);
/// Of more than a few canaries only this part ticks in one beat, the rest in those after it; from then on they stay
/// apart. A thousand at once would be a thousand snapshots in memory, and reports would wait for all of them.
const PARTS: usize = 8;
const FEW: usize = 25;
/// A tick that is so late waits no longer.
const LATE: Duration = Duration::from_secs(1);

impl Core {
    /// Looks at the clock: ticks that are due, weights to write, filters that fell silent.
    pub(super) fn beat(&mut self, now: Time) {
        self.filters.forget(now);
        self.pressure.look(now, pressure::usage);
        self.look_at_inbox(now);
        let mut writes = self.experiments.pass_time(now);
        let shared = self.shared_anomalies(now);
        let mut places = self.rollouts.len().div_ceil(PARTS).max(FEW);
        for rollout in self.rollouts.values_mut() {
            rollout.look_at_router(&mut self.route_files, now, &mut writes);
            if rollout.is_due(now) && (places > 0 || now.since(rollout.next_tick) >= LATE) {
                places = places.saturating_sub(1);
                rollout.tick(&shared, now, &mut writes);
            }
        }
        self.settle(&writes, now);
        self.publish();
        self.ask_sources(now);
        if now >= self.next_board {
            self.next_board = now.plus(BOARD);
            self.show_board(now);
            self.keep_series(now);
        }
    }

    /// What several canaries have together: looked for when one of them takes a sample.
    fn shared_anomalies(&self, now: Time) -> Vec<Anomaly> {
        let due = self.rollouts.values().any(|rollout| rollout.is_live() && rollout.is_due(now));
        if !due || self.rollouts.len() < 2 {
            return Vec::new();
        }
        let live = self.rollouts.iter().filter(|(_, rollout)| rollout.is_live());
        let services: Vec<Service<'_>> =
            live.map(|(name, rollout)| Service { name, samples: &rollout.analysis.samples }).collect();
        anomaly::shared(&services)
    }

    fn ask_sources(&mut self, now: Time) {
        let program = self.configuration.server.prometheus.as_ref();
        for (id, rollout) in &mut self.rollouts {
            if let Some(round) = rollout.round_due(program, now) {
                send_round(self.queue.clone(), id.clone(), round);
            }
        }
    }

    /// How experiments go, for whoever looks later.
    fn keep_series(&mut self, now: Time) {
        let draft = self.experiments.draft(&*self.store, now);
        let due = self.series.due(&draft.all(), now);
        if !due.is_empty()
            && let Err(error) = self.commit(&due)
        {
            tracing::error!(%error, "the numbers of experiments could not be kept");
        }
    }

    /// Alerts and the numbers of `/metrics`.
    fn show_board(&mut self, now: Time) {
        let all_follow = self.filters.count(self.plan.revision()).1 == 0;
        for (id, rollout) in &mut self.rollouts {
            if all_follow {
                rollout.arrived(&self.metrics, now);
            }
            let summary = rollout.summary(now);
            let news = self.desk.update(id, rollout.alerts(&summary, now), now);
            news.iter().for_each(|notice| self.receivers.tell(notice));
            rollout.firing = self.desk.firing(id);
            self.metrics.board.show(id, rollout.series(&summary, self.desk.count(id), now));
        }
        self.metrics.experiments.show(self.experiments.series(now));
    }
}
