//! Experiments on a real Envoy: created by the API, assigned in the data path, counted over a restart of the
//! analyzer, ended.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use serin_contract::AssignedUnit;
use serin_tests::analyzer::{CanaryConfig, Filter};
use serin_tests::http::{Answer, Client};
use serin_tests::wait;
use serin_tests::world::{World, WorldOptions};
use std::collections::BTreeMap;
use std::time::Duration;

const USERS: u32 = 200;
const ONE: &str = "/v1/experiments/button";

async fn world() -> Result<World> {
    let canary = CanaryConfig { promotion_interval: "5m".to_owned(), ..CanaryConfig::default() };
    World::start(WorldOptions { canary, envoys: vec![2], ..WorldOptions::default() }).await
}

fn experiment(id: &str) -> Value {
    json!({"id": id, "hosts": ["shop.example"], "units": [{"header": "x-user-id"}], "keep": {"cookie": "arm"},
        "arms": [{"name": "control", "share": 50}, {"name": "treatment", "share": 50, "flags": {"button": "green"}}],
        "goals": [{"name": "purchase", "response": {"methods": ["POST"], "pathPrefix": "/checkout"}},
            {"name": "signup"}]})
}

/// Waits until every filter follows the plan that is published now; each does by its second report from now.
async fn two_reports_later(world: &World) -> Result<()> {
    let api = world.analyzer.api();
    let number = |filter: &Filter, field: &str| filter.more[field].as_u64().expect("a number");
    let metrics = api.metrics().await?;
    let revision = metrics.lines().find_map(|line| line.strip_prefix("serin_plan_revision "));
    // A gauge is written as a float is.
    let revision =
        revision.and_then(|text| text.parse::<f64>().ok()).context("no plan in the metrics")? as u64;
    let before: BTreeMap<String, u64> = api
        .filters()
        .await?
        .iter()
        .map(|filter| (filter.instance.clone(), number(filter, "sequence")))
        .collect();
    wait::until("all filters to follow the new plan", Duration::from_secs(30), || async {
        let filters = api.filters().await?;
        for filter in &filters {
            let reports =
                before.get(&filter.instance).map_or(0, |before| number(filter, "sequence") - before);
            let follows = number(filter, "planRevision") >= revision;
            assert!(reports < 2 || follows, "after {reports} reports {} has not got the plan", filter.node);
        }
        ensure!(filters.iter().all(|filter| number(filter, "planRevision") >= revision), "{filters:?}");
        Ok(())
    })
    .await
}

/// One request of a user; `more` are further headers.
async fn ask(
    client: &Client,
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Answer> {
    let mut all = vec![("host", "shop.example")];
    all.extend(headers);
    client.send(world.targets()[0], method, path, &all, "".into()).await
}

fn told(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

async fn results(world: &World) -> Result<Value> {
    world.analyzer.api().call(Method::GET, &format!("{ONE}/results"), &json!({})).await
}

fn sum(results: &Value, goal: Option<&str>, field: &str) -> f64 {
    let variants = results["variants"].as_object().expect("arms");
    let of = |variant: &Value| match goal {
        Some(goal) => variant["goals"][goal][field].as_f64(),
        None => variant[field].as_f64(),
    };
    variants.values().map(|variant| of(variant).expect("a number")).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_experiment_lives_in_the_path_and_its_totals_are_exact_over_a_restart() {
    let mut world = world().await.unwrap();
    let (api, client) = (world.analyzer.api().clone(), Client::default());
    api.call(Method::POST, "/v1/experiments", &experiment("button")).await.unwrap();
    two_reports_later(&world).await.unwrap();

    // Every user comes twice, and buys or signs up by its number; the analyzer dies in between.
    let mut arms: BTreeMap<u32, String> = BTreeMap::new();
    for round in 0..2 {
        for user in 0..USERS {
            if round == 0 && user == USERS / 2 {
                world.analyzer.kill9().unwrap();
            }
            let id = format!("user{user}");
            let who = [("x-user-id", id.as_str())];
            let answer = ask(&client, &world, Method::GET, "/", &who).await.unwrap();
            let arm = told(&answer)["experiments"].as_str().expect("an arm").to_owned();
            let flags = told(&answer)["flags"].as_str().map(str::to_owned);
            assert_eq!(flags.as_deref(), (arm == "button=treatment").then_some("button=green"), "{arm}");
            assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("arm=1.")));
            assert_eq!(arms.entry(user).or_insert_with(|| arm.clone()), &arm, "user{user} moved");
            if user % 4 == 0 {
                let answer = ask(&client, &world, Method::POST, "/checkout/7", &who).await.unwrap();
                assert_eq!(answer.status, 200);
            }
            if user % 5 == 0 {
                let said = [("x-user-id", id.as_str()), ("x-test-goal", "signup=2.5, unknown")];
                let answer = ask(&client, &world, Method::GET, "/", &said).await.unwrap();
                assert_eq!(answer.header("x-serin-goal"), None, "a goal has reached the client");
            }
        }
        if round == 0 {
            world.analyzer.restart().await.unwrap();
        }
    }
    let expected = (f64::from(USERS), f64::from(USERS / 4), f64::from(USERS / 5));
    wait::until("everything to be counted", Duration::from_secs(30), || async {
        let results = results(&world).await?;
        let found = (
            sum(&results, None, "exposures"),
            sum(&results, Some("purchase"), "converted"),
            sum(&results, Some("signup"), "converted"),
        );
        ensure!(
            found == expected && sum(&results, Some("signup"), "events") >= 2.0 * expected.2,
            "{found:?}"
        );
        Ok(())
    })
    .await
    .unwrap();
    let found = results(&world).await.unwrap();
    assert_eq!(sum(&found, Some("purchase"), "events"), 2.0 * expected.1);
    assert_eq!(sum(&found, Some("signup"), "sum"), 2.0 * 2.5 * expected.2);
    assert_eq!(found["sample_ratio"]["mismatch"], false);

    // The API gives each user the arm of the filter, and counts nobody a second time.
    for (user, arm) in arms.iter().take(50) {
        let who = json!({"user": format!("user{user}")});
        let assigned = api.call(Method::POST, &format!("{ONE}/assign"), &who).await.unwrap();
        assert_eq!(
            (format!("button={}", assigned["arm"].as_str().unwrap()), assigned["new"].clone()),
            (arm.clone(), json!(false))
        );
    }
    assert_eq!(sum(&results(&world).await.unwrap(), None, "exposures"), expected.0);

    // Ended, it leaves the path; what it counted stays.
    api.call(Method::POST, &format!("{ONE}/end"), &json!({})).await.unwrap();
    two_reports_later(&world).await.unwrap();
    let answer = ask(&client, &world, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    assert!(told(&answer)["experiments"].is_null() && answer.header("set-cookie").is_none());
    assert_eq!(sum(&results(&world).await.unwrap(), None, "exposures"), expected.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filter_and_api_agree_with_pythons_md5_and_a_kept_arm_outlives_a_change_of_shares() {
    let world = world().await.unwrap();
    let (api, client) = (world.analyzer.api().clone(), Client::default());
    let mut spec = experiment("button");
    spec["salt"] = json!("");
    api.call(Method::POST, "/v1/experiments", &spec).await.unwrap();
    two_reports_later(&world).await.unwrap();
    let vectors: Value =
        serde_json::from_str(include_str!("../../contract/tests/vectors/assignment.json")).unwrap();
    let plain = |unit: &&str| !unit.is_empty() && unit.bytes().all(|byte| byte.is_ascii_graphic());
    let units = vectors["units"].as_array().unwrap().iter().filter_map(|vector| vector["unit"].as_str());
    let mut compared = 0;
    for unit in units.filter(plain) {
        let bucket = AssignedUnit::of("", unit.as_bytes()).unwrap().bucket.get();
        let expected = if bucket < 5_000 { "control" } else { "treatment" };
        let answer = ask(&client, &world, Method::GET, "/", &[("x-user-id", unit)]).await.unwrap();
        assert_eq!(told(&answer)["experiments"], format!("button={expected}"), "{unit}");
        let assigned =
            api.call(Method::POST, &format!("{ONE}/assign"), &json!({"user": unit})).await.unwrap();
        assert_eq!(assigned["arm"], expected, "{unit}");
        compared += 1;
    }
    assert!(compared > 50, "{compared} units of the vectors are header values");

    // user1's bucket is 3245: control at halves, treatment at 1 to 99.
    let answer = ask(&client, &world, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let change = json!({"shares": {"control": 1, "treatment": 99}});
    let changed = api.call(Method::PATCH, ONE, &change).await.unwrap();
    assert_eq!(changed["persistence"]["inFilters"], false);
    two_reports_later(&world).await.unwrap();
    let kept = [("x-user-id", "user1"), ("cookie", cookie.as_str())];
    let answer = ask(&client, &world, Method::GET, "/", &kept).await.unwrap();
    assert_eq!(told(&answer)["experiments"], "button=control");
    let answer = ask(&client, &world, Method::GET, "/", &[("x-user-id", "user1")]).await.unwrap();
    assert_eq!(told(&answer)["experiments"], "button=treatment");
}
