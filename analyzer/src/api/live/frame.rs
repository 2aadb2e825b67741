//! The texts that travel: a whole picture, and what has changed since the one before.

use crate::engine::{CanaryView, ExperimentView, FilterView, Picture, taken};
use crate::report::Report;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serin_contract::Revision;
use serin_judge::time::Time;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Samples of each canary in a snapshot.
const SAMPLES: usize = 100;
/// When filters last reported is news only so often: every report changes it.
const FILTERS: Duration = Duration::from_secs(5);

type Json = Box<RawValue>;

/// Everything as it was shown last.
#[derive(Default)]
pub(super) struct Shown {
    time: Time,
    canaries: BTreeMap<String, Seen>,
    experiments: BTreeMap<String, Seen>,
    filters: Vec<FilterView>,
    filters_at: Time,
    plan_revision: Revision,
    /// Without the latency buckets, which are most of a sample: a snapshot has many of them.
    samples: BTreeMap<String, VecDeque<Json>>,
    /// The newest sample of all.
    newest: Time,
}

/// A part, and the text that tells whether it has changed: the moment at which it was looked at is left out.
struct Seen {
    json: Json,
    told_by: String,
}

/// What has changed. What has not is left out.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delta {
    r#type: &'static str,
    sequence: u64,
    time: Time,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    canaries: Vec<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed_canaries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed_experiments: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filters: Option<Vec<FilterView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_revision: Option<Revision>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    samples: BTreeMap<String, Vec<Json>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Snapshot<'a> {
    r#type: &'static str,
    sequence: u64,
    time: Time,
    canaries: Vec<&'a Json>,
    experiments: Vec<&'a Json>,
    filters: &'a [FilterView],
    plan_revision: Revision,
    samples: &'a BTreeMap<String, VecDeque<Json>>,
}

impl Delta {
    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.canaries.is_empty()
            && self.removed_canaries.is_empty()
            && self.experiments.is_empty()
            && self.removed_experiments.is_empty()
            && self.filters.is_none()
            && self.samples.is_empty()
    }

    pub(super) fn text(mut self, sequence: u64) -> String {
        (self.r#type, self.sequence) = ("delta", sequence);
        text(&self)
    }
}

impl Shown {
    /// Samples after this moment are yet to be shown.
    pub(super) fn newest(&self) -> Time {
        self.newest
    }

    /// The canaries that are shown.
    pub(super) fn canaries(&self) -> Vec<String> {
        self.canaries.keys().cloned().collect()
    }

    /// Puts a canary's earlier samples before those of the first picture, which has only the last ones.
    pub(super) fn recall(&mut self, id: &str, samples: Vec<serde_json::Value>) {
        let shown = self.samples.remove(id).unwrap_or_default();
        let first = shown.front().and_then(|text| serde_json::from_str(text.get()).ok());
        // Whatever is newer than the picture comes with the next.
        let first = first.map_or(Time(self.newest.0 + 1), |sample| taken(&sample));
        let earlier = samples.into_iter().filter(|sample| taken(sample) < first);
        let mut kept: VecDeque<Json> = earlier.map(|sample| json(&Report::slim(sample))).collect();
        kept.extend(shown);
        kept.drain(..kept.len().saturating_sub(SAMPLES));
        if !kept.is_empty() {
            self.samples.insert(id.to_owned(), kept);
        }
    }

    /// Everything.
    pub(super) fn snapshot(&self, sequence: u64) -> String {
        text(&Snapshot {
            r#type: "snapshot",
            sequence,
            time: self.time,
            canaries: self.canaries.values().map(|seen| &seen.json).collect(),
            experiments: self.experiments.values().map(|seen| &seen.json).collect(),
            filters: &self.filters,
            plan_revision: self.plan_revision,
            samples: &self.samples,
        })
    }

    /// Takes in another picture; what it changes.
    pub(super) fn update(&mut self, picture: Picture) -> Delta {
        let Picture { time, canaries, experiments, filters, plan_revision, samples } = picture;
        let canaries = canaries.into_iter().map(|view| (view.id(), canary(view))).collect();
        let experiments = experiments.into_iter().map(|view| (view.id.clone(), experiment(&view))).collect();
        self.time = time;
        let (canaries, removed_canaries) = replace(&mut self.canaries, canaries);
        let (experiments, removed_experiments) = replace(&mut self.experiments, experiments);
        self.samples.retain(|id, _| self.canaries.contains_key(id));
        let mut delta = Delta {
            time,
            canaries,
            removed_canaries,
            experiments,
            removed_experiments,
            samples: self.take_samples(samples),
            ..Delta::default()
        };
        let others = plan_revision != self.plan_revision
            || filters.len() != self.filters.len()
            || filters.iter().zip(&self.filters).any(|(new, old)| standing(new) != standing(old));
        let seen = filters.iter().zip(&self.filters).any(|(new, old)| new.last_seen != old.last_seen);
        if others || (seen && time.since(self.filters_at) >= FILTERS) {
            (delta.filters, delta.plan_revision) = (Some(filters.clone()), Some(plan_revision));
            (self.filters, self.plan_revision, self.filters_at) = (filters, plan_revision, time);
        }
        delta
    }

    fn take_samples(
        &mut self,
        samples: BTreeMap<String, Vec<serde_json::Value>>,
    ) -> BTreeMap<String, Vec<Json>> {
        let mut news = BTreeMap::new();
        for (id, samples) in samples {
            self.newest = samples.iter().map(taken).fold(self.newest, Time::max);
            news.insert(id.clone(), samples.iter().map(json).collect());
            let kept = self.samples.entry(id).or_default();
            kept.extend(samples.into_iter().map(|sample| json(&Report::slim(sample))));
            kept.drain(..kept.len().saturating_sub(SAMPLES));
        }
        news
    }
}

/// What of a filter is news at once.
fn standing(filter: &FilterView) -> (String, Revision, bool, u64) {
    (filter.instance.to_string(), filter.plan_revision, filter.pending, filter.interval_ms)
}

fn canary(mut view: CanaryView) -> Seen {
    let json = json(&view);
    view.time = Time(0);
    Seen { json, told_by: text(&view) }
}

fn experiment(view: &ExperimentView) -> Seen {
    Seen { json: json(view), told_by: text(view) }
}

/// Puts the new parts in the old ones' place; those that have changed, and the names of those that are gone.
fn replace(old: &mut BTreeMap<String, Seen>, new: BTreeMap<String, Seen>) -> (Vec<Json>, Vec<String>) {
    let changed = new.iter().filter(|(id, part)| old.get(*id).is_none_or(|old| old.told_by != part.told_by));
    let changed = changed.map(|(_, part)| part.json.clone()).collect();
    let removed = old.keys().filter(|id| !new.contains_key(*id)).cloned().collect();
    *old = new;
    (changed, removed)
}

/// Views are maps with string keys and finite numbers: there is nothing in them that JSON cannot say.
fn json(part: &impl Serialize) -> Json {
    to_raw_value(part).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn text(part: &impl Serialize) -> String {
    serde_json::to_string(part).unwrap_or_default()
}
