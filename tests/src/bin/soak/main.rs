//! The soak: under steady load everything goes wrong that can, in an order that a seed gives, and what must hold is
//! checked all the time. Ends with what was done, or at the first thing that does not hold.

mod garbage;
mod round;
mod scene;
mod scenes;
mod watch;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use scene::Scene;
use scenes::{Mesh, Plain, Shared};
use serin_tests::random;
use std::time::{Duration, Instant};
use watch::Sizes;

#[derive(Parser)]
#[command(about = "Everything goes wrong under load, and what must hold is checked")]
struct Arguments {
    /// How long, in minutes, shared by the scenes; a round that has begun is finished
    minutes: u64,
    /// Another number is another order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// This scene alone
    #[arg(long)]
    only: Option<Which>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Two Envoys and an analyzer with its own store
    Plain,
    /// Two analyzers that share a Redis
    Redis,
    /// Two analyzers in a cluster with istiod
    Mesh,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { minutes, seed, only } = Arguments::parse();
    let scenes = only.map_or_else(|| Which::value_variants().to_vec(), |only| vec![only]);
    let each = Duration::from_secs(minutes * 60) / u32::try_from(scenes.len())?;
    let mut faults = 0;
    for scene in scenes {
        faults += match scene {
            Which::Plain => soak::<Plain>(each, seed).await?,
            Which::Redis => soak::<Shared>(each, seed).await?,
            Which::Mesh => soak::<Mesh>(each, seed).await?,
        };
    }
    println!("soak: {faults} faults with seed {seed}, and everything held");
    Ok(())
}

/// Round after round until the time is over; answers how many faults there were.
async fn soak<S: Scene>(time: Duration, seed: u64) -> Result<usize> {
    let name = S::NAME;
    println!("soak: {name}: starting");
    let mut scene = S::start().await.with_context(|| name.to_owned())?;
    let end = Instant::now() + time;
    let weights = scene.watch();
    let mut sizes = None;
    let mut faults = 0;
    for number in 0_u64.. {
        let order = scene::shuffled(S::Fault::value_variants(), random::number(seed, number));
        println!("soak: {name}: round {} with seed {seed}", number + 1);
        let played = round::play(&mut scene, &weights, &order, seed.wrapping_mul(1_000).wrapping_add(number));
        let record = match played.await {
            Ok(record) => record,
            Err(error) => {
                eprintln!("{}", scene.logs());
                return Err(error.context(format!("{name}, round {}", number + 1)));
            }
        };
        sizes = Some(Sizes::check(sizes, scene.processes())?);
        faults += order.len() + 1;
        println!("soak: {name}: round {} holds: {record}", number + 1);
        if Instant::now() >= end {
            break;
        }
        round::go_on(&mut scene, &format!("v2.{number}")).await?;
    }
    Ok(faults)
}
