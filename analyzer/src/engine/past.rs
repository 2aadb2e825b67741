//! What the store has of the past: samples of any time, rollouts that have ended, and how experiments went. Read
//! beside the engine's task, for it may be much.

use super::core::Core;
use super::rollout::SAMPLES;
use super::{Engine, Message};
use crate::experiments::Refused;
use crate::experiments::book::{Book, Status};
use crate::report::Report;
use crate::store::{RolloutReport, StoreError, Write};
use serde::Serialize;
use serde_json::{Map, Value, json};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Rollouts in a list.
const ROLLOUTS: usize = 100;
/// An experiment's numbers are kept so often at most.
const POINT: Duration = Duration::from_secs(60);

/// A rollout in a list.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RolloutView {
    /// When it began: its name among the canary's.
    pub started: Time,
    /// When it ended; none while it runs.
    pub ended: Option<Time>,
    /// `running`, `rollback` or `success`.
    pub kind: String,
    stable_version: Value,
    canary_version: Value,
    /// The weight at that moment, in percent.
    weight: Value,
    /// Why it ended, or what the judge thinks.
    reason: Value,
}

impl RolloutView {
    pub(super) fn of(report: &RolloutReport) -> Self {
        let part = |path: &str| report.canary.pointer(path).cloned().unwrap_or(Value::Null);
        Self {
            started: report.started,
            ended: (report.kind != super::reporting::RUNNING).then_some(report.time),
            kind: report.kind.clone(),
            stable_version: part("/stableVersion"),
            canary_version: part("/canaryVersion"),
            weight: part("/weight"),
            reason: part("/verdict/reason"),
        }
    }
}

/// Which samples are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// From this moment on.
    pub from: Time,
    /// Up to this moment.
    pub to: Time,
    /// Of more than so many only each second, third or nth.
    pub most: usize,
    /// Whether the latency buckets are wanted.
    pub latency: bool,
}

impl Engine {
    /// The last samples of a canary, oldest first; none when there is no such canary.
    pub async fn samples(&self, id: &str) -> Option<Vec<Value>> {
        let recent = self.ask(|answer| Message::Samples(id.to_owned(), answer)).await.flatten()?;
        let mut samples = self.stored_samples(id).await;
        // What is not in the store yet comes behind it.
        let last = samples.last().map_or(Time(0), taken);
        samples.extend(recent.into_iter().filter(|sample| taken(sample) > last));
        samples.drain(..samples.len().saturating_sub(SAMPLES));
        Some(samples)
    }

    /// The last samples that the store has of a canary, oldest first; nothing where it cannot be read.
    pub async fn stored_samples(&self, id: &str) -> Vec<Value> {
        let (store, key) = (Arc::clone(&self.store), id.to_owned());
        let read = tokio::task::spawn_blocking(move || store.last_samples(&key, Time(0), SAMPLES));
        read.await.unwrap_or_else(|error| Err(broken(&error))).unwrap_or_else(|error| {
            tracing::warn!(canary = id, %error, "samples cannot be read; the last minute's are shown");
            Vec::new()
        })
    }

    /// A canary's samples of any time, oldest first; none when there is no such canary.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn samples_between(&self, id: &str, span: Span) -> Result<Option<Vec<Value>>, StoreError> {
        if self.canary(id).await.is_none() {
            return Ok(None);
        }
        let samples = self.read(id.to_owned(), span).await?;
        Ok(Some(if span.latency { samples } else { samples.into_iter().map(Report::slim).collect() }))
    }

    /// How an experiment went, point by point.
    ///
    /// # Errors
    /// When there is none of that id, or the store fails.
    pub async fn experiment_series(&self, id: String, span: Span) -> Result<Vec<Value>, Refused> {
        self.experiment(id.clone()).await?;
        Ok(self.read(series(&id), span).await?)
    }

    async fn read(&self, key: String, span: Span) -> Result<Vec<Value>, StoreError> {
        let store = Arc::clone(&self.store);
        let read = move || store.samples_between(&key, span.from, span.to, span.most);
        let samples = tokio::task::spawn_blocking(read).await;
        samples.unwrap_or_else(|error| Err(broken(&error))).map(|(samples, _)| samples)
    }

    /// A canary's rollouts, the newest first; none when there is no such canary.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rollouts(&self, id: &str) -> Result<Option<Vec<RolloutView>>, StoreError> {
        self.ask(|answer| Message::Rollouts(id.to_owned(), answer)).await.unwrap_or(Ok(None))
    }
}

impl Core {
    /// None when there is no such canary.
    pub(super) fn rollout_views(
        &self,
        canary: &str,
        now: Time,
    ) -> Result<Option<Vec<RolloutView>>, StoreError> {
        let Some(rollout) = self.rollouts.get(canary) else { return Ok(None) };
        let running = rollout.is_under_way().then(|| RolloutView::of(&rollout.report_now(now)));
        let ended = self.store.reports(canary, ROLLOUTS)?;
        Ok(Some(running.into_iter().chain(ended.iter().map(RolloutView::of)).collect()))
    }
}

/// The task that read fell over.
fn broken(error: &tokio::task::JoinError) -> StoreError {
    StoreError::Record { table: "samples", error: error.to_string() }
}

/// When a sample was taken.
pub(crate) fn taken(sample: &Value) -> Time {
    Time(sample.get("timestamp").and_then(Value::as_u64).unwrap_or(0))
}

/// The key of an experiment's points among the samples: no canary's id has a colon.
fn series(experiment: &str) -> String {
    format!("experiment:{experiment}")
}

/// When each experiment's numbers were kept last, and how much had happened by then.
#[derive(Default)]
pub(super) struct Series(BTreeMap<String, (Time, u64)>);

impl Series {
    /// The points that are due: of experiments where something happened since their last.
    pub(super) fn due(&mut self, books: &[&Book], now: Time) -> Vec<Write> {
        self.0.retain(|id, _| books.iter().any(|book| book.record.id == *id));
        let mut writes = Vec::new();
        for book in books {
            let happened = happened(book);
            let (last, known) = self.0.get(&book.record.id).copied().unwrap_or_default();
            let ended = book.status(now) == Status::Ended;
            if happened == known || (now.since(last) < POINT && !ended) {
                continue;
            }
            self.0.insert(book.record.id.clone(), (now, happened));
            writes.push(Write::Sample(series(&book.record.id), now, point(book, now)));
        }
        writes
    }
}

/// How much has been counted.
fn happened(book: &Book) -> u64 {
    let arms = book.record.steps.iter().flat_map(|step| &step.arms);
    arms.map(|arm| arm.exposures + arm.goals.iter().map(|goal| goal.events).sum::<u64>()).sum()
}

fn point(book: &Book, now: Time) -> Value {
    let results = book.results();
    let arms: Map<String, Value> = results
        .variants
        .iter()
        .map(|(arm, variant)| {
            let goals: Map<String, Value> =
                variant.goals.iter().map(|(goal, totals)| (goal.clone(), json!(totals.converted))).collect();
            (arm.clone(), json!({ "exposures": variant.exposures, "converted": goals }))
        })
        .collect();
    let comparisons = results.comparisons.iter().map(|comparison| {
        json!({ "goal": comparison.goal, "arm": comparison.arm,
            "alwaysValidPValue": comparison.always_valid_p_value, "lift": comparison.lift })
    });
    json!({ "time": now, "step": book.step(), "arms": arms, "comparisons": comparisons.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiments::Experiment;
    use crate::experiments::book::Source;

    #[test]
    fn an_experiments_numbers_are_kept_once_a_minute_where_something_happened_and_at_its_end() {
        let spec = json!({"hosts": ["shop"], "units": [{"header": "x-user-id"}], "goals": [{"name": "purchase"}],
            "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50}]});
        let spec = serde_json::from_value(spec).expect("a spec");
        let experiment = Experiment::compile("button", spec).expect("good");
        let mut book = Book::open(experiment, Source::Api, Time(0));
        let mut series = Series::default();
        assert!(series.due(&[&book], Time(100_000)).is_empty(), "nothing has happened");
        book.record.steps[0].arms[0].exposures = 7;
        let due = series.due(&[&book], Time(100_000));
        let [Write::Sample(key, Time(100_000), point)] = due.as_slice() else { panic!("{due:?}") };
        assert_eq!((key.as_str(), &point["arms"]["control"]["exposures"]), ("experiment:button", &json!(7)));
        assert_eq!(point["comparisons"][0]["alwaysValidPValue"], json!(1.0));
        book.record.steps[0].arms[0].exposures = 8;
        assert!(series.due(&[&book], Time(159_999)).is_empty(), "too soon");
        assert_eq!(series.due(&[&book], Time(160_000)).len(), 1);
        assert!(series.due(&[&book], Time(999_000)).is_empty(), "nothing new");
        book.record.steps[0].arms[1].exposures = 1;
        assert_eq!(series.due(&[&book], Time(1_100_000)).len(), 1);
        book.record.steps[0].arms[1].exposures = 2;
        book.record.ended = Some(Time(1_100_001));
        assert_eq!(series.due(&[&book], Time(1_100_001)).len(), 1, "its last");
        assert!(series.due(&[&book], Time(9_100_001)).is_empty());
    }
}
