//! What a shared inbox is counted up to, what is owed to the store, and every write's way there.

use super::core::Core;
use super::folding::SWEEP;
use crate::store::{Store, StoreError, Write};
use serin_judge::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// After a start nothing is cut for so long: Canaries of a cluster may be yet to come.
const SETTLING: Duration = Duration::from_secs(30);

/// How far the inbox is counted, and what is owed to the store.
pub(super) struct Inbox {
    /// The last entry that was read.
    pub(super) cursor: u64,
    /// The last entry that experiments have counted, as the store has it.
    pub(super) experiments: u64,
    /// The same for each canary's snapshot.
    pub(super) snapshots: BTreeMap<String, u64>,
    /// Whether a commit of experiments failed, so that memory and store may differ.
    pub(super) doubtful: bool,
    /// What could not be written.
    owed: Vec<Write>,
    /// Why nothing can be written or read, if so.
    pub(super) away: Option<String>,
    pub(super) next_trim: Time,
    pub(super) next_sweep: Time,
}

/// The most that is kept of what could not be written: days of decisions.
const OWED: usize = 20_000;

impl Inbox {
    pub(super) fn new(store: &dyn Store, now: Time) -> Result<Self, StoreError> {
        let experiments = store.cursor()?;
        Ok(Self {
            cursor: 0,
            experiments,
            snapshots: BTreeMap::new(),
            doubtful: false,
            owed: Vec::new(),
            away: None,
            next_trim: now.plus(SETTLING),
            next_sweep: now.plus(SWEEP),
        })
    }

    /// What a commit that went well has stored.
    fn stored(&mut self, writes: &[Write]) {
        for write in writes {
            match write {
                Write::Snapshot { canary, snapshot, .. } => {
                    self.snapshots.insert(canary.clone(), snapshot.cursor);
                }
                Write::Cursor(place) => self.experiments = *place,
                Write::Mark(..)
                | Write::Journal { .. }
                | Write::Transition(..)
                | Write::Sample(..)
                | Write::Report(..)
                | Write::Experiment(_)
                | Write::Unit { .. }
                | Write::Action { .. }
                | Write::Key(..)
                | Write::Trim(_)
                | Write::Inbox(..)
                | Write::Audit(_)
                | Write::Plan(..) => {}
            }
        }
    }

    /// Keeps what was decided and could not be stored; snapshots are made anew.
    pub(super) fn owe(&mut self, writes: &[Write]) {
        let kept = writes.iter().filter(|write| match write {
            Write::Transition(..)
            | Write::Sample(..)
            | Write::Report(..)
            | Write::Experiment(_)
            | Write::Audit(_) => true,
            Write::Mark(..)
            | Write::Journal { .. }
            | Write::Snapshot { .. }
            | Write::Unit { .. }
            | Write::Action { .. }
            | Write::Key(..)
            | Write::Cursor(_)
            | Write::Trim(_)
            | Write::Inbox(..)
            | Write::Plan(..) => false,
        });
        self.owed.extend(kept.cloned());
        self.owed.drain(..self.owed.len().saturating_sub(OWED));
    }

    pub(super) fn owed(&mut self) -> Vec<Write> {
        std::mem::take(&mut self.owed)
    }
}

impl Core {
    /// One transaction, timed. While the store refuses, the releases hold.
    pub(super) fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        let timer = self.metrics.commit_seconds.start_timer();
        let committed = self.store.commit(writes);
        timer.observe_duration();
        match &committed {
            Ok(()) => {
                self.inbox.stored(writes);
                self.store_answers();
            }
            Err(error) => {
                let counted = |write: &Write| matches!(write, Write::Experiment(_) | Write::Unit { .. });
                self.inbox.doubtful |= writes.iter().any(counted);
                self.store_fails(&error.to_string());
            }
        }
        committed
    }

    /// Whether what is written now would fail, or what is in memory may not be what the store has.
    pub(super) fn store_is_away(&self) -> bool {
        self.inbox.away.is_some() || self.inbox.doubtful
    }

    pub(super) fn store_fails(&mut self, problem: &str) {
        self.inbox.away = Some(problem.to_owned());
        self.tell_rollouts();
    }

    fn store_answers(&mut self) {
        if self.inbox.away.take().is_some() {
            self.tell_rollouts();
        }
    }

    fn tell_rollouts(&mut self) {
        for rollout in self.rollouts.values_mut() {
            rollout.store_error = self.inbox.away.clone();
        }
    }
}
