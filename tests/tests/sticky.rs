//! Who gets which version: by md5 of the id, by hand, or by the route's weights.

use anyhow::Result;
use serin_tests::analyzer::{CanaryConfig, Phase};
use serin_tests::http::Client;
use serin_tests::load::{Ending, Exchange, Load, Who};
use serin_tests::world::{World, WorldOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const USERS: u32 = 2000;

/// The buckets as Python computes them: `int(md5(salt + user).hexdigest(), 16) % 10000`.
fn python_buckets(salt: &str) -> Vec<u32> {
    let program = "import sys, hashlib\n\
        for line in sys.stdin: print(int(hashlib.md5(line.strip().encode()).hexdigest(), 16) % 10000)";
    let mut python = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed: it is what the buckets are compared with");
    let mut input = python.stdin.take().unwrap();
    let lines: String = (0..USERS).map(|user| format!("{salt}{}\n", Who::User(user).id().unwrap())).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

/// The version that each user gets now; every user asks once, sixteen at a time, the Envoys in turn.
async fn versions(targets: &[SocketAddr]) -> Result<Vec<String>> {
    let client = Client::default();
    let lanes = (0..16).map(|lane| {
        let client = client.clone();
        let target = targets[lane as usize % targets.len()];
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for user in (lane..USERS).step_by(16) {
                let id = Who::User(user).id().unwrap_or_default();
                let headers = [("host", "shop.example"), ("x-user-id", id.as_str())];
                let answer = client.get(target, "/", &headers).await?;
                seen.push((user, answer.header("x-shop-version").unwrap_or("none").to_owned()));
            }
            anyhow::Ok(seen)
        })
    });
    let mut all = BTreeMap::new();
    for lane in lanes.collect::<Vec<_>>() {
        all.extend(lane.await??);
    }
    Ok(all.into_values().collect())
}

/// Every user is asked after each step of the ramp, with the weight held by a pause.
async fn ramp_places_users_as_python_does(salt: Option<&str>, envoys: Vec<u32>) -> Result<()> {
    let steps = [5.0, 25.0, 45.0, 65.0, 85.0, 100.0];
    let canary = CanaryConfig {
        salt: salt.map(str::to_owned),
        steps: steps.to_vec(),
        promotion_interval: "2s".to_owned(),
        analysis_interval: "1s".to_owned(),
        warmup: "0s".to_owned(),
        ..CanaryConfig::default()
    };
    let buckets = python_buckets(&canary.effective_salt());
    let one_filter = envoys == [1];
    let world = World::start(WorldOptions { envoys, canary, ..WorldOptions::default() }).await?;
    let api = world.analyzer.api();
    let targets = world.targets();
    let mut options = world.load();
    options.users = USERS;
    let load = Load::start(options)?;
    let begin = Instant::now();
    let mut on_canary: BTreeSet<usize> = BTreeSet::new();
    for weight in steps {
        world.until(&format!("weight {weight}"), 60, |status| status.weight == weight).await?;
        if weight < 100.0 {
            api.act("pause", "to look at every user").await?;
        }
        world.until_plan_is_followed().await?;
        let versions = versions(&targets).await?;
        let expected: Vec<&str> = buckets
            .iter()
            .map(|bucket| if f64::from(*bucket) >= 10_000.0 - weight * 100.0 { "v2" } else { "v1" })
            .collect();
        assert_eq!(versions, expected, "at {weight} %");
        let now: BTreeSet<usize> = (0..versions.len()).filter(|user| versions[*user] == "v2").collect();
        assert!(now.is_superset(&on_canary), "somebody moved back on the way to {weight} %");
        on_canary = now;
        if weight < 100.0 {
            api.act("resume", "all were looked at").await?;
        }
    }
    if one_filter {
        // Several filters get a plan within the same half second, not at the same moment.
        assert_eq!(load.record().moved_back("v2", begin, Instant::now()), BTreeSet::new());
    }
    api.act("rollback", "to see them all come back").await?;
    world.until("weight 0", 10, |status| status.weight == 0.0).await?;
    world.until_plan_is_followed().await?;
    let versions = versions(&targets).await?;
    assert!(versions.iter().all(|version| version == "v1"), "somebody stayed on v2");
    let record = load.stop().await?;
    assert_eq!(record.count(Exchange::failed), 0, "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_users_go_where_pythons_md5_says_at_every_weight() {
    ramp_places_users_as_python_does(Some(""), vec![1]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_envoys_with_two_workers_each_agree_with_python_on_the_default_salt() {
    ramp_places_users_as_python_does(None, vec![2, 2]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_chosen_by_hand_is_given_and_is_no_evidence() {
    let world = World::start(WorldOptions::default()).await.unwrap();
    // Half of what the canary answers is an error, but only people who asked for it see that.
    world.canary.set_faults(serin_tests::shop::Faults::errors(0.5));
    world.until("the first weight", 30, |status| status.weight == 5.0).await.unwrap();
    let mut options = world.load();
    options.manual = 1.0;
    options.anonymous = 0.5;
    options.time = Duration::from_secs(12);
    let record = Load::start(options).unwrap().finish().await.unwrap();

    let wrong = record.count(|exchange| {
        let wanted = if exchange.manual == Some(true) { "v2" } else { "v1" };
        exchange.version() != Some(wanted)
    });
    assert_eq!(wrong, 0, "{record}");
    let by_hand = record.count(|exchange| exchange.manual == Some(true));
    let failed = record.count(Exchange::failed);
    assert!(failed > by_hand / 3, "the canary failed {failed} of {by_hand}");
    let status = world
        .until("all requests to be counted", 20, |status| status.totals.all() == record.sent())
        .await
        .unwrap();
    let totals = status.totals;
    assert_eq!((totals.forced.canary.requests, totals.forced.canary.errors), (by_hand, failed));
    assert_eq!(totals.forced.stable.requests, record.sent() - by_hand);
    assert_eq!((totals.canary.requests, totals.canary.errors, totals.stable.requests), (0, 0, 0));
    assert_eq!((status.phase, status.weight), (Phase::Progressing, 5.0), "{:?}", status.verdict);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_requests_follow_the_routes_weights() {
    let world = World::start(WorldOptions::default()).await.unwrap();
    let mut options = world.load();
    options.anonymous = 0.5;
    options.rate = 400.0;
    let load = Load::start(options).unwrap();
    world.until("a quarter", 60, |status| status.weight == 25.0).await.unwrap();
    world.analyzer.api().act("pause", "to look at the anonymous").await.unwrap();
    world.until_plan_is_followed().await.unwrap();
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs(8)).await;
    let record = load.stop().await.unwrap();

    let anonymous = |version: Option<&str>| {
        record.count(|exchange| {
            exchange.who == Who::Anonymous
                && exchange.sent >= from
                && version.is_none_or(|version| exchange.version() == Some(version))
        }) as f64
    };
    let (all, canary) = (anonymous(None), anonymous(Some("v2")));
    let room = 5.0 * (0.25 * 0.75 * all).sqrt();
    assert!(all > 1000.0 && (canary - all / 4.0).abs() < room, "{canary} of {all} at 25 %");
    let status = world
        .until("all requests to be counted", 20, |status| status.totals.all() == record.sent())
        .await
        .unwrap();
    let answered = |who: Who, version: &str| {
        record.count(|exchange| {
            exchange.who == who
                && matches!(exchange.ending, Ending::Answered { .. })
                && exchange.version() == Some(version)
        })
    };
    assert_eq!(status.totals.unassigned.stable.requests, answered(Who::Anonymous, "v1"));
    assert_eq!(status.totals.unassigned.canary.requests, answered(Who::Anonymous, "v2"));
}
