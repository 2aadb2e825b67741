//! Who reports: one entry for each VM that has reported within the last half minute.

use super::Unavailable;
use crate::store::{MOST_SENDERS, Mark};
use serde::Serialize;
use serin_contract::report::Instance;
use serin_contract::{Report, Revision};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// A filter that is silent for so long is no longer reporting.
const SILENT: Duration = Duration::from_secs(30);

/// A filter as the API shows it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FilterView {
    /// The VM.
    pub instance: Instance,
    /// The proxy's node id.
    pub node: String,
    /// The plan that it follows.
    pub plan_revision: Revision,
    /// Whether it has yet to fetch the current plan.
    pub pending: bool,
    /// When it last reported, in milliseconds since 1970.
    pub last_seen: Time,
    /// How often it reports, in milliseconds.
    pub interval_ms: u64,
    /// Its last report's number.
    pub sequence: u64,
}

/// What is told to one filter more than can be, and to whoever reads the log.
pub(crate) fn too_many(report: &Report) -> Unavailable {
    tracing::warn!(instance = %report.instance, node = %report.node, "report refused: too many filters");
    Unavailable(format!(
        "{} is one filter more than the {MOST_SENDERS} of a day: has the report token got into wrong hands?",
        report.instance
    ))
}

/// The marks of all senders, and the liveness of those that report.
pub(super) struct Filters {
    marks: BTreeMap<Instance, Mark>,
    live: BTreeMap<Instance, FilterView>,
}

impl Filters {
    pub(super) fn new(marks: BTreeMap<Instance, Mark>) -> Self {
        Self { marks, live: BTreeMap::new() }
    }

    /// The highest sequence number of a sender that is committed.
    pub(super) fn mark(&self, instance: Instance) -> u64 {
        self.marks.get(&instance).map_or(0, |mark| mark.sequence)
    }

    /// Whether a report of this sender can be taken: it is known, or there is room for one more.
    pub(super) fn admit(&self, instance: Instance) -> bool {
        let known = self.marks.contains_key(&instance) || self.live.contains_key(&instance);
        known || self.marks.len().max(self.live.len()) < MOST_SENDERS
    }

    pub(super) fn set_mark(&mut self, instance: Instance, mark: Mark) {
        self.marks.insert(instance, mark);
    }

    pub(super) fn saw(&mut self, report: &Report, now: Time) {
        let view = FilterView {
            instance: report.instance,
            node: report.node.clone(),
            plan_revision: report.plan_revision,
            pending: false,
            last_seen: now,
            interval_ms: report.interval_ms,
            sequence: report.sequence,
        };
        self.live.insert(report.instance, view);
    }

    /// Forgets who is silent. A mark stays for a day, so that a late report still counts once.
    pub(super) fn forget(&mut self, now: Time) {
        self.live.retain(|_, filter| now.since(filter.last_seen) < SILENT);
        self.marks.retain(|_, mark| now.since(mark.time) < Duration::from_secs(24 * 3600));
    }

    pub(super) fn views(&self, current: Revision) -> Vec<FilterView> {
        self.live
            .values()
            .map(|filter| FilterView { pending: filter.plan_revision != current, ..filter.clone() })
            .collect()
    }

    /// How many report.
    pub(super) fn len(&self) -> usize {
        self.live.len()
    }

    /// How many follow the current plan, and how many do not yet.
    pub(super) fn count(&self, current: Revision) -> (usize, usize) {
        let following = self.live.values().filter(|filter| filter.plan_revision == current).count();
        (following, self.live.len() - following)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_filters_than_can_be_are_refused_and_known_ones_go_on() {
        let begin = Time(1_000);
        let mark = Mark { sequence: 1, time: begin, node: "gw".to_owned() };
        let marks = (0..MOST_SENDERS as u64).map(|number| (Instance(number), mark.clone()));
        let mut filters = Filters::new(marks.collect());
        assert!(filters.admit(Instance(7)));
        assert!(!filters.admit(Instance(u64::MAX)));
        filters.forget(begin.plus(Duration::from_secs(24 * 3600)));
        assert!(filters.admit(Instance(u64::MAX)), "a day later there is room again");
    }
}
