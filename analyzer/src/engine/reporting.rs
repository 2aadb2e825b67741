//! The report on a rollout: the one that runs, or the last that ended.

use super::core::Core;
use super::rollout::Rollout;
use super::view::CanaryView;
use crate::report::{MOST_SAMPLES, Report};
use crate::store::{RolloutReport, StoreError};
use serin_judge::ramp::Phase;
use serin_judge::time::Time;

impl Core {
    /// None when there is no such canary, or nothing has happened to it yet.
    pub(super) fn report(&self, canary: &str, now: Time) -> Result<Option<Report>, StoreError> {
        let running = self.rollouts.get(canary).filter(|rollout| rollout.is_under_way());
        let report = match running {
            Some(rollout) => rollout.report_now(now),
            None => match self.store.report(canary)? {
                Some(report) => report,
                None => return Ok(None),
            },
        };
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
    fn is_under_way(&self) -> bool {
        match self.state.phase {
            Phase::Progressing | Phase::Paused | Phase::Promoting => true,
            Phase::Pending | Phase::Succeeded | Phase::Failed => false,
        }
    }

    fn report_now(&self, now: Time) -> RolloutReport {
        RolloutReport {
            kind: "running".to_owned(),
            time: now,
            started: self.state.rollout_started,
            affected: self.sampler.affected(&self.summary(now)),
            canary: serde_json::to_value(CanaryView::of(self, now)).unwrap_or_default(),
        }
    }
}
