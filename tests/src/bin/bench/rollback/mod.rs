//! How fast a bad canary is rolled back, and how many good ones are. Several canaries run side by side, and
//! each run is written down when it is over, so that a measurement that was stopped goes on where it was.

mod cells;
mod istiod;
mod ledger;
mod machine;
mod plain;
mod run;
mod tables;
mod world;

use anyhow::{Result, ensure};
use cells::{Cell, Routing};
use ledger::{Ending, Ledger, Run};
use run::{Site, run};
use serin_tests::load::Load;
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How long users have been coming when the release begins: no rush of new connections is taken for its work.
const SETTLE: Duration = Duration::from_secs(10);
/// How often what is missing is run.
const PASSES: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only what has this in its name: plain, istiod, errors-20, errors-5, latency-3x, healthy, plain/errors-5, ...
    #[arg(long)]
    only: Option<String>,
    /// How many canaries turn bad with each fault and each router
    #[arg(long, default_value_t = 20)]
    runs: u32,
    /// How many canaries stay good
    #[arg(long, default_value_t = 40)]
    healthy: u32,
    /// How many run at once
    #[arg(long, default_value_t = 14)]
    side_by_side: usize,
    /// Runs nothing; prints what is in the file of --json
    #[arg(long)]
    print: bool,
}

/// Runs what is missing and prints all.
pub(crate) async fn measure(options: &Options, file: Option<&Path>) -> Result<()> {
    ensure!(options.side_by_side > 0, "--side-by-side 0: allowed is 1 or more");
    let asked = |cell: &Cell| options.only.as_ref().is_none_or(|only| cell.name().contains(only));
    let cells: Vec<Cell> = Cell::ALL.into_iter().filter(asked).collect();
    ensure!(
        !cells.is_empty(),
        "--only: nothing has this in its name; there are {:?}",
        Cell::ALL.map(Cell::name)
    );
    let ledger = Ledger::open(file)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let ended = if options.print {
        Ok(())
    } else {
        // Whatever runs is ended when this is left, however that happens.
        tokio::select! {
            ended = run_all(options, &cells, &ledger) => ended,
            _ = terminate.recv() => Err(anyhow::anyhow!("told to end")),
            _ = interrupt.recv() => Err(anyhow::anyhow!("told to end")),
        }
    };
    tables::print(&ledger, &cells);
    ended
}

/// All that is missing, and again what then is still missing: runs that the machine was too busy for.
async fn run_all(options: &Options, cells: &[Cell], ledger: &Ledger) -> Result<()> {
    for _ in 0..PASSES {
        run_missing(options, cells, ledger).await?;
    }
    let left = cells.iter().map(|cell| missing(options, *cell, ledger).len()).sum::<usize>();
    ensure!(left == 0, "{left} runs are missing: run it again when the machine is less busy");
    Ok(())
}

/// The faults behind one router beside each other, and good canaries for themselves.
async fn run_missing(options: &Options, cells: &[Cell], ledger: &Ledger) -> Result<()> {
    let groups: [&dyn Fn(&Cell) -> bool; 3] = [
        &|cell| matches!(cell, Cell::Bad(Routing::Plain, _)),
        &|cell| matches!(cell, Cell::Bad(Routing::Istiod, _)),
        &|cell| matches!(cell, Cell::Healthy),
    ];
    for group in groups {
        let cells = cells.iter().copied().filter(group);
        let mut due: Vec<(u32, Cell)> = cells.flat_map(|cell| missing(options, cell, ledger)).collect();
        due.sort_by_key(|(number, _)| *number);
        let mut left = due.len();
        for batch in due.chunks(options.side_by_side) {
            eprintln!("bench: {} side by side, {left} to go", batch.len());
            side_by_side(batch, ledger).await?;
            left -= batch.len();
        }
    }
    Ok(())
}

/// The numbers of a cell's runs that are not written down.
fn missing(options: &Options, cell: Cell, ledger: &Ledger) -> Vec<(u32, Cell)> {
    let count = match cell {
        Cell::Bad(..) => options.runs,
        Cell::Healthy => options.healthy,
    };
    let there = ledger.of(cell);
    let is_missing = |number: &u32| there.iter().all(|run| run.number != *number);
    (1..=count).filter(is_missing).map(|number| (number, cell)).collect()
}

async fn side_by_side(batch: &[(u32, Cell)], ledger: &Ledger) -> Result<()> {
    let Some((_, first)) = batch.first() else { return Ok(()) };
    let salts: Vec<String> = batch.iter().map(|(number, cell)| format!("{cell}/{number}:")).collect();
    let (mut world, sites) = world::start(first.routing(), &salts, &first.ramp()).await?;
    let sites: Vec<(Site, Load)> = sites
        .into_iter()
        .zip(batch)
        .map(|(site, (number, cell))| site.load(*cell, *number).map(|load| (site, load)))
        .collect::<Result<_>>()?;
    tokio::time::sleep(SETTLE).await;
    world.release().await?;
    let mut running = JoinSet::new();
    for ((site, load), (number, cell)) in sites.into_iter().zip(batch.iter().copied()) {
        running.spawn(run(site, load, cell, number));
    }
    while let Some(ended) = running.join_next().await {
        match ended? {
            Ok(run) if run.stable.is_sound() => {
                say(&run);
                ledger.add(run)?;
            }
            Ok(run) => {
                eprintln!(
                    "bench: {}, run {}: the machine was too busy: {:?}; {:?}",
                    run.cell, run.number, run.stable, run.ending
                );
            }
            // The others go on: what they find is worth as much.
            Err(error) => eprintln!("bench: {error:#}"),
        }
    }
    drop(world);
    Ok(())
}

fn say(run: &Run) {
    let Run { cell, number, reason, .. } = run;
    match run.times {
        Some(times) => eprintln!(
            "bench: {cell}, run {number}: {:.1} s, {:.2} s of it after the verdict; {reason}",
            times.first_bad_to_last, times.verdict_to_last
        ),
        None => {
            let ending = match run.ending {
                Ending::RolledBack => "rolled back",
                Ending::TooEarly => "rolled back before it turned bad",
                Ending::Never => "not rolled back",
            };
            eprintln!("bench: {cell}, run {number}: {ending} {reason}");
        }
    }
}
