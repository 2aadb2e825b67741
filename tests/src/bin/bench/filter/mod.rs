//! What the filter costs per request: processor time of a real Envoy with one worker, beside an empty filter and
//! beside what somebody might use instead, in interleaved rounds.

mod bootstrap;
pub(crate) mod calls;
mod kinds;
mod load;
mod sink;

use crate::figures::{Figures, Spread, table};
use crate::processor;
use anyhow::{Context, Result};
use clap::Args;
use kinds::{Backend, Kind};
use load::Wrk;
use serde_json::json;
use serin_tests::envoy::{Envoy, EnvoyPorts};
use serin_tests::ports;
use sink::Sink;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(Args)]
pub(crate) struct Options {
    /// How often each kind is measured
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// How long each time, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Only kinds with this in their name, and those that they are compared with
    #[arg(long)]
    only: Option<String>,
    /// Another build of the filter, to be measured beside this one wherever it is
    #[arg(long)]
    beside: Vec<PathBuf>,
    /// Leaves out latency and memory
    #[arg(long)]
    cpu_only: bool,
}

/// A running Envoy of one kind, and what it cost in each round.
struct Runner {
    kind: Kind,
    envoy: Envoy,
    requests: u64,
    micros: Vec<f64>,
    ratios: Vec<f64>,
}

/// Measures and prints everything.
pub(crate) async fn measure(options: &Options) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let wrk = Wrk::new(folder.path())?;
    let sink = Sink::start().await?;
    let upstream = start(&Kind::upstream(), 1, folder.path(), 0, sink.port).await?;
    let port = upstream.address().port();
    let mut runners = Vec::new();
    for kind in kinds_with(&options.beside)? {
        let wanted = options.only.as_ref().is_none_or(|part| kind.name.contains(part.as_str()));
        if wanted || kind.is_reference {
            let envoy = start(&kind, 1, folder.path(), port, sink.port).await?;
            runners.push(Runner { kind, envoy, requests: 0, micros: vec![], ratios: vec![] });
        }
    }
    for runner in &mut runners {
        runner.requests =
            wrk.run(runner.envoy.address(), Duration::from_secs(1)).context(runner.kind.name)?;
    }
    for round in 0..options.rounds {
        eprintln!("bench: round {} of {}", round + 1, options.rounds);
        // Another order each time: who comes after whom must not matter.
        let first = round % runners.len();
        runners.rotate_left(first);
        for runner in &mut runners {
            let before = processor::time(runner.envoy.process.id())?;
            let requests = wrk
                .run(runner.envoy.address(), Duration::from_secs(options.seconds))
                .context(runner.kind.name)?;
            let spent = processor::time(runner.envoy.process.id())? - before;
            runner.requests += requests;
            runner.micros.push(spent.as_secs_f64() * 1e6 / requests as f64);
        }
        runners.rotate_right(first);
        compare(&mut runners);
    }
    // Two of the filters' reports later all but the last moments are in.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for runner in runners.iter().filter(|runner| runner.kind.is_serin()) {
        sink.check(runner.envoy.node(), runner.requests).context(runner.kind.name)?;
    }
    let mut figures = Figures::default();
    print_cpu(&runners, &mut figures);
    if !options.cpu_only {
        latency(&runners, &mut figures).await?;
        drop(runners);
        memory(folder.path(), sink.port, &mut figures).await?;
    }
    Ok(figures)
}

/// All kinds, and those of Serin again with each other build.
fn kinds_with(beside: &[PathBuf]) -> Result<Vec<Kind>> {
    let mut kinds = Vec::new();
    for kind in kinds::all() {
        for file in beside {
            let file = file.canonicalize().with_context(|| file.display().to_string())?;
            let name = format!("{} ({})", kind.name, file.display()).leak();
            kinds.extend(kind.with_module(name, file));
        }
        kinds.push(kind);
    }
    Ok(kinds)
}

/// This round's ratios to the empty filter before the same kind of backend.
fn compare(runners: &mut [Runner]) {
    for backend in [Backend::Direct, Backend::Upstream] {
        let empty = runners.iter().find(|runner| runner.kind.is_empty_filter(backend));
        let Some(base) = empty.and_then(|empty| empty.micros.last().copied()) else { continue };
        for runner in runners.iter_mut().filter(|runner| runner.kind.backend == backend) {
            runner.ratios.extend(runner.micros.last().map(|micros| micros / base));
        }
    }
}

fn print_cpu(runners: &[Runner], figures: &mut Figures) {
    for (backend, title, key) in [
        (Backend::Direct, "Envoy answers by itself (`direct_response`)", "cpu_direct"),
        (Backend::Upstream, "A cluster answers", "cpu_upstream"),
    ] {
        let mut rows = Vec::new();
        let mut values = Vec::new();
        for runner in runners.iter().filter(|runner| runner.kind.backend == backend) {
            let (micros, ratios) = (Spread::of(&runner.micros), Spread::of(&runner.ratios));
            rows.push(vec![runner.kind.name.to_owned(), format!("{micros:.1}"), format!("{ratios:.2}")]);
            values.push(
                json!({ "kind": runner.kind.name, "micros": micros.json(), "to_empty": ratios.json() }),
            );
        }
        let head =
            ["filter", "µs of processor time per request (min / median / max)", "times the empty filter"];
        table(title, &head, &rows);
        figures.set(key, values.into());
    }
}

/// Latency at a fixed rate: far from saturation, so that what is added is the filter's own.
async fn latency(runners: &[Runner], figures: &mut Figures) -> Result<()> {
    const ROUNDS: usize = 5;
    let chosen: Vec<&Runner> = runners.iter().filter(|runner| runner.kind.in_latency).collect();
    let mut seen = vec![(Vec::new(), Vec::new()); chosen.len()];
    for round in 0..ROUNDS {
        eprintln!("bench: latency, round {} of {ROUNDS}", round + 1);
        for (runner, (p50, p99)) in chosen.iter().zip(&mut seen) {
            let measured = load::at_fixed_rate(runner.envoy.address()).await.context(runner.kind.name)?;
            p50.push(measured.0);
            p99.push(measured.1);
        }
    }
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for (runner, (p50, p99)) in chosen.iter().zip(&seen) {
        let (p50, p99) = (Spread::of(p50), Spread::of(p99));
        rows.push(vec![runner.kind.name.to_owned(), format!("{p50:.0}"), format!("{p99:.0}")]);
        values.push(json!({ "kind": runner.kind.name, "p50_us": p50.json(), "p99_us": p99.json() }));
    }
    table(
        &format!("Latency at {} requests/s (min / median / max of {ROUNDS} rounds)", load::FIXED_RATE),
        &["filter", "p50 in µs", "p99 in µs"],
        &rows,
    );
    figures.set("latency", values.into());
    Ok(())
}

/// Memory of a worker's VM: what three more workers take, with the filter and without one.
async fn memory(folder: &Path, sink: u16, figures: &mut Figures) -> Result<()> {
    let wrk = Wrk::new(folder)?;
    let mut per_worker = Vec::new();
    for kind in kinds::all().into_iter().filter(|kind| kind.in_memory) {
        let mut memory = Vec::new();
        for workers in [1, 4] {
            let envoy = start(&kind, workers, folder, 0, sink).await?;
            wrk.run(envoy.address(), Duration::from_secs(3))?;
            memory.push(envoy.process.memory()? as f64);
        }
        per_worker.push((kind.name, (memory[1] - memory[0]) / 3.0 / 1e6));
    }
    let rows: Vec<_> =
        per_worker.iter().map(|(name, mb)| vec![(*name).to_owned(), format!("{mb:.1}")]).collect();
    table("Memory of one more worker, after three seconds of load", &["filter", "MB"], &rows);
    let values: Vec<_> = per_worker.iter().map(|(name, mb)| json!({ "kind": name, "mb": mb })).collect();
    figures.set("memory_per_worker", values.into());
    Ok(())
}

async fn start(kind: &Kind, workers: u32, folder: &Path, upstream: u16, sink: u16) -> Result<Envoy> {
    let ports = EnvoyPorts { requests: ports::free()?, admin: ports::free()? };
    let text = bootstrap::of(kind, ports, upstream, sink)?;
    let node = format!("envoy-{}", ports.requests);
    Envoy::with_bootstrap(&node, workers, folder, &text, ports).await.context(kind.name)
}
