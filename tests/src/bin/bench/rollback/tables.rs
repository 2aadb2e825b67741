//! The tables of docs/performance.md, from the runs.

use super::cells::{Cell, Fault};
use super::ledger::{Ending, Ledger, Run, Times};
use crate::figures::{Spread, table};

/// Prints what there is of these cells.
pub(crate) fn print(ledger: &Ledger, cells: &[Cell]) {
    let rows: Vec<Vec<String>> = cells.iter().filter_map(|cell| bad(*cell, &ledger.of(*cell))).collect();
    if !rows.is_empty() {
        let head = [
            "canary",
            "runs",
            "s from the first bad response to the last response",
            "goal of the median",
            "s of it not waiting for evidence",
            "s of it after the verdict",
            "bad responses",
            "users with one",
            "too early",
            "never",
            "stable's p95 in ms",
            "load average",
        ];
        table("Canaries that turn bad (min / median / max)", &head, &rows);
    }
    let healthy = ledger.of(Cell::Healthy);
    if cells.contains(&Cell::Healthy) && !healthy.is_empty() {
        let head = ["runs", "rolled back", "goal", "stable's p95 in ms", "load average"];
        let rolled_back = count(&healthy, Ending::RolledBack).to_string();
        let goal = "at most 2 of 40".to_owned();
        let row = vec![healthy.len().to_string(), rolled_back, goal, p95(&healthy), load(&healthy)];
        table("Canaries that stay good, for five minutes", &head, &[row]);
        for run in healthy.iter().filter(|run| run.ending == Ending::RolledBack) {
            println!("run {}: {}", run.number, run.reason);
        }
    }
}

/// The row of a cell.
fn bad(cell: Cell, runs: &[Run]) -> Option<Vec<String>> {
    let Cell::Bad(_, fault) = cell else { return None };
    if runs.is_empty() {
        return None;
    }
    let goal = match fault {
        Fault::Errors20 => "below 3",
        Fault::Errors5 => "below 14",
        Fault::Latency3 => "none",
    };
    let times = |of: fn(&Times) -> f64| spread(runs, |run| run.times.as_ref().map(of), 1);
    let counts = |of: fn(&Run) -> usize| {
        spread(runs, |run| (run.ending == Ending::RolledBack).then_some(of(run) as f64), 0)
    };
    Some(vec![
        cell.name(),
        runs.len().to_string(),
        times(|times| times.first_bad_to_last),
        goal.to_owned(),
        // The last bad response that the verdict can have waited for.
        spread(runs, |run| Some(run.times?.last_bad_to_verdict + run.times?.verdict_to_last), 2),
        spread(runs, |run| Some(run.times?.verdict_to_last), 2),
        counts(|run| run.bad_requests),
        counts(|run| run.bad_users),
        count(runs, Ending::TooEarly).to_string(),
        count(runs, Ending::Never).to_string(),
        p95(runs),
        load(runs),
    ])
}

fn spread(runs: &[Run], of: impl Fn(&Run) -> Option<f64>, digits: usize) -> String {
    format!("{:.digits$}", Spread::of(&runs.iter().filter_map(of).collect::<Vec<_>>()))
}

fn count(runs: &[Run], ending: Ending) -> usize {
    runs.iter().filter(|run| run.ending == ending).count()
}

/// Whether the machine kept up.
fn p95(runs: &[Run]) -> String {
    spread(runs, |run| Some(run.stable.p95_ms), 0)
}

fn load(runs: &[Run]) -> String {
    spread(runs, |run| Some(run.load_average), 0)
}
