//! Everything that is not reported yet, by canary, step and stratum.

use crate::experiments::{Book, GOAL_BYTES};
use crate::period::Period;
use crate::units::Mark;
use serin_contract::{CanaryPlan, CanaryReport, ExperimentReport, Plan, Revision};
use std::rc::Rc;

/// How many past strata wait to be reported before the oldest are merged.
pub const MAX_PAST: usize = 64;

/// Bytes of a listed unit: 16 digits, two quotes, a comma.
const UNIT_BYTES: usize = 19;
/// What experiments may take of a report even when canaries have more to say than fits.
const EXPERIMENTS_BYTES: usize = 64 * 1024;

/// A plan with the period of each of its canaries.
#[derive(Debug)]
pub struct ActivePlan {
    plan: Plan,
    periods: Vec<Rc<Period>>,
    books: Vec<Rc<Book>>,
}

impl ActivePlan {
    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The plan's number.
    pub fn revision(&self) -> Revision {
        self.plan.revision
    }

    /// A canary of the plan and its present period.
    pub fn canary(&self, index: usize) -> Option<(&CanaryPlan, &Rc<Period>)> {
        self.plan.canaries().get(index).zip(self.periods.get(index))
    }

    /// The book of an experiment of the plan.
    pub fn experiment(&self, index: usize) -> Option<&Rc<Book>> {
        self.books.get(index)
    }
}

/// What went into one report.
#[derive(Debug)]
pub struct Portion {
    /// The report's entries.
    pub canaries: Vec<CanaryReport>,
    /// What experiments have to say.
    pub experiments: Vec<ExperimentReport>,
    /// Whether something did not fit.
    pub more: bool,
}

/// All periods that have something to say or that requests are assigned in; oldest first.
#[derive(Debug)]
pub struct Recorder {
    periods: Vec<Rc<Period>>,
    books: Vec<Rc<Book>>,
    seed: u64,
    /// Where the next report begins: behind what went into the last one, so that nobody always waits.
    next: usize,
}

impl Recorder {
    /// An empty one; `seed` is for [`crate::units::UnitSet`].
    pub fn new(seed: u64) -> Self {
        Self { periods: Vec::new(), books: Vec::new(), seed, next: 0 }
    }

    /// Opens the plan's periods, or goes on with those that are open already, and leaves all others.
    pub fn adopt(&mut self, plan: Plan) -> ActivePlan {
        let mut current = Vec::with_capacity(plan.canaries().len());
        for canary in plan.canaries() {
            let period = match self.periods.iter().find(|period| period.is_of(canary)) {
                Some(known) => Rc::clone(known),
                None => {
                    let new = Rc::new(Period::open(canary, self.seed));
                    self.periods.push(Rc::clone(&new));
                    new
                }
            };
            period.follow(canary);
            current.push(period);
        }
        for period in &self.periods {
            if !current.iter().any(|now| Rc::ptr_eq(now, period)) {
                period.leave();
            }
        }
        let books = self.adopt_experiments(&plan);
        ActivePlan { plan, periods: current, books }
    }

    fn adopt_experiments(&mut self, plan: &Plan) -> Vec<Rc<Book>> {
        self.books.iter().for_each(|book| book.set_past(true));
        let mut current = Vec::with_capacity(plan.experiments().len());
        for experiment in plan.experiments() {
            let book = match self.books.iter().find(|book| book.is_of(experiment)) {
                Some(known) => Rc::clone(known),
                None => {
                    let new = Rc::new(Book::open(experiment, self.seed));
                    self.books.push(Rc::clone(&new));
                    new
                }
            };
            book.set_past(false);
            current.push(book);
        }
        current
    }

    /// The periods.
    pub fn periods(&self) -> &[Rc<Period>] {
        &self.periods
    }

    /// Drops past periods that nothing is left of, and merges the oldest of too many. Answers how many
    /// had no later period of their canary to be merged into, and were lost.
    pub fn tidy(&mut self) -> usize {
        let mut lost = 0;
        let waiting: Vec<_> =
            self.periods.iter().filter(|period| period.is_past() && !period.is_empty()).cloned().collect();
        for old in waiting.iter().take(waiting.len().saturating_sub(MAX_PAST)) {
            let mut behind = self.periods.iter().skip_while(|period| !Rc::ptr_eq(period, old)).skip(1);
            match behind.find(|period| period.name == old.name) {
                Some(later) => later.absorb(old),
                None => lost += 1,
            }
            old.forget();
        }
        drop(waiting);
        self.drop_finished();
        lost
    }

    /// Drops past periods that nothing is left of and that no request began in.
    fn drop_finished(&mut self) {
        self.periods.retain(|period| !period.is_past() || !period.is_empty() || Rc::strong_count(period) > 1);
        self.books.retain(|book| !book.is_past() || !book.is_empty() || Rc::strong_count(book) > 1);
    }

    /// Forgets everything that waits: for a filter that reports to nobody.
    pub fn discard(&mut self) {
        for period in &self.periods {
            period.forget();
        }
        self.books.iter().for_each(|book| book.forget());
        self.drop_finished();
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.periods.iter().all(|period| period.is_empty()) && self.books.iter().all(|book| book.is_empty())
    }

    /// Takes what fits into `room` bytes of JSON. Counts of a period go whole or wait whole; then come
    /// the units that erred or were slow, goals, and the seen ones last: they are many and matter least at once.
    pub fn take(&mut self, mut room: usize) -> Portion {
        let experiments_wait = self.books.iter().any(|book| !book.is_empty());
        let kept = if experiments_wait { EXPERIMENTS_BYTES.min(room) } else { 0 };
        room -= kept;
        let mut taken: Vec<(Rc<Period>, CanaryReport)> = Vec::new();
        let total = self.periods.len();
        let start = if self.next < total { self.next } else { 0 };
        self.next = 0;
        let mut more = false;
        for (place, period) in self.periods.iter().enumerate().cycle().skip(start).take(total) {
            if period.is_empty() {
                continue;
            }
            let report = period.counts();
            // A comma more than the text itself.
            let text = serde_json::to_vec(&report).map_or(usize::MAX / 2, |text| text.len() + 1);
            let size = text + period.goal_names_bytes();
            if size > room {
                self.next = place;
                more = true;
                break;
            }
            room -= size;
            period.restart();
            taken.push((Rc::clone(period), report));
        }
        for mark in [Mark::Erred, Mark::Slow] {
            room = list(mark, &mut taken, room);
        }
        for (period, report) in &mut taken {
            room -= GOAL_BYTES * period.take_goals(room / GOAL_BYTES, report);
        }
        room = list(Mark::Seen, &mut taken, room);
        more |= taken.iter().any(|(period, _)| period.units() > 0);
        room += kept;
        let experiments = self.books.iter().flat_map(|book| book.take(&mut room)).collect();
        more |= self.books.iter().any(|book| !book.is_empty());
        Portion { canaries: taken.into_iter().map(|(_, report)| report).collect(), experiments, more }
    }
}

/// Moves units of one mark into the entries; answers the bytes that are left.
fn list(mark: Mark, taken: &mut [(Rc<Period>, CanaryReport)], mut room: usize) -> usize {
    for (period, report) in taken {
        room -= UNIT_BYTES * period.take_units(mark, room / UNIT_BYTES, report);
    }
    room
}
