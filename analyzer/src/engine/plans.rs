//! The current plan, ready to send.

use serde_json::value::RawValue;
use serin_contract::plan::{CanaryDocument, ExperimentDocument, PlanDocument};
use serin_contract::{FieldError, Plan, Revision, Share};
use serin_judge::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// How often filters report while a release is live, while experiments run, and otherwise, in
/// milliseconds.
const LIVE_MS: u64 = 500;
const EXPERIMENTS_MS: u64 = 1000;
const IDLE_MS: u64 = 5000;
/// The longest interval that is asked for under pressure: a filter counts as gone after thirty seconds.
const LONGEST_MS: u64 = 8000;

/// How many bytes of plans a second may go out to filters for changes that can wait.
const BYTES_A_SECOND: u64 = 100_000_000;
/// The longest that a change waits which can.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long the next plan should wait after one that took `spent` to make and goes to so many filters: a plan of a
/// thousand canaries has half a megabyte. A plan that takes users off a canary never waits.
pub(super) fn pause(spent: Duration, bytes: usize, filters: usize) -> Duration {
    let sending = Duration::from_secs_f64(bytes as f64 * filters as f64 / BYTES_A_SECOND as f64);
    (spent * 4).max(sending).min(LONGEST_WAIT)
}

/// The plan that filters should follow.
pub(super) struct Published {
    document: PlanDocument,
    json: Arc<RawValue>,
}

impl Published {
    /// The first plan after a start. Revisions begin with the clock, so that they grow over restarts
    /// without being stored: plans change far less often than once a millisecond.
    pub(super) fn first(
        canaries: Vec<CanaryDocument>,
        experiments: &[ExperimentDocument],
        live: bool,
        now: Time,
    ) -> Result<Self, FieldError> {
        Self::new(PlanDocument {
            revision: Revision(now.0),
            report_interval_ms: interval(live, experiments, 1),
            canaries,
            experiments: experiments.to_vec(),
        })
    }

    fn new(document: PlanDocument) -> Result<Self, FieldError> {
        // What the filters would refuse is refused here: they would keep an old plan for ever.
        Plan::compile(document.clone())?;
        let json = serde_json::value::to_raw_value(&document)
            .map_err(|error| FieldError::new(".", error.to_string()))?;
        Ok(Self { document, json: json.into() })
    }

    /// Publishes a new revision if anything changed; says whether it did. `stretch` is how many times longer
    /// than usual filters should wait between reports.
    pub(super) fn update(
        &mut self,
        canaries: Vec<CanaryDocument>,
        experiments: &[ExperimentDocument],
        live: bool,
        stretch: u64,
    ) -> Result<bool, FieldError> {
        let report_interval_ms = interval(live, experiments, stretch);
        let same = self.document.canaries == canaries && self.document.experiments == experiments;
        if same && self.document.report_interval_ms == report_interval_ms {
            return Ok(false);
        }
        let revision = self.document.revision.next();
        let experiments = experiments.to_vec();
        *self = Self::new(PlanDocument { revision, report_interval_ms, canaries, experiments })?;
        Ok(true)
    }

    /// The canaries' shares, in the plan's order.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&str, Share)> {
        self.document.canaries.iter().map(|canary| (canary.name.as_str(), canary.canary_share))
    }

    pub(super) fn revision(&self) -> Revision {
        self.document.revision
    }

    pub(super) fn json(&self) -> Arc<RawValue> {
        Arc::clone(&self.json)
    }
}

fn interval(live: bool, experiments: &[ExperimentDocument], stretch: u64) -> u64 {
    let usual = match (live, experiments) {
        (true, _) => LIVE_MS,
        (false, []) => IDLE_MS,
        (false, _) => EXPERIMENTS_MS,
    };
    (usual * stretch).min(LONGEST_MS.max(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_plan_waits_for_nothing_and_a_large_one_for_its_way_to_the_filters() {
        assert!(pause(Duration::from_micros(50), 1_000, 10) < Duration::from_millis(1));
        assert_eq!(pause(Duration::ZERO, 500_000, 1_000), Duration::from_secs(5));
        assert_eq!(pause(Duration::from_secs(1), 500_000, 5_000), LONGEST_WAIT);
    }

    #[test]
    fn under_pressure_filters_report_less_often_but_never_so_rarely_that_they_seem_gone() {
        let intervals = [1, 2, 8, 16].map(|stretch| interval(true, &[], stretch));
        assert_eq!(intervals, [500, 1000, 4000, 8000]);
        assert_eq!([1, 16].map(|stretch| interval(false, &[], stretch)), [5000, 8000]);
    }
}
