//! An experiment's book: who was exposed and who reached a goal since the last report, by step and arm.
//! The analyzer counts a unit once however often it is listed, so the set of units that were listed
//! already only saves reports: full, it is cleared, and nothing is lost.

use crate::units::{MAX_SEEN, Mark, UnitSet};
use serin_contract::plan::ExperimentPlan;
use serin_contract::report::{ExperimentArm, MAX_VALUE};
use serin_contract::{ExperimentReport, Step, UnitHash};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// How many units, and how many rows of goals, wait in a book for a report. Only an analyzer that is
/// silent lets a book get there; further ones are dropped until it speaks again.
pub const MAX_PENDING: usize = 131_072;

/// Bytes of a listed unit: 16 digits, two quotes, a comma.
const UNIT_BYTES: usize = 19;
/// Bytes of a goal's row at most: the unit, a count of up to 13 digits, a sum of up to 24, brackets.
pub const GOAL_BYTES: usize = 64;

/// The book of one experiment.
#[derive(Debug)]
pub struct Book {
    id: String,
    /// The arms' and goals' names at the time that the book was opened.
    arms: Vec<String>,
    goals: Vec<String>,
    past: Cell<bool>,
    pages: RefCell<BTreeMap<Step, Page>>,
    seed: u64,
}

/// One step.
#[derive(Debug)]
struct Page {
    listed: UnitSet,
    arms: Vec<ArmPage>,
    pending: usize,
}

#[derive(Debug, Default, Clone)]
struct ArmPage {
    seen: Vec<UnitHash>,
    goals: BTreeMap<(usize, UnitHash), (u64, f64)>,
}

impl Book {
    /// The empty book of an experiment; `seed` is for [`UnitSet`].
    pub fn open(experiment: &ExperimentPlan, seed: u64) -> Self {
        Self {
            id: experiment.id.clone(),
            arms: experiment.arms().iter().map(|arm| arm.name.clone()).collect(),
            goals: experiment.goals.iter().map(|goal| goal.name.clone()).collect(),
            past: Cell::new(false),
            pages: RefCell::default(),
            seed,
        }
    }

    /// Whether this is the experiment's book: with the same arms and goals, whose places it holds.
    pub fn is_of(&self, experiment: &ExperimentPlan) -> bool {
        self.id == experiment.id
            && self.arms.iter().eq(experiment.arms().iter().map(|arm| &arm.name))
            && self.goals.iter().eq(experiment.goals.iter().map(|goal| &goal.name))
    }

    /// Whether a plan holds the experiment.
    pub fn set_past(&self, past: bool) {
        self.past.set(past);
    }

    /// Whether the plan no longer holds it.
    pub fn is_past(&self) -> bool {
        self.past.get()
    }

    /// A unit was exposed to its arm.
    pub fn exposed(&self, step: Step, arm: usize, unit: UnitHash) {
        self.page(step, |page| {
            if page.listed.len() >= MAX_SEEN {
                page.listed.clear();
            }
            if page.pending < MAX_PENDING
                && page.listed.mark(unit, Mark::Seen)
                && let Some(arm) = page.arms.get_mut(arm)
            {
                arm.seen.push(unit);
                page.pending += 1;
            }
        });
    }

    /// A unit reached a goal.
    pub fn reached(&self, step: Step, arm: usize, unit: UnitHash, goal: usize, value: f64) {
        self.page(step, |page| {
            let Some(arm) = page.arms.get_mut(arm) else { return };
            match arm.goals.get_mut(&(goal, unit)) {
                Some((count, sum)) => {
                    *count += 1;
                    *sum = (*sum + value).clamp(-MAX_VALUE, MAX_VALUE);
                }
                None if page.pending < MAX_PENDING => {
                    arm.goals.insert((goal, unit), (1, value));
                    page.pending += 1;
                }
                None => {}
            }
        });
    }

    fn page(&self, step: Step, write: impl FnOnce(&mut Page)) {
        let mut pages = self.pages.borrow_mut();
        let page = pages.entry(step).or_insert_with(|| Page {
            listed: UnitSet::new(self.seed),
            arms: vec![ArmPage::default(); self.arms.len()],
            pending: 0,
        });
        write(page);
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.pages.borrow().values().all(|page| page.pending == 0)
    }

    /// Moves what fits into `room` bytes of JSON into entries of a report; takes their size off `room`.
    pub fn take(&self, room: &mut usize) -> Vec<ExperimentReport> {
        let mut reports = Vec::new();
        for (step, page) in self.pages.borrow_mut().iter_mut().filter(|(_, page)| page.pending > 0) {
            let head = self.head_bytes();
            if *room < head + GOAL_BYTES {
                break;
            }
            *room -= head;
            let mut report = ExperimentReport { id: self.id.clone(), step: *step, arms: BTreeMap::new() };
            for (name, arm) in self.arms.iter().zip(&mut page.arms) {
                let taken = arm.take(&self.goals, room, &mut page.pending);
                if taken != ExperimentArm::default() {
                    report.arms.insert(name.clone(), taken);
                }
            }
            reports.push(report);
        }
        reports
    }

    /// An entry's bytes without units and rows, at most: every arm with every goal.
    fn head_bytes(&self) -> usize {
        let goals: usize = self.goals.iter().map(|goal| goal.len() + 8).sum();
        let arms: usize = self.arms.iter().map(|arm| arm.len() + 32 + goals).sum();
        self.id.len() + 64 + arms
    }

    /// Drops what waits to be reported.
    pub fn forget(&self) {
        self.pages.borrow_mut().clear();
    }
}

impl ArmPage {
    /// Goals first: a unit that reached one is exposed by that alone.
    fn take(&mut self, names: &[String], room: &mut usize, pending: &mut usize) -> ExperimentArm {
        let mut arm = ExperimentArm::default();
        while *room >= GOAL_BYTES
            && let Some(((goal, unit), (count, sum))) = self.goals.pop_first()
        {
            *room -= GOAL_BYTES;
            *pending -= 1;
            if let Some(name) = names.get(goal) {
                arm.goals.entry(name.clone()).or_default().push((unit, count, sum));
            }
        }
        let most = self.seen.len().min(*room / UNIT_BYTES);
        arm.seen.extend(self.seen.drain(..most));
        *room -= most * UNIT_BYTES;
        *pending -= most;
        arm
    }
}
