//! One canary at work: its state, its numbers, and its weight on the way to the router.

use super::act::{Deed, Order};
use super::analysis::Analysis;
use super::cluster::{Release, Seen};
use super::gating::Outgoing;
use super::releases::OwnExperiment;
use super::route::Route;
use super::routing::Moving;
use super::samples::Sampler;
use super::view::CanaryView;
use crate::alerts::Alert;
use crate::alerts::desk::Firing;
use crate::config::{Canary, Moment, Router};
use crate::gates::When;
use crate::gates::book::Book;
use crate::metrics::Metrics;
use crate::router::virtual_service;
use crate::sources::ledger::Ledger;
use crate::store::{RolloutReport, Snapshot, Write};
use serde_json::value::RawValue;
use serin_contract::plan::CanaryDocument;
use serin_contract::report::Instance;
use serin_contract::{Arm, CanaryReport, Share, Step, UnitHash};
use serin_judge::anomaly::Anomaly;
use serin_judge::observations::Observations;
use serin_judge::ramp::{self, Action, Facts, Phase, State, Transition};
use serin_judge::summary::Summary;
use serin_judge::time::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Samples that are looked at; the store has the whole rollout.
pub(super) const SAMPLES: usize = 100;
/// Lines of history kept in memory; the store has all.
pub(super) const HISTORY: usize = 100;

pub(super) struct Rollout {
    pub(super) spec: Canary,
    pub(super) state: State,
    pub(super) observations: Observations,
    /// The last journal entry that is counted.
    pub(super) offset: u64,
    /// The last report of a shared inbox that is counted.
    pub(super) cursor: u64,
    /// Why the store cannot be relied on, if so.
    pub(super) store_error: Option<String>,
    pub(super) history: VecDeque<Transition>,
    /// The samples of the last minute, as the store has them.
    pub(super) recent: VecDeque<(Time, Box<RawValue>)>,
    pub(super) route: Route,
    /// The weight that was raised to and has not arrived yet.
    pub(super) asked: Option<Share>,
    /// The weight of these that the Canary's status tells of.
    pub(super) told: Option<Share>,
    /// What the cluster shows of it; nothing yet, or there is no cluster.
    pub(super) seen: Option<Seen>,
    pub(super) book: Book,
    /// What further sources say.
    pub(super) ledger: Ledger,
    /// The tick for which they were asked last.
    pub(super) asked_for: Time,
    /// SLOs and anomalies.
    pub(super) analysis: Analysis,
    /// Events that people are to be alerted of.
    pub(super) events: Vec<Alert>,
    /// The alerts that are so now, as of the last look.
    pub(super) firing: Vec<Firing>,
    /// A weight on its way to the proxies.
    pub(super) moving: Option<Moving>,
    /// Calls to gates that are to be made.
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) sampler: Sampler,
    pub(super) next_tick: Time,
    pub(super) own_experiment: OwnExperiment,
    /// Whether reports came since the judge last looked.
    unjudged: bool,
}

impl Rollout {
    pub(super) fn new(spec: Canary, offset: u64, now: Time) -> Self {
        let state = State::new(&spec.stable_version, &spec.canary_version, now);
        let observations = Observations::new(now);
        Self::with(spec, state, observations, offset, now)
    }

    pub(super) fn with(
        spec: Canary,
        state: State,
        observations: Observations,
        offset: u64,
        now: Time,
    ) -> Self {
        Self {
            sampler: Sampler::new(&observations),
            route: Route::new(state.weight, now),
            asked: None,
            told: None,
            seen: None,
            next_tick: now.plus(spec.settings.analysis_interval),
            book: Book::default(),
            ledger: Ledger::default(),
            asked_for: now,
            analysis: Analysis::default(),
            events: Vec::new(),
            firing: Vec::new(),
            moving: None,
            outgoing: Vec::new(),
            history: VecDeque::new(),
            recent: VecDeque::new(),
            own_experiment: OwnExperiment::default(),
            unjudged: false,
            cursor: 0,
            store_error: None,
            spec,
            state,
            observations,
            offset,
        }
    }

    /// Takes a report's part into the numbers.
    pub(super) fn observe(
        &mut self,
        sender: Instance,
        interval: Duration,
        entries: &[CanaryReport],
        now: Time,
    ) {
        self.observations.report(&self.spec.settings, sender, interval, entries, now);
        self.unjudged = true;
    }

    /// A user of this step has reached a goal, as the API is told.
    pub(super) fn converted(&mut self, goal: &str, unit: UnitHash, arm: Arm, step: Step) {
        self.observations.converted(goal, unit, arm, step);
        self.unjudged = true;
    }

    /// Filters that live; what they say about this canary is counted after this. Where something hung, all of
    /// them are asked whether it still does.
    pub(super) fn hear(&mut self, senders: &[(Instance, Duration)], now: Time) {
        if self.observations.is_hanging() {
            for (sender, interval) in senders {
                self.observations.report(&self.spec.settings, *sender, *interval, &[], now);
            }
            self.unjudged |= !senders.is_empty();
        } else if let Some(longest) = senders.iter().map(|(_, interval)| *interval).max() {
            self.observations.hear(&self.spec.settings, longest, now);
        }
    }

    /// The rules that need no tick; says whether there were reports to judge.
    pub(super) fn judge_reports(&mut self, now: Time, writes: &mut Vec<Write>) -> bool {
        if !std::mem::take(&mut self.unjudged) {
            return false;
        }
        let summary = self.summary(now);
        let decided = ramp::on_report(&self.spec.settings, &self.state, &summary, &self.facts(now), now);
        self.follow(decided, now, writes);
        true
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
            self.keep(now, &sample, now);
            writes.push(Write::Sample(self.spec.id.to_string(), now, sample));
        }
        let decided = ramp::on_tick(&self.spec.settings, &self.state, &summary, &self.facts(now), now);
        self.follow(decided, now, writes);
        self.ask_about_analysis();
        writes.push(self.snapshot());
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
            next: self.asked,
            deployments: self.seen.as_ref().and_then(|seen| seen.deployments.clone()),
            analysis_interval: self.spec.settings.analysis_interval,
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

    pub(super) fn snapshot(&self) -> Write {
        let snapshot = Snapshot {
            state: self.state.clone(),
            observations: self.observations.clone_without_units(),
            offset: self.offset,
            cursor: self.cursor,
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
            store_error: self.store_error.clone(),
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

    /// What reports may change in its plan.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            step: self.state.step,
            stratum: self.state.stratum,
            share: self.state.weight,
            slow_edge: self.observations.slow_edge(&self.spec.settings),
            seen_sample: self.observations.seen_sample(),
            event_sample: self.observations.event_sample(),
        }
    }

    pub(super) fn plan(&self) -> CanaryDocument {
        let document = self.spec.plan(&self.moment());
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
