//! How long a rollback takes in a mesh: releases that turn bad, one after another, on the same control plane;
//! for each the time from its first bad response, and from the verdict, to no weight in Envoy's own routes.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use serin_tests::analyzer::Phase;
use serin_tests::load::{Load, LoadOptions};
use serin_tests::mesh::{CANARY, Mesh, MeshOptions, phase};
use serin_tests::shop::Faults;
use std::time::{Duration, Instant, SystemTime};

const PATIENCE: Duration = Duration::from_secs(120);
/// The part of its requests that the canary fails.
const ERRORS: f64 = 0.3;
/// Requests a second through the gateway.
const RATE: f64 = 100.0;

/// One rollback, in milliseconds.
struct Took {
    from_first_error: u128,
    from_verdict: u128,
}

/// Rolls so many releases back, and prints each and the medians.
///
/// # Errors
/// When one is not rolled back.
pub(super) async fn measure(count: usize) -> Result<()> {
    ensure!(count > 0, "--rollbacks 0: allowed is 1 or more");
    let ramp = json!({ "steps": [25, 100], "increment": null, "initialWeight": null, "maxWeight": null,
                       "promotionInterval": "10m", "analysisInterval": "1s", "warmup": "1s" });
    let options = MeshOptions { canary: json!({ "spec": { "ramp": ramp } }), ..MeshOptions::default() };
    let started = Instant::now();
    let mesh = Mesh::start(options).await?;
    println!("etcd, kube-apiserver, istiod, the gateway and the analyzer took {:.1?}", started.elapsed());
    let load = Load::start(LoadOptions { rate: RATE, time: super::A_DAY, ..mesh.load() })?;
    println!("{RATE} requests a second, 25 % of the users on a canary that fails {ERRORS} of its requests");
    let mut all = Vec::new();
    for round in 1..=count {
        let took = once(&mesh, &format!("bad-{round}")).await.with_context(|| format!("rollback {round}"))?;
        println!(
            "rollback {round}: all on stable in Envoy {} ms after the first bad response, {} ms after the verdict",
            took.from_first_error, took.from_verdict
        );
        all.push(took);
    }
    drop(load);
    let median = |of: fn(&Took) -> u128| {
        let mut values: Vec<u128> = all.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "median of {count}: {} ms after the first bad response, {} ms after the verdict",
        median(|took| took.from_first_error),
        median(|took| took.from_verdict)
    );
    Ok(())
}

/// A release of this version, until it is rolled back.
async fn once(mesh: &Mesh, version: &str) -> Result<Took> {
    mesh.canary.become_version(version);
    let release = json!({ "spec": { "canaryVersion": version } });
    mesh.plane.cluster().merge(CANARY, &release).await?;
    mesh.until_status("traffic on the canary", PATIENCE.as_secs(), |status| {
        status.canary_version == version && status.totals.canary.requests > 100
    })
    .await?;
    mesh.canary.set_faults(Faults::errors(ERRORS));
    let none = |routing: &serin_tests::mesh::Routing| routing.canary_weight() == Some(0);
    mesh.gateway.until_routing("no weight in Envoy", PATIENCE, none).await?;
    let (routed, routed_at) = (Instant::now(), SystemTime::now());
    mesh.canary.set_faults(Faults::NONE);
    let first = mesh.canary.served(version).first_error.context("no request failed")?;
    let status =
        mesh.until_status("the verdict", PATIENCE.as_secs(), |status| status.phase == Phase::Failed).await?;
    let failed = status.history.iter().rev().find(|line| line.phase == Phase::Failed);
    let verdict = Duration::from_millis(failed.context("no line of history tells of it")?.time);
    // The next version is accepted once the object says that this one is over.
    mesh.until_canary("the status", PATIENCE.as_secs(), |canary| phase(canary) == "Failed").await?;
    let now = routed_at.duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Took {
        from_first_error: routed.duration_since(first).as_millis(),
        from_verdict: now.saturating_sub(verdict).as_millis(),
    })
}
