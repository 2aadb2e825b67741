//! The soak: under steady load everything goes wrong that can, in an order that a seed gives, and what must hold is
//! checked all the time. Ends with what was done, or at the first thing that does not hold.

mod faults;
mod garbage;
mod watch;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use faults::{Fault, Victims};
use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::load::{Load, LoadOptions, Record, Who};
use serin_tests::shop::Faults;
use serin_tests::wire::Wire;
use serin_tests::world::{World, WorldOptions};
use serin_tests::{ports, random, wait};
use std::time::{Duration, Instant};
use watch::{Sizes, WeightWatch};

/// The ramp: so many small steps that no rollout of a soak gets to its end.
const STEPS: [f64; 9] = [5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0];
/// How long anything may take to become good again: generous, the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(90);

#[derive(Parser)]
#[command(about = "Everything goes wrong under load, and what must hold is checked")]
struct Arguments {
    /// How long, in minutes; a round that has begun is finished
    minutes: u64,
    /// Another number is another order
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What every part of the soak works on.
pub(crate) struct Soak {
    pub(crate) world: World,
    pub(crate) wire: Wire,
    pub(crate) wire_port: u16,
    pub(crate) victims: Victims,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { minutes, seed } = Arguments::parse();
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    let mut soak = Soak::start().await?;
    let weights = WeightWatch::start(soak.world.routes(), &STEPS);
    let mut sizes = None;
    let mut done = 0;
    for round in 0_u64.. {
        let order = faults::shuffled(random::number(seed, round));
        println!("soak: round {} with seed {seed}", round + 1);
        let record = soak.round(&order, seed.wrapping_mul(1_000).wrapping_add(round)).await?;
        weights.check()?;
        sizes = Some(Sizes::check(sizes, &soak.world)?);
        done += order.len() + 1;
        println!("soak: round {} holds: {record}", round + 1);
        if Instant::now() >= end {
            break;
        }
        soak.next_release(round).await?;
    }
    println!("soak: {done} faults with seed {seed}, and everything held");
    Ok(())
}

impl Soak {
    async fn start() -> Result<Self> {
        let (port, wire_port) = (ports::free()?, ports::free()?);
        let wire = Wire::start(wire_port, port).await?;
        let canary = CanaryConfig {
            // A user's bucket stays over all releases, and none is rolled back by chance.
            salt: Some("soak:".to_owned()),
            false_rollback_rate: Some(0.001),
            steps: STEPS.to_vec(),
            promotion_interval: "40s".to_owned(),
            ..CanaryConfig::default()
        };
        let options = WorldOptions {
            envoys: vec![1, 1],
            canary,
            analyzer_ports: Some((port, wire_port)),
            ..WorldOptions::default()
        };
        let world = World::start(options).await?;
        Ok(Self { world, wire, wire_port, victims: Victims::default() })
    }

    /// One release under load: each fault in this order, at last a bad canary. All requests must then be counted,
    /// each once.
    async fn round(&mut self, order: &[Fault], seed: u64) -> Result<String> {
        let options =
            LoadOptions { rate: 100.0, time: Duration::from_secs(3_600), seed, ..self.world.load() };
        let load = Load::start(options)?;
        self.world.until("the first step", PATIENCE.as_secs(), |status| status.weight > 0.0).await?;
        let begin = Instant::now();
        let mut counted = 0;
        for (place, fault) in order.iter().enumerate() {
            println!("soak:   {fault:?}");
            fault
                .cause(self, random::number(seed, 100 + place as u64))
                .await
                .with_context(|| format!("{fault:?}"))?;
            counted = self.recovered(counted).await.with_context(|| format!("after {fault:?}"))?;
            check_users(load.record(), begin)?;
        }
        println!("soak:   a bad canary");
        self.world.canary.set_faults(Faults::errors(0.3));
        let failed =
            self.world.until_phase(Phase::Failed, PATIENCE.as_secs()).await.context("a bad canary")?;
        ensure!(failed.weight == 0.0, "rolled back to {} %", failed.weight);
        self.world.canary.set_faults(Faults::NONE);
        let record = load.stop().await?;
        ensure!(record.broken().is_empty(), "requests failed for a reason of ours: {:?}", record.broken());
        self.check_totals(&record).await?;
        Ok(format!("{} requests, {record}", record.sent()))
    }

    /// Waits until the release goes on as if nothing had been: reports arrive, more is counted than before, and
    /// nothing was rolled back.
    async fn recovered(&self, counted: u64) -> Result<u64> {
        let more = wait::until("the release to go on", PATIENCE, || async {
            let status = self.world.status().await?;
            let all = status.totals.all();
            ensure!(all > counted, "{all} counted, {counted} before");
            let reporting = self.world.analyzer.api().filters().await?;
            ensure!(
                reporting.iter().all(|filter| !filter.pending || filter.node.starts_with("victim")),
                "{reporting:?}"
            );
            Ok(status)
        });
        let status = more.await?;
        ensure!(
            matches!(status.phase, Phase::Progressing),
            "{:?} without a fault of the canary: {:?} {:?}",
            status.phase,
            status.verdict,
            status.history
        );
        Ok(status.totals.all())
    }

    /// What the analyzer counted is what the clients saw. Killed proxies served requests by hand alone, which
    /// stand apart.
    async fn check_totals(&self, record: &Record) -> Result<()> {
        let count = |user: bool, version: &str| {
            record.count(|exchange| {
                matches!(exchange.who, Who::User(_)) == user && exchange.version() == Some(version)
            })
        };
        let wanted = [count(true, "v1"), count(true, "v2"), count(false, "v1"), count(false, "v2")];
        let counted = |status: &Status| {
            let totals = &status.totals;
            [&totals.stable, &totals.canary, &totals.unassigned.stable, &totals.unassigned.canary]
                .map(|tally| tally.requests)
        };
        let matching = wait::until("every request to be counted", PATIENCE, || async {
            let status = self.world.status().await?;
            let counted = counted(&status);
            ensure!(counted == wanted, "{counted:?} counted, {wanted:?} answered");
            Ok(())
        });
        matching.await?;
        // And it stays so: nothing comes twice.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let status = self.world.status().await?;
        ensure!(counted(&status) == wanted, "{:?} counted, {wanted:?} answered", counted(&status));
        let forced = status.totals.forced.stable.requests + status.totals.forced.canary.requests;
        let (least, most) = self.victims.bounds();
        ensure!(
            (least..=most).contains(&forced),
            "of killed proxies {forced} requests are counted, {least} to {most} are possible"
        );
        Ok(())
    }

    /// Another version: another rollout, with numbers of its own.
    async fn next_release(&mut self, round: u64) -> Result<()> {
        self.victims.forget();
        self.world.analyzer.reload(|canary| canary.canary_version = format!("v2.{round}"))?;
        self.world
            .until("the next rollout", PATIENCE.as_secs(), |status| status.phase != Phase::Failed)
            .await?;
        Ok(())
    }
}

/// Nobody was failed by us, and whoever had the canary kept it.
fn check_users(record: &Record, begin: Instant) -> Result<()> {
    ensure!(record.broken().is_empty(), "requests failed for a reason of ours: {:?}", record.broken());
    let back = record.moved_back("v2", begin, Instant::now());
    ensure!(back.is_empty(), "users who had the canary were sent back: {back:?}");
    Ok(())
}
