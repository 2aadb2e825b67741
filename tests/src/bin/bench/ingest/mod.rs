//! How many reports one core of the analyzer holds: `serin serve` pinned to one core, the load and Redis on the others.
//! Every part can be asked for alone by a piece of its name.

mod beyond;
mod cores;
mod filters;
mod memory;
mod pair;
mod pool;
mod users;
mod world;

use crate::figures::{Figures, table};
use anyhow::{Context, Result, ensure};
use clap::Args;
use filters::{Fleet, Load, Measured};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::time::Duration;
use world::{Keep, Usage, World, WorldOptions};

#[derive(Args)]
pub(crate) struct Options {
    /// How long each part is measured, in seconds
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// For how many minutes memory is watched
    #[arg(long, default_value_t = 1)]
    minutes: u64,
    /// Only parts with this in their name
    #[arg(long)]
    only: Option<String>,
}

/// One part: so many canaries and filters, and what the filters send.
struct Part {
    name: &'static str,
    keep: Keep,
    canaries: usize,
    filters: usize,
    load: Load,
    /// How many users a report lists.
    seen: usize,
}

const SECOND: Load = Load::Each(Duration::from_secs(1));

/// As many as it takes, over so many connections.
const fn most(name: &'static str, keep: Keep, canaries: usize, seen: usize) -> Part {
    Part { name, keep, canaries, filters: 200, load: Load::Closed, seen }
}

/// Five thousand filters at one report a second.
const fn steady(name: &'static str, keep: Keep, canaries: usize) -> Part {
    Part { name, keep, canaries, filters: 5_000, load: SECOND, seen: 20 }
}

const PARTS: [Part; 10] = [
    most("reports of 1 kB, as many as it takes", Keep::Redb, 1, 20),
    most("reports of 6 kB, as many as it takes", Keep::Redb, 1, 300),
    most("empty reports, as many as it takes", Keep::Redb, 1, 0),
    most("1,000 canaries, as many as it takes", Keep::Redb, 1_000, 20),
    steady("5,000 filters, 1 canary, a report a second each", Keep::Redb, 1),
    steady("5,000 filters, 1,000 canaries, a report a second each", Keep::Redb, 1_000),
    most("reports of 1 kB through Redis, as many as it takes", Keep::Redis, 1, 20),
    most("reports of 6 kB through Redis, as many as it takes", Keep::Redis, 1, 300),
    most("empty reports through Redis, as many as it takes", Keep::Redis, 1, 0),
    steady("5,000 filters, 1 canary, through Redis, a report a second each", Keep::Redis, 1),
];

/// What a part came to.
struct Outcome {
    name: &'static str,
    offered: Option<f64>,
    measured: Measured,
    used: Usage,
    lost: i64,
}

/// Five thousand filters have a connection each, and the usual limit is 1,024 open files.
fn allow_connections() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("open files")
}

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options) -> Result<Figures> {
    allow_connections()?;
    let wanted = |part: &str| options.only.as_ref().is_none_or(|only| part.contains(only.as_str()));
    let time = Duration::from_secs(options.seconds);
    let mut figures = Figures::default();
    if wanted("idle") {
        figures.set("idle", idle().await?);
    }
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for part in PARTS.iter().filter(|part| wanted(part.name)) {
        eprintln!("bench: {}", part.name);
        // What the others measured is not lost with it.
        match run(part, time).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => failed.push(format!("{}: {error:#}", part.name)),
        }
    }
    if !outcomes.is_empty() {
        figures.set("parts", print(&outcomes)?);
    }
    if wanted(beyond::NAME) {
        figures.set("beyond", beyond::measure(time * 2).await?);
    }
    if wanted(pair::NAME) {
        figures.set("pair", pair::measure(time).await?);
    }
    if wanted(memory::NAME) {
        figures.set("memory", memory::measure(options.minutes).await?);
    }
    ensure!(failed.is_empty(), "parts failed: {}", failed.join("; "));
    Ok(figures)
}

/// Memory of an analyzer that nobody talks to.
async fn idle() -> Result<Value> {
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for keep in [Keep::Redb, Keep::Redis] {
        eprintln!("bench: idle, {}", keep.name());
        let mut world = World::start(&WorldOptions { keep, ..WorldOptions::default() }).await?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let memory = world.usage()?.memory_mb;
        rows.push(vec![keep.name().to_owned(), format!("{memory:.1}")]);
        values.push(json!({ "store": keep.name(), "memory_mb": memory }));
    }
    table("An analyzer with one canary that nobody talks to", &["store", "memory in MB"], &rows);
    Ok(values.into())
}

async fn run(part: &Part, time: Duration) -> Result<Outcome> {
    let options = WorldOptions { canaries: part.canaries, keep: part.keep, ..WorldOptions::default() };
    let mut world = World::start(&options).await?;
    let fleet = Fleet::new(world.addresses(), part.filters, part.seen).await?;
    // The first moments are not measured: connections are made, first plans fetched.
    fleet.run(part.load, Duration::from_secs(3)).await?;
    world.counted(fleet.requests()).await?;
    let before = world.usage()?;
    let measured = fleet.run(part.load, time).await?;
    // What is taken into Redis is worked on until it is counted.
    let lost = fleet.requests() as i64 - world.counted(fleet.requests()).await? as i64;
    let used = world.usage()?.since(&before);
    let offered = match part.load {
        Load::Closed | Load::Planned(_) => None,
        Load::Each(interval) => Some(fleet.len() as f64 / interval.as_secs_f64()),
    };
    Ok(Outcome { name: part.name, offered, measured, used, lost })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros_each(cpu: Duration, replies: usize) -> f64 {
    cpu.as_secs_f64() * 1e6 / replies.max(1) as f64
}

fn print(outcomes: &[Outcome]) -> Result<Value> {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for Outcome { name, offered, measured, used, lost } in outcomes {
        let bytes = measured.bytes / measured.replies.max(1);
        let each = micros_each(used.cpu(), measured.replies);
        let redis = micros_each(used.redis_cpu, measured.replies);
        let (p50, p99) = (millis(measured.quantile(0.5)), millis(measured.quantile(0.99)));
        rows.push(vec![
            (*name).to_owned(),
            bytes.to_string(),
            offered.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            format!("{:.0}", measured.rate()),
            format!("{each:.1}"),
            if redis > 0.0 { format!("{redis:.1}") } else { "-".to_owned() },
            format!("{:.0}", 1e6 / each),
            format!("{p50:.1} / {p99:.1}"),
            format!("{:.0}", used.memory_mb),
            measured.failed.to_string(),
            lost.to_string(),
        ]);
        values.push(json!({
            "part": name, "bytes": bytes, "offered_per_s": offered, "held_per_s": measured.rate(),
            "cpu_us_per_report": each, "redis_cpu_us_per_report": redis, "per_core_second": 1e6 / each,
            "p50_ms": p50, "p99_ms": p99, "memory_mb": used.memory_mb, "redis_memory_mb": used.redis_memory_mb,
            "failed": measured.failed, "requests_lost": lost,
        }));
    }
    let head = [
        "part",
        "bytes of a report",
        "offered/s",
        "held/s",
        "µs of processor time each",
        "µs of Redis each",
        "per second of one core",
        "reply p50 / p99 in ms",
        "memory in MB",
        "not answered",
        "requests lost",
    ];
    let title = format!("One analyzer: {}", cores::Cores::of_this_machine(1)?.told());
    table(&title, &head, &rows);
    Ok(values.into())
}
