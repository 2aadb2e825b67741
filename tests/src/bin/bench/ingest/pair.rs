//! Two analyzers behind one Redis beside one alone: what each report costs, what both hold together, and that there is
//! one decision at a time.

use super::cores::Cores;
use super::filters::{Fleet, Load, Measured};
use super::world::{Keep, Usage, World, WorldOptions};
use super::{micros_each, millis};
use crate::figures::table;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use serin_tests::analyzer::Status;
use std::time::Duration;

pub(crate) const NAME: &str = "pair: two analyzers behind one Redis";
const STEPS: [f64; 3] = [10.0, 30.0, 50.0];

struct Outcome {
    analyzers: usize,
    cores: String,
    measured: Measured,
    used: Usage,
    /// Weights in the history, in its order.
    weights: Vec<f64>,
}

pub(crate) async fn measure(time: Duration) -> Result<Value> {
    let one = run(1, time).await?;
    let two = run(2, time).await?;
    let rows: Vec<_> = [&one, &two].map(row).into();
    let head = [
        "analyzers",
        "where",
        "held/s",
        "µs of the analyzers for each report",
        "of which the leader's",
        "µs of Redis each",
        "reply p50 / p99 in ms",
        "leaders",
        "weights in the history",
    ];
    table("Analyzers behind one Redis, reports of 1 kB, as many as they take", &head, &rows);
    let cost = |outcome: &Outcome| micros_each(outcome.used.cpu(), outcome.measured.replies);
    let (held, cost) = (two.measured.rate() / one.measured.rate(), cost(&two) / cost(&one));
    let row = vec![format!("{held:.2}"), format!("{cost:.2}")];
    table("Two against one", &["held/s", "µs of the analyzers each"], &[row]);
    Ok(json!({ "one": value(&one), "two": value(&two), "held_ratio": held, "cost_ratio": cost }))
}

async fn run(analyzers: usize, time: Duration) -> Result<Outcome> {
    eprintln!("bench: {NAME}: {analyzers}");
    let options = WorldOptions {
        keep: Keep::Redis,
        analyzers,
        steps: STEPS.into(),
        promotion_interval: "1s",
        ..WorldOptions::default()
    };
    let mut world = World::start(&options).await?;
    let fleet = Fleet::new(world.addresses(), 200, 20).await?;
    // Meanwhile the release takes its steps, one at each analysis.
    fleet.run(Load::Closed, Duration::from_secs(3)).await?;
    world.counted(fleet.requests()).await?;
    let before = world.usage()?;
    let measured = fleet.run(Load::Closed, time).await?;
    let lost = fleet.requests() as i64 - world.counted(fleet.requests()).await? as i64;
    ensure!(lost == 0, "{lost} requests are missing, or were counted twice if below 0");
    let used = world.usage()?.since(&before);
    ensure!(leaders(&world).await? == 1, "more or less than one leads");
    let weights = weights(&world.status().await?);
    ensure!(STEPS.starts_with(&weights), "each step once and none twice: {weights:?}");
    let cores = Cores::of_this_machine(analyzers)?.told();
    Ok(Outcome { analyzers, cores, measured, used, weights })
}

/// How many say that they lead.
async fn leaders(world: &World) -> Result<usize> {
    let mut leaders = 0;
    for analyzer in &world.analyzers {
        let page = analyzer.api().metrics().await?;
        leaders += usize::from(page.lines().any(|line| line == "serin_leader 1"));
    }
    Ok(leaders)
}

/// Every transition's weight, but for those that leave it as it was.
fn weights(status: &Status) -> Vec<f64> {
    let mut weights: Vec<f64> = status.history.iter().map(|line| line.weight).collect();
    weights.dedup();
    weights.retain(|weight| *weight > 0.0);
    weights
}

fn leaders_cpu(used: &Usage) -> Duration {
    used.cpus.first().copied().unwrap_or_default()
}

fn row(outcome: &Outcome) -> Vec<String> {
    let Outcome { analyzers, cores, measured, used, weights } = outcome;
    let (p50, p99) = (millis(measured.quantile(0.5)), millis(measured.quantile(0.99)));
    vec![
        analyzers.to_string(),
        cores.clone(),
        format!("{:.0}", measured.rate()),
        format!("{:.1}", micros_each(used.cpu(), measured.replies)),
        format!("{:.1}", micros_each(leaders_cpu(used), measured.replies)),
        format!("{:.1}", micros_each(used.redis_cpu, measured.replies)),
        format!("{p50:.1} / {p99:.1}"),
        "1".to_owned(),
        format!("{weights:?}"),
    ]
}

fn value(outcome: &Outcome) -> Value {
    let Outcome { analyzers, cores, measured, used, weights } = outcome;
    json!({
        "analyzers": analyzers, "where": cores, "held_per_s": measured.rate(),
        "cpu_us_per_report": micros_each(used.cpu(), measured.replies),
        "leader_cpu_us_per_report": micros_each(leaders_cpu(used), measured.replies),
        "redis_cpu_us_per_report": micros_each(used.redis_cpu, measured.replies),
        "p50_ms": millis(measured.quantile(0.5)), "p99_ms": millis(measured.quantile(0.99)),
        "leaders": 1, "weights": weights,
    })
}
