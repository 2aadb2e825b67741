//! The engine: one task that owns every canary's state. Everybody else talks to it by messages, so
//! there are no locks, and what it decides has one order.

mod act;
mod alerting;
mod analysis;
mod audit;
mod beat;
mod cluster;
mod collecting;
mod core;
mod experiments;
mod filters;
mod folding;
mod gating;
mod inbox;
mod ingest;
mod live;
mod numbers;
mod past;
mod plans;
mod pressure;
mod publishing;
mod releases;
mod reload;
mod reporting;
mod resume;
mod rollout;
mod route;
mod routing;
mod samples;
mod shown;
mod view;

pub use act::{Deed, Refused};
pub use audit::{Attempt, came_of_action, came_of_change};
pub use cluster::{Release, Seen, Takeover};
pub use experiments::{ExperimentView, HistoryView};
pub use filters::FilterView;
pub(crate) use filters::too_many;
pub use folding::Backing;
pub use ingest::Accepted;
pub use live::Picture;
pub(crate) use past::taken;
pub use past::{RolloutView, Span};
pub use shown::Shown;
pub use view::{CanaryView, RouterView};

use crate::config::{Canary, Configuration};
use crate::kubernetes::Routes;
use crate::metrics::Metrics;
use crate::replicas::Intake;
use crate::store::{AuditLine, Store, StoreError};
use serin_contract::{Report, Share};
use serin_judge::time::Time;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc, oneshot};

/// How many messages may wait; more senders wait for their turn.
const QUEUE: usize = 4096;
/// How many messages go into one commit at most.
const BATCH: usize = 1024;
/// How long the end of the program waits for records of experiments to be written.
const FLUSH: Duration = Duration::from_secs(2);
/// How often the clock is looked at.
const BEAT: Duration = Duration::from_millis(100);

/// What one can ask of the engine.
enum Message {
    Report(Box<Report>, oneshot::Sender<Result<Accepted, Unavailable>>),
    Canaries(oneshot::Sender<Vec<CanaryView>>),
    Filters(oneshot::Sender<Vec<FilterView>>),
    Picture(Time, oneshot::Sender<Picture>),
    Samples(String, oneshot::Sender<Option<Vec<serde_json::Value>>>),
    Rollouts(String, oneshot::Sender<Result<Option<Vec<RolloutView>>, StoreError>>),
    RolloutReport(String, Option<Time>, oneshot::Sender<Result<Option<crate::report::Report>, StoreError>>),
    Audit(Box<AuditLine>),
    Act(Box<act::Order>, oneshot::Sender<Result<CanaryView, Refused>>),
    Experiments(experiments::Ask),
    Reload(Box<Configuration>, oneshot::Sender<Result<(), String>>),
    Collected {
        canary: String,
        collected: Box<crate::sources::collect::Collected>,
    },
    Gated {
        canary: String,
        question: (usize, crate::gates::book::Question),
        result: Result<(), String>,
    },
    Routed {
        canary: String,
        share: Share,
        result: Result<crate::router::Written, crate::router::RouterError>,
    },
    Apply(Box<Canary>, Option<Box<Takeover>>, oneshot::Sender<Result<(), String>>),
    Remove(String, oneshot::Sender<()>),
    See(String, Seen),
    Told(String, Option<Share>),
    Releases(oneshot::Sender<Vec<Release>>),
    Whole,
    Stop(oneshot::Sender<()>),
}

impl Message {
    fn into_report(self) -> Option<ingest::Waiting> {
        match self {
            Self::Report(report, answer) => Some((report, answer)),
            Self::Canaries(_)
            | Self::Filters(_)
            | Self::Picture(..)
            | Self::Samples(..)
            | Self::Rollouts(..)
            | Self::RolloutReport(..)
            | Self::Act(..)
            | Self::Audit(_)
            | Self::Experiments(..)
            | Self::Reload(..)
            | Self::Collected { .. }
            | Self::Gated { .. }
            | Self::Routed { .. }
            | Self::Apply(..)
            | Self::Remove(..)
            | Self::See(..)
            | Self::Told(..)
            | Self::Releases(_)
            | Self::Whole
            | Self::Stop(_) => None,
        }
    }
}

/// The engine is gone, or its store refused the commit; the caller should try again.
#[derive(Debug, thiserror::Error)]
#[error("the report could not be stored: {0}; send it again")]
pub struct Unavailable(pub String);

/// A way to talk to the engine.
#[derive(Clone)]
pub struct Engine {
    queue: mpsc::Sender<Message>,
    /// For what is read beside the task and may take a while.
    store: Arc<dyn Store>,
    /// Where reports go, where the store is shared.
    intake: Option<Intake>,
    metrics: Arc<Metrics>,
    news: Arc<Notify>,
}

impl Engine {
    /// Loads everything from the store and starts the engine's task.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn start(
        configuration: Configuration,
        backing: impl Into<Backing>,
        metrics: Arc<Metrics>,
        cluster: Option<Routes>,
    ) -> Result<Self, StoreError> {
        let (queue, messages) = mpsc::channel(QUEUE);
        let backing = backing.into();
        let (store, intake) = (Arc::clone(&backing.store), backing.intake.clone());
        let core =
            core::Core::load(configuration, backing, Arc::clone(&metrics), cluster, queue.clone(), now())?;
        let news = Arc::clone(&core.news);
        let running = tokio::spawn(run(core, messages));
        tokio::spawn(async move {
            // A program without its engine must not look alive: whoever watches over it starts it again.
            if running.await.is_err_and(|ended| ended.is_panic()) {
                tracing::error!("the engine fell over; the program ends");
                std::process::abort();
            }
        });
        Ok(Self { queue, store, intake, metrics, news })
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(message(answer)).await.ok()?;
        answered.await.ok()
    }

    /// Counts a report; returns once it is in the store.
    ///
    /// # Errors
    /// When the store refused, or the program is ending. Nothing was counted then.
    pub async fn report(&self, report: Report) -> Result<Accepted, Unavailable> {
        let _timer = self.metrics.ingest_seconds.start_timer();
        if let Some(intake) = &self.intake {
            return intake.report(report).await;
        }
        let answer = self.ask(|answer| Message::Report(Box::new(report), answer)).await;
        answer.unwrap_or_else(|| Err(Unavailable("the analyzer is stopping".into())))
    }

    /// All canaries as the API shows them; nothing when the engine is gone.
    pub async fn canaries(&self) -> Option<Vec<CanaryView>> {
        self.ask(Message::Canaries).await
    }

    /// One canary.
    pub async fn canary(&self, id: &str) -> Option<CanaryView> {
        self.canaries().await?.into_iter().find(|canary| canary.id() == id)
    }

    /// The filters that have reported lately.
    pub async fn filters(&self) -> Option<Vec<FilterView>> {
        self.ask(Message::Filters).await
    }

    /// The report on a canary's rollout: the one that began then, or the one that runs, or the last that ended.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn rollout_report(
        &self,
        id: &str,
        started: Option<Time>,
    ) -> Result<Option<crate::report::Report>, StoreError> {
        let answer = self.ask(|answer| Message::RolloutReport(id.to_owned(), started, answer)).await;
        answer.unwrap_or(Ok(None))
    }

    /// Does what a person asks of a canary; `attempt` says who and why, and stands in the audit.
    ///
    /// # Errors
    /// When there is no such canary, or its phase does not allow it.
    pub async fn act(&self, id: &str, deed: Deed, attempt: Attempt) -> Result<CanaryView, Refused> {
        let reason = attempt.reason.clone().unwrap_or_default();
        let order = act::Order { canary: id.to_owned(), deed, by: attempt.by.clone(), reason, attempt };
        let answer = self.ask(|answer| Message::Act(Box::new(order), answer)).await;
        answer.unwrap_or(Err(Refused::Stopping))
    }

    /// Takes over a new configuration as a whole, or not at all.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub async fn reload(&self, configuration: Configuration) -> Result<(), String> {
        let answer = self.ask(|answer| Message::Reload(Box::new(configuration), answer)).await;
        answer.unwrap_or_else(|| Err("the analyzer is stopping".into()))
    }

    /// Takes over the spec of a Canary in the cluster; `takeover` is what its status says, where the engine
    /// does not know it yet.
    ///
    /// # Errors
    /// A sentence that says what does not fit; then everything is as before.
    pub async fn apply(&self, canary: Canary, takeover: Option<Takeover>) -> Result<(), String> {
        let (canary, takeover) = (Box::new(canary), takeover.map(Box::new));
        let answer = self.ask(|answer| Message::Apply(canary, takeover, answer)).await;
        answer.unwrap_or_else(|| Err("the analyzer is stopping".into()))
    }

    /// Lets go of a canary; from then on nothing writes its weights.
    pub async fn remove(&self, id: &str) {
        self.ask(|answer| Message::Remove(id.to_owned(), answer)).await;
    }

    /// Shows what the cluster has of a canary.
    pub async fn see(&self, id: &str, seen: Seen) {
        // An engine that is gone has nothing to look at.
        let _ = self.queue.send(Message::See(id.to_owned(), seen)).await;
    }

    /// The Canary's status says which share its router gets next: now it may.
    pub async fn told(&self, id: &str, next: Option<Share>) {
        // An engine that is gone raises nothing.
        let _ = self.queue.send(Message::Told(id.to_owned(), next)).await;
    }

    /// Every canary is known now; before, filters keep the plan of whoever led last.
    pub async fn is_whole(&self) {
        // An engine that is gone tells nobody of a plan.
        let _ = self.queue.send(Message::Whole).await;
    }

    /// All releases, for their Canaries' status; nothing when the engine is gone.
    pub async fn releases(&self) -> Option<Vec<Release>> {
        self.ask(Message::Releases).await
    }

    /// Stores everything and ends the engine.
    pub async fn stop(&self) {
        self.ask(Message::Stop).await;
    }
}

/// The wall clock. The one place in the program that reads it for decisions.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

async fn run(mut core: core::Core, mut messages: mpsc::Receiver<Message>) {
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            _ = beat.tick() => tokio::task::block_in_place(|| core.beat(now())),
            count = messages.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                if count == BATCH {
                    core.pressure.back_up();
                }
                // The commit waits for the disk; the runtime moves its other tasks away meanwhile.
                if let Some(stopped) = tokio::task::block_in_place(|| core.take(&mut batch, now())) {
                    // What waits is written if that takes no longer; an endpoint that is down keeps nobody.
                    if let Some(writer) = core.analytics.close() {
                        let _ = tokio::time::timeout(FLUSH, writer).await;
                    }
                    // Nobody waits for it if the program was torn down meanwhile.
                    let _ = stopped.send(());
                    return;
                }
            }
        }
    }
}
