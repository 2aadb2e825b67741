//! The experiments' numbers for `/metrics`.

use super::Desk;
use crate::experiments::book::{Book, Status};
use crate::metrics::experiments::{Family, Series};
use serin_judge::experiment::GoalCounts;
use serin_judge::time::Time;

impl Desk {
    /// Every number of those that have not ended, and how many there are.
    pub fn series(&self, now: Time) -> Vec<Series> {
        let mut series = Vec::new();
        for (status, name) in
            [(Status::Scheduled, "scheduled"), (Status::Running, "running"), (Status::Ended, "ended")]
        {
            let count = self.books.values().filter(|book| book.status(now) == status).count();
            series.push(Series::of(Family::Experiments, &[name], count as f64));
        }
        for book in self.books.values().filter(|book| book.status(now) != Status::Ended) {
            of(book, &mut series);
        }
        series
    }
}

fn of(book: &Book, series: &mut Vec<Series>) {
    let id = book.record.id.as_str();
    series.push(Series::of(Family::Step, &[id], f64::from(book.step().0)));
    for (place, (arm, share)) in book.experiment.arms.iter().zip(book.shares()).enumerate() {
        series.push(Series::of(Family::Share, &[id, arm], share.percent()));
        let counts = || book.record.steps.iter().filter_map(|step| step.arms.get(place));
        let exposures: u64 = counts().map(|arm| arm.exposures).sum();
        series.push(Series::of(Family::Exposures, &[id, arm], exposures as f64));
        for (goal, (name, _)) in book.experiment.goals.iter().enumerate() {
            let sum =
                |pick: fn(&GoalCounts) -> f64| counts().filter_map(|arm| arm.goals.get(goal)).map(pick).sum();
            let labels = [id, arm.as_str(), name.as_str()];
            series.push(Series::of(Family::Conversions, &labels, sum(|goal| goal.converted as f64)));
            series.push(Series::of(Family::Events, &labels, sum(|goal| goal.events as f64)));
            series.push(Series::of(Family::Value, &labels, sum(|goal| goal.sum)));
        }
    }
    let loose = book.record.loose;
    for (kind, count) in
        [("unexposed", loose.unexposed), ("crossed", loose.crossed), ("unknown", loose.unknown)]
    {
        series.push(Series::of(Family::Loose, &[id, kind], count as f64));
    }
}
