//! Reports and events out of a shared inbox: whoever took them, here they are counted, in the inbox's order.
//! Experiments' numbers are committed together with the place up to which they are counted, a canary's snapshot has
//! its own: so nothing counts twice, whoever leads and however often it changes.

use super::core::Core;
use super::ingest::parts_of;
use super::rollout::Rollout;
use crate::experiments::Desk;
use crate::experiments::desk::Converted;
use crate::store::{Post, Store, StoreError, Write, time_of};
use serin_contract::{CanaryReport, Report};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Entries counted in one go.
const MOST: usize = 512;
/// So many goes at most before a question is answered.
const GOES: usize = 8;
/// How long one beat counts at most; then everybody else has a turn.
const TURN: Duration = Duration::from_millis(80);
/// How often the inbox is cut, and the store asked whether it still takes what is written.
const TRIM: Duration = Duration::from_secs(1);
/// How often what is too old is swept out.
pub(super) const SWEEP: Duration = Duration::from_secs(3600);

impl Core {
    /// What a shared store asks of each beat.
    pub(super) fn look_at_inbox(&mut self, now: Time) {
        if self.store.is_shared() {
            self.fold_for_a_turn(now);
            self.cut(now);
        }
        if now >= self.inbox.next_sweep {
            self.inbox.next_sweep = now.plus(SWEEP);
            if let Err(error) = self.store.sweep(now) {
                tracing::warn!(%error, "what is too old stays in the store for another hour");
            }
        }
    }

    /// Before a question about experiments is answered: whoever asks has maybe been told that events are taken.
    pub(super) fn read_inbox(&mut self, now: Time) {
        if self.store.is_shared() {
            for _ in 0..GOES {
                if self.try_fold(now) < MOST {
                    return;
                }
            }
        }
    }

    /// Counts what waits. What is left over shows that reports come faster than they can be counted.
    fn fold_for_a_turn(&mut self, now: Time) {
        let begun = Instant::now();
        while self.try_fold(now) == MOST {
            if begun.elapsed() > TURN {
                self.pressure.back_up();
                return;
            }
        }
    }

    fn try_fold(&mut self, now: Time) -> usize {
        match self.fold(now) {
            Ok(count) => count,
            Err(error) => {
                if self.inbox.away.is_none() {
                    tracing::error!(%error, "the store fails; reports are counted when it is back");
                }
                self.store_fails(&error.to_string());
                self.save_again.get_or_insert(now.plus(super::core::RETRY));
                0
            }
        }
    }

    /// At the start: everything that waits is counted before anybody is told of a plan. A store that is not
    /// shared has something in its inbox only if it was filled from one that is.
    pub(super) fn fold_all(&mut self, now: Time) -> Result<(), StoreError> {
        let cursors = self.rollouts.values().map(|rollout| rollout.cursor);
        self.inbox.cursor = cursors.chain([self.inbox.experiments]).min().unwrap_or(0);
        for (id, rollout) in &self.rollouts {
            self.inbox.snapshots.insert(id.clone(), rollout.cursor);
        }
        let mut counted = 0;
        loop {
            match self.fold(now)? {
                0 => break,
                count => counted += count,
            }
        }
        if counted > 0 {
            tracing::info!(entries = counted, "counted what waited in the inbox");
            let mut writes: Vec<Write> = self.rollouts.values().map(Rollout::snapshot).collect();
            writes.push(Write::Cursor(self.inbox.cursor));
            self.commit(&writes)?;
        }
        Ok(())
    }

    /// Counts what waits, up to a bound; how many entries that were.
    fn fold(&mut self, now: Time) -> Result<usize, StoreError> {
        self.settle_doubt(now)?;
        let entries = self.store.inbox(self.inbox.cursor, MOST)?;
        let Some((last, _)) = entries.last() else { return Ok(0) };
        let last = *last;
        let count = entries.len();
        let _timer = self.metrics.decision_seconds.start_timer();
        let converted = self.fold_experiments(&entries, last, now)?;
        self.count_folded(entries, &converted, now);
        self.inbox.cursor = last;
        let mut writes = Vec::new();
        for rollout in self.rollouts.values_mut() {
            rollout.judge_reports(now, &mut writes);
        }
        self.settle(&writes, now);
        self.publish();
        Ok(count)
    }

    /// Takes entries into the canaries' numbers. Only the canaries that they name are looked at closely.
    fn count_folded(&mut self, entries: Vec<(u64, Post)>, converted: &Conversions, now: Time) {
        // A clock that is ahead of ours would make reports younger than now.
        let time = |place: u64| time_of(place).min(now);
        let heard = |(place, post): &(u64, Post)| match post {
            Post::Report(report) => {
                Some((*place, (report.instance, Duration::from_millis(report.interval_ms))))
            }
            Post::Events(_) => None,
        };
        let (places, senders): (Vec<u64>, Vec<_>) = entries.iter().filter_map(heard).unzip();
        for rollout in self.rollouts.values_mut() {
            let new = places.partition_point(|place| *place <= rollout.cursor);
            if let (Some(senders), Some(last)) = (senders.get(new..), places.last()) {
                rollout.hear(senders, time(*last));
            }
        }
        let Some(last) = entries.last().map(|(place, _)| *place) else { return };
        for (place, post) in entries {
            match post {
                Post::Report(mut report) => {
                    if self.filters.admit(report.instance) {
                        self.filters.saw(&report, time(place));
                    }
                    for part in parts_of(&mut report) {
                        let named = self.rollouts.get_mut(&part.canary);
                        if let Some(rollout) = named.filter(|rollout| place > rollout.cursor) {
                            rollout.observe_part(&part, time(place));
                        }
                    }
                }
                Post::Events(_) => {
                    for one in converted.get(&place).into_iter().flatten() {
                        let named = self.rollouts.get_mut(&one.canary);
                        if let Some(rollout) = named.filter(|rollout| place > rollout.cursor) {
                            rollout.converted(&one.goal, one.unit, one.arm, one.step);
                        }
                    }
                }
            }
        }
        for rollout in self.rollouts.values_mut() {
            rollout.cursor = rollout.cursor.max(last);
        }
    }

    fn fold_experiments(
        &mut self,
        entries: &[(u64, Post)],
        last: u64,
        now: Time,
    ) -> Result<Conversions, StoreError> {
        let mut draft = self.experiments.draft(&*self.store, now);
        let mut converted = Conversions::new();
        for (place, post) in entries {
            let is_new = *place > self.inbox.experiments;
            match post {
                Post::Report(report) if is_new => {
                    report.experiments.iter().try_for_each(|entry| draft.report(entry))?;
                    for entry in &report.canaries {
                        self.count_release(&mut draft, entry)?;
                    }
                }
                Post::Report(_) => {}
                Post::Events(events) if is_new => {
                    draft.take(events.clone())?;
                }
                Post::Events(events) => draft.take_again(events)?,
            }
            converted.insert(*place, draft.take_converted());
        }
        let records = draft.take_records();
        let (books, mut writes) = draft.finish();
        if !writes.is_empty() {
            writes.push(Write::Cursor(last));
            self.commit(&writes)?;
            self.experiments.adopt(books, now);
            self.analytics.send(records);
        }
        Ok(converted)
    }

    /// After a commit of experiments without an answer the store says what is so.
    pub(super) fn settle_doubt(&mut self, now: Time) -> Result<(), StoreError> {
        if !self.inbox.doubtful {
            return Ok(());
        }
        self.store.settle()?;
        let records = self.store.experiments(now)?;
        let (desk, _) = Desk::load(records, &self.configuration.experiments, now)
            .map_err(|error| StoreError::Record { table: "experiments", error })?;
        self.inbox.experiments = self.store.cursor()?;
        self.experiments = desk;
        self.experiments.record(self.analytics.is_open());
        self.inbox.doubtful = false;
        tracing::info!("experiments read again after a commit without an answer");
        Ok(())
    }

    /// A canary that came later than the others counts what they have counted already.
    pub(super) fn catch_up(&self, rollout: &mut Rollout, now: Time) -> Result<(), StoreError> {
        let id = rollout.spec.id.to_string();
        while rollout.cursor < self.inbox.cursor {
            let entries = self.store.inbox(rollout.cursor, MOST)?;
            let due = entries.iter().filter(|(place, _)| *place <= self.inbox.cursor);
            let mut some = false;
            for (place, post) in due {
                let mut draft = self.experiments.draft(&*self.store, now);
                if let Post::Events(events) = post {
                    draft.take_again(events)?;
                }
                let converted = Conversions::from([(*place, draft.take_converted())]);
                rollout.fold(&id, *place, post, &converted, time_of(*place).min(now));
                some = true;
            }
            if !some {
                break;
            }
        }
        rollout.cursor = self.inbox.cursor;
        Ok(())
    }

    /// Cuts off what everybody has counted and stored.
    fn cut(&mut self, now: Time) {
        // A canary that is not known yet has not counted what is there.
        if !self.whole || now < self.inbox.next_trim || self.inbox.away.is_some() || self.inbox.doubtful {
            return;
        }
        self.inbox.next_trim = now.plus(TRIM);
        let stored = |id: &String| self.inbox.snapshots.get(id).copied().unwrap_or(0);
        let least = self.rollouts.keys().map(stored).min().unwrap_or(self.inbox.cursor);
        let writes = [Write::Cursor(self.inbox.cursor), Write::Trim(least.min(self.inbox.cursor))];
        if let Err(error) = self.commit(&writes) {
            tracing::error!(%error, "the inbox is not cut");
            self.save_again.get_or_insert(now.plus(super::core::RETRY));
        }
    }

    /// Gives the plan to the analyzers that do not lead, and to this one's own answers.
    /// A plan without a canary that is not known yet would let its users go.
    pub(super) fn spread_plan(&mut self) {
        if !self.whole {
            return;
        }
        let revision = self.plan.revision();
        if let Some(intake) = &self.intake {
            intake.lead(revision, self.plan.json());
        }
        if !self.store.is_shared() || self.spread == Some(revision) || self.inbox.away.is_some() {
            return;
        }
        match self.commit(&[Write::Plan(revision, self.plan.json())]) {
            Ok(()) => self.spread = Some(revision),
            Err(error) => tracing::error!(%error, "the plan is not in the store; it is written again"),
        }
    }
}

/// What events at each place of the inbox mean to judges.
type Conversions = BTreeMap<u64, Vec<Converted>>;

fn entries_of(canary: &str, report: &Report) -> Vec<CanaryReport> {
    report.canaries.iter().filter(|entry| entry.name == canary).cloned().collect()
}

impl Rollout {
    /// Counts an entry of the inbox, unless it is counted already.
    fn fold(&mut self, id: &str, place: u64, post: &Post, converted: &Conversions, time: Time) {
        if place <= self.cursor {
            return;
        }
        self.cursor = place;
        match post {
            Post::Report(report) => {
                let interval = Duration::from_millis(report.interval_ms);
                self.observe(report.instance, interval, &entries_of(id, report), time);
            }
            Post::Events(_) => {
                let own = converted.get(&place).into_iter().flatten().filter(|one| one.canary == id);
                for Converted { goal, unit, arm, step, .. } in own {
                    self.converted(goal, *unit, *arm, *step);
                }
            }
        }
    }
}

/// What stands behind an engine.
pub struct Backing {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Where reports go that come to this analyzer, where the store is shared.
    pub intake: Option<crate::replicas::Intake>,
    /// Whether this analyzer may write weights, where a lock says so.
    pub hold: Option<crate::replicas::Hold>,
}

impl<S: Store + 'static> From<Arc<S>> for Backing {
    fn from(store: Arc<S>) -> Self {
        Self { store, intake: None, hold: None }
    }
}
