//! The report on a rollout: the one that runs, or the last that ended.

use super::core::Core;
use super::rollout::Rollout;
use super::view::CanaryView;
use crate::report::{MOST_SAMPLES, Report};
use crate::store::{RolloutReport, StoreError};
use serin_judge::ramp::Phase;
use serin_judge::time::Time;

/// The kind of a rollout whose end is still to come.
pub(super) const RUNNING: &str = "running";
/// So many rollouts are looked through for one that is asked for.
const ROLLOUTS: usize = 1000;

impl Core {
    /// The rollout that began then, or the last one. None when there is no such canary or rollout, or nothing has
    /// happened to it yet.
    pub(super) fn report(
        &self,
        canary: &str,
        started: Option<Time>,
        now: Time,
    ) -> Result<Option<Report>, StoreError> {
        let running = self.rollouts.get(canary).filter(|rollout| rollout.is_under_way());
        let running = running.map(|rollout| rollout.report_now(now));
        let report = match (started, running) {
            (None, Some(report)) => Some(report),
            (None, None) => self.store.report(canary)?,
            (Some(started), Some(report)) if report.started == started => Some(report),
            (Some(started), _) => {
                let ended = self.store.reports(canary, ROLLOUTS)?;
                ended.into_iter().find(|report| report.started == started)
            }
        };
        let Some(report) = report else { return Ok(None) };
        let (samples, samples_taken) =
            self.store.samples_between(canary, report.started, report.time, MOST_SAMPLES)?;
        Ok(Some(Report {
            kind: report.kind,
            time: report.time,
            started: report.started,
            affected: report.affected,
            canary: report.canary,
            samples_taken,
            samples: samples.into_iter().map(Report::slim).collect(),
        }))
    }
}

impl Rollout {
    pub(super) fn is_under_way(&self) -> bool {
        match self.state.phase {
            Phase::Progressing | Phase::Paused | Phase::Promoting => true,
            Phase::Pending | Phase::Succeeded | Phase::Failed => false,
        }
    }

    pub(super) fn report_now(&self, now: Time) -> RolloutReport {
        RolloutReport {
            kind: RUNNING.to_owned(),
            time: now,
            started: self.state.rollout_started,
            affected: self.sampler.affected(&self.summary(now)),
            canary: serde_json::to_value(CanaryView::of(self, now)).unwrap_or_default(),
        }
    }
}
