//! The current plan, ready to send.

use serde_json::value::RawValue;
use serin_contract::plan::{CanaryDocument, ExperimentDocument, PlanDocument};
use serin_contract::{FieldError, Plan, Revision};
use serin_judge::time::Time;
use std::sync::Arc;

/// How often filters report while a release is live, while experiments run, and otherwise, in
/// milliseconds.
const LIVE_MS: u64 = 500;
const EXPERIMENTS_MS: u64 = 1000;
const IDLE_MS: u64 = 5000;

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
            report_interval_ms: interval(live, experiments),
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

    /// Publishes a new revision if anything changed; says whether it did.
    pub(super) fn update(
        &mut self,
        canaries: Vec<CanaryDocument>,
        experiments: &[ExperimentDocument],
        live: bool,
    ) -> Result<bool, FieldError> {
        let report_interval_ms = interval(live, experiments);
        let same = self.document.canaries == canaries && self.document.experiments == experiments;
        if same && self.document.report_interval_ms == report_interval_ms {
            return Ok(false);
        }
        let revision = self.document.revision.next();
        let experiments = experiments.to_vec();
        *self = Self::new(PlanDocument { revision, report_interval_ms, canaries, experiments })?;
        Ok(true)
    }

    pub(super) fn revision(&self) -> Revision {
        self.document.revision
    }

    pub(super) fn json(&self) -> Arc<RawValue> {
        Arc::clone(&self.json)
    }
}

fn interval(live: bool, experiments: &[ExperimentDocument]) -> u64 {
    match (live, experiments) {
        (true, _) => LIVE_MS,
        (false, []) => IDLE_MS,
        (false, _) => EXPERIMENTS_MS,
    }
}
