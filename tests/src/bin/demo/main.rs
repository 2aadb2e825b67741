//! `serin-demo`: what scripts/demo shows. Two acts on a real Envoy: a healthy v2 ramps to all users and
//! becomes the stable version; a v3 that fails some of its requests is rolled back. Then a table of what
//! clients and shops saw, and an exit code that says whether all of it held.

mod acts;
mod live;
mod table;

use acts::Stage;
use anyhow::{Context, Result};
use clap::Parser;
use serin_tests::analyzer::CANARY;
use serin_tests::artifacts;
use serin_tests::load::Load;
use serin_tests::world::World;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use table::Table;

/// A run that takes longer has gone wrong.
const LONGEST: Duration = Duration::from_secs(115);

/// Shows a healthy canary that is promoted and a bad one that is rolled back, on a real Envoy.
#[derive(Debug, Clone, Parser)]
struct Arguments {
    /// Leave everything running afterwards, until Ctrl-C, and print what to try.
    #[arg(long)]
    keep: bool,
    /// How many users there are.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(100..))]
    users: u32,
    /// Requests a second.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(50..))]
    rate: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Dropping the future of `run` ends every process that it started.
    let outcome = tokio::select! {
        outcome = run(&arguments) => outcome,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("\ninterrupted: everything is stopped");
            return ExitCode::from(130);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nserin-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The whole show; whether everything held.
async fn run(arguments: &Arguments) -> Result<bool> {
    let begin = Instant::now();
    eprintln!("Starting the shop's v1 and v2, one Envoy with the filter, and the analyzer ...");
    let show = async {
        let mut stage = Stage::open(arguments.users, f64::from(arguments.rate)).await?;
        let first = stage.first_act().await?;
        let second = stage.second_act().await?;
        let (world, record) = stage.close().await?;
        anyhow::Ok((world, Table::of(&first, &second, &record, arguments.users)))
    };
    let (mut world, table) = tokio::time::timeout(LONGEST, show).await.with_context(|| {
        format!("the demo takes longer than {} s: something is wrong", LONGEST.as_secs())
    })??;
    print!("\n{table}");
    println!("\nThat took {:.0} s.", begin.elapsed().as_secs_f64());
    if arguments.keep {
        keep(&mut world).await?;
    }
    Ok(table.holds())
}

/// A gentle load goes on, a healthy v4 is being released slowly, and the shell has something to try.
async fn keep(world: &mut World) -> Result<()> {
    world.canary.become_version("v4");
    world.analyzer.reload(|canary| {
        canary.canary_version = "v4".to_owned();
        canary.promotion_interval = "2m".to_owned();
    })?;
    let mut options = world.load();
    options.rate = 50.0;
    options.time = Duration::from_secs(3600);
    let _load = Load::start(options)?;
    let (api, folder) = (world.analyzer.api().address(), world.folder().display());
    let serin = artifacts::serin()?;
    let serin = serin.display();
    let id = world.analyzer.id().context("the analyzer is down")?;
    for envoy in &world.envoys {
        let (shop, admin) = (envoy.address(), envoy.admin());
        println!(
            "
Everything keeps running, with 50 requests a second for an hour, and v4 is being released: two minutes a step.
Watch and steer it at http://{api}/, or try in another shell:
  curl -i -H 'x-user-id: ann' http://{shop}/                        # a user: stays on one version
  curl -i -H 'x-user-id: ann' -H 'x-canary: true' http://{shop}/    # the canary by hand
  {serin} status --server http://{api} {CANARY}
  {serin} rollback --server http://{api} {CANARY} --reason 'seen enough'
  curl -s http://{api}/v1/canaries/{CANARY}
  curl -s http://{admin}/stats/prometheus | grep ^serin_
  $EDITOR {folder}/serin.yaml && kill -HUP {id}    # another canaryVersion begins another release"
        );
    }
    println!("Ctrl-C ends it and removes {folder}.");
    tokio::signal::ctrl_c().await.context("waiting for Ctrl-C")
}
