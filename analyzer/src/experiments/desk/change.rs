//! Experiments are made, changed and ended.

use super::{Draft, Refused};
use crate::experiments::book::{Book, Source, Status};
use crate::experiments::history::{Deed, Intent};
use crate::experiments::spec::Experiment;
use serde::Serialize;
use serin_contract::FieldError;
use serin_contract::plan::experiment::MAX_EXPERIMENTS;
use serin_judge::time::Time;
use std::collections::BTreeMap;

impl Draft<'_> {
    /// Makes an experiment.
    ///
    /// # Errors
    /// When there is one of that id, or too many run.
    pub fn create(&mut self, experiment: Experiment) -> Result<&Book, Refused> {
        let id = experiment.id.clone();
        if self.book(&id).is_ok() {
            let owner = self.book(&id)?.owner();
            return Err(Refused::Conflict(format!(
                "there is an experiment {id} already, {owner}: ids are never used again"
            )));
        }
        self.check_room(&experiment)?;
        self.books.insert(id.clone(), Book::open(experiment, Source::Api, self.now));
        self.book(&id)
    }

    pub(super) fn check_room(&self, experiment: &Experiment) -> Result<(), Refused> {
        let open = self.all().into_iter().filter(|book| book.status(self.now) != Status::Ended);
        if experiment.is_in_path()
            && open.filter(|book| book.experiment.is_in_path()).count() >= MAX_EXPERIMENTS
        {
            return Err(Refused::Conflict(format!(
                "{MAX_EXPERIMENTS} experiments run in the filters: end one first"
            )));
        }
        Ok(())
    }

    /// Changes shares. Answers what that does to users who have an arm already.
    ///
    /// # Errors
    /// When the shares are none, when they belong to the configuration file, or when users of the filters
    /// would change their arm and that was not accepted.
    pub fn change_shares(
        &mut self,
        id: &str,
        shares: &BTreeMap<String, f64>,
        accept_moves: bool,
    ) -> Result<(&Book, Moves), Refused> {
        let now = self.now;
        let book = self.book(id)?;
        may_change(book, now)?;
        let mut spec = book.experiment.spec.clone();
        for name in shares.keys() {
            if !book.experiment.arms.contains(name) {
                let message = format!("is no arm: allowed are {}", book.experiment.arms.join(", "));
                return Err(FieldError::new(format!("shares.{name}"), message).into());
            }
        }
        for arm in &mut spec.arms {
            let missing =
                || FieldError::new(format!("shares.{}", arm.name), "is missing: give the share of every arm");
            arm.share = *shares.get(&arm.name).ok_or_else(missing)?;
        }
        let named =
            |error: FieldError| FieldError::new(error.path.replacen("arms", "shares", 1), error.message);
        let changed = Experiment::compile(id, spec).map_err(named)?;
        let moves = Moves::of(&book.experiment, &changed);
        if moves.in_filters && !accept_moves {
            return Err(Refused::Conflict(format!(
                "{} Send acceptMoves: true to do it nevertheless.",
                moves.text
            )));
        }
        self.book_mut(id)?.change(changed)?;
        Ok((self.book(id)?, moves))
    }

    /// Ends an experiment.
    ///
    /// # Errors
    /// When there is none, or it has ended.
    pub fn end(&mut self, id: &str) -> Result<&Book, Refused> {
        let now = self.now;
        let book = self.book(id)?;
        if let Some(canary) = book.canary() {
            return Err(of_release(id, canary, "it ends with the release"));
        }
        if book.status(now) == Status::Ended {
            return Err(Refused::Conflict(format!("experiment {id} has ended already")));
        }
        self.book_mut(id)?.record.ended = Some(now);
        self.book(id)
    }
}

/// What a release's experiment does not let others do.
pub(super) fn of_release(id: &str, canary: &str, why: &str) -> Refused {
    Refused::Conflict(format!(
        "experiment {id} belongs to the release of {canary}: {why}; see serin promote and serin rollback"
    ))
}

impl Draft<'_> {
    /// Writes down who did what to an experiment, and why.
    ///
    /// # Errors
    /// When there is none.
    pub fn note(&mut self, id: &str, deed: Deed, intent: &Intent) -> Result<&Book, Refused> {
        let now = self.now;
        self.book_mut(id)?.note(deed, intent, now);
        self.book(id)
    }
}

fn may_change(book: &Book, now: Time) -> Result<(), Refused> {
    let id = &book.record.id;
    match (book.record.source, book.status(now)) {
        (Source::Canary, _) => {
            let canary = book.canary().unwrap_or_default();
            Err(of_release(id, canary, "its shares follow the ramp"))
        }
        (Source::File | Source::Cluster, _) => {
            Err(Refused::Conflict(format!("experiment {id} is {}: change it there", book.owner())))
        }
        (Source::Api, Status::Ended) => Err(Refused::Conflict(format!("experiment {id} has ended"))),
        (Source::Api, Status::Scheduled | Status::Running) => Ok(()),
    }
}

/// What a change of shares does to users who have an arm already.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moves {
    /// The part of all units whose bucket falls to another arm, in percent.
    pub moved_percent: f64,
    /// Whether users of the filters change their arm.
    pub in_filters: bool,
    /// In words.
    pub text: String,
}

impl Moves {
    pub(super) fn of(from: &Experiment, to: &Experiment) -> Self {
        let moved_percent = from.moved_by(to);
        let in_filters = moved_percent > 0.0 && from.is_in_path() && !from.keeps();
        let text = if moved_percent == 0.0 {
            "No unit's bucket falls to another arm.".to_owned()
        } else if in_filters {
            format!(
                "The buckets of {moved_percent} % of units fall to another arm, and without `keep` the filters \
                 move those users at once; users assigned by the API keep their arm for 30 days."
            )
        } else {
            format!(
                "The buckets of {moved_percent} % of units fall to another arm; only new users are affected: who \
                 has an arm keeps it for 30 days and counts in the step that gave it."
            )
        };
        Self { moved_percent, in_filters, text }
    }
}
