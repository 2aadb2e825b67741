//! Two replicas in a cluster that share a Redis: the Lease elects, Redis' token fences, and whoever leads next goes on
//! in the same step and stratum with every request counted once.

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use serin_tests::analyzer::Status;
use serin_tests::load::{Exchange, Load, LoadOptions};
use serin_tests::mesh::{CANARY, Cluster, Mesh, MeshOptions, VIRTUAL_SERVICE, canary_weight};
use serin_tests::redis::Redis;
use serin_tests::wait;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// A tenth of the users for longer than the test takes; a person brings it to the most.
fn a_tenth_until_somebody_promotes() -> Value {
    json!({ "spec": { "ramp": { "steps": [10, 40], "increment": null, "initialWeight": null,
        "maxWeight": null, "promotionInterval": "1h", "analysisInterval": "1s", "warmup": "1s" } } })
}

/// What the objects in the cluster said, each time they said something else.
#[derive(Debug, Default)]
struct Seen {
    weights: Vec<u64>,
    /// Who wrote the Canary's status, and the step in it.
    statuses: Vec<(String, u64)>,
}

impl Seen {
    /// Looks until it is told to stop.
    async fn watch(cluster: Cluster, mut stop: tokio::sync::oneshot::Receiver<()>) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        while stop.try_recv().is_err() {
            let weight = canary_weight(&cluster.get(VIRTUAL_SERVICE).await?).context("no canary's weight")?;
            if seen.weights.last() != Some(&weight) {
                seen.weights.push(weight);
            }
            let canary = cluster.get(CANARY).await?;
            let holder = canary["status"]["holder"].as_str().unwrap_or_default().to_owned();
            let status = (holder, canary["status"]["step"].as_u64().unwrap_or(0));
            if seen.statuses.last() != Some(&status) {
                seen.statuses.push(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(seen)
    }
}

/// Waits until a replica leads and knows the release, but not this one; which it is, and its first answer.
async fn until_one_leads(mesh: &Mesh, but: Option<usize>) -> (usize, Status) {
    let leads = wait::until("a replica to lead", PATIENCE, || async {
        let leader = mesh.leader().await?;
        ensure!(but != Some(leader), "it still is {leader}");
        let ready = mesh.replicas[leader].api().get("/readyz").await?.text();
        ensure!(ready.contains("leader"), "/readyz: {ready}");
        Ok((leader, mesh.replicas[leader].api().status().await?))
    });
    leads.await.with_context(|| mesh.logs()).unwrap()
}

/// The leader went without a word; whoever leads next goes on where it was: nothing begins anew.
async fn goes_on(mesh: &Mesh, but: Option<usize>, before: &Status) -> (usize, Status) {
    let (leader, status) = until_one_leads(mesh, but).await;
    let place = |status: &Status| (status.phase, status.weight.to_bits(), status.step, status.stratum);
    assert_eq!(place(&status), place(before), "{status:?}");
    assert!(status.totals.all() >= before.totals.all(), "{:?} after {:?}", status.totals, before.totals);
    let in_step = |status: &Status| status.summary["step_requests"]["canary"].as_u64().expect("its requests");
    assert!(in_step(&status) >= in_step(before), "{} after {}", status.summary, before.summary);
    (leader, status)
}

/// Waits until the leader has counted a good deal more.
async fn counts_more(mesh: &Mesh, leader: usize, than: &Status) -> Status {
    let more = wait::until("more requests to be counted", PATIENCE, || async {
        let status = mesh.replicas[leader].api().status().await?;
        ensure!(status.totals.canary.requests >= than.totals.canary.requests + 20, "{:?}", status.totals);
        Ok(status)
    });
    more.await.with_context(|| mesh.logs()).unwrap()
}

/// Waits until a replica has ended by itself.
async fn until_it_ends(mesh: &mut Mesh, replica: usize) {
    let begin = Instant::now();
    while mesh.replicas[replica].is_running() {
        assert!(
            begin.elapsed() < PATIENCE,
            "it does not end although another has led after it:\n{}",
            mesh.logs()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_share_a_redis_take_over_in_the_middle_of_a_stratum_and_a_frozen_one_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let redis = Redis::start(folder.path(), "redis", &[]).await.unwrap();
    let store = Some(format!("redis://127.0.0.1:{}", redis.port()));
    let canary = a_tenth_until_somebody_promotes();
    let mut mesh =
        Mesh::start(MeshOptions { replicas: 2, canary, store, ..MeshOptions::default() }).await.unwrap();
    let load = LoadOptions { rate: 100.0, time: Duration::from_secs(600), ..mesh.load() };
    let begin = Instant::now();
    let load = Load::start(load).unwrap();
    mesh.until_status("the first step", 60, |status| status.weight == 10.0).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let watching = tokio::spawn(Seen::watch(mesh.plane.cluster().clone(), stopped));

    // Killed in the middle of a stratum: the other one goes on.
    let first = mesh.leader().await.unwrap();
    let start = mesh.replicas[first].api().status().await.unwrap();
    let before = counts_more(&mesh, first, &start).await;
    mesh.replicas[first].kill9().unwrap();
    let (second, status) = goes_on(&mesh, Some(first), &before).await;
    mesh.replicas[first].start().await.unwrap();

    // Killed, and back before its Lease is over: it leads again by its own name. On a machine that is too busy for
    // that the other one does.
    let before = counts_more(&mesh, second, &status).await;
    mesh.replicas[second].kill9().unwrap();
    mesh.replicas[second].launch().unwrap();
    let (third, status) = goes_on(&mesh, None, &before).await;
    let other = 1 - third;
    let ready = wait::until("the other one to be ready", PATIENCE, || async {
        let answer = mesh.replicas[other].api().get("/readyz").await?;
        ensure!(answer.status.is_success(), "/readyz: {}", answer.text());
        Ok(())
    });
    ready.await.unwrap();

    // Frozen for longer than its Lease, while the other one leads and raises the weight.
    let before = counts_more(&mesh, third, &status).await;
    mesh.replicas[third].stop().unwrap();
    goes_on(&mesh, Some(third), &before).await;
    mesh.replicas[other].api().act("promote", "it is good").await.unwrap();
    mesh.gateway
        .until_routing("the weight to arrive", PATIENCE, |routing| routing.canary_weight() == Some(40))
        .await
        .unwrap();
    mesh.until_canary("the status to follow", 60, |canary| canary["status"]["weight"] == 40.0).await.unwrap();
    let token = redis.ask(&["GET", "{serin}:token"]).unwrap();
    mesh.replicas[third].cont().unwrap();
    until_it_ends(&mut mesh, third).await;
    assert_eq!(redis.ask(&["GET", "{serin}:token"]).unwrap(), token, "the frozen one led again");
    let before = mesh.replicas[other].api().status().await.unwrap();
    mesh.replicas[third].start().await.unwrap();

    // Another token than the leader's in Redis: whoever has it took it after the leader, whatever the Lease says.
    redis.ask(&["SET", "{serin}:token", "99-of-somebody-who-was-frozen-before-it-took-this"]).unwrap();
    until_it_ends(&mut mesh, other).await;
    let (last, _) = goes_on(&mesh, Some(other), &before).await;
    mesh.replicas[other].start().await.unwrap();

    let record = load.stop().await.unwrap();
    assert_eq!(record.count(Exchange::failed), 0, "{:?}", record.broken());
    let counted = wait::until("all requests to be counted", PATIENCE, || async {
        let status = mesh.replicas[last].api().status().await?;
        ensure!(status.totals.all() >= record.sent(), "{} of {}", status.totals.all(), record.sent());
        Ok(status)
    });
    counted.await.with_context(|| mesh.logs()).unwrap();
    // And it stays so: nothing comes twice.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let status = mesh.replicas[last].api().status().await.unwrap();
    let assigned = |version: &str| {
        record.count(|exchange| exchange.assigned_user().is_some() && exchange.version() == Some(version))
    };
    assert_eq!(status.totals.all(), record.sent(), "{:?}", status.totals);
    let (stable, canary) = (status.totals.stable.requests, status.totals.canary.requests);
    assert_eq!((stable, canary), (assigned("v1"), assigned("v2")));
    assert_eq!(record.moved_back("v2", begin, Instant::now()), [].into());

    let names = [first, second, third, other, last].map(|replica| mesh.replicas[replica].name());
    mesh.until_canary("the last one's status", 60, |canary| canary["status"]["holder"] == names[4])
        .await
        .unwrap();
    let _ = stop.send(());
    let seen = watching.await.unwrap().unwrap();
    assert_eq!(seen.weights, [10, 40], "{}", mesh.logs());
    let mut holders: Vec<&str> = seen.statuses.iter().map(|(holder, _)| holder.as_str()).collect();
    holders.dedup();
    let mut led = names.to_vec();
    led.dedup();
    assert_eq!(holders, led, "who lost the lead wrote a status");
    assert!(seen.statuses.is_sorted_by_key(|(_, step)| *step), "{:?}", seen.statuses);
}
