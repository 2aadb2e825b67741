//! One canary at work: its state, its numbers, and its weight on the way to the router.

use super::act::{Deed, Order};
use super::analysis::Analysis;
use super::cluster::{Release, Seen, Takeover};
use super::gating::Outgoing;
use super::route::{Found, Route};
use super::samples::Sampler;
use super::view::CanaryView;
use crate::alerts::Alert;
use crate::config::{Canary, Moment, Router};
use crate::gates::When;
use crate::gates::book::Book;
use crate::metrics::Metrics;
use crate::router::{self, RouterError, Standing, Written, virtual_service};
use crate::sources::ledger::Ledger;
use crate::store::{RolloutReport, Snapshot, StoredCanary, Write};
use serin_contract::plan::CanaryDocument;
use serin_contract::report::Instance;
use serin_contract::{CanaryReport, Share};
use serin_judge::anomaly::Anomaly;
use serin_judge::observations::Observations;
use serin_judge::ramp::{self, Action, Facts, Phase, State, Transition};
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// A weight that was decided and is not in effect everywhere yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    pub(super) share: Share,
    since: Time,
    up: bool,
}

/// Samples kept in memory; the store has the whole rollout.
pub(super) const SAMPLES: usize = 100;
/// Lines of history kept in memory; the store has all.
const HISTORY: usize = 100;

pub(super) struct Rollout {
    pub(super) spec: Canary,
    pub(super) state: State,
    pub(super) observations: Observations,
    /// The last journal entry that is counted.
    pub(super) offset: u64,
    pub(super) history: VecDeque<Transition>,
    pub(super) samples: VecDeque<serde_json::Value>,
    pub(super) route: Route,
    /// The weight that was raised to and has not arrived yet.
    pub(super) asked: Option<Share>,
    /// What the cluster shows of it; nothing yet, or there is no cluster.
    seen: Option<Seen>,
    pub(super) book: Book,
    /// What further sources say.
    pub(super) ledger: Ledger,
    /// The tick for which they were asked last.
    pub(super) asked_for: Time,
    /// SLOs and anomalies.
    pub(super) analysis: Analysis,
    /// Events that people are to be alerted of.
    pub(super) events: Vec<Alert>,
    /// A weight on its way to the proxies.
    pub(super) moving: Option<Moving>,
    /// Calls to gates that are to be made.
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) sampler: Sampler,
    pub(super) next_tick: Time,
    /// Whether reports came since the judge last looked.
    unjudged: bool,
}

impl Rollout {
    pub(super) fn new(spec: Canary, offset: u64, now: Time) -> Self {
        let state = State::new(&spec.stable_version, &spec.canary_version, now);
        let observations = Observations::new(now);
        Self::with(spec, state, observations, offset, now)
    }

    /// Goes on where the store ends: the snapshot, then everything counted after it.
    pub(super) fn restore(spec: Canary, stored: StoredCanary, now: Time, writes: &mut Vec<Write>) -> Self {
        let Snapshot { state, mut observations, offset } = stored.snapshot;
        if let Err(error) = observations.restore_units(&stored.units) {
            tracing::error!(canary = %spec.id, %error, "the stratum's units cannot be read; units count anew");
        }
        for (_, entry) in &stored.journal {
            let interval = Duration::from_millis(entry.interval_ms);
            observations.report(&spec.settings, entry.instance, interval, &entry.entries, entry.time);
        }
        let offset = stored.journal.last().map_or(offset, |(offset, _)| *offset);
        let mut rollout = Self::with(spec, state, observations, offset, now);
        rollout.history = stored.history.into_iter().rev().take(HISTORY).rev().collect();
        tracing::info!(
            canary = %rollout.spec.id, phase = ?rollout.state.phase, weight = %rollout.state.weight,
            step = %rollout.state.step, replayed = stored.journal.len(), "goes on from the store"
        );
        rollout.take_over_versions(now, writes);
        rollout
    }

    /// Goes on from another replica's numbers: the same weight and step, a new stratum. Everything counted
    /// begins anew, so that nothing that the other had acknowledged counts again.
    pub(super) fn take_over(
        spec: Canary,
        takeover: Takeover,
        offset: u64,
        now: Time,
        writes: &mut Vec<Write>,
    ) -> Self {
        let Takeover { state, carried, history, .. } = takeover;
        let state = State { stratum: state.stratum.next(), stratum_started: now, ..state };
        let mut observations = Observations::carry_on(&carried, now);
        observations.begin_stratum(state.step, state.stratum, state.weight, now);
        let mut rollout = Self::with(spec, state, observations, offset, now);
        rollout.history = history.into();
        tracing::info!(
            canary = %rollout.spec.id, phase = ?rollout.state.phase, weight = %rollout.state.weight,
            step = %rollout.state.step, stratum = %rollout.state.stratum, "taken over from the Canary's status"
        );
        rollout.take_over_versions(now, writes);
        rollout
    }

    /// Versions that were changed while nobody was there, as a reload would bring them.
    fn take_over_versions(&mut self, now: Time, writes: &mut Vec<Write>) {
        let (stable, canary) = (self.spec.stable_version.clone(), self.spec.canary_version.clone());
        if let Err(problem) = self.change_versions(&stable, &canary, now, writes) {
            tracing::error!(canary = %self.spec.id, %problem, "the configured versions are not taken over");
        }
    }

    /// Takes over the samples that the store has of this rollout.
    pub(super) fn remember(&mut self, samples: Vec<serde_json::Value>, now: Time) {
        let summary = self.summary(now);
        if let Some(last) = samples.last() {
            self.sampler.resume(last, &self.state, &summary);
        }
        self.samples = samples.into();
        self.resume_analysis();
    }

    fn with(spec: Canary, state: State, observations: Observations, offset: u64, now: Time) -> Self {
        Self {
            sampler: Sampler::new(&observations),
            route: Route::new(state.weight, now),
            asked: None,
            seen: None,
            next_tick: now.plus(spec.settings.analysis_interval),
            book: Book::default(),
            ledger: Ledger::default(),
            asked_for: now,
            analysis: Analysis::default(),
            events: Vec::new(),
            moving: None,
            outgoing: Vec::new(),
            history: VecDeque::new(),
            samples: VecDeque::new(),
            unjudged: false,
            spec,
            state,
            observations,
            offset,
        }
    }

    /// Counts one report's part, which is in the store already.
    pub(super) fn count(
        &mut self,
        sender: Instance,
        interval: Duration,
        entries: &[CanaryReport],
        now: Time,
    ) {
        if !entries.is_empty() {
            self.offset += 1;
        }
        self.observations.report(&self.spec.settings, sender, interval, entries, now);
        self.unjudged = true;
    }

    /// The rules that need no tick.
    pub(super) fn judge_reports(&mut self, now: Time, writes: &mut Vec<Write>) {
        if !std::mem::take(&mut self.unjudged) {
            return;
        }
        let summary = self.summary(now);
        let decided = ramp::on_report(&self.spec.settings, &self.state, &summary, &self.facts(now), now);
        self.follow(decided, now, writes);
    }

    /// Whether an analysis tick is due.
    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.next_tick
    }

    /// An analysis tick, when it is due: all rules, a sample, a snapshot. `shared` are anomalies of several
    /// canaries together.
    pub(super) fn tick(&mut self, shared: &[Anomaly], now: Time, writes: &mut Vec<Write>) {
        if !self.is_due(now) {
            return;
        }
        self.next_tick = now.plus(self.spec.settings.analysis_interval);
        let summary = self.summary(now);
        if self.is_live() {
            self.hear_filters(&summary, now);
            let mut sample = self.sampler.take(&self.observations, &summary, &self.ledger, &self.state, now);
            self.analyse(&mut sample, shared, now);
            writes.push(Write::Sample(self.spec.id.to_string(), now, sample.clone()));
            self.samples.push_back(sample);
            self.samples.drain(..self.samples.len().saturating_sub(SAMPLES));
        }
        let decided = ramp::on_tick(&self.spec.settings, &self.state, &summary, &self.facts(now), now);
        self.follow(decided, now, writes);
        self.ask_about_analysis();
        writes.push(self.snapshot());
    }

    /// Looks whether somebody else changed the weight: a higher one is written back, a lower one obeyed.
    pub(super) fn look_at_router(&mut self, now: Time, writes: &mut Vec<Write>) {
        match self.look(now) {
            Found::AsWritten => {}
            Found::Ahead(share) => self.find_ahead(share, now, writes),
            Found::Changed => {
                let reason = "somebody changed the managed routes for x-canary; they are written again";
                let note = self.state.note(now, reason, "router");
                self.follow((self.state.clone(), vec![note]), now, writes);
            }
            Found::Raised(share) => {
                let reason =
                    format!("somebody raised the weight to {share} in the router; it is written back");
                let note = self.state.note(now, &reason, "router");
                self.follow((self.state.clone(), vec![note]), now, writes);
            }
            Found::Lowered(share) => {
                let decided = ramp::lowered(&self.state, share, now);
                self.follow(decided, now, writes);
            }
        }
    }

    /// The first look shows more than the state. In an object two such weights stay: what somebody wrote
    /// before a release that has not begun, as long as the ramp begins no lower; and the next weight of the
    /// ramp, which a leader that was killed had written and not told of, and to which users may have moved.
    /// Anything else is written back.
    fn find_ahead(&mut self, share: Share, now: Time, writes: &mut Vec<Write>) {
        if matches!(self.spec.router, Router::EnvoyRoutes(_)) {
            return;
        }
        let steps = &self.spec.settings.ramp;
        let next = match &self.state.promoted_by {
            Some(_) => Some(steps.max()),
            None => steps.after(self.state.weight),
        };
        match self.state.phase {
            Phase::Pending if share <= steps.first() => self.route.adopt(share),
            Phase::Progressing if next == Some(share) => {
                self.route.adopt(share);
                let decided = ramp::weight_raised(&self.spec.settings, &self.state, share, now);
                self.follow(decided, now, writes);
            }
            Phase::Pending
            | Phase::Progressing
            | Phase::Paused
            | Phase::Promoting
            | Phase::Succeeded
            | Phase::Failed => {}
        }
    }

    /// A file is read, an object was sent to us when it changed.
    fn look(&mut self, now: Time) -> Found {
        match (&self.spec.router, &self.seen) {
            (Router::EnvoyRoutes(_), _) if !self.route.look_is_due(now) => Found::AsWritten,
            (Router::EnvoyRoutes(_), _) => {
                self.route.saw(router::read(&self.spec.router).map(Standing::only))
            }
            (Router::VirtualService(_), None) => Found::AsWritten,
            (Router::VirtualService(_), Some(seen)) if !self.route.is_news(seen.version()) => {
                Found::AsWritten
            }
            (Router::VirtualService(service), Some(seen)) => {
                let object = seen.virtual_service.as_ref().map_err(Clone::clone);
                self.route.saw(object.and_then(|object| Ok(virtual_service::standing(object, service)?)))
            }
        }
    }

    /// The cluster shows something new.
    pub(super) fn see(&mut self, seen: Seen) {
        self.seen = Some(seen);
    }

    /// What the cluster's side wants to know.
    pub(super) fn release(&self, now: Time) -> Release {
        Release {
            view: CanaryView::of(self, now),
            state: self.state.clone(),
            carried: self.observations.carried(),
            deployments: self.seen.as_ref().and_then(|seen| seen.deployments.clone()),
            analysis_interval: self.spec.settings.analysis_interval,
        }
    }

    /// A weight arrived at the router, or did not.
    pub(super) fn routed(
        &mut self,
        share: Share,
        result: Result<Written, RouterError>,
        now: Time,
        writes: &mut Vec<Write>,
    ) {
        let told = self.route.written(share, &result, now);
        match result {
            Ok(Written::Braked(found)) => {
                let decided = ramp::lowered(&self.state, found, now);
                self.follow(decided, now, writes);
            }
            Ok(Written::Stands(_)) => {
                tracing::info!(canary = %self.spec.id, weight = %share, "weight written");
                if self.asked == Some(share) && share == self.route.wanted() && share > self.state.weight {
                    self.asked = None;
                    let decided = ramp::weight_raised(&self.spec.settings, &self.state, share, now);
                    self.follow(decided, now, writes);
                }
            }
            Err(_) if told => {}
            Err(error) => {
                tracing::error!(canary = %self.spec.id, weight = %share, %error, "weight not written; it is tried again");
            }
        }
    }

    /// Does what a person asks, if the phase allows it.
    pub(super) fn act(&mut self, order: &Order, now: Time, writes: &mut Vec<Write>) -> Result<(), String> {
        let (settings, state) = (&self.spec.settings, &self.state);
        let decided = match order.deed {
            Deed::Pause => ramp::pause(state, &order.by, &order.reason, now),
            Deed::Resume => ramp::resume(state, &order.by, &order.reason, now),
            Deed::Promote => ramp::promote(settings, state, &self.facts(now), &order.by, &order.reason, now),
            Deed::Rollback => ramp::rollback(state, &order.by, &order.reason, now),
        };
        let decided = decided.map_err(|refusal| refusal.to_string())?;
        self.follow(decided, now, writes);
        Ok(())
    }

    /// Takes over new versions: another rollout, or the end of this one.
    pub(super) fn change_versions(
        &mut self,
        stable: &str,
        canary: &str,
        now: Time,
        writes: &mut Vec<Write>,
    ) -> Result<(), String> {
        let decided = ramp::versions_changed(&self.state, stable, canary, now);
        let decided = decided.map_err(|refusal| refusal.to_string())?;
        self.follow(decided, now, writes);
        Ok(())
    }

    /// Takes over a new state and does what comes with it, in order.
    pub(super) fn follow(
        &mut self,
        (state, actions): (State, Vec<Action>),
        now: Time,
        writes: &mut Vec<Write>,
    ) {
        let before = std::mem::replace(&mut self.state, state).phase;
        // Whatever was on its way up is off once the release is stopped.
        if !matches!(self.state.phase, Phase::Pending | Phase::Progressing) {
            self.route.want(self.state.weight, now);
            self.asked = None;
        }
        let changed = !actions.is_empty();
        let mut confirm = false;
        let id = self.spec.id.to_string();
        for action in actions {
            match action {
                Action::RaiseWeight(share) => self.raise(share, now),
                Action::LowerWeight(share) => {
                    self.move_to(share, now);
                    self.route.want(share, now);
                }
                Action::ConfirmPromotion => confirm = true,
                Action::BeginRollout => {
                    self.observations.begin_rollout(now);
                    self.ledger.clear();
                    self.begin_analysis();
                    self.sampler = Sampler::new(&self.observations);
                }
                Action::BeginStratum => {
                    let State { step, stratum, weight, .. } = self.state;
                    self.book.clear();
                    let summary = self.summary(now);
                    self.sampler.close_stratum(&summary);
                    self.observations.begin_stratum(step, stratum, weight, now);
                }
                Action::RestartSampleRatio => self.observations.restart_sample_ratio(),
                Action::Record(transition) => {
                    tracing::info!(
                        canary = %id, phase = ?transition.phase, weight = %transition.weight,
                        step = %transition.step, by = transition.by.as_deref().unwrap_or("serin"),
                        reason = %transition.reason, "release"
                    );
                    self.history.push_back(transition.clone());
                    self.history.drain(..self.history.len().saturating_sub(HISTORY));
                    if transition.phase == Phase::Failed {
                        self.tell(When::OnRollback);
                    }
                    self.tell(When::OnEvent);
                    self.events.extend(self.phase_event(before, &transition));
                    writes.push(Write::Transition(id.clone(), transition));
                }
                Action::WriteReport(kind) => {
                    let canary = serde_json::to_value(CanaryView::of(self, now)).unwrap_or_default();
                    let report = RolloutReport {
                        kind: kind.to_owned(),
                        time: now,
                        started: self.state.rollout_started,
                        affected: self.sampler.affected(&self.summary(now)),
                        canary,
                    };
                    writes.push(Write::Report(id.clone(), report));
                }
            }
        }
        if changed {
            writes.push(self.snapshot());
        }
        if confirm && self.may_succeed() {
            let confirmed = ramp::promotion_confirmed(&self.spec.settings, &self.state, now);
            self.follow(confirmed, now, writes);
        }
    }

    /// Another weight was decided; it is timed until the proxies follow.
    pub(super) fn move_to(&mut self, share: Share, now: Time) {
        if self.moving.is_none_or(|moving| moving.share != share) && share != self.state.weight {
            self.moving = Some(Moving { share, since: now, up: share > self.state.weight });
        }
    }

    /// All filters follow the plan: a weight that stands in router and plan is in effect.
    pub(super) fn arrived(&mut self, metrics: &Metrics, now: Time) {
        let Some(moving) = self.moving else { return };
        if moving.share == self.state.weight && self.route.confirmed == Some(moving.share) {
            let canary = self.spec.id.to_string();
            let labels = [canary.as_str(), if moving.up { "up" } else { "down" }];
            let took = now.since(moving.since).as_secs_f64();
            metrics.promotion_seconds.with_label_values(&labels).observe(took);
            self.moving = None;
        }
    }

    pub(super) fn snapshot(&self) -> Write {
        let snapshot = Snapshot {
            state: self.state.clone(),
            observations: self.observations.clone_without_units(),
            offset: self.offset,
        };
        Write::Snapshot {
            canary: self.spec.id.to_string(),
            snapshot: Box::new(snapshot),
            units: self.observations.units_to_bytes(),
        }
    }

    pub(super) fn summary(&self, now: Time) -> Summary {
        self.observations.summary(&self.spec.settings, now)
    }

    fn facts(&self, now: Time) -> Facts {
        Facts {
            router_error: self.route.error.as_ref().map(ToString::to_string),
            gate: self.book.hold(&self.spec.gates),
            missing: self.seen.as_ref().and_then(|seen| seen.problem.clone()),
            deployments: self.seen.as_ref().and_then(|seen| seen.deployments.clone()),
            findings: self.findings(now),
        }
    }

    /// Whether filters should report often: as long as the canary has users, or is about to get some.
    pub(super) fn is_live(&self) -> bool {
        match self.state.phase {
            Phase::Pending | Phase::Progressing | Phase::Paused | Phase::Promoting => true,
            Phase::Succeeded | Phase::Failed => self.state.weight > Share::NONE,
        }
    }

    pub(super) fn plan(&self) -> CanaryDocument {
        let document = self.spec.plan(&Moment {
            step: self.state.step,
            stratum: self.state.stratum,
            share: self.state.weight,
            slow_edge: self.observations.slow_edge(&self.spec.settings),
            seen_sample: self.observations.seen_sample(),
            event_sample: self.observations.event_sample(),
        });
        match (&self.spec.router, self.seen.as_ref().map(|seen| &seen.virtual_service)) {
            (Router::VirtualService(service), Some(Ok(object))) => {
                CanaryDocument { served_by: virtual_service::served_by(object, &service.subsets), ..document }
            }
            (Router::EnvoyRoutes(_) | Router::VirtualService(_), _) => document,
        }
    }

    pub(super) fn show(&self, metrics: &Metrics) {
        let id = self.spec.id.to_string();
        metrics.weight.with_label_values(&[id.as_str()]).set(self.state.weight.percent());
        metrics.step.with_label_values(&[id.as_str()]).set(i64::from(self.state.step.0));
        for phase in Phase::ALL {
            let labels = [id.as_str(), phase.name()];
            metrics.phase.with_label_values(&labels).set(i64::from(phase == self.state.phase));
        }
        let (errors, slow) = self.observations.evidence();
        metrics.evidence.with_label_values(&[id.as_str(), "errors"]).set(errors);
        metrics.evidence.with_label_values(&[id.as_str(), "slow"]).set(slow);
        for (arm, totals) in self.observations.totals().arms.iter() {
            let labels = [id.as_str(), arm.name()];
            metrics.requests.with_label_values(&labels).set(totals.requests as i64);
            metrics.errors.with_label_values(&labels).set(totals.errors as i64);
        }
    }
}
