//! Sources at work: when a rollout's are asked, and what their answers change.

use super::Message;
use super::rollout::Rollout;
use crate::sources::collect::{Collected, Round};
use crate::sources::ledger::{Health, Source};
use crate::sources::{Server, Values};
use serin_contract::{Arm, PerArm};
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use std::time::Duration;
use tokio::sync::mpsc;

/// Sources are asked so long before a tick at most, so that their numbers are fresh at it.
const LEAD: Duration = Duration::from_secs(5);
/// As in the judge's first rule.
const SILENT: Duration = Duration::from_secs(5);

impl Rollout {
    /// The round to ask now, if one is due; the caller must ask and say what came of it.
    pub(super) fn round_due(&mut self, program: Option<&Server>, now: Time) -> Option<Round> {
        let lead = LEAD.min(self.spec.settings.analysis_interval / 2);
        let sources = &self.spec.sources;
        let prometheus = sources.prometheus.server.as_ref().or(program);
        let nobody = sources.application.is_none() && prometheus.is_none() && sources.limits.is_empty();
        if nobody || !self.is_live() || self.asked_for == self.next_tick || now.plus(lead) < self.next_tick {
            return None;
        }
        let round = Round {
            sources: sources.clone(),
            prometheus: prometheus.cloned(),
            values: self.values(),
            time: now,
        };
        self.asked_for = self.next_tick;
        self.ledger.begin(now).then_some(round)
    }

    fn values(&self) -> PerArm<Values> {
        let clusters = self.plan().served_by;
        let values = |arm: Arm, version: &str| Values {
            version: version.to_owned(),
            arm: arm.name(),
            namespace: self.spec.id.namespace.clone(),
            name: self.spec.id.name.clone(),
            cluster: clusters.get(arm).first().cloned().unwrap_or_default(),
            interval: format!("{}s", self.spec.sources.prometheus.interval.as_secs()),
        };
        PerArm {
            stable: values(Arm::Stable, &self.state.stable_version),
            canary: values(Arm::Canary, &self.state.canary_version),
        }
    }

    /// A round came to its end.
    pub(super) fn collected(&mut self, collected: Collected, now: Time) {
        if collected.time < self.state.rollout_started {
            self.ledger.abandon();
            return;
        }
        let turned = self.ledger.take(collected, &self.spec.sources.limits, now);
        turned.iter().for_each(|health| self.log_source(health));
    }

    /// The filters are a source too, but they come by themselves.
    pub(super) fn hear_filters(&mut self, summary: &Summary, now: Time) {
        let allowed = SILENT.max(3 * summary.report_interval);
        let problem = match summary.last_report {
            None => Some("no filter has reported yet".to_owned()),
            Some(last) if now.since(last) > allowed => {
                Some(format!("the last report came {} s ago", now.since(last).as_secs()))
            }
            Some(_) => None,
        };
        let turned = self.ledger.filters(problem, now);
        turned.iter().for_each(|health| self.log_source(health));
    }

    fn log_source(&self, health: &Health) {
        let (canary, source) = (&self.spec.id, health.source.name());
        match &health.problem {
            // At the start there is nobody yet; that is no news.
            Some(problem) if health.source == Source::Filters => {
                tracing::info!(%canary, source, %problem, "a source is silent");
            }
            Some(problem) => tracing::warn!(%canary, source, %problem, "a source does not answer"),
            None => tracing::info!(%canary, source, notes = ?health.notes, "a source answers"),
        }
    }
}

/// Sources are asked beside the engine's task; what they say comes as a message.
pub(super) fn send_round(queue: mpsc::Sender<Message>, canary: String, round: Round) {
    tokio::spawn(async move {
        let collected = Box::new(round.run().await);
        drop(queue.send(Message::Collected { canary, collected }).await);
    });
}
