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
            "s from the last bad response before the verdict to the last response",
            "s from the verdict to the last response",
            "bad responses",
            "users with one",
            "too early / never",
            "processors used",
            "load",
        ];
        table("Canaries that turn bad (min / median / max)", &head, &rows);
    }
    let healthy = ledger.of(Cell::Healthy);
    if cells.contains(&Cell::Healthy) && !healthy.is_empty() {
        let head = ["runs", "rolled back", "goal", "processors used", "load"];
        let rolled_back = count(&healthy, Ending::RolledBack).to_string();
        let [busy, load] = machine(&healthy);
        let row = vec![healthy.len().to_string(), rolled_back, "at most 2 of 40".to_owned(), busy, load];
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
    let [busy, load] = machine(runs);
    Some(vec![
        cell.name(),
        runs.len().to_string(),
        times(|times| times.first_bad_to_last),
        goal.to_owned(),
        spread(runs, |run| Some(run.times?.last_bad_to_verdict + run.times?.verdict_to_last), 2),
        spread(runs, |run| Some(run.times?.verdict_to_last), 2),
        counts(|run| run.bad_requests),
        counts(|run| run.bad_users),
        format!("{} / {}", count(runs, Ending::TooEarly), count(runs, Ending::Never)),
        busy,
        load,
    ])
}

fn spread(runs: &[Run], of: impl Fn(&Run) -> Option<f64>, digits: usize) -> String {
    format!("{:.digits$}", Spread::of(&runs.iter().filter_map(of).collect::<Vec<_>>()))
}

fn count(runs: &[Run], ending: Ending) -> usize {
    runs.iter().filter(|run| run.ending == ending).count()
}

/// How busy the machine was: the processors' part that was used in percent, and the load average.
fn machine(runs: &[Run]) -> [String; 2] {
    let range = |of: fn(&Run) -> f64, unit: &str| {
        let Spread { min, max, .. } = Spread::of(&runs.iter().map(of).collect::<Vec<_>>());
        format!("{min:.0} to {max:.0}{unit}")
    };
    [range(|run| run.busy * 100.0, " %"), range(|run| run.load_average, "")]
}
