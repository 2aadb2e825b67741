//! A canary within one step and stratum: what was assigned in it counts in it, whenever it ends.

use crate::outcome::Served;
use crate::tally::{ArmTally, Ended, count};
use crate::units::{Mark, UnitSet};
use serin_contract::report::MAX_VALUE;
use serin_contract::{Arm, CanaryPlan, CanaryReport, PerArm, Sample, Step, Stratum, Tally, UnitHash};
use std::cell::{Cell, RefCell};

/// How many rows of goals wait in a stratum for a report.
pub const MAX_GOALS: usize = 131_072;

/// What may change within a stratum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// A request that takes longer, in microseconds, makes its unit slow.
    pub slow_edge_us: u64,
    /// Which units are listed as seen.
    pub seen_sample: Sample,
    /// Which units are listed as erred or slow.
    pub event_sample: Sample,
}

/// The book of one canary, step and stratum. Shared by the requests that were assigned in it; every
/// method borrows it only while it runs, and none calls the proxy.
#[derive(Debug)]
pub struct Period {
    /// The canary.
    pub name: String,
    /// The step.
    pub step: Step,
    /// The stratum.
    pub stratum: Stratum,
    rules: Cell<Rules>,
    past: Cell<bool>,
    /// The goals' names at the time that the book was opened: their places are counted.
    goals: Vec<String>,
    book: RefCell<Book>,
}

#[derive(Debug)]
struct Book {
    arms: PerArm<ArmTally>,
    forced: PerArm<Tally>,
    unassigned: PerArm<Tally>,
    excluded: u64,
    ineligible: u64,
    misrouted: u64,
    elsewhere: u64,
    unserved: u64,
    units: UnitSet,
    unflushed: PerArm<Tally>,
}

impl Period {
    /// The empty book of a canary's present stratum; `seed` is for [`UnitSet`].
    pub fn open(canary: &CanaryPlan, seed: u64) -> Self {
        Self {
            name: canary.name.clone(),
            step: canary.step,
            stratum: canary.stratum,
            rules: Cell::new(rules(canary)),
            past: Cell::new(false),
            goals: canary.goals.iter().map(|goal| goal.name.clone()).collect(),
            book: RefCell::new(Book {
                arms: PerArm::default(),
                forced: PerArm::default(),
                unassigned: PerArm::default(),
                excluded: 0,
                ineligible: 0,
                misrouted: 0,
                elsewhere: 0,
                unserved: 0,
                units: UnitSet::new(seed),
                unflushed: PerArm::default(),
            }),
        }
    }

    /// Whether this is the canary's present stratum, with the same goals.
    pub fn is_of(&self, canary: &CanaryPlan) -> bool {
        self.step == canary.step
            && self.stratum == canary.stratum
            && self.name == canary.name
            && self.goals.iter().eq(canary.goals.iter().map(|goal| &goal.name))
    }

    /// The plan has come, perhaps again, with this stratum.
    pub fn follow(&self, canary: &CanaryPlan) {
        self.rules.set(rules(canary));
        self.past.set(false);
    }

    /// The plan has moved on. Who was reported in it is forgotten: nobody is assigned in it any more, and
    /// the analyzer knows that an error which ends late may name a unit again.
    pub fn leave(&self) {
        if !self.past.replace(true) {
            self.book.borrow_mut().units.clear();
        }
    }

    /// Whether the plan has moved on.
    pub fn is_past(&self) -> bool {
        self.past.get()
    }

    /// See [`Rules::slow_edge_us`].
    pub fn slow_edge_us(&self) -> u64 {
        self.rules.get().slow_edge_us
    }

    /// A unit was assigned. Counted at the request's begin: whether a unit is seen must not depend on
    /// what its version does to the request.
    pub fn assigned(&self, arm: Arm, unit: UnitHash) {
        self.list(arm, unit, Mark::Seen);
    }

    /// One of a unit's requests is in flight for longer than the slow edge.
    pub fn slow(&self, arm: Arm, unit: UnitHash) {
        self.list(arm, unit, Mark::Slow);
    }

    fn list(&self, arm: Arm, unit: UnitHash, mark: Mark) {
        let rules = self.rules.get();
        let sample = match mark {
            Mark::Seen => rules.seen_sample,
            Mark::Erred | Mark::Slow => rules.event_sample,
        };
        let book = &mut *self.book.borrow_mut();
        if sample.has(unit) && book.units.mark(unit, mark) {
            let tally = book.arms.get_mut(arm);
            match mark {
                Mark::Seen => tally.seen.push(unit),
                Mark::Erred => tally.erred.push(unit),
                Mark::Slow => tally.slow.push(unit),
            }
        }
    }

    /// A unit reached a goal. While the analyzer is silent, no more wait than [`MAX_GOALS`].
    pub fn reached(&self, arm: Arm, unit: UnitHash, goal: usize, value: f64) {
        let book = &mut *self.book.borrow_mut();
        let waiting = book.arms.stable.goals.len() + book.arms.canary.goals.len();
        let goals = &mut book.arms.get_mut(arm).goals;
        match goals.get_mut(&(goal, unit)) {
            Some((count, sum)) => {
                *count += 1;
                *sum = (*sum + value).clamp(-MAX_VALUE, MAX_VALUE);
            }
            None if waiting < MAX_GOALS => {
                goals.insert((goal, unit), (1, value));
            }
            None => {}
        }
    }

    /// An assigned request has ended. Only what a cluster of the canary served is evidence; what the
    /// other version served counts for the assigned arm all the same.
    pub fn ended(&self, arm: Arm, unit: UnitHash, served: Served, ended: Ended) {
        {
            let book = &mut *self.book.borrow_mut();
            match served {
                Served::Nobody => return book.unserved += 1,
                Served::Elsewhere => return book.elsewhere += 1,
                Served::By(version) => book.misrouted += u64::from(version != arm),
            }
            book.arms.get_mut(arm).count(ended);
            count(book.unflushed.get_mut(arm), ended.failed);
        }
        if ended.failed {
            self.list(arm, unit, Mark::Erred);
        }
        if ended.latency_us.is_some_and(|micros| micros > self.slow_edge_us()) {
            self.list(arm, unit, Mark::Slow);
        }
    }

    /// A request ended whose client chose its version.
    pub fn forced(&self, arm: Arm, failed: bool) {
        count(self.book.borrow_mut().forced.get_mut(arm), failed);
    }

    /// A request without a unit ended.
    pub fn unassigned(&self, served: Served, failed: bool) {
        let book = &mut *self.book.borrow_mut();
        match served {
            Served::By(version) => count(book.unassigned.get_mut(version), failed),
            Served::Elsewhere => book.elsewhere += 1,
            Served::Nobody => book.unserved += 1,
        }
    }

    /// A request outside of the segment ended.
    pub fn ineligible(&self) {
        self.book.borrow_mut().ineligible += 1;
    }

    /// An excluded request ended.
    pub fn excluded(&self) {
        self.book.borrow_mut().excluded += 1;
    }

    /// Takes all overdue levels back to zero, before they are counted anew.
    pub fn clear_overdue(&self) {
        let book = &mut *self.book.borrow_mut();
        book.arms.stable.overdue = 0;
        book.arms.canary.overdue = 0;
    }

    /// One more request is overdue.
    pub fn overdue(&self, arm: Arm) {
        self.book.borrow_mut().arms.get_mut(arm).overdue += 1;
    }

    /// What was counted for Envoy's statistics since this was last asked.
    pub fn flush(&self) -> PerArm<Tally> {
        std::mem::take(&mut self.book.borrow_mut().unflushed)
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        let book = self.book.borrow();
        book.arms.iter().all(|(_, tally)| tally.is_empty()) && self.counts_of(&book).is_empty()
    }

    /// How many units wait to be listed.
    pub fn units(&self) -> usize {
        self.book.borrow().arms.iter().map(|(_, tally)| tally.units()).sum()
    }

    /// What is to be reported, without units. Stays here until [`Self::restart`].
    pub fn counts(&self) -> CanaryReport {
        self.counts_of(&self.book.borrow())
    }

    fn counts_of(&self, book: &Book) -> CanaryReport {
        CanaryReport {
            name: self.name.clone(),
            step: self.step,
            stratum: self.stratum,
            arms: book.arms.map(ArmTally::report),
            forced: book.forced,
            unassigned: book.unassigned,
            excluded: book.excluded,
            ineligible: book.ineligible,
            misrouted: book.misrouted,
            elsewhere: book.elsewhere,
            unserved: book.unserved,
        }
    }

    /// Begins the counts anew, now that [`Self::counts`] is part of a report.
    pub fn restart(&self) {
        let book = &mut *self.book.borrow_mut();
        book.arms.stable.restart();
        book.arms.canary.restart();
        book.restart_plain();
    }

    /// Moves units of one mark into a report, at most `room`; answers how many.
    pub fn take_units(&self, mark: Mark, room: usize, report: &mut CanaryReport) -> usize {
        let book = &mut *self.book.borrow_mut();
        let mut taken = 0;
        for arm in Arm::ALL {
            let (tally, report) = (book.arms.get_mut(arm), report.arms.get_mut(arm));
            let (from, to) = match mark {
                Mark::Seen => (&mut tally.seen, &mut report.seen),
                Mark::Erred => (&mut tally.erred, &mut report.erred),
                Mark::Slow => (&mut tally.slow, &mut report.slow),
            };
            let most = from.len().min(room - taken);
            to.extend(from.drain(..most));
            taken += most;
        }
        taken
    }

    /// Moves goals into a report, at most `room` rows; answers how many.
    pub fn take_goals(&self, room: usize, report: &mut CanaryReport) -> usize {
        let book = &mut *self.book.borrow_mut();
        let mut taken = 0;
        for arm in Arm::ALL {
            let (tally, report) = (book.arms.get_mut(arm), report.arms.get_mut(arm));
            while taken < room
                && let Some(((goal, unit), (count, sum))) = tally.goals.pop_first()
            {
                taken += 1;
                if let Some(name) = self.goals.get(goal) {
                    report.goals.entry(name.clone()).or_default().push((unit, count, sum));
                }
            }
        }
        taken
    }

    /// Bytes of a report's entry that all goals' names in both arms take at most.
    pub fn goal_names_bytes(&self) -> usize {
        match self.goals.iter().map(|goal| goal.len() + 8).sum::<usize>() {
            0 => 0,
            names => 2 * (names + 16),
        }
    }

    /// Drops what waits to be reported.
    pub fn forget(&self) {
        self.restart();
        let book = &mut *self.book.borrow_mut();
        book.arms.stable.drop_units();
        book.arms.canary.drop_units();
    }

    /// Adds another period's counts, which begin anew there; its unlisted units are dropped.
    pub fn absorb(&self, other: &Self) {
        let book = &mut *self.book.borrow_mut();
        let other = &mut *other.book.borrow_mut();
        for arm in Arm::ALL {
            book.arms.get_mut(arm).absorb(other.arms.get_mut(arm));
            for (mine, theirs) in
                [(&mut book.forced, &other.forced), (&mut book.unassigned, &other.unassigned)]
            {
                mine.get_mut(arm).requests += theirs.get(arm).requests;
                mine.get_mut(arm).errors += theirs.get(arm).errors;
            }
        }
        book.excluded += other.excluded;
        book.ineligible += other.ineligible;
        book.misrouted += other.misrouted;
        book.elsewhere += other.elsewhere;
        book.unserved += other.unserved;
        other.restart_plain();
    }
}

impl Book {
    fn restart_plain(&mut self) {
        self.forced = PerArm::default();
        self.unassigned = PerArm::default();
        self.excluded = 0;
        self.ineligible = 0;
        self.misrouted = 0;
        self.elsewhere = 0;
        self.unserved = 0;
    }
}

fn rules(canary: &CanaryPlan) -> Rules {
    Rules {
        slow_edge_us: canary.slow_edge_us,
        seen_sample: canary.seen_sample,
        event_sample: canary.event_sample,
    }
}
