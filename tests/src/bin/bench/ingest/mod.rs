//! How many reports one core of the analyzer holds: `serin serve` pinned to one core, the load on the others.

mod filters;
mod pool;
mod world;

use crate::figures::{Figures, table};
use anyhow::Result;
use clap::Args;
use filters::{Fleet, Load, Seen};
use serde_json::{Value, json};
use std::time::Duration;
use world::{Usage, World};

#[derive(Args)]
pub(crate) struct Options {
    /// How long each part is measured, in seconds
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Only parts with this in their name
    #[arg(long)]
    only: Option<String>,
}

/// One part: so many canaries and filters, and what the filters send.
struct Part {
    name: &'static str,
    canaries: usize,
    filters: usize,
    load: Load,
    seen: Seen,
}

const PARTS: [Part; 5] = [
    Part {
        name: "reports of 1 kB, as many as it takes",
        canaries: 1,
        filters: 200,
        load: Load::Closed(64),
        seen: Seen(20),
    },
    Part {
        name: "reports of 6 kB, as many as it takes",
        canaries: 1,
        filters: 200,
        load: Load::Closed(64),
        seen: Seen(300),
    },
    Part {
        name: "1,000 canaries, as many as it takes",
        canaries: 1_000,
        filters: 200,
        load: Load::Closed(64),
        seen: Seen(20),
    },
    Part {
        name: "5,000 filters, 1 canary, a report a second each",
        canaries: 1,
        filters: 5_000,
        load: Load::Each(Duration::from_secs(1)),
        seen: Seen(20),
    },
    Part {
        name: "5,000 filters, 1,000 canaries, a report a second each",
        canaries: 1_000,
        filters: 5_000,
        load: Load::Each(Duration::from_secs(1)),
        seen: Seen(20),
    },
];

/// What a part came to.
struct Outcome {
    name: &'static str,
    bytes: usize,
    offered: Option<f64>,
    rate: f64,
    p50: Duration,
    p99: Duration,
    cpu: Usage,
    seconds: f64,
    failed: u64,
    lost: i64,
}

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options) -> Result<Figures> {
    let wanted = |part: &str| options.only.as_ref().is_none_or(|only| part.contains(only.as_str()));
    let mut figures = Figures::default();
    if wanted("idle") {
        figures.set("idle", idle().await?);
    }
    let mut outcomes = Vec::new();
    for part in PARTS.iter().filter(|part| wanted(part.name)) {
        eprintln!("bench: {}", part.name);
        outcomes.push(run(part, Duration::from_secs(options.seconds)).await?);
    }
    if !outcomes.is_empty() {
        figures.set("parts", print(&outcomes));
    }
    Ok(figures)
}

/// Memory of an analyzer that nobody talks to.
async fn idle() -> Result<Value> {
    let world = World::start(1).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let usage = world.usage()?;
    let row = vec![format!("{:.1}", usage.memory_mb)];
    table("An analyzer with one canary that nobody talks to", &["memory in MB"], &[row]);
    Ok(json!({ "memory_mb": usage.memory_mb }))
}

async fn run(part: &Part, time: Duration) -> Result<Outcome> {
    let world = World::start(part.canaries).await?;
    let fleet = Fleet::new(&world, part.filters, part.seen).await?;
    // The first moments are not measured: connections are made, first plans fetched.
    fleet.run(part.load, Duration::from_secs(3)).await?;
    let before = world.usage()?;
    let measured = fleet.run(part.load, time).await?;
    let after = world.usage()?;
    let lost = fleet.requests() as i64 - world.counted().await? as i64;
    let cpu = Usage { cpu: after.cpu - before.cpu, memory_mb: after.memory_mb };
    let offered = match part.load {
        Load::Closed(_) => None,
        Load::Each(interval) => Some(part.filters as f64 / interval.as_secs_f64()),
    };
    Ok(Outcome {
        name: part.name,
        bytes: measured.bytes / measured.replies.max(1),
        offered,
        rate: measured.replies as f64 / measured.time.as_secs_f64(),
        p50: measured.quantile(0.5),
        p99: measured.quantile(0.99),
        cpu,
        seconds: measured.time.as_secs_f64(),
        failed: measured.failed,
        lost,
    })
}

fn print(outcomes: &[Outcome]) -> Value {
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for outcome in outcomes {
        let cpu_us = outcome.cpu.cpu.as_secs_f64() * 1e6 / (outcome.rate * outcome.seconds);
        let per_core = 1e6 / cpu_us;
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        rows.push(vec![
            outcome.name.to_owned(),
            outcome.bytes.to_string(),
            outcome.offered.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
            format!("{:.0}", outcome.rate),
            format!("{cpu_us:.1}"),
            format!("{per_core:.0}"),
            format!("{:.1} / {:.1}", millis(outcome.p50), millis(outcome.p99)),
            format!("{:.0}", outcome.cpu.memory_mb),
            outcome.failed.to_string(),
            outcome.lost.to_string(),
        ]);
        values.push(json!({
            "part": outcome.name, "bytes": outcome.bytes, "offered_per_s": outcome.offered,
            "held_per_s": outcome.rate, "cpu_us_per_report": cpu_us, "per_core_second": per_core,
            "p50_ms": millis(outcome.p50), "p99_ms": millis(outcome.p99),
            "memory_mb": outcome.cpu.memory_mb, "failed": outcome.failed, "requests_lost": outcome.lost,
        }));
    }
    let head = [
        "part",
        "bytes of a report",
        "offered/s",
        "held/s",
        "µs of processor time each",
        "per second of one core",
        "reply p50 / p99 in ms",
        "memory in MB",
        "not answered",
        "requests lost",
    ];
    table("The analyzer on one core, redb as its store", &head, &rows);
    values.into()
}
