//! A release's own experiment on a real Envoy: its users' goals counted by the version that the canary's step gave
//! them, along the ramp; flags for the canary's users alone; and a guardrail that ends a release without errors.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use serin_tests::analyzer::{CanaryConfig, Phase, Status};
use serin_tests::http::{Answer, Client};
use serin_tests::shop::Faults;
use serin_tests::wait;
use serin_tests::world::{World, WorldOptions};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinSet;

/// How many users are under way at one time.
const CLIENTS: u32 = 8;
const GOALS: &str = "goals: [{name: purchase, response: {methods: [POST], pathPrefix: /buy}, guardrail: less}, {name: signup}]";

#[derive(Clone)]
struct At {
    client: Client,
    target: SocketAddr,
}

impl At {
    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let mut all = vec![("host", "shop.example")];
        all.extend(headers);
        self.client.send(self.target, method, path, &all, "".into()).await
    }

    /// One user's visit: a page, every second one buys, every fifth signs up. Whether the canary served it.
    async fn visit(&self, user: u32) -> Result<bool> {
        let id = format!("user{user}");
        let who = [("x-user-id", id.as_str())];
        let answer = self.ask(Method::GET, "/", &who).await?;
        let told: Value = serde_json::from_slice(&answer.body).context("no page")?;
        let canary = told["x-canary"] == "true";
        let arm = told["experiments"].as_str();
        assert_eq!(arm.is_some(), canary, "the banner is for the canary's users alone: {told}");
        assert_eq!(told["flags"].as_str().is_some(), arm == Some("banner=treatment"), "{told}");
        if user.is_multiple_of(2) {
            self.ask(Method::POST, "/buy", &who).await?;
        }
        if user.is_multiple_of(5) {
            let said = [("x-user-id", id.as_str()), ("x-test-goal", "signup=2.5")];
            let answer = self.ask(Method::GET, "/", &said).await?;
            assert_eq!(answer.header("x-serin-goal"), None, "a goal has reached the client");
        }
        Ok(canary)
    }

    /// These users visit; what their versions should have come to: stable, then the canary.
    async fn round(&self, users: std::ops::Range<u32>) -> [Value; 2] {
        let mut clients = JoinSet::new();
        for place in 0..CLIENTS {
            let (at, users) = (self.clone(), users.clone().skip(place as usize).step_by(CLIENTS as usize));
            clients.spawn(async move {
                let mut seen = Vec::new();
                for user in users {
                    seen.push((user, at.visit(user).await.unwrap()));
                }
                seen
            });
        }
        let seen: Vec<(u32, bool)> = clients.join_all().await.into_iter().flatten().collect();
        [false, true].map(|canary| {
            let those = || seen.iter().filter(move |(_, found)| *found == canary);
            let every = |nth: u32| those().filter(move |(user, _)| user.is_multiple_of(nth)).count();
            json!({"exposures": those().count(), "bought": every(2), "signed": every(5), "spent": every(5) as f64 * 2.5})
        })
    }
}

/// Pauses the release at whatever step it is, so that nothing moves while users visit.
async fn paused(world: &World) -> Result<Status> {
    world.analyzer.api().act("pause", "users visit").await?;
    let status = world.status().await?;
    world.until_plan_is_followed().await?;
    Ok(status)
}

async fn experiment(world: &World) -> Result<(String, Value)> {
    let canary = world.analyzer.api().get("/v1/canaries/default/shop").await?;
    let canary: Value = serde_json::from_slice(&canary.body)?;
    let id = canary["experiment"].as_str().context("the release has no experiment")?.to_owned();
    let found = world.analyzer.api().get(&format!("/v1/experiments/{id}")).await?;
    Ok((id, serde_json::from_slice(&found.body)?))
}

async fn results(world: &World, id: &str) -> Result<Value> {
    let found = world.analyzer.api().get(&format!("/v1/experiments/{id}/results")).await?;
    Ok(serde_json::from_slice(&found.body)?)
}

/// What a step of the experiment has counted, as [`At::round`] says it.
fn counted(results: &Value, step: u64) -> Option<[Value; 2]> {
    let steps = results["steps"].as_array()?;
    let step = steps.iter().find(|found| found["step"] == step)?;
    let of = |arm: &str| {
        let (variant, goals) = (&step["variants"][arm], &step["variants"][arm]["goals"]);
        json!({"exposures": variant["exposures"], "bought": goals["purchase"]["converted"],
            "signed": goals["signup"]["converted"], "spent": goals["signup"]["sum"]})
    };
    Some(["stable", "canary"].map(of))
}

async fn until_counted(world: &World, id: &str, step: u64, expected: &[Value; 2]) {
    wait::until("every goal to be counted", Duration::from_secs(60), || async {
        let found = counted(&results(world, id).await?, step).context("no such step yet")?;
        ensure!(found == *expected, "step {step}: {found:?} of {expected:?}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_counts_its_users_goals_along_the_ramp_and_its_guardrail_ends_it_without_an_error() {
    let canary = CanaryConfig {
        steps: vec![30.0, 40.0, 50.0, 60.0, 70.0],
        promotion_interval: "15s".to_owned(),
        false_rollback_rate: Some(0.01),
        limits: vec!["maxLatencyIncrease: 10000.0".to_owned()],
        more: vec![GOALS.to_owned()],
        ..CanaryConfig::default()
    };
    let world =
        World::start(WorldOptions { canary, envoys: vec![2], ..WorldOptions::default() }).await.unwrap();
    let at = At { client: Client::default(), target: world.targets()[0] };
    let within = json!({"id": "banner", "hosts": ["shop.example"], "units": [{"header": "x-user-id"}],
        "within": {"canary": "default/shop", "arm": "canary"},
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50, "flags": {"banner": "new"}}]});
    world.analyzer.api().call(Method::POST, "/v1/experiments", &within).await.unwrap();
    world.until("the first weight", 60, |status| status.weight > 0.0).await.unwrap();

    let first = paused(&world).await.unwrap();
    let (id, known) = experiment(&world).await.unwrap();
    assert!(id.starts_with("canary_v2_"), "{id}");
    assert_eq!(known["name"], "Canary Deployment: v1 vs v2");
    assert_eq!((&known["step"], &known["shares"]["canary"]), (&json!(first.step), &json!(first.weight)));
    // Who chooses by hand, and who is nobody, buys for no version.
    for _ in 0..10 {
        let hand = [("x-user-id", "hand"), ("x-canary", "true")];
        assert_eq!(at.ask(Method::POST, "/buy", &hand).await.unwrap().status, 200);
        assert_eq!(at.ask(Method::POST, "/buy", &[]).await.unwrap().status, 200);
    }
    let expected = at.round(0..400).await;
    until_counted(&world, &id, first.step, &expected).await;

    // The next step of the ramp is the next of the experiment; users who come again count in it anew.
    world.analyzer.api().act("resume", "they have gone").await.unwrap();
    world.until("the next weight", 60, |status| status.weight > first.weight).await.unwrap();
    let second = paused(&world).await.unwrap();
    let again = at.round(200..600).await;
    until_counted(&world, &id, second.step, &again).await;
    let found = results(&world, &id).await.unwrap();
    assert_eq!(counted(&found, first.step).as_ref(), Some(&expected), "the first step has moved");
    assert_eq!(
        (&found["analysis"]["test"], &found["sample_ratio"]["mismatch"]),
        (&json!("mantel_haenszel"), &json!(false))
    );
    assert_eq!(experiment(&world).await.unwrap().1["shares"]["canary"], json!(second.weight));

    // The canary sells nothing any more: nobody gets an error, nobody waits, and it is rolled back.
    world.canary.set_faults(Faults { sells_nothing: true, ..Faults::NONE });
    for round in 0..20 {
        at.round(1_000 + 200 * round..1_200 + 200 * round).await;
        if world.status().await.unwrap().phase == Phase::Failed {
            break;
        }
    }
    let failed = world.until_phase(Phase::Failed, 30).await.unwrap();
    let verdict = failed.verdict.clone().unwrap();
    assert_eq!((verdict.rule.as_str(), failed.weight), ("goal", 0.0), "{verdict:?}");
    assert!(verdict.reason.starts_with("Goal: "), "{}", verdict.reason);
    assert_eq!(failed.totals.errors(), 0);
    let (_, known) = experiment(&world).await.unwrap();
    assert_eq!(known["status"], "ended");
    let found = results(&world, &id).await.unwrap();
    let guardrail = &found["guardrails"][0];
    assert_eq!((&guardrail["goal"], &guardrail["harmed"]), (&json!("purchase"), &json!(true)), "{guardrail}");
    assert_eq!(found["release"]["metrics"]["total"]["canary"]["error_rate"], 0.0);
    // Stable serves everybody, and nobody has the banner.
    world.until_plan_is_followed().await.unwrap();
    assert_eq!(at.round(0..50).await[1]["exposures"], 0);
}
