//! The analyzer's totals are the load's own numbers, to the request, whatever goes down in between.

use anyhow::Result;
use serin_tests::analyzer::{Arms, CanaryConfig, Phase, Status, Tally};
use serin_tests::load::{Ending, Exchange, Load, LoadOptions, Record, Who};
use serin_tests::shop::Faults;
use serin_tests::world::{World, WorldOptions};
use std::time::{Duration, Instant};

/// A quick ramp of three steps. Errors are as frequent on both versions, so a rollback would be chance:
/// here it may happen once in a hundred runs at most.
fn steady() -> CanaryConfig {
    CanaryConfig {
        false_rollback_rate: Some(0.01),
        steps: vec![5.0, 25.0, 100.0],
        promotion_interval: "6s".to_owned(),
        ..CanaryConfig::default()
    }
}

/// One in twenty by hand, one in ten anonymous, one in a hundred answered with an error.
async fn busy_world(options: WorldOptions) -> (World, LoadOptions) {
    let world = World::start(options).await.unwrap();
    world.stable.set_faults(Faults::errors(0.01));
    world.canary.set_faults(Faults::errors(0.01));
    let load = LoadOptions { manual: 0.05, rate: 300.0, ..world.load() };
    (world, load)
}

/// What the clients saw, sorted as the analyzer sorts it. Versions are named by who answered.
fn seen_by_clients(record: &Record) -> (Tally, Tally, Arms, Arms) {
    let tally = |such: &dyn Fn(&Exchange) -> bool, version: &str| Tally {
        requests: record.count(|exchange| such(exchange) && exchange.version() == Some(version)),
        errors: record
            .count(|exchange| such(exchange) && exchange.version() == Some(version) && exchange.failed()),
    };
    let arms =
        |such: &dyn Fn(&Exchange) -> bool| Arms { stable: tally(such, "v1"), canary: tally(such, "v2") };
    let assigned = arms(&|exchange| exchange.assigned_user().is_some());
    let forced = arms(&|exchange| exchange.manual.is_some());
    let unassigned = arms(&|exchange| exchange.who == Who::Anonymous && exchange.manual.is_none());
    (assigned.stable, assigned.canary, forced, unassigned)
}

/// Waits until as many requests are counted as were sent, and compares every number.
async fn assert_totals_are_exact(world: &World, record: &Record) -> Status {
    assert_eq!(record.count(|exchange| exchange.version().is_none()), 0, "{record} {:?}", record.broken());
    let all = world.until("all requests to be counted", 30, |status| status.totals.all() == record.sent());
    let status = all.await.unwrap_or_else(|error| panic!("{error:#}; {record} of {} sent", record.sent()));
    // And it stays so: nothing comes twice.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let totals = world.status().await.unwrap().totals;
    let counted = (totals.stable, totals.canary, totals.forced, totals.unassigned);
    assert_eq!(counted, seen_by_clients(record));
    assert_eq!((totals.misrouted, totals.elsewhere, totals.unserved), (0, 0, 0));
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_envoys_with_four_workers_are_counted_exactly() {
    let (world, options) =
        busy_world(WorldOptions { envoys: vec![2, 2], canary: steady(), ..WorldOptions::default() }).await;
    let load = Load::start(LoadOptions { time: Duration::from_secs(25), ..options }).unwrap();
    let record = load.finish().await.unwrap();
    let status = assert_totals_are_exact(&world, &record).await;
    assert!(status.totals.canary.requests > 500, "{:?}", status.totals);

    // Envoy's own statistics, which need no analyzer, say the same.
    for (arm, tally) in [("stable", status.totals.stable), ("canary", status.totals.canary)] {
        let labels = format!("{{serin_canary=\"default_shop\",serin_arm=\"{arm}\"}}");
        let (mut requests, mut errors) = (0.0, 0.0);
        for envoy in &world.envoys {
            let page = envoy.prometheus().await.unwrap();
            requests += page[&format!("serin_requests{labels}")];
            errors += page[&format!("serin_errors{labels}")];
        }
        assert_eq!((requests, errors), (tally.requests as f64, tally.errors as f64), "{arm}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyzer_that_was_away_for_twenty_seconds_misses_nothing() {
    let canary = CanaryConfig { promotion_interval: "5m".to_owned(), ..steady() };
    let (mut world, options) =
        busy_world(WorldOptions { envoys: vec![2], canary, ..WorldOptions::default() }).await;
    let load = Load::start(options).unwrap();
    world.until("the first step", 30, |status| status.totals.canary.requests > 20).await.unwrap();
    world.analyzer.terminate().unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.analyzer.restart().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let record = load.stop().await.unwrap();
    let status = assert_totals_are_exact(&world, &record).await;
    assert_eq!((status.phase, status.weight), (Phase::Progressing, 5.0), "{:?}", status.verdict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyzer_killed_in_mid_ramp_keeps_its_weight_and_step_and_counts_nothing_twice() {
    let (mut world, options) = busy_world(WorldOptions { canary: steady(), ..WorldOptions::default() }).await;
    let load = Load::start(options).unwrap();
    world.until("the second step", 60, |status| status.weight == 25.0).await.unwrap();
    world.analyzer.api().act("pause", "so that the weight can be compared").await.unwrap();
    let before = world.status().await.unwrap();
    for round in 0..5 {
        // At different moments of the filter's half seconds.
        tokio::time::sleep(Duration::from_millis(700 + 170 * round)).await;
        world.analyzer.kill9().unwrap();
        world.analyzer.restart().await.unwrap();
        let after = world.status().await.unwrap();
        assert_eq!((after.phase, after.weight, after.step), (before.phase, before.weight, before.step));
        assert!(after.totals.all() >= before.totals.all(), "what was committed is gone");
    }
    world.analyzer.api().act("resume", "go on").await.unwrap();
    world.until("the last step", 60, |status| status.weight == 100.0).await.unwrap();
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_analyzer_that_freezes_and_thaws_counts_nothing_twice() {
    let (mut world, options) = busy_world(WorldOptions { canary: steady(), ..WorldOptions::default() }).await;
    let load = Load::start(options).unwrap();
    world.until("traffic", 30, |status| status.totals.all() > 500).await.unwrap();
    for _ in 0..2 {
        // It has the report, but its answer comes after the filter has given up on it.
        world.analyzer.process().unwrap().stop().unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        world.analyzer.process().unwrap().cont().unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let record = load.stop().await.unwrap();
    assert_totals_are_exact(&world, &record).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_envoy_costs_at_most_what_it_had_not_had_acknowledged() {
    a_killed_envoy().await.unwrap();
}

async fn a_killed_envoy() -> Result<()> {
    let (mut world, options) =
        busy_world(WorldOptions { envoys: vec![2, 2], canary: steady(), ..WorldOptions::default() }).await;
    let rate = options.rate;
    let load = Load::start(options)?;
    world.until("the second step", 60, |status| status.weight == 25.0).await?;
    world.envoys[1].process.kill9()?;
    let killed = Instant::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let record = load.stop().await?;

    let answered = record.count(|exchange| matches!(exchange.ending, Ending::Answered { .. }));
    let broken_before = record.count(|exchange| exchange.sent < killed && exchange.version().is_none());
    let floor = answered - (rate * 0.5 * 2.0) as u64;
    // The last reports of the living Envoy take half a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let counted = world.status().await?.totals.all();
    assert!(
        counted <= answered + broken_before,
        "{counted} counted, {answered} answered, {broken_before} cut off"
    );
    assert!(
        counted >= floor,
        "{counted} counted, {answered} answered: more than two seconds' worth is missing"
    );
    Ok(())
}
