//! The current plan, ready to send.

use serde_json::value::RawValue;
use serin_contract::plan::{CanaryDocument, PlanDocument};
use serin_contract::{FieldError, Plan, Revision};
use serin_judge::time::Time;
use std::sync::Arc;

/// How often filters report while a release is live, and otherwise, in milliseconds.
const LIVE_MS: u64 = 500;
const IDLE_MS: u64 = 5000;

/// The plan that filters should follow.
pub(super) struct Published {
    document: PlanDocument,
    json: Arc<RawValue>,
}

impl Published {
    /// The first plan after a start. Revisions begin with the clock, so that they grow over restarts
    /// without being stored: plans change far less often than once a millisecond.
    pub(super) fn first(canaries: Vec<CanaryDocument>, live: bool, now: Time) -> Result<Self, FieldError> {
        Self::new(PlanDocument { revision: Revision(now.0), report_interval_ms: interval(live), canaries })
    }

    fn new(document: PlanDocument) -> Result<Self, FieldError> {
        // What the filters would refuse is refused here: they would keep an old plan for ever.
        Plan::compile(document.clone())?;
        let json = serde_json::value::to_raw_value(&document)
            .map_err(|error| FieldError::new(".", error.to_string()))?;
        Ok(Self { document, json: json.into() })
    }

    /// Publishes a new revision if anything changed; says whether it did.
    pub(super) fn update(&mut self, canaries: Vec<CanaryDocument>, live: bool) -> Result<bool, FieldError> {
        let report_interval_ms = interval(live);
        if self.document.canaries == canaries && self.document.report_interval_ms == report_interval_ms {
            return Ok(false);
        }
        let revision = self.document.revision.next();
        *self = Self::new(PlanDocument { revision, report_interval_ms, canaries })?;
        Ok(true)
    }

    pub(super) fn revision(&self) -> Revision {
        self.document.revision
    }

    pub(super) fn json(&self) -> Arc<RawValue> {
        Arc::clone(&self.json)
    }
}

fn interval(live: bool) -> u64 {
    if live { LIVE_MS } else { IDLE_MS }
}
