//! One release under load: each fault in its order, and at last a bad canary.

use crate::scene::{Scene, follow_the_plan};
use crate::watch::WeightWatch;
use anyhow::{Context, Result, ensure};
use serin_tests::analyzer::{Phase, Status};
use serin_tests::load::{Load, LoadOptions, Record};
use serin_tests::random;
use serin_tests::shop::Faults;
use std::time::{Duration, Instant};

/// How long anything may take to become good again: generous, the machine may be slow.
const PATIENCE: Duration = Duration::from_secs(90);

/// Plays it. All requests must then be counted, each once; answers in words what there were.
pub(crate) async fn play<S: Scene>(
    scene: &mut S,
    weights: &WeightWatch,
    order: &[S::Fault],
    seed: u64,
) -> Result<String> {
    weights.let_fall(false);
    let options = LoadOptions { rate: 100.0, time: Duration::from_secs(3_600), seed, ..scene.load() };
    let load = Load::start(options)?;
    until(scene, "the first step", |status| status.weight > 0.0).await?;
    let begin = Instant::now();
    for (place, fault) in order.iter().enumerate() {
        println!("soak:   {fault:?}");
        let caused = scene.cause(*fault, random::number(seed, 100 + place as u64)).await;
        caused.with_context(|| format!("{fault:?}"))?;
        recovered(scene).await.with_context(|| format!("after {fault:?}"))?;
        check_users(load.record(), begin)?;
        weights.check()?;
    }
    println!("soak:   a bad canary");
    weights.let_fall(true);
    scene.canary().set_faults(Faults::errors(0.3));
    let failed = until(scene, "the rollback of a bad canary", |status| status.phase == Phase::Failed).await?;
    ensure!(failed.weight == 0.0, "rolled back to {} %", failed.weight);
    scene.canary().set_faults(Faults::NONE);
    let record = load.stop().await?;
    ensure!(record.broken().is_empty(), "requests failed for a reason of ours: {:?}", record.broken());
    check_totals(scene, &record).await?;
    weights.check()?;
    Ok(format!("{} requests, {record}", record.sent()))
}

/// Goes on to another version.
pub(crate) async fn go_on<S: Scene>(scene: &mut S, version: &str) -> Result<()> {
    scene.next_release(version).await?;
    until(scene, "the next rollout", |status| status.phase != Phase::Failed).await?;
    Ok(())
}

async fn until<S: Scene>(scene: &mut S, what: &str, so: impl Fn(&Status) -> bool) -> Result<Status> {
    let asked = patiently(scene, what, async |scene: &S| {
        let status = scene.status().await?;
        ensure!(so(&status), "{:?} at {} %: {:?}", status.phase, status.weight, status.verdict);
        Ok(status)
    });
    asked.await
}

/// Asks again and again until there is an answer, and starts meanwhile what has ended.
async fn patiently<S: Scene, T>(scene: &mut S, what: &str, ask: impl AsyncFn(&S) -> Result<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        scene.supervise().await?;
        match ask(scene).await {
            Ok(answer) => return Ok(answer),
            Err(why) if Instant::now() >= end => {
                return Err(why.context(format!("waited {} s for {what}", PATIENCE.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until the release goes on as if nothing had been: reports arrive and are counted, filters have the plan, and
/// nothing was rolled back.
async fn recovered<S: Scene>(scene: &mut S) -> Result<()> {
    let before = until(scene, "an answer", |_| true).await?.totals.all();
    // In the cluster a new leader counts from zero.
    let going = |status: &Status| status.totals.all() != before;
    let status = until(scene, "the release to go on", going).await?;
    patiently(scene, "the filters to follow the plan", async |scene: &S| {
        follow_the_plan(&scene.filters().await?)
    })
    .await?;
    ensure!(
        matches!(status.phase, Phase::Progressing),
        "{:?} without a fault of the canary: {:?} {:?}",
        status.phase,
        status.verdict,
        status.history
    );
    Ok(())
}

/// Nobody was failed by us, and whoever had the canary kept it.
fn check_users(record: &Record, begin: Instant) -> Result<()> {
    ensure!(record.broken().is_empty(), "requests failed for a reason of ours: {:?}", record.broken());
    let back = record.moved_back("v2", begin, Instant::now());
    ensure!(back.is_empty(), "users who had the canary were sent back: {back:?}");
    Ok(())
}

/// What was counted is what the clients saw; and it stays so: nothing comes twice.
async fn check_totals<S: Scene>(scene: &mut S, record: &Record) -> Result<()> {
    let counted = async |scene: &S| scene.check_totals(&scene.status().await?, record);
    patiently(scene, "every request to be counted", counted).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    scene.check_totals(&scene.status().await?, record)
}
