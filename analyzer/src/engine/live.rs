//! What the live page is shown: everything at one moment, asked for by one message.

use super::core::Core;
use super::{CanaryView, Engine, ExperimentView, FilterView, Message};
use serde_json::Value;
use serin_contract::Revision;
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// Experiments that have ended are kept for ever; so many of them are shown, those that ended last.
const ENDED: usize = 100;

/// Everything at one moment.
pub struct Picture {
    /// When it was taken.
    pub time: Time,
    /// The releases.
    pub canaries: Vec<CanaryView>,
    /// The experiments: all that have not ended, and the last that have.
    pub experiments: Vec<ExperimentView>,
    /// The filters that have reported lately.
    pub filters: Vec<FilterView>,
    /// The plan that they should follow.
    pub plan_revision: Revision,
    /// By canary: the samples of the last minute taken after the moment that was asked for, oldest first.
    pub samples: BTreeMap<String, Vec<Value>>,
}

impl Core {
    pub(super) fn picture(&self, after: Time, now: Time) -> Picture {
        let samples = self.rollouts.iter().filter_map(|(id, rollout)| {
            let samples = rollout.samples_after(after);
            (!samples.is_empty()).then(|| (id.clone(), samples))
        });
        let draft = self.experiments.draft(&*self.store, now);
        Picture {
            time: now,
            canaries: self.views(now),
            experiments: draft.latest(ENDED).into_iter().map(|book| ExperimentView::of(book, now)).collect(),
            filters: self.filters.views(self.plan.revision()),
            plan_revision: self.plan.revision(),
            samples: samples.collect(),
        }
    }
}

impl Engine {
    /// Everything now, with the samples after a moment; nothing when the engine is gone.
    pub async fn picture(&self, after: Time) -> Option<Picture> {
        self.ask(|answer| Message::Picture(after, answer)).await
    }

    /// Rings when something was decided that people should see at once.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }
}
