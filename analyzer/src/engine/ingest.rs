//! Counting reports: one commit for all that wait, then the numbers, then the answers. A report whose
//! commit failed is not counted and not acknowledged, so its filter sends it again.

use super::Unavailable;
use super::core::Core;
use super::filters::too_many;
use super::rollout::Rollout;
use crate::store::{JournalEntry, Mark, Write};
use serde_json::value::RawValue;
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, ExperimentReport, Report};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The answer to a report that is in the store.
#[derive(Debug)]
pub struct Accepted {
    /// The highest sequence number of its sender that is committed.
    pub acknowledged: u64,
    /// The current plan, when the sender follows another.
    pub plan: Option<Arc<RawValue>>,
}

pub(super) type Waiting = (Box<Report>, oneshot::Sender<Result<Accepted, Unavailable>>);

/// What of a batch is new.
struct Fresh {
    /// What has to be written for it.
    writes: Vec<Write>,
    /// Who reported, and how often each does: what every canary hears, named or not.
    senders: Vec<(Instance, Duration)>,
    /// What is said of canaries.
    parts: Vec<Part>,
    /// What is said of experiments.
    experiments: Vec<ExperimentReport>,
}

/// One new report's part for a canary that it names.
pub(super) struct Part {
    pub(super) canary: String,
    pub(super) entries: Arc<[CanaryReport]>,
    instance: Instance,
    interval: Duration,
}

impl Core {
    /// Counts all waiting reports in one commit and answers them.
    pub(super) fn ingest(&mut self, waiting: Vec<Waiting>, now: Time) {
        let mut waiting = self.admitted(waiting);
        if waiting.is_empty() {
            return;
        }
        let _timer = self.metrics.decision_seconds.start_timer();
        let Fresh { mut writes, senders, parts, experiments } = self.sort_out(&mut waiting, now);
        let canaries = parts.iter().flat_map(|part| part.entries.iter());
        let stored = self.count_experiments(&experiments, canaries, &mut writes, now).and_then(|worked| {
            if !writes.is_empty() {
                self.commit(&writes)?;
            }
            Ok(worked)
        });
        let worked = match stored {
            Ok(worked) => worked,
            Err(error) => {
                tracing::error!(%error, reports = waiting.len(), "reports not stored, their filters will repeat them");
                for (_, answer) in waiting {
                    drop(answer.send(Err(Unavailable(error.to_string()))));
                }
                return;
            }
        };
        self.experiments.adopt(worked.books, now);
        self.analytics.send(worked.records);
        for write in writes {
            if let Write::Mark(instance, mark) = write {
                self.filters.set_mark(instance, mark);
            }
        }
        for (report, _) in &waiting {
            self.filters.saw(report, now);
        }
        self.count(&senders, &parts, now);
        for (report, answer) in waiting {
            let acknowledged = self.filters.mark(report.instance).max(report.sequence);
            let plan = (report.plan_revision != self.plan.revision()).then(|| self.plan.json());
            drop(answer.send(Ok(Accepted { acknowledged, plan })));
        }
    }

    /// The reports that can be taken; senders beyond the most that can be are told to come again.
    fn admitted(&self, waiting: Vec<Waiting>) -> Vec<Waiting> {
        let (admitted, refused): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(report, _)| self.filters.admit(report.instance));
        for (report, answer) in refused {
            self.metrics.reports.with_label_values(&["refused"]).inc();
            drop(answer.send(Err(too_many(&report))));
        }
        admitted
    }

    /// What of the reports is new, and what has to be written for it; it is moved out of them, not copied. An
    /// empty report leaves no trace in the store: repeated, it is empty again.
    fn sort_out(&mut self, waiting: &mut [Waiting], now: Time) -> Fresh {
        let mut fresh = Fresh { writes: vec![], senders: vec![], parts: vec![], experiments: vec![] };
        let mut highest: BTreeMap<Instance, u64> = BTreeMap::new();
        let mut offsets: BTreeMap<String, u64> = BTreeMap::new();
        for (report, _) in waiting {
            let known = highest.entry(report.instance).or_insert_with(|| self.filters.mark(report.instance));
            if report.sequence <= *known {
                self.metrics.reports.with_label_values(&["repeated"]).inc();
                continue;
            }
            *known = report.sequence;
            self.metrics.reports.with_label_values(&["counted"]).inc();
            fresh.senders.push((report.instance, Duration::from_millis(report.interval_ms)));
            if report.canaries.is_empty() && report.experiments.is_empty() {
                continue;
            }
            let mark = Mark { sequence: report.sequence, time: now, node: report.node.clone() };
            fresh.writes.push(Write::Mark(report.instance, mark));
            fresh.experiments.append(&mut report.experiments);
            for part in parts_of(report) {
                let Some(rollout) = self.rollouts.get(&part.canary) else { continue };
                let offset = offsets.entry(part.canary.clone()).or_insert(rollout.offset);
                *offset += 1;
                fresh.writes.push(Write::Journal {
                    canary: part.canary.clone(),
                    offset: *offset,
                    entry: JournalEntry {
                        time: now,
                        instance: report.instance,
                        interval_ms: report.interval_ms,
                        entries: Arc::clone(&part.entries),
                    },
                });
                fresh.parts.push(part);
            }
        }
        fresh
    }

    /// Counts what is in the store. Only the canaries that were named are looked at closely: there may be a
    /// thousand others.
    fn count(&mut self, senders: &[(Instance, Duration)], parts: &[Part], now: Time) {
        let moments = |core: &Self| core.rollouts.values().map(Rollout::moment).collect::<Vec<_>>();
        let before = moments(self);
        for rollout in self.rollouts.values_mut() {
            rollout.hear(senders, now);
        }
        for part in parts {
            if let Some(rollout) = self.rollouts.get_mut(&part.canary) {
                rollout.count(part, now);
            }
        }
        let mut writes = Vec::new();
        for rollout in self.rollouts.values_mut() {
            if rollout.judge_reports(now, &mut writes) {
                rollout.show(&self.metrics);
            }
        }
        self.settle(&writes, now);
        if moments(self) != before {
            self.publish();
        }
    }
}

/// Takes a report's entries out of it, by the canaries that they name.
pub(super) fn parts_of(report: &mut Report) -> Vec<Part> {
    let mut parts: Vec<Vec<CanaryReport>> = Vec::new();
    for entry in std::mem::take(&mut report.canaries) {
        match parts.iter_mut().find(|part| part.iter().any(|known| known.name == entry.name)) {
            Some(part) => part.push(entry),
            None => parts.push(vec![entry]),
        }
    }
    let (instance, interval) = (report.instance, Duration::from_millis(report.interval_ms));
    let part = |entries: Vec<CanaryReport>| {
        let canary = entries.first()?.name.clone();
        Some(Part { canary, entries: entries.into(), instance, interval })
    };
    parts.into_iter().filter_map(part).collect()
}

impl Rollout {
    /// Counts one report's part, which is in the store already.
    fn count(&mut self, part: &Part, now: Time) {
        self.offset += 1;
        self.observe_part(part, now);
    }

    /// Takes a report's part into the numbers.
    pub(super) fn observe_part(&mut self, part: &Part, now: Time) {
        self.observe(part.instance, part.interval, &part.entries, now);
    }
}
