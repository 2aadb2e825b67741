//! Taking reports into a shared store: whatever waits goes into one call, and is acknowledged once it is in. Nothing
//! is counted here; whoever leads does that from the inbox. Events go beside them, see [`super::events`].

use super::events::Telling;
use crate::engine::{Accepted, Unavailable, now, too_many};
use crate::experiments::desk::Counted;
use crate::experiments::{Event, Refused};
use crate::metrics::Metrics;
use crate::store::{Intaken, Redis, StoreError, Taken};
use serde_json::value::RawValue;
use serin_contract::{Report, Revision};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{mpsc, oneshot};

/// How many reports may wait; more senders wait for their turn.
const QUEUE: usize = 4096;
/// How many reports go into one call at most.
const BATCH: usize = 128;

type Answer = oneshot::Sender<Result<Accepted, Unavailable>>;

#[derive(Debug, Clone)]
struct Plan {
    revision: Revision,
    json: Arc<RawValue>,
}

/// A way to hand in reports and events.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<(Box<Report>, Answer)>,
    telling: Telling,
    /// The plan of this analyzer's own engine, while it leads.
    own: Arc<RwLock<Option<Plan>>>,
    metrics: Arc<Metrics>,
}

impl Intake {
    /// Begins to take reports and events.
    pub fn start(store: Redis, metrics: Arc<Metrics>) -> Self {
        let (queue, reports) = mpsc::channel(QUEUE);
        let own: Arc<RwLock<Option<Plan>>> = Arc::default();
        let telling = Telling::start(store.clone());
        let task = Task { store, own: Arc::clone(&own), known: None, metrics: Arc::clone(&metrics) };
        tokio::spawn(task.run(reports));
        Self { queue, telling, own, metrics }
    }

    /// This analyzer leads: what its filters are told is the plan that it has just made.
    pub fn lead(&self, revision: Revision, json: Arc<RawValue>) {
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = Some(Plan { revision, json });
    }

    /// Takes a report; returns once it is in the store.
    ///
    /// # Errors
    /// When the store refused or does not answer; its filter sends it again.
    pub async fn report(&self, report: Report) -> Result<Accepted, Unavailable> {
        let _timer = self.metrics.ingest_seconds.start_timer();
        let (answer, answered) = oneshot::channel();
        let stopping = || Unavailable("the analyzer is stopping".into());
        self.queue.send((Box::new(report), answer)).await.map_err(|_| stopping())?;
        answered.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Takes events, all or none; returns once they are in the store.
    ///
    /// # Errors
    /// With the path of the first event that is wrong, or when the store refused or does not answer.
    pub async fn events(&self, events: Vec<Event>, key: Option<String>) -> Result<Counted, Refused> {
        self.telling.events(events, key).await
    }
}

struct Task {
    store: Redis,
    own: Arc<RwLock<Option<Plan>>>,
    /// The last plan that was read from the store.
    known: Option<Plan>,
    metrics: Arc<Metrics>,
}

impl Task {
    async fn run(mut self, mut reports: mpsc::Receiver<(Box<Report>, Answer)>) {
        let mut batch = Vec::with_capacity(BATCH);
        while reports.recv_many(&mut batch, BATCH).await > 0 {
            tokio::task::block_in_place(|| self.take(&mut batch));
        }
    }

    fn take(&mut self, batch: &mut Vec<(Box<Report>, Answer)>) {
        let reports: Vec<&Report> = batch.iter().map(|(report, _)| &**report).collect();
        let taken = self.store.take(&reports, now()).and_then(|taken| {
            let plan = self.plan(taken.revision)?;
            Ok((taken, plan))
        });
        match taken {
            Ok((taken, plan)) => self.tell(batch, &taken, plan.as_ref()),
            Err(error) => self.refuse(batch, &error),
        }
    }

    fn tell(&self, batch: &mut Vec<(Box<Report>, Answer)>, taken: &Taken, plan: Option<&Plan>) {
        for ((report, answer), taken) in batch.drain(..).zip(&taken.reports) {
            let (result, acknowledged) = match taken {
                Intaken::New => ("counted", Ok(report.sequence)),
                Intaken::Known(sequence) => ("repeated", Ok(report.sequence.max(*sequence))),
                Intaken::Refused => ("refused", Err(too_many(&report))),
            };
            self.metrics.reports.with_label_values(&[result]).inc();
            let plan = plan.filter(|plan| plan.revision != report.plan_revision);
            let told = acknowledged
                .map(|acknowledged| Accepted { acknowledged, plan: plan.map(|plan| Arc::clone(&plan.json)) });
            // Whoever has hung up sends it again.
            drop(answer.send(told));
        }
    }

    /// Nothing is acknowledged; but who leads can still tell of a plan that takes users off a canary.
    fn refuse(&self, batch: &mut Vec<(Box<Report>, Answer)>, error: &StoreError) {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (report, answer) in batch.drain(..) {
            let news = own.as_ref().filter(|plan| plan.revision != report.plan_revision);
            let told = match news {
                Some(plan) => Ok(Accepted {
                    acknowledged: report.sequence.saturating_sub(1),
                    plan: Some(Arc::clone(&plan.json)),
                }),
                None => Err(Unavailable(error.to_string())),
            };
            drop(answer.send(told));
        }
    }

    /// Our own engine's plan while we lead; else the one that the store has. A newer one than ours is that of
    /// whoever leads while we were frozen.
    fn plan(&mut self, revision: Revision) -> Result<Option<Plan>, StoreError> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(own) = own.filter(|own| own.revision >= revision) {
            return Ok(Some(own));
        }
        if self.known.as_ref().is_none_or(|known| known.revision != revision) {
            self.known = self.store.plan()?.map(|(revision, json)| Plan { revision, json: json.into() });
        }
        Ok(self.known.clone())
    }
}
