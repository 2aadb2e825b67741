//! The engine's state and its beat: ticks, weights on their way to the router, plans.

use super::Message;
use super::act::{Order, Refused};
use super::audit::came_of_action;
use super::filters::Filters;
use super::folding::Backing;
use super::gating::Outgoing;
use super::inbox::Inbox;
use super::past::Series;
use super::plans::Published;
use super::pressure::Pressure;
use super::publishing::plan_parts;
use super::rollout::{Rollout, SAMPLES};
use super::route::Due;
use super::view::CanaryView;
use crate::alerts::desk::Desk;
use crate::alerts::receiver::Receivers;
use crate::alerts::{Notice, Status};
use crate::analytics::Outlet;
use crate::config::{Canary, Configuration, Router};
use crate::experiments;
use crate::gates::webhook;
use crate::kubernetes::Routes;
use crate::metrics::Metrics;
use crate::replicas::{Hold, Intake};
use crate::router::{self, RouteFiles, RouterError, Written};
use crate::store::{Store, StoreError, Write};
use serin_contract::{Revision, Share};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};

/// A store that failed is tried again after so long.
pub(super) const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Core {
    pub(super) configuration: Configuration,
    pub(super) rollouts: BTreeMap<String, Rollout>,
    pub(super) filters: Filters,
    pub(super) experiments: experiments::Desk,
    pub(super) plan: Published,
    pub(super) pressure: Pressure,
    /// Until then a change of the plan waits that can.
    pub(super) next_plan: Instant,
    pub(super) metrics: Arc<Metrics>,
    pub(super) store: Arc<dyn Store>,
    pub(super) inbox: Inbox,
    pub(super) route_files: RouteFiles,
    /// Where reports go, where the store is shared.
    pub(super) intake: Option<Intake>,
    /// Whether weights may be written, where a lock says so.
    hold: Option<Hold>,
    /// Whether every canary is known: those of a cluster come one by one.
    pub(super) whole: bool,
    /// The last plan that is in the store.
    pub(super) spread: Option<Revision>,
    /// The way to the cluster's objects; none outside a cluster.
    cluster: Option<Routes>,
    pub(super) queue: mpsc::Sender<Message>,
    /// Rung where something was decided that people should see at once.
    pub(super) news: Arc<Notify>,
    pub(super) save_again: Option<Time>,
    pub(super) desk: Desk,
    pub(super) receivers: Receivers,
    pub(super) analytics: Outlet,
    pub(super) next_board: Time,
    /// When this program began.
    pub(super) started: Time,
    pub(super) series: Series,
}

impl Core {
    pub(super) fn load(
        configuration: Configuration,
        backing: Backing,
        metrics: Arc<Metrics>,
        cluster: Option<Routes>,
        queue: mpsc::Sender<Message>,
        now: Time,
    ) -> Result<Self, StoreError> {
        let Backing { store, intake, hold } = backing;
        let filters = Filters::new(store.marks(now)?);
        let mut rollouts = BTreeMap::new();
        let mut writes = Vec::new();
        for canary in &configuration.canaries {
            rollouts.insert(canary.id.to_string(), open(&*store, canary, now, &mut writes)?);
        }
        let records = store.experiments(now)?;
        let (experiments, declared) = experiments::Desk::load(records, &configuration.experiments, now)
            .map_err(|error| StoreError::Record { table: "experiments", error })?;
        writes.extend(declared);
        store.commit(&writes)?;
        let after = store.plan_revision()?;
        let plan = first_plan(&rollouts, &experiments, now, after)?;
        let inbox = Inbox::new(&*store, now)?;
        let receivers = Receivers::start(&configuration.server.alerts, &metrics, super::now);
        let analytics = Outlet::start(configuration.server.analytics.as_ref(), &metrics);
        metrics.leader.set(1);
        let mut core = Self {
            configuration,
            rollouts,
            filters,
            experiments,
            plan,
            pressure: Pressure::new(now),
            next_plan: Instant::now(),
            metrics,
            store,
            inbox,
            route_files: RouteFiles::default(),
            intake,
            hold,
            whole: cluster.is_none(),
            spread: None,
            cluster,
            queue,
            news: Arc::default(),
            save_again: None,
            desk: Desk::default(),
            receivers,
            analytics,
            next_board: now,
            started: now,
            series: Series::default(),
        };
        core.experiments.record(core.analytics.is_open());
        core.fold_all(now)?;
        core.follow_releases(now);
        core.publish();
        Ok(core)
    }

    /// Handles everything that waits; the sender to answer when the program should end.
    pub(super) fn take(&mut self, batch: &mut Vec<Message>, now: Time) -> Option<oneshot::Sender<()>> {
        let (reports, others): (Vec<_>, Vec<_>) =
            batch.drain(..).partition(|message| matches!(message, Message::Report(..)));
        let reports = reports.into_iter().filter_map(Message::into_report).collect();
        self.ingest(reports, now);
        let (asked, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|message| matches!(message, Message::Experiments(_)));
        let ask = |message| if let Message::Experiments(ask) = message { Some(ask) } else { None };
        self.experiment(asked.into_iter().filter_map(ask).collect(), now);
        for message in others {
            if let Some(stop) = self.handle(message, now) {
                return Some(stop);
            }
        }
        None
    }

    fn handle(&mut self, message: Message, now: Time) -> Option<oneshot::Sender<()>> {
        match message {
            Message::Report(report, answer) => self.ingest(vec![(report, answer)], now),
            Message::Canaries(answer) => {
                drop(answer.send(self.views(now)));
            }
            Message::Filters(answer) => drop(answer.send(self.filters.views(self.plan.revision()))),
            Message::Picture(after, answer) => drop(answer.send(self.picture(after, now))),
            Message::Samples(canary, answer) => {
                let rollout = self.rollouts.get(&canary);
                drop(answer.send(rollout.map(|rollout| rollout.samples_after(Time(0)))));
            }
            Message::Rollouts(canary, answer) => drop(answer.send(self.rollout_views(&canary, now))),
            Message::RolloutReport(canary, started, answer) => {
                drop(answer.send(self.report(&canary, started, now)));
            }
            Message::Experiments(ask) => self.experiment(vec![ask], now),
            Message::Audit(line) => self.note(*line, now),
            Message::Act(order, answer) => drop(answer.send(self.act(&order, now))),
            Message::Reload(configuration, answer) => drop(answer.send(self.reload(*configuration, now))),
            Message::Collected { canary, collected } => {
                if let Some(rollout) = self.rollouts.get_mut(&canary) {
                    rollout.collected(*collected, now);
                }
            }
            Message::Gated { canary, question, result } => {
                let mut writes = Vec::new();
                if let Some(rollout) = self.rollouts.get_mut(&canary) {
                    rollout.gated(question, result, now, &mut writes);
                }
                self.settle(&writes, now);
                self.publish();
            }
            Message::Routed { canary, share, result } => self.routed(&canary, share, result, now),
            Message::Apply(canary, takeover, answer) => {
                drop(answer.send(self.apply(&canary, takeover.map(|takeover| *takeover), now)));
            }
            Message::Remove(canary, answer) => {
                self.remove(&canary, now);
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
            Message::See(canary, seen) => self.see(&canary, seen, now),
            Message::Told(canary, next) => self.told(&canary, next, now),
            Message::Releases(answer) => {
                drop(answer.send(self.rollouts.values().map(|rollout| rollout.release(now)).collect()));
            }
            Message::Whole => {
                self.whole = true;
                self.publish();
            }
            Message::Stop(answer) => {
                self.save_all();
                return Some(answer);
            }
        }
        None
    }

    /// Stores what was decided, and sends weights on their way. A decision stands even when the store
    /// fails: a rollback must not wait for a disk. It is stored as soon as the store works again.
    pub(super) fn settle(&mut self, writes: &[Write], now: Time) {
        if !writes.is_empty()
            && let Err(error) = self.commit(writes)
        {
            tracing::error!(%error, "a decision could not be stored; it stands and is stored later");
            self.inbox.owe(writes);
            self.save_again = Some(now.plus(RETRY));
        }
        if self.save_again.is_some_and(|time| time <= now) {
            self.save_again = if self.save_all() { None } else { Some(now.plus(RETRY)) };
        }
        if writes.iter().any(|write| matches!(write, Write::Transition(..))) {
            self.news.notify_one();
            if let Some(cluster) = &self.cluster {
                cluster.ring();
            }
        }
        let store_fails = self.inbox.away.is_some();
        for (id, rollout) in &mut self.rollouts {
            if store_fails {
                rollout.stay(now);
            }
            for outgoing in rollout.outgoing.drain(..) {
                send_call(self.queue.clone(), id.clone(), outgoing);
            }
            for alert in rollout.events.drain(..) {
                self.receivers.tell(&Notice { alert, since: now, status: Status::Event });
            }
            if let Some(due) = rollout.weight_due(self.cluster.is_some(), now) {
                let way = (self.cluster.clone(), self.hold.clone());
                send_weight(self.queue.clone(), way, id.clone(), &rollout.spec, due);
            }
        }
        // Behind the weights: a rollback does not wait for what is only counted.
        self.follow_releases(now);
    }

    fn save_all(&mut self) -> bool {
        let mut writes = self.inbox.owed();
        writes.extend(self.rollouts.values().map(Rollout::snapshot));
        match self.commit(&writes) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "the state could not be stored");
                self.inbox.owe(&writes);
                false
            }
        }
    }

    fn routed(&mut self, canary: &str, share: Share, result: Result<Written, RouterError>, now: Time) {
        let outcome = if result.is_ok() { "written" } else { "failed" };
        self.metrics.router_writes.with_label_values(&[canary, outcome]).inc();
        let mut writes = Vec::new();
        if let Some(rollout) = self.rollouts.get_mut(canary) {
            rollout.routed(share, result, now, &mut writes);
        }
        self.news.notify_one();
        self.settle(&writes, now);
        self.publish();
    }

    /// All canaries as the API shows them.
    pub(super) fn views(&self, now: Time) -> Vec<CanaryView> {
        self.rollouts.values().map(|rollout| CanaryView::of(rollout, now)).collect()
    }

    fn act(&mut self, order: &Order, now: Time) -> Result<CanaryView, Refused> {
        let mut writes = Vec::new();
        let done = match self.rollouts.get_mut(&order.canary) {
            Some(rollout) => {
                let acted = rollout.act(order, now, &mut writes);
                acted.map(|()| CanaryView::of(rollout, now)).map_err(Refused::NotNow)
            }
            None => Err(Refused::Unknown),
        };
        writes.push(Write::Audit(Box::new(order.attempt.line(came_of_action(&done), now))));
        self.settle(&writes, now);
        self.publish();
        done
    }

    /// The old receivers' tasks deliver what they have and end.
    pub(super) fn start_receivers(&mut self) {
        let receivers = &self.configuration.server.alerts;
        self.receivers = Receivers::start(receivers, &self.metrics, super::now);
        self.desk = Desk::default();
    }

    /// The old outlet's task writes what it has and ends.
    pub(super) fn start_analytics(&mut self) {
        let target = self.configuration.server.analytics.as_ref();
        self.analytics = Outlet::start(target, &self.metrics);
        self.experiments.record(self.analytics.is_open());
    }

    /// Canaries that are no longer configured leave nothing behind; receivers may be others now.
    pub(super) fn forget(&mut self, gone: &[String], now: Time) {
        for canary in gone {
            self.metrics.forget(canary);
            let news = self.desk.forget(canary, now);
            news.iter().for_each(|notice| self.receivers.tell(notice));
        }
    }
}

/// A canary as the store has it, or a new one. Its snapshot must be in the store before its first report
/// is acknowledged: a journal without the snapshot that it continues cannot be read again.
pub(super) fn open(
    store: &dyn Store,
    canary: &Canary,
    now: Time,
    writes: &mut Vec<Write>,
) -> Result<Rollout, StoreError> {
    let id = canary.id.to_string();
    let rollout = match store.canary(&id)? {
        Some(stored) => {
            let samples = store.last_samples(&id, stored.snapshot.state.rollout_started, SAMPLES)?;
            let mut rollout = Rollout::restore(canary.clone(), stored, now, writes);
            rollout.remember(&samples, now);
            rollout
        }
        None => Rollout::new(canary.clone(), 0, now),
    };
    writes.push(rollout.snapshot());
    Ok(rollout)
}

fn first_plan(
    rollouts: &BTreeMap<String, Rollout>,
    experiments: &experiments::Desk,
    now: Time,
    after: Revision,
) -> Result<Published, StoreError> {
    let (canaries, live) = plan_parts(rollouts);
    // A clock that is behind that of whoever led before must not bring revisions again.
    let begin = Time(now.0.max(after.0.saturating_add(1)));
    Published::first(canaries, experiments.plan(), live, begin)
        .map_err(|error| StoreError::Record { table: "snapshots", error: error.to_string() })
}

/// Gates are asked beside the engine's task; who has a say answers by a message.
fn send_call(queue: mpsc::Sender<Message>, canary: String, outgoing: Outgoing) {
    tokio::spawn(async move {
        let Outgoing { gate, call, question } = outgoing;
        let result = webhook::ask(&gate, &call).await;
        match question {
            Some(question) => drop(queue.send(Message::Gated { canary, question, result }).await),
            None => {
                if let Err(problem) = result {
                    tracing::warn!(%canary, %problem, "nobody took the notice");
                }
            }
        }
    });
}

/// Weights are written beside the engine's task; the answer comes back as a message.
fn send_weight(
    queue: mpsc::Sender<Message>,
    (cluster, hold): (Option<Routes>, Option<Hold>),
    canary: String,
    spec: &Canary,
    due: Due,
) {
    let (router, namespace, share) = (spec.router.clone(), spec.id.namespace.clone(), due.share);
    tokio::spawn(async move {
        let result = match (&router, cluster) {
            (Router::VirtualService(service), Some(cluster)) => {
                cluster.write(&namespace, service, share, due.stood).await
            }
            (Router::VirtualService(_) | Router::EnvoyRoutes(_), _) => {
                let written = tokio::task::spawn_blocking(move || {
                    let raises = due.stood.is_none_or(|stood| share > stood);
                    router::write(&router, share, &|| hold.as_ref().is_none_or(|hold| hold.allows(raises)))
                });
                let written = written.await;
                let result = written.unwrap_or_else(|error| Err(RouterError::failed(&error.to_string())));
                result.map(|()| Written::Stands(0))
            }
        };
        drop(queue.send(Message::Routed { canary, share, result }).await);
    });
}
