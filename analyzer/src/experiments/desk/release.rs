//! Releases' experiments: opened, followed and ended with the rollout, counted from the canary's own reports.

use super::{Desk, Draft};
use crate::config::Canary;
use crate::experiments::book::{Book, Source};
use crate::experiments::history::{Deed, Intent};
use crate::experiments::release::Release;
use crate::experiments::spec::Experiment;
use crate::store::{StoreError, Write};
use serin_contract::report::ExperimentArm;
use serin_contract::{Arm, CanaryReport, ExperimentReport, PerArm, Sample, Step, UnitHash};
use serin_judge::goals::GoalSummary;
use serin_judge::observations::Observations;
use serin_judge::ramp::State;
use serin_judge::time::Time;
use std::collections::BTreeMap;

/// What a release knows of a report's units.
#[derive(Clone, Copy)]
pub struct Counting<'a> {
    /// Which units are listed as seen in the report's stratum: users who reach a goal count only where the
    /// exposures that they belong to are counted, too.
    pub sample: Sample,
    /// The goals as the judge sees them; none while it is not known.
    pub guardrails: &'a [GoalSummary],
    /// The stratum's units so far, where all of them are exposed: other proxies list them, too, and the store need
    /// not be asked for them.
    pub exposed: Option<&'a Observations>,
}

impl Desk {
    /// The experiment of a canary that has this step, if it is still there.
    pub fn of_release(&self, canary: &str, step: Step) -> Option<&str> {
        let of =
            |book: &&Book| book.canary() == Some(canary) && book.record.steps.iter().any(|s| s.step == step);
        // The latest first: nearly every report is about it.
        let mut found: Vec<&Book> = self.books.values().filter(of).collect();
        found.sort_by_key(|book| std::cmp::Reverse(book.record.created));
        found.first().map(|book| book.record.id.as_str())
    }

    /// How many units of each arm an experiment of a release has counted as exposed in a step; none without it.
    pub fn exposed(&self, id: &str, step: Step) -> Option<PerArm<u64>> {
        let book = self.books.get(id)?;
        let counts = book.record.steps.iter().find(|counts| counts.step == step)?;
        let [stable, canary] = counts.arms.as_slice() else { return None };
        Some(PerArm { stable: stable.exposures, canary: canary.exposures })
    }

    /// One experiment.
    pub fn get(&self, id: &str) -> Option<&Book> {
        self.books.get(id)
    }

    /// The experiments of releases that have not ended.
    pub fn open_releases(&self) -> impl Iterator<Item = &Book> {
        self.books.values().filter(|book| book.canary().is_some() && book.record.ended.is_none())
    }
}

/// Changes to releases' experiments, to be stored before they count.
#[derive(Debug, Default)]
pub struct Changes {
    books: BTreeMap<String, Book>,
}

impl Changes {
    /// Opens an experiment, or takes it to the rollout's present step and goals.
    pub fn follow(&mut self, known: Option<&Book>, canary: &str, step: Step, to: Experiment, now: Time) {
        let book = match known {
            None => {
                let mut book = Book::open_release(to, canary, step, now);
                book.note(Deed::Created, &Intent::of("release"), now);
                book
            }
            Some(known) => {
                let mut book = known.clone();
                if let Err(error) = book.follow(to, step) {
                    tracing::error!(experiment = %book.record.id, %error, "cannot follow its release, and ends");
                    return self.end(known, None, now);
                }
                book.note(Deed::Changed, &Intent::of("release"), now);
                book
            }
        };
        tracing::info!(experiment = %book.record.id, %canary, %step, "experiment follows its release");
        self.books.insert(book.record.id.clone(), book);
    }

    /// Ends an experiment, with its guardrails as they stood.
    pub fn end(&mut self, known: &Book, guardrails: Option<&[GoalSummary]>, now: Time) {
        let mut book = known.clone();
        book.record.ended = Some(now);
        book.note(Deed::Ended, &Intent::of("release"), now);
        if let (Some(release), Some(guardrails)) = (&mut book.record.release, guardrails) {
            release.keep(guardrails);
        }
        tracing::info!(experiment = %book.record.id, "experiment ended with its release");
        self.books.insert(book.record.id.clone(), book);
    }

    /// The books, and what has to be written before they count.
    pub fn finish(self) -> (BTreeMap<String, Book>, Vec<Write>) {
        let writes =
            self.books.values().map(|book| Write::Experiment(Box::new(book.record.clone()))).collect();
        (self.books, writes)
    }
}

impl Release {
    /// Keeps the guardrails among the goals.
    fn keep(&mut self, goals: &[GoalSummary]) {
        self.guardrails = goals.iter().filter(|goal| goal.guardrail.is_some()).cloned().collect();
    }
}

/// A user of a release has reached a goal, as the API is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The canary.
    pub canary: String,
    /// The goal.
    pub goal: String,
    /// The user.
    pub unit: UnitHash,
    /// Whose version it had.
    pub arm: Arm,
    /// In which step.
    pub step: Step,
}

impl Draft<'_> {
    /// Keeps a conversion for the release's judge, where there is a release and the user is of its present step.
    pub(super) fn tell_judge(
        &mut self,
        id: &str,
        goal: &str,
        unit: UnitHash,
        arm: usize,
        step: Option<Step>,
    ) {
        let arm = if arm == 0 { Arm::Stable } else { Arm::Canary };
        let Ok(book) = self.book(id) else { return };
        if let (Some(canary), Some(step)) = (book.canary(), step.filter(|step| *step == book.step())) {
            let (canary, goal) = (canary.to_owned(), goal.to_owned());
            self.converted.push(Converted { canary, goal, unit, arm, step });
        }
    }

    /// What judges are to be told once the draft is stored.
    pub fn take_converted(&mut self) -> Vec<Converted> {
        std::mem::take(&mut self.converted)
    }

    /// Counts what a filter reports of a release: requests, exposed users and goals.
    ///
    /// # Errors
    /// When the store fails.
    pub fn release(
        &mut self,
        id: &str,
        entry: &CanaryReport,
        counting: Counting<'_>,
    ) -> Result<(), StoreError> {
        let arms = || entry.arms.iter();
        let rows = arms().flat_map(|(_, arm)| arm.goals.values().flatten().map(|(unit, ..)| *unit));
        self.look_up(id, &rows.collect::<Vec<_>>())?;
        let known = |unit: &UnitHash| {
            let found = self.looked_up(id, *unit);
            counting.sample.has(*unit) || found.is_some_and(|unit| unit.of(entry.step).is_some())
        };
        let mut report = ExperimentReport { id: id.to_owned(), step: entry.step, arms: BTreeMap::new() };
        for (name, arm) in arms() {
            let goals = arm.goals.iter().map(|(goal, rows)| {
                let rows = rows.iter().filter(|(unit, ..)| known(unit)).copied().collect();
                (goal.clone(), rows)
            });
            let is_exposed = |unit| counting.exposed.is_some_and(|stratum| stratum.has_seen(unit, name));
            // A filter that has not heard of the sample yet lists more.
            let is_news = |unit: &UnitHash| counting.sample.has(*unit) && !is_exposed(*unit);
            let seen = arm.seen.iter().copied().filter(is_news).collect();
            let arm = ExperimentArm { seen, goals: goals.collect() };
            report.arms.insert(name.name().to_owned(), arm);
        }
        self.report(&report)?;
        if let Ok(book) = self.book_mut(id)
            && let Some(release) = &mut book.record.release
        {
            release.add(entry);
            if book.record.ended.is_none() && !counting.guardrails.is_empty() {
                release.keep(counting.guardrails);
            }
        }
        Ok(())
    }
}

impl Book {
    /// A new one of a release that is at this step.
    pub fn open_release(experiment: Experiment, canary: &str, step: Step, now: Time) -> Self {
        let mut book = Self::open(experiment, Source::Canary, now);
        book.record.release = Some(Release { canary: canary.to_owned(), ..Release::default() });
        book.record.steps.iter_mut().for_each(|first| first.step = step);
        book
    }

    /// Whether it is at a rollout's present step, with its present goals.
    pub fn follows(&self, state: &State, canary: &Canary) -> bool {
        self.step() == state.step && self.record.spec.goals == canary.goals
    }

    /// The canary whose release it belongs to.
    pub fn canary(&self) -> Option<&str> {
        self.record.release.as_ref().map(|release| release.canary.as_str())
    }
}
